"""Waiting for numbers that come back."""

import asyncio

import pytest

from firmware_bridge.link.errors import RefusedError
from firmware_bridge.server.stamps import Stamps


async def test_come_back() -> None:
    """A later number serves as well; one that was never given does not count."""
    stamps = Stamps()
    first, second, third = stamps.new(), stamps.new(), stamps.new()
    waiting = [asyncio.create_task(stamps.wait(each)) for each in (first, second, third)]
    await asyncio.sleep(0)
    stamps.heard(second)
    await asyncio.gather(*waiting[:2])
    await stamps.wait(first)
    assert not waiting[2].done()
    stamps.heard(7)
    await waiting[2]
    assert stamps.new() == 4
    late = asyncio.create_task(stamps.wait(4))
    await asyncio.sleep(0)
    assert not late.done()
    stamps.heard(4)
    await late


async def test_never_given() -> None:
    """Nobody waits for ever for what cannot come."""
    stamps = Stamps()
    with pytest.raises(RefusedError, match="the stamp 1 was never given"):
        await stamps.wait(1)
    stamps.new()
    with pytest.raises(RefusedError, match="the stamp 2 was never given"):
        await stamps.wait(2)


async def test_nobody_is_left_behind() -> None:
    """Who does not wait any longer takes no room."""
    stamps = Stamps()
    waiting = [asyncio.create_task(stamps.wait(stamps.new())) for _ in range(100)]
    await asyncio.sleep(0)
    assert stamps.waiting == 100
    for each in waiting[:98]:
        each.cancel()
    await asyncio.wait(waiting[:98])
    assert stamps.waiting == 2
    stamps.heard(100)
    await asyncio.gather(*waiting[98:])
    assert stamps.waiting == 0
