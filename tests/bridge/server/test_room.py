"""How much data there may be: what is over that is refused, told, and costs nothing else."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.server.store import LIFETIME, FullError, Outcome, Store
from firmware_bridge.server.tree import Tree
from tests.support.installation import ROOT, Peer
from tests.support.wait import until

from .clock import StoppedClock

type Start = Callable[..., Any]

BIG = "x" * 20_000
MOST = 100_000


def filled() -> Tree:
    """Return a tree that has no room for another large value."""
    tree = Tree(StoppedClock(), ROOT, most=MOST)
    for number in range(4):
        tree.write(["n", str(number)], BIG, Meta("x", 1.0))
    return tree


def test_what_is_refused() -> None:
    """New nodes and larger values, from whomever; what was there is still there."""
    tree = filled()
    small = "y" * 10_000
    tree.write(["small"], small, Meta("x", 1.0))
    before = tree.store.size
    for way in (tree.write, tree.receive, lambda *said: tree.hear(*said, retained=True)):
        with pytest.raises(FullError, match="no room"):
            way(["new"], BIG, Meta("x", 2.0))
        with pytest.raises(FullError, match="no room"):
            way(["small"], BIG, Meta("x", 2.0))
        with pytest.raises(FullError, match="no room"):
            way(["small"], ABSENT, Meta("x", 2.0, (BIG,)))
    assert tree.turned_away == 9
    assert tree.store.size == before
    assert tree.store.find(["new"]) is None


def test_what_is_not() -> None:
    """Smaller values, deletions, what is not newer, what files say, and reports of our own."""
    tree = filled()
    tree.most = tree.store.size - 1
    origin = "a longer name than before"
    assert tree.write(["n", "1"], BIG, Meta(origin, 2.0)) is Outcome.REFRESHED
    assert tree.write(["n", "1"], BIG[1:], Meta(origin, 3.0)) is Outcome.TAKEN
    assert tree.write(["n", "1"], BIG * 2, Meta(origin, 3.0)) is Outcome.STALE
    tree.receive(["run", "service"], {"node": "here"}, Meta("me", 2.0))
    tree.restore(["saved"], BIG, Meta("x", 2.0))
    tree.report(["error", "link", "server", "me", "data"], {"msg": "full"}, "me")
    assert tree.turned_away == 0
    for number in range(4):
        assert tree.write(["n", str(number)], ABSENT, Meta(origin, 4.0)).stored
    assert tree.write(["new"], 1, Meta("x", 4.0)).stored


def test_nobody_creeps_up() -> None:
    """However often it is written, a node does not grow by its metadata."""
    tree = filled()
    tree.most = tree.store.size - 1
    for number in range(50):
        with pytest.raises(FullError):
            tree.write(["n", "1"], BIG + "x", Meta("x" * 400, 2.0 + number))
        tree.write(["n", "1"], BIG, Meta("x" * 400, 2.5 + number))
    assert tree.store.size <= tree.most + 512


def measured(count: int, value: object, below: list[str]) -> float:
    """Return how much memory so many nodes take, for each byte that is counted."""
    tracemalloc.start()
    try:
        store = Store()
        for number in range(count):
            levels = ["some", f"group{number // 100}", f"node{number}", *below]
            store.merge(levels, encode(value), Meta("x", 1.0 + number))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return taken / store.size


def test_size_is_about_the_memory() -> None:
    """Many small nodes, a few large ones, or deep ones: none takes much more than is counted."""
    for kind in ((20_000, 1.5, []), (500, BIG, []), (100, 1, ["deep"] * 180)):
        # names are interned: the table of all names of the process may grow just now, but not twice
        assert 0.6 < min(measured(*kind), measured(*kind)) < 1.3


def test_nothing_is_left_over() -> None:
    """What is deleted and forgotten takes nothing."""
    tree = filled()
    tree.receive(["run", "x"], 1, Meta("x", 1.0))
    for levels in (*(["n", str(number)] for number in range(4)), ["run", "x"]):
        tree.receive(levels, ABSENT, Meta("x", 2.0))
    assert 0 < tree.store.size < 5000
    list(tree.store.prune(3.0 + LIFETIME))
    assert tree.store.size == 0


async def test_told_and_taken_back(serve: Start, join: Start, peer: Peer) -> None:
    """A client is refused, a message complained about; the report goes when there is room again."""
    server = await serve(most_data=MOST)
    caller = await join(server)
    for number in range(4):
        assert await caller.call(["d", "set"], Path("n", f"n{number}"), BIG) == [True]
    answer = await caller.call(["d", "set"], Path("more"), BIG)
    assert answer[1].name == "_ValErr"
    assert "no room for more data" in str(answer[1])
    await until(lambda: peer.last("error/link/server/srv1/data") is not ABSENT)
    await peer.say("heard", BIG, time=5.0)
    await until(lambda: peer.heard("error/link/mqtt/codec/heard"))
    assert server.tree.store.find(["heard"]) is None
    assert (await caller.call(["d", "delete"], Path("n", "n1")))[0][0] == BIG
    await until(lambda: peer.last("error/link/server/srv1/data") is ABSENT)
    assert await caller.call(["d", "set"], Path("more"), BIG) == [True]
    assert len(peer.heard("error/link/server/srv1/data")) == 2
