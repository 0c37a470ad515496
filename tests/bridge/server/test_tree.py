"""The tree's own work."""

import asyncio

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.server import tree as tree_module
from firmware_bridge.server.store import LIFETIME
from firmware_bridge.server.tree import Tree
from tests.support.running import running
from tests.support.wait import until

from .clock import StoppedClock


async def test_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old deletions are forgotten bit by bit."""
    monkeypatch.setattr(tree_module, "_PRUNING", 0.01)
    tree = Tree(StoppedClock(LIFETIME + 10.0))
    for number in range(10_000):
        tree.store.merge(["n", f"{number}"], encode(ABSENT), Meta("x", 1.0))
    tree.store.merge(["there"], encode(1), Meta("x", 1.0))
    seen = set()
    async with running(tree.run()), asyncio.timeout(10):
        while tree.store.count > 1:
            seen.add(tree.store.count)
            await asyncio.sleep(0)
        await until(lambda: tree.store.find(["n"]) is None)
    assert len(seen) >= 5
