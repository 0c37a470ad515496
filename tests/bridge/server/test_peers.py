"""Connections to the other servers: made, lost, made again, and what is exchanged then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.clock import SystemClock
from firmware_bridge.link.codec import ABSENT, FrameReader, encode_frame
from firmware_bridge.link.errors import ConnectionLostError
from firmware_bridge.link.frames import Reply
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.transport import tls_context
from firmware_bridge.server import peers as peers_module, sync
from firmware_bridge.server.certificate import Certificate
from firmware_bridge.server.config import Listener
from firmware_bridge.server.pace import Rounds
from firmware_bridge.server.peers import Peers
from firmware_bridge.server.tokens import add_token
from firmware_bridge.server.tree import Tree
from tests.support.certificates import Authority
from tests.support.installation import Peer
from tests.support.server import FakeServer
from tests.support.vectors import load
from tests.support.wait import until

type Start = Callable[..., Any]


@asynccontextmanager
async def peers(tree: Tree, links: list[tuple[str, bool]]) -> AsyncIterator[Peers]:
    """Keep connections until the end of the context; `links` gets what is told about them."""
    found = Peers(
        "here",
        tree,
        on_link=lambda name, up: links.append((name, up)),
        on_agreed=lambda name, result: None,
        learned=lambda levels: None,
    )
    try:
        yield found
    finally:
        await found.close()


async def test_dials_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is made again without another announcement, and the trees compared again."""
    monkeypatch.setattr(peers_module, "_LONGEST", 0.2)
    tree, links = Tree(SystemClock()), []
    async with FakeServer() as server, peers(tree, links) as mine:
        mine.announced("srv1", server.announcement)
        await until(lambda: "srv1" in mine.agreed)
        assert mine.connected("srv1")
        server.put(Path("meanwhile"), 1, time=5.0)
        await server.stop()
        await until(lambda: not mine.connected("srv1"))
        with pytest.raises(ConnectionLostError):
            mine.connection("srv1")
        await until(lambda: "refused" in str(mine._links["srv1"].status.error), what="an attempt")
        await server.start()
        await until(lambda: tree.store.find(["meanwhile"]))
        assert [link for link, _ in groupby(links)] == [("srv1", up) for up in (True, False, True)]
        mine.announced("srv1", ABSENT)
        await until(lambda: not server.clients)
        with pytest.raises(ConnectionLostError, match="down"):
            mine.connection("srv1")


async def test_announced_again() -> None:
    """The same announcement once more means that something was missed; another token does not."""
    tree, links = Tree(SystemClock()), []
    async with FakeServer(tokens=["one", "two"]) as server, peers(tree, links) as mine:
        mine.announced("srv1", server.announcement)
        await until(lambda: "srv1" in mine.agreed)
        server.put(Path("missed"), 1, time=5.0)
        mine.announced("srv1", {**server.announcement, "auth": {"token": "two"}})
        assert not mine._syncs, "nothing is to be compared"
        for _ in range(3):
            mine.announced("srv1", {**server.announcement, "auth": {"token": "two"}})
        await until(lambda: tree.store.find(["missed"]))
        mine.announced("here", server.announcement)
        mine.announced("nonsense", {"link": 5})
        assert not mine.connected("here")
        assert links == [("srv1", True)]


async def test_gone_while_agreeing() -> None:
    """Nothing is kept of a server that vanishes just then."""
    links: list[tuple[str, bool]] = []
    async with FakeServer() as server, peers(Tree(SystemClock()), links) as mine:

        def vanish() -> None:
            mine.announced("srv1", server.announcement)
            mine.announced("srv1", ABSENT)

        mine._on_link = lambda name, up: asyncio.get_running_loop().call_soon(vanish)
        mine.announced("srv1", server.announcement)
        await until(lambda: not mine._links, what="found, and gone")
        await until(lambda: not server.clients)
        assert mine.agreed == {}
        assert not any((mine._tasks, mine._syncs, mine._again, mine._rested, mine._endpoints))


async def test_crowd() -> None:
    """Connections are few, whoever announces what; odd names are none."""
    async with peers(Tree(SystemClock()), []) as mine:
        for number in range(100):
            mine.announced(f"srv{number}", {"link": [{"host": "127.0.0.1", "port": 9}]})
        mine.announced("a\n", {"link": [{"host": "127.0.0.1", "port": 9}]})
        assert len(mine._links) == len(mine._endpoints) == 32
        mine.announced("srv1", ABSENT)
        mine.announced("late", {"link": [{"host": "127.0.0.1", "port": 9}]})
        assert "late" in mine._links


