"""Who is there, and what becomes of what the dead have left."""

from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.broker import Broker
from firmware_bridge.server.caretaker import Caretaker
from firmware_bridge.server.config import ServerConfig
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT, Peer
from tests.support.wait import until

SAID = {"id": "_1", "up": True, "value": 5}
UP, DOWN = {"up": True, "state": "auto"}, {"up": False, "state": "closed"}


@pytest.fixture
async def server() -> Server:
    """Make a server that has no broker."""
    broker = BrokerConfig(host="127.0.0.1", port=1)
    return Server(ServerConfig(broker=broker, root=ROOT, name="srv1", listeners=()))


def identify(server: Server, level: str, value: Any) -> None:
    levels = ["run", "id", level]
    server.tree.receive(levels, value, Meta("x", server.tree.stamp(levels)))
    server.caretaker.hear("/".join(levels), value, retained=True)


async def test_goodbyes_are_not_kept_for_ever(server: Server) -> None:
    """Of whoever comes and goes nothing is left, whoever takes the identity away."""
    caretaker: Caretaker = server.caretaker
    for number in range(100):
        identify(server, f"_{number}", {"host": "x"})
        caretaker.hear(f"run/ping/id/_{number}", UP, retained=False)
        assert caretaker.knows(f"_{number}")
        caretaker.hear(f"run/ping/id/_{number}", DOWN, retained=False)
        assert not caretaker.knows(f"_{number}")
        caretaker.hear(f"run/ping/id/nobody{number}", DOWN, retained=False)
    assert caretaker.silent == 100
    for number in range(99):
        identify(server, f"_{number}", ABSENT)
    caretaker.tidy(main=False)
    assert caretaker.silent == 1
    assert not caretaker.knows("_99")


async def test_told_to_end(server: Server) -> None:
    """An order to terminate ends what is known of a client; a new identity begins it again."""
    identify(server, "_1", {"host": "x"})
    server.caretaker.hear("run/ping/id/_1", ABSENT, retained=False)
    assert not server.knows("_1")
    identify(server, "_1", {"host": "x"})
    assert server.knows("_1")


async def test_odd_ids(server: Server) -> None:
    """Ids are those that clients have, however topics spell them."""
    identify(server, "a::b:|c", {"host": "x"})
    assert server.knows("a:b/c")
    assert not server.knows("a::b:|c")
    server.caretaker.hear("run/ping/id/a::b:|c", DOWN, retained=False)
    assert not server.knows("a:b/c")
    assert not server.knows("x" * 70_000)


async def test_in_the_server(serve: Callable[..., Any], peer: Peer) -> None:
    """The main server writes it, unless the real cleanup service runs."""
    server = await serve()
    await until(lambda: server.election.main)
    await peer.say("run/id/_1", {"host": "x"}, time=1.0)
    await peer.say("run/host/x", SAID, time=1.0)
    await peer.say("run/ping/id/_1", {"up": False, "state": "will"}, retain=False)
    await until(lambda: peer.last("run/host/x") is ABSENT)
    await until(lambda: peer.last("run/id/_1") is ABSENT)
    server.caretaker._cleanup._complain("run/host/x", {"msg": "down", "level": 4})
    await until(lambda: peer.last("error/run/host/x") == {"msg": "down", "level": 4})
    await peer.say("run/host", {"id": "_cleaner", "up": True}, time=1.0)
    await peer.say("run/id/_2", {"host": "x"}, time=1.0)
    await until(lambda: server.tree.store.find(["run", "id", "_2"]))
    await peer.say("run/ping/id/_2", {"up": False, "state": "will"}, retain=False)
    await until(lambda: server.caretaker.silent)
    server.caretaker.tidy(main=True)
    assert peer.last("run/id/_2") == {"host": "x"}


async def test_orderly_ends(serve: Callable[..., Any], peer: Peer) -> None:
    """Who withdraws what it has announced, or says goodbye, leaves no error; who crashes does."""
    server = await serve()
    await until(lambda: server.election.main)
    for name in ("a", "b", "c"):
        await peer.say(f"run/id/_{name}", {"host": "x"}, time=1.0)
        await peer.say(f"run/ping/id/_{name}", UP, retain=False)
        await peer.say(f"run/host/{name}", SAID | {"id": f"_{name}"}, time=1.0, origin=f"_{name}")
    await peer.say("error/run/host/a", {"msg": "not up"}, time=1.0)
    await peer.say("run/host/a", ABSENT, time=2.0, origin="_a")
    await peer.say("run/ping/id/_b", DOWN, retain=False)
    await until(lambda: peer.last("run/host/b") is ABSENT)
    await until(lambda: peer.last("error/run/host/a") is ABSENT)
    await peer.say("run/host/c", ABSENT, time=2.0, origin="_other")
    await until(lambda: peer.heard("error/run/host/c"))
    assert not peer.heard("error/run/host/b")
    assert peer.heard("error/run/host/a") == [{"msg": "not up"}, ABSENT]


async def test_errors_of_nobody(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that nobody has announced for long neither flaps nor fails to come up; it may be down."""
    monkeypatch.setattr(Broker, "connected", True)
    now = server.tree.clock.time()
    said = {
        "gone": ("flapping", 700.0),
        "idle": ("not up", 700.0),
        "lately": ("flapping", 500.0),
        "down": ("down", 700.0),
        "there": ("flapping", 700.0),
    }
    server.tree.receive(["run", "host", "h", "there"], SAID, Meta("x", now))
    for name, (text, age) in said.items():
        levels = ["error", "run", "host", "h", name]
        server.tree.receive(levels, {"msg": text, "level": 4}, Meta("x", now - age))
    left = set(said)
    for main, expected in ((False, left), (True, left - {"gone", "idle"})):
        server.caretaker.tidy(main=main)
        nodes = server.tree.store.walk(["error", "run", "host", "h"])
        assert {path[0] for _, path, _ in nodes} == expected


async def test_a_place_is_free_at_once(
    serve: Callable[..., Any], peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the dead have announced goes with the news: a successor must not see it go later."""
    monkeypatch.setattr("firmware_bridge.server.server._TIDY", 3600.0)
    server = await serve()
    await until(lambda: server.election.main)
    await peer.say("run/id/_1", {"host": "x"}, time=1.0)
    await peer.say("run/host/x", SAID, time=1.0)
    await until(lambda: server.tree.store.find(["run", "host", "x"]))
    await peer.say("run/ping/id/_1", {"up": False, "state": "will"}, retain=False)
    await until(lambda: peer.last("run/host/x") is ABSENT)
    assert not server.caretaker.urgent.is_set()


async def test_back_at_once(
    serve: Callable[..., Any], peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose session at the broker is followed by its next one has not gone."""
    monkeypatch.setattr("firmware_bridge.server.server._BREATH", 3.0)
    server = await serve()
    await until(lambda: server.election.main)
    for name in ("_1", "_2"):
        await peer.say(f"run/id/{name}", {"host": "x"}, time=1.0)
    await until(lambda: server.knows("_2"))
    for name in ("_1", "_2"):
        await peer.say(f"run/ping/id/{name}", {"up": False, "state": "will"}, retain=False)
    await until(lambda: not server.knows("_2"))
    await peer.say("run/id/_1", {"host": "x"}, time=2.0)
    await until(lambda: peer.last("run/id/_2") is ABSENT)
    node = server.tree.store.find(["run", "id", "_1"])
    assert node is not None
    assert node.alive
