"""What the broker hangs up on is found out, and not sent for ever."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.link.meta import Meta
from firmware_bridge.server.suspects import Suspects
from tests.support.installation import Peer
from tests.support.wait import until

type Start = Callable[..., Any]


def test_found_out() -> None:
    """Suspects go alone; who arrives is none any more, who fails alone again is convicted."""
    suspects: Suspects[str] = Suspects()
    waiting = ["a", "bad", "b"]
    assert list(suspects.choose(waiting)) == waiting
    suspects.sent(waiting)
    assert suspects.lost() is None
    assert list(suspects.choose(["new", *waiting])) == ["new"]
    assert list(suspects.choose(waiting)) == ["a"]
    suspects.sent(["a"])
    suspects.arrived()
    assert list(suspects.choose(["a", "bad"])) == ["a"]
    for convicted in (None, "bad"):
        suspects.sent(["bad"])
        assert suspects.lost() == convicted
    assert "bad" in suspects
    assert "b" not in suspects


def test_lost_with_nobody_under_way() -> None:
    assert Suspects[str]().lost() is None


async def test_not_for_ever(
    serve: Start, peer: Peer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message that ends the connection costs a few of them; all others are published."""
    server = await serve()
    await until(lambda: server.election.main)
    monkeypatch.setattr(server.tree.reach, "levels", 300)  # more than this broker bears
    server.broker._backoff._longest = 0.1
    with caplog.at_level(logging.ERROR):
        server.tree.write(["a"] * 250, 1, Meta("x", 5.0))
        for number in range(10):
            server.tree.write(["n", str(number)], number, Meta("x", 5.0))
        await until(lambda: "hangs up on it" in caplog.text, timeout=30)
    await until(lambda: server.broker.connected, timeout=10)
    await until(lambda: not server.supplier.owed, timeout=10)
    assert server.broker.connected
    await until(lambda: len(peer.state("n/")) == 10, timeout=10)