async def test_genuine_among_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who cannot be reached make room for others, in turns; those who are there stay."""
    monkeypatch.setattr(peers_module, "_TURN", 0.1)
    nobody: Any = {"link": [{"host": "127.0.0.1", "port": 9}]}
    async with (
        FakeServer() as server,
        FakeServer(name="srv2") as other,
        peers(Tree(SystemClock()), []) as mine,
    ):
        mine.announced("srv1", server.announcement)
        for number in range(100):
            mine.announced(f"forged{number}", nobody)
        assert len(mine._links) == 32
        await until(lambda: "srv1" in mine.agreed)
        mine.announced("srv2", other.announcement)
        for number in range(100, 200):
            mine.announced(f"forged{number}", nobody)
        await until(lambda: "srv2" in mine.agreed, 20)
        assert "srv1" in mine.agreed
        assert len(mine._links) <= 32
        for number in range(200, 2000):
            mine.announced(f"forged{number}", nobody)
        assert mine.connected("srv1")
        assert mine.connected("srv2")
        assert len(mine._waiting) == 1000
        for number in range(2000):
            mine.announced(f"forged{number}", ABSENT)
        assert not mine._waiting


async def test_pace() -> None:
    """Another server is read no faster than a client, and shares the rounds with them."""
    rounds = Rounds()
    async with FakeServer() as server, peers(Tree(SystemClock()), []) as mine:
        mine._rounds = rounds
        mine.announced("srv1", server.announcement)
        await until(lambda: "srv1" in mine.agreed)
        assert mine.connection("srv1").pace is not None
        assert rounds.who is mine.connection("srv1").pace


@pytest.mark.parametrize(
    "nonsense",
    [("nonsense",), (-1, Path("x"), 1, "x", 5.0), (9, Path(), 1), (0, Path("good"), 2, "x", 6.0)],
)
async def test_a_walk_that_makes_no_sense(
    nonsense: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, what came before is kept, and the connection stays for calls."""
    tree, links = Tree(SystemClock()), []

    async def walk(request: Any) -> None:
        request.accept()
        await request.send(0, Path("good"), 1, "x", 5.0)
        await request.send(0, Path("bad"), 1, 7, "never")
        await request.send(*nonsense)

    async with FakeServer() as server, peers(tree, links) as mine:
        server.commands["d", "walk"] = walk
        mine.announced("srv1", server.announcement)
        await until(lambda: "could not be copied" in caplog.text)
        assert [levels for levels, _ in tree.snapshot()] == [["good"]]
        assert mine.connected("srv1")


async def test_a_walk_without_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """So many nodes are taken, and no more."""
    monkeypatch.setattr(sync, "_MOST", 50)
    tree = Tree(SystemClock())

    async def walk(request: Any) -> None:
        request.accept()
        for number in range(10_000):
            await request.send(0, Path(f"n{number}"), 1, "x", 5.0)

    async with FakeServer() as server, peers(tree, []) as mine:
        server.commands["d", "walk"] = walk
        mine.announced("srv1", server.announcement)
        await until(lambda: "more than 50 nodes" in caplog.text)
        assert tree.store.count == 50


