"""What an installation can hold: from whomever it comes, the rest is refused, and nothing else is lost."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, encode, encode_frame
from firmware_bridge.link.errors import EncodeError
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import MAX_LEVELS, Path
from firmware_bridge.link.remote import meta_object
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.reach import LATEST, Reach
from firmware_bridge.server.tree import Tree
from tests.support.installation import ROOT, Peer
from tests.support.wait import until

from .clock import StoppedClock
from .test_savefile import overlong_file

type Start = Callable[..., Any]

META = Meta("x", 1.0)
LEVELS = Reach(ROOT).levels
DEEP = ["a"] * LEVELS


def test_paths() -> None:
    """The longest path fits with its root and a report about it, also if every letter is escaped."""
    reach = Reach(ROOT)
    assert MAX_LEVELS - len(ROOT) - len(["error", "link", "mqtt", "codec"]) == LEVELS
    reach.check(DEEP, META)
    reach.check(["\u20ac" * reach.length], META)
    longest = Path(*ROOT, "error", "link", "mqtt", "codec", *DEEP)
    assert len(longest) == MAX_LEVELS
    for levels in ([*DEEP, "a"], ["a" * (reach.length + 1)]):
        with pytest.raises(EncodeError, match="path too long"):
            reach.check(levels, META)
    with pytest.raises(EncodeError, match="path too long"):
        Reach(Path(*("\u20ac" * 1000 for _ in range(16)))).check(["a" * 5000], META)


def test_cut() -> None:
    """A report is put as near as possible."""
    reach = Reach(ROOT)
    assert reach.cut([]) == []
    assert reach.cut(["a", "b"]) == ["a", "b"]
    assert reach.cut([*DEEP, "a"]) == DEEP
    assert reach.cut(["a", "b" * reach.length]) == ["a"]


@pytest.mark.parametrize("time", [-1.0, LATEST, 1e300, math.inf, -math.inf, math.nan])
def test_times(time: float) -> None:
    with pytest.raises(EncodeError, match="no time"):
        Reach(ROOT).check(["a"], Meta("x", time))


@pytest.mark.parametrize("origin", ["a/b", "a\\b", "\x1b[31m", ""])
def test_origins(origin: str) -> None:
    with pytest.raises(EncodeError, match="origin"):
        Reach(ROOT).check(["a"], Meta(origin, 1.0))
    with pytest.raises(EncodeError, match="origin"):
        Reach(ROOT).check(["a"], Meta(origin, 1.0, ("more",)))


@pytest.mark.parametrize(
    ("levels", "meta"),
    [([*DEEP, "a"], META), (["a"], Meta("a/b", 1.0)), (["a"], Meta("x", 1e15))],
)
def test_one_door(levels: list[str], meta: Meta) -> None:
    """Whoever brings it, nothing has changed when it is refused."""
    tree = Tree(StoppedClock(), ROOT)
    for way in (tree.write, tree.receive, partial(tree.hear, retained=True), tree.restore):
        with pytest.raises(EncodeError):
            way(levels, 1, meta)
    assert tree.store.count == 0


@pytest.mark.parametrize("time", [5.0, 2e9, LATEST - 90_000, math.nextafter(LATEST - 90_000, 0)])
def test_who_says_no_time_wins(time: float) -> None:
    """Whatever time is there, the next write of our own is newer."""
    tree = Tree(StoppedClock(), ROOT)
    tree.write(["a"], "theirs", Meta("x", time))
    assert tree.write(["a"], "ours", Meta("me", tree.stamp(["a"]))).stored
    assert tree.write(["a"], ABSENT, Meta("me", tree.stamp(["a"]))).stored


async def test_commands(serve: Start, join: Start, peer: Peer) -> None:
    """A command that asks for what cannot be is refused, and says why; the broker hears nothing of it."""
    server = await serve()
    caller = await join(server)
    deep = Path(*DEEP, "a")
    for answer in (
        await caller.call(["d", "set"], deep, 1),
        await caller.call(["d", "set"], Path("a"), 1, meta_object(Meta("a/b", 1.0))),
        await caller.call(["d", "set"], Path("a"), 1, meta_object(Meta("x", LATEST - 1))),
        await caller.call(["e", "exc"], Path(*DEEP), {"msg": "x"}),
        await caller.call(["e", "exc"], Path(*"b" * MAX_LEVELS), {"msg": "x"}),
    ):
        assert answer[0] is None
        assert answer[1].name == "_ValErr"
    assert await caller.call(["d", "set"], Path("a"), 1, meta_object(Meta("x", 2e9))) == [True]
    assert await caller.call(["d", "set"], Path("a"), 2) == [True]
    assert (await caller.call(["d", "delete"], Path("a")))[0][0] == 2
    assert await caller.call(["d", "set"], Path(*DEEP), 3) == [True]
    await until(lambda: peer.last("/".join(DEEP)) == 3)
    assert server.broker.sessions == 1
    assert not peer.state("run/error") | peer.state("error")
    assert len(await caller.stream(["d", "walk"], Path())) == 1


@pytest.mark.parametrize("name", ["a/b", "a\\b"])
async def test_names(serve: Start, join: Start, name: str) -> None:
    """Whoever could not be named as an origin does not get in."""
    server = await serve()
    caller = await join(server, name)
    with pytest.raises(ConnectionError):
        await caller.call(["i", "ping"])
    assert not server.clients.names


async def test_from_the_broker(serve: Start, peer: Peer) -> None:
    """What cannot be kept is reported as near as possible; the broker does not hang up."""
    server = await serve()
    longest = ["q"] * (MAX_LEVELS - len(ROOT))
    await peer.say_bytes("/".join(longest), b"\xff")
    await peer.say("/".join([*DEEP, "b"]), 1, time=5.0)
    await peer.say("odd", 1, time=1e15)
    await peer.say("good", 1, time=5.0)
    near = "/".join(["error/link/mqtt/codec", *longest[:LEVELS]])
    await until(lambda: peer.heard(near))
    report: Any = peer.heard(near)[0]
    assert report["topic"].endswith("/".join(longest))
    await until(lambda: peer.heard("/".join(["error/link/mqtt/codec", *DEEP])))
    await until(lambda: peer.heard("error/link/mqtt/meta/odd"))
    await until(lambda: server.tree.store.find(["good"]))
    assert server.tree.store.find(["odd"]) is None
    assert server.tree.store.find([*DEEP, "b"]) is None
    assert server.broker.sessions == 1


async def test_what_says_no_time_counts(serve: Start, peer: Peer) -> None:
    """A message without metadata counts, whatever time is there; so does an emptied topic."""
    server = await serve()
    await peer.say("a", 1, time=2e10)
    await until(lambda: server.tree.store.find(["a"]))
    await peer.say("a", 2)
    await until(lambda: server.tree.store.find(["a"]).record.value == 2)
    await peer.session.publish(Publish(f"{ROOT.topic}/a", b"", retain=True))
    await until(lambda: server.tree.store.find(["a"]).record.deleted)
    assert not server.tree.lacking(server.tree.store.find(["a"]))


async def test_nobody_has_the_last_word(serve: Start, join: Start, peer: Peer) -> None:
    """A time after which nobody could write is not taken from the broker."""
    server = await serve()
    caller = await join(server)
    last = math.nextafter(LATEST, 0)
    await peer.say("a", "theirs", time=last)
    await until(lambda: peer.heard("error/link/mqtt/meta/a"))
    assert server.tree.store.find(["a"]) is None
    await peer.say("run/service/main/server/srv1", "theirs", time=last)
    assert await caller.call(["d", "set"], Path("a"), "ours") == [True]
    assert (await caller.call(["d", "delete"], Path("a")))[0][0] == "ours"


async def test_files(serve: Start, join: Start, tmp_path: File) -> None:
    """A file of a server that has taken too much: what is of no use is left out, told, the rest is read."""
    directory = tmp_path / "save"
    directory.mkdir()
    (directory / "1.moat").write_bytes(overlong_file())
    server = await serve(journal=JournalConfig(directory=directory))
    caller = await join(server)
    found = await caller.stream(["d", "walk"], Path())
    names = [str(path) for _, path, *_ in found]
    assert names[:2] == ["before", "z_after"]
    report = server.tree.store.find(["error", "link", "server", "srv1", "journal"]).record.value
    assert "3 entries left out" in report["msg"]
    await until(lambda: len(server.journal.files) > 1)


def test_frames_can_carry_it() -> None:
    """The longest path fits into a frame."""
    assert encode_frame([4, ["d", "set"], Path(*DEEP), encode(1)])
