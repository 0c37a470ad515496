"""Two servers agree: by time, deletions too, whoever asks."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from firmware_bridge.link.clock import SystemClock
from firmware_bridge.link.codec import ABSENT, FrameReader
from firmware_bridge.link.connection import Request
from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.errors import DecodeError, RemoteError
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from firmware_bridge.server.sync import Agreement, agree
from firmware_bridge.server.tree import Tree
from tests.support.effort import examples
from tests.support.installation import ROOT
from tests.support.running import running
from tests.support.server import FakeServer
from tests.support.vectors import load

type Contents = dict[str, tuple[Any, float]]


def fill(tree: Tree, contents: Contents, origin: str = "x") -> None:
    for topic, (value, time) in contents.items():
        tree.receive(topic.split("/") if topic else [], value, Meta(origin, time))


def contents(tree: Tree) -> Contents:
    return {
        "/".join(levels): (record.value, record.meta.time) for levels, record in tree.snapshot()
    }


def alive(tree: Tree) -> Contents:
    return {topic: said for topic, said in contents(tree).items() if said[0] is not ABSENT}


async def meet(mine: Tree, theirs: Tree, learned: Any = lambda _: None) -> Agreement:
    """Have a tree agree with that of one of our servers, which has no broker."""
    config = ServerConfig(
        broker=BrokerConfig(host="127.0.0.1", port=1),
        root=ROOT,
        name="there",
        listeners=(Listener(port=0),),
    )
    server = Server(config)
    server._patience = 0.0
    server.tree.store = theirs.store
    server.clients.commands.data._store = theirs.store
    server.tree.passing = theirs.passing
    async with running(server.run()):
        await server.serving.wait()
        host, port = server.addresses[0]
        connection, _ = await connect(Endpoint(host=host, port=port), name="here")
        try:
            return await agree(connection, mine, "here", learned)
        finally:
            await connection.close()


async def test_both_ways() -> None:
    """What is newer wins, deletions too; each node keeps its time and its origin."""
    mine, theirs = Tree(SystemClock()), Tree(SystemClock())
    fill(mine, {"": ("root", 1.0), "a/b": (1, 10.0), "c": (2, 5.0), "gone": (ABSENT, 9.0)}, "me")
    fill(mine, {"error/link/server/here/disk": ({"msg": "full"}, 5.0), "same": (1, 1.0)}, "me")
    fill(mine, {"forgotten": (ABSENT, 3.0), "back": (ABSENT, 3.0)}, "me")
    fill(theirs, {"a/b": (0, 9.0), "c": (3, 6.0), "gone": (1, 8.0), "d": (True, 4.0)}, "they")
    fill(theirs, {"same": (1, 1.0), "back": (1, 4.0), "away": (ABSENT, 8.0)}, "they")
    fill(mine, {"away": (7, 7.0)}, "me")
    learned: list[str] = []
    result = await meet(mine, theirs, lambda levels: learned.append("/".join(levels)))
    assert result == Agreement(taken=4, given=3)
    assert set(learned) == {"c", "d", "back", "away"}
    expected = {"": ("root", 1.0), "a/b": (1, 10.0), "c": (3, 6.0), "d": (True, 4.0)}
    expected |= {"same": (1, 1.0), "back": (1, 4.0)}
    assert alive(theirs) == expected
    own = {"error/link/server/here/disk": ({"msg": "full"}, 5.0)}
    assert alive(mine) == expected | own
    node = theirs.store.find(["a", "b"])
    assert node is not None
    assert node.record is not None
    assert node.record.meta == Meta("me", 10.0)
    assert await meet(mine, theirs) == Agreement()


async def test_events() -> None:
    """They are known as such when they are taken over; given they are not, as that would make states."""
    mine, theirs = Tree(SystemClock()), Tree(SystemClock())
    fill(mine, {"bell": (1, 5.0), "state": (1, 5.0)})
    fill(theirs, {"call": (1, 5.0), "seen": (1, 5.0), "a/b": (True, 5.0), "": ("x", 5.0)})
    mine.hear(["bell"], 2, Meta("x", 6.0), retained=False)
    for topic in ("call", "seen", "a/b", ""):
        theirs.hear(topic.split("/") if topic else [], 2, Meta("x", 6.0), retained=False)
    theirs.hear(["seen"], 3, Meta("x", 7.0), retained=True)
    learned: list[str] = []
    result = await meet(mine, theirs, lambda levels: learned.append("/".join(levels)))
    assert result == Agreement(taken=4, given=1)
    assert learned == ["seen"]
    assert set(mine.passing) == {"bell", "call", "a/b", ""}
    assert contents(mine)["call"] == (2, 6.0)
    assert not mine.lacking(mine.store.find(["call"]) or mine.store.root)
    assert "bell" not in contents(theirs)
    mine.receive(["call"], 3, Meta("x", 8.0))
    assert "call" in mine.passing, "nobody has said otherwise"


NODES = st.dictionaries(
    st.sampled_from(["a", "a/b", "a/b/c", "", Path("x", 1).topic, "x/1"]),
    st.tuples(st.sampled_from([1, 1.0, True, "x", {"k": 1}, ABSENT]), st.integers(1, 9).map(float)),
)


@settings(max_examples=examples(30))
@given(NODES, NODES)
def test_any_two(mine: Contents, theirs: Contents) -> None:
    """Whatever two of our servers have, then they have the same; a tie stays as it is."""
    one, two = Tree(SystemClock()), Tree(SystemClock())
    fill(one, mine)
    fill(two, {topic: (value, time + 0.5) for topic, (value, time) in theirs.items()})
    asyncio.run(meet(one, two))
    assert alive(one) == alive(two)
    for topic, (value, time) in alive(one).items():
        node = two.store.find(topic.split("/") if topic else [])
        assert node is not None
        assert node.record is not None
        assert type(node.record.value) is type(value), "1, 1.0 and true are three values"
        assert node.time == time


async def test_real_one_cannot_tell_deletions() -> None:
    """A node that a real server refuses and does not have was deleted; all others are given to it."""
    mine = Tree(SystemClock())
    told: list[Any] = []
    mine.tell = lambda levels, value, meta: told.append((levels, value, meta))
    fill(mine, {"new": (1, 5.0), "old": (1, 5.0), "newer": (2, 5.0), "odd": (1, 5.0)})
    fill(mine, {"gone": (ABSENT, 6.0)})
    async with FakeServer() as server:
        server.put(Path("gone"), 1, time=4.0)
        server.put(Path("newer"), 1, time=4.0)
        server.put(Path("old"), ABSENT, time=7.0)
        connection, _ = await connect(server.endpoint, name="here")
        refused = server._set

        async def put(request: Request) -> Any:
            if request.arguments[0] == Path("odd"):
                raise RemoteError("_rErr", ("ValueError", "not that"))
            return await refused(request)

        server.commands["d", "set"] = put
        result = await agree(connection, mine, "here", lambda _: None)
        await connection.close()
        assert result == Agreement(given=3, deleted=1, real=True)
        assert server.nodes[("new",)].meta == Meta("x", 5.0)
        assert server.nodes[("newer",)].value == 2
        assert server.nodes[("gone",)].value is ABSENT
        assert server.nodes[("gone",)].meta.time == 6.0
    assert told == [(["old"], ABSENT, Meta("here", 5.001))]
    assert set(alive(mine)) == {"new", "newer", "odd"}


async def test_walk_into_the_deep() -> None:
    """What cannot be taken is left out and counted; nobody can be led too deep, nor below run."""
    mine = Tree(SystemClock(), ROOT)
    depth = mine.reach.levels
    items: list[list[Any]] = [
        [0, Path(*"x" * depth), 1, "x", 5.0],
        [depth, Path("y"), 1, "x", 5.0],
        [depth + 1, Path(*"y" * 100), 1, "x", 5.0],
        [0, Path("run", "z"), 1, "x", 5.0],
        [0, Path("late"), 1, "x", 1e15],
        [0, Path("z"), 1, "x", 5.0],
    ]

    async def walk(request: Request) -> Any:
        request.accept()
        for item in items:
            await request.send(*item)

    async with FakeServer() as server:
        server.commands["d", "walk"] = walk
        connection, _ = await connect(server.endpoint, name="here")
        result = await agree(connection, mine, "here", lambda _: None)
        assert (result.taken, result.refused) == (2, 4)
        assert result.refusal.startswith("path too long")
        assert set(contents(mine)) == {"/".join("x" * depth), "z"}
        items[3:] = [[depth + 101 + 100 * n, Path(*"y" * 100), 1, "x", 5.0] for n in range(20)]
        with pytest.raises(DecodeError, match="levels deep"):
            await agree(connection, mine, "here", lambda _: None)
        await connection.close()


async def test_nobody_has_the_last_word() -> None:
    """A time after which nobody could write is not taken."""
    mine, theirs = Tree(SystemClock()), Tree(SystemClock())
    fill(theirs, {"a": (1, 99_999_999_999.0), "b": (1, 9.9e10)})
    result = await meet(mine, theirs)
    assert (result.taken, result.refused) == (1, 1)
    assert contents(mine) == {"b": (1, 9.9e10)}


async def test_as_recorded() -> None:
    """The conversation of two real servers leads to the same tree here."""
    recorded = load("moat-link/server-sync")["connections"][0]["frames"]
    frames = [FrameReader().feed(bytes.fromhex(each["hex"]))[0] for each in recorded]
    items = [frame[1:] for frame in frames if frame[0] == -15 and len(frame) > 1]

    async def walk(request: Request) -> Any:
        request.accept()
        for item in items:
            await request.send(*item)

    mine = Tree(SystemClock())
    async with FakeServer() as server:
        server.commands["d", "walk"] = walk
        connection, _ = await connect(server.endpoint, name="here")
        result = await agree(connection, mine, "here", lambda _: None)
        assert result == Agreement(taken=4, real=True)
        assert [path for path, *_ in server.calls] == [("d", "dir_"), ("d", "walk")]
        assert server.calls[1] == (("d", "walk"), (Path(),), {})
        await connection.close()
    found = contents(mine)
    assert found.pop("")[0] == '{"x":1}'
    assert found == {"x/y": ({"a": 1}, 1.7e9), "x/z": (5, 1.7e9 + 1), "q": ("str", 1.7e9 + 3)}