async def test_names_without_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither many events nor a few names of thousands of characters take all of the memory."""
    monkeypatch.setattr(sync, "_MOST", 50)
    monkeypatch.setattr(sync, "_MOST_EVENTS", 20)
    lengths = [10, 5000]
    tree = Tree(SystemClock())

    async def directory(_: Any) -> Reply:
        return Reply((), {"s": ["hist", "passing", "walk"]})

    async def passing(request: Any) -> None:
        request.accept()
        for number in range(1000 if lengths[0] else 10):
            await request.send(Path(f"{number:0{lengths[0] or 10}}"))

    async def walk(request: Any) -> None:
        request.accept()
        for number in range(45):
            await request.send(0, Path(f"{number:04000}"), 1, "x", 5.0)

    async with FakeServer() as server, peers(tree, []) as mine:
        server.commands |= {
            ("d", "dir_"): directory,
            ("d", "passing"): passing,
            ("d", "walk"): walk,
        }
        for lengths[0] in (10, 5000, 0):
            caplog.clear()
            mine.announced("srv1", server.announcement)
            await until(lambda: "could not be copied" in caplog.text)
            assert ("more than 20 events" if lengths[0] else "more than 50 nodes") in caplog.text
        assert tree.store.count == 1


async def test_one_that_is_slow_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who always says something keeps nobody else waiting, either."""
    monkeypatch.setattr(peers_module, "_WAIT", 0.1)
    tree, links = Tree(SystemClock()), []
    begun = asyncio.Event()

    async def walk(request: Any) -> None:
        request.accept()
        for number in range(10_000):
            await request.send(0, Path("slow", number), 1, "x", 5.0)
            begun.set()
            await asyncio.sleep(0.05)

    async with (
        FakeServer(name="slow") as slow,
        FakeServer(name="good") as good,
        peers(tree, links) as mine,
    ):
        slow.commands["d", "walk"] = walk
        good.put(Path("after"), 1, time=5.0)
        mine.announced("slow", slow.announcement)
        await begun.wait()
        mine.announced("good", good.announcement)
        await until(lambda: "good" in mine.agreed)
        assert "slow" not in mine.agreed
        assert ["after"] in [levels for levels, _ in tree.snapshot()]


async def test_a_walk_that_stalls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who stops in the middle keeps nobody else waiting."""
    monkeypatch.setattr(sync, "_PATIENCE", 0.3)
    tree, links = Tree(SystemClock()), []
    stalled = asyncio.Event()

    async def walk(request: Any) -> None:
        request.accept()
        await request.send(0, Path("before"), 1, "x", 5.0)
        stalled.set()
        await asyncio.Event().wait()

    async with (
        FakeServer(name="slow") as slow,
        FakeServer(name="good") as good,
        peers(tree, links) as mine,
    ):
        slow.commands["d", "walk"] = walk
        good.put(Path("after"), 1, time=5.0)
        mine.announced("slow", slow.announcement)
        await stalled.wait()
        mine.announced("good", good.announcement)
        await until(lambda: "good" in mine.agreed)
        assert [levels for levels, _ in tree.snapshot()] == [["before"], ["after"]]
        assert "slow could not be copied: nothing more came within 0.3 s" in caplog.text
        assert mine.connected("slow")


async def test_a_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """It is told with all that is known about it, and the next time is another one."""
    tree, told = Tree(SystemClock()), []

    def learned(levels: Any) -> None:
        told.append(levels)
        assert len(told) > 1, "the first one fails"

    mine = Peers("here", tree, on_link=print, on_agreed=print, learned=learned)
    async with FakeServer() as server:
        server.put(Path("a"), 1, time=5.0)
        server.put(Path("b"), 1, time=5.0)
        mine.announced("srv1", server.announcement)
        await until(lambda: "Agreeing with server srv1 has failed" in caplog.text)
        assert "the first one fails" in caplog.text
        mine.announced("srv1", server.announcement)
        await until(lambda: "srv1" in mine.agreed)
        await mine.close()


SERVERS = {"servers": "0123456789ab"}


def closed(tmp_path: File, authority: Authority) -> dict[str, Any]:
    """Return the options of a server that only encrypts, needs a token, and announces none."""
    identity = authority.issue()
    (tmp_path / "server.pem").write_text(identity.certificate + identity.key)
    certificate = Certificate.read(tmp_path / "server.pem", None)
    return {
        "listeners": (Listener(port=0, certificate=certificate),),
        "anonymous": False,
        "announce_token": False,
        "tokens": SERVERS,
    }


async def test_closed_servers_agree(
    serve: Start, tmp_path: File, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers that only encrypt, and need a token that is not announced, have what they need."""
    authority = Authority()
    add_token(tmp_path / "tokens", "servers")
    options = closed(tmp_path, authority) | {"tokens": {}, "token_file": tmp_path / "tokens"}
    keys = {"peer_token": "servers", "peer_tls": tls_context(authority.certificate)}
    one = await serve("one", **options, **keys)
    two = await serve("two", **options, **keys)
    one.tree.receive(["a"], 1, Meta("me", 5.0))
    two.tree.receive(["b"], 2, Meta("me", 5.0))
    await until(lambda: one.tree.store.find(["b"]) and two.tree.store.find(["a"]), 10)
    assert "nothing can be copied" not in caplog.text, "tokens are known before they are needed"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("peer_tls",), "nobody gets in without a token"),
        (("peer_token",), "it does not say where it can be reached"),
    ],
)
async def test_closed_servers_that_lack_something(
    serve: Start,
    peer: Peer,
    tmp_path: File,
    caplog: pytest.LogCaptureFixture,
    keys: tuple[str, ...],
    told: str,
) -> None:
    """That they cannot agree is said once, and why; again when the server has been away."""
    authority = Authority()
    every = {"peer_token": "servers", "peer_tls": tls_context(authority.certificate)}
    some = {key: every[key] for key in keys}
    topic = "run/service/main/server/two"
    await serve("one", **{**closed(tmp_path, authority), "listeners": ()}, **some)
    two = await serve("two", **closed(tmp_path, authority), **every)
    complaint = "Server two is there, but nothing can be copied: "
    await until(lambda: any(each.startswith(complaint) for each in caplog.messages))
    (line,) = [each for each in caplog.messages if each.startswith(complaint)]
    assert line.endswith(told)
    said: Any = two.office.announcement()
    for turn in range(3):
        await peer.say(topic, said | {"turn": turn}, time=5e9 + turn, origin="two")
    await peer.say(topic, ABSENT, time=5e9 + 5, origin="two")
    await peer.say(topic, said, time=5e9 + 6, origin="two")
    await until(lambda: caplog.text.count("Server two is there") == 2)


