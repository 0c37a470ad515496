"""Waiting for numbers that come back."""

import asyncio

from firmware_bridge.server.stamps import Stamps


async def test_come_back() -> None:
    """A later number serves as well; one that was never given does not count."""
    stamps = Stamps()
    first, second = stamps.new(), stamps.new()
    waiting = [asyncio.create_task(stamps.wait(each)) for each in (first, second, 3)]
    gone = asyncio.create_task(stamps.wait(second))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    stamps.heard(second)
    await asyncio.gather(*waiting[:2])
    stamps.heard(7)
    await stamps.wait(first)
    assert not waiting[2].done()
    assert stamps.new() == 3
    stamps.heard(3)
    await waiting[2]
