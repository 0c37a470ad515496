"""Ours and a real server agree about the data, also about what one of them has missed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.link.meta import Meta
from tests.support.moat import MoatError, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

type Start = Callable[..., Any]


async def stop(server: Any) -> None:
    server.stop()
    await server.task


async def test_deleted_while_ours_was_away(serve: Start, real: MoatServer) -> None:
    """It does not come back from our file: not here, not there, not at the broker."""
    await asyncio.to_thread(real.start, first=True)
    await real.link("data", "home.kept", "set", "-f", "-s", ":", "=1")
    await real.link("data", "home.gone", "set", "-f", "-s", ":", "=1")
    mine = await serve()
    await until(lambda: mine.tree.store.find(["home", "gone"]))
    await stop(mine)
    await real.link("data", "home.gone", "delete")
    again = await serve()
    await until(lambda: "real" in again.peers.agreed, timeout=15)
    assert again.peers.agreed["real"].deleted == 1
    assert not again.tree.store.find(["home", "gone"]).alive
    assert again.tree.store.find(["home", "kept"]).alive
    with pytest.raises(MoatError, match="gone"):
        await real.link("data", "home.gone", "get")
    await asyncio.to_thread(real.kill)
    await until(lambda: again.election.main, timeout=15)
    await again.supplier.supply()
    fresh = await serve("fresh")
    await until(lambda: fresh.tree.store.find(["home", "kept"]))
    gone = fresh.tree.store.find(["home", "gone"])
    assert gone is None or not gone.alive


async def test_given_to_a_real_one(serve: Start, broker: Mosquitto, real: MoatServer) -> None:
    """What only our file knows, or knows better, reaches the real server, and is told by it."""
    mine = await serve()
    await asyncio.to_thread(broker.kill)
    await until(lambda: not mine.broker.connected)
    mine.tree.receive(["home", "only"], {"v": 5}, Meta("x", 1_700_000_000.0))
    mine.tree.receive(["home", "newer"], 2, Meta("x", 1_700_000_000.0))
    await stop(mine)
    await asyncio.to_thread(broker.start)
    await asyncio.to_thread(real.start, first=True)
    await real.link("data", "home.old", "set", "-f", "-s", ":", "=1")
    again = await serve()
    await until(lambda: "real" in again.peers.agreed, timeout=15)
    assert again.peers.agreed["real"].given == 2
    assert await real.ask("data", "home.only", "get") == {"v": 5}
    assert await real.ask("data", "home.newer", "get") == 2
    assert again.tree.store.find(["home", "only"]).record.meta == Meta("x", 1_700_000_000.0)
    assert again.tree.store.find(["home", "old"]).alive