async def test_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A server that does not let us in is not dead: that it cannot be reached would mean that."""
    tree, links = Tree(SystemClock()), []
    async with FakeServer(tokens=["one"], anonymous=False) as server, peers(tree, links) as mine:
        mine.announced("srv1", {"link": [{"host": "127.0.0.1", "port": server.port}]})
        await until(lambda: "Server srv1 is there, but nothing can be copied" in caplog.text)
        assert links == []
        mine.announced("srv1", server.announcement)
        await until(lambda: links == [("srv1", True)])


async def test_unknown_authority(
    serve: Start, tmp_path: File, caplog: pytest.LogCaptureFixture
) -> None:
    """A server whose certificate nobody has signed is told no token, and that is said."""
    options = closed(tmp_path, Authority()) | {"peer_token": "servers"}
    await serve("one", **options, peer_tls=tls_context(Authority().certificate))
    await serve("two", **options)
    await until(lambda: "Server two is there, but nothing can be copied" in caplog.text)
    assert "certificate is not accepted" in caplog.text
    await until(lambda: "Refused a connection to main from this machine: it hung up" in caplog.text)


async def test_as_recorded(serve: Start, tmp_path: File) -> None:
    """A real server that connects, and walks through our tree, hears what it heard from its own kind."""
    server = await serve("srv-a")
    for topic, value, time, meta in (
        ("", '{"x":1}', 1795170351.2784173, {"source": "INIT"}),
        ("x/y", {"a": 1}, 1.7e9, {}),
        ("x/z", 5, 1.7e9 + 1, {}),
        ("q", "str", 1.7e9 + 3, {}),
    ):
        origin = "INIT" if meta else "vec"
        server.tree.receive(topic.split("/") if topic else [], value, Meta(origin, time, (), meta))
    recorded = load("moat-link/server-sync")["connections"][0]["frames"]
    frames = [
        (each["dir"], *FrameReader().feed(bytes.fromhex(each["hex"])))
        for each in recorded
        if each["t"] < 1
    ]
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "srv-a.sock"))
    for way, frame in frames:
        if way == ">" and frame[0] == 8:
            writer.write(encode_frame([*frame[:2], server._tokens.announced[0]]))
        elif way == ">":
            writer.write(encode_frame(frame))
    found: list[Any] = []
    feed = FrameReader()
    expected = [frame for way, frame in frames if way == "<"]
    while not any(frame == [-16, None] for frame in found):
        found += feed.feed(await asyncio.wait_for(reader.read(65536), 5))
    writer.close()
    items = [frame for frame in found if frame[0] == -15]
    assert items == [frame for frame in expected if frame[0] == -15]
    logged_in = [frame[:2] for frame in found if frame[0] == -4]
    assert logged_in == [frame[:2] for frame in expected if frame[0] == -4]
