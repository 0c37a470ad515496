"""A server with a real broker: what it publishes, what it takes over, who gets in."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path as File
from typing import Any, override

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from firmware_bridge.link.clock import Backoff
from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.errors import AuthenticationError, ConnectionLostError
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig, Session
from firmware_bridge.server import namesake, office, supply
from firmware_bridge.server.certificate import Certificate
from firmware_bridge.server.clients import Limits
from firmware_bridge.server.config import Listener, ServerConfig, ServerConfigError
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.server import Server
from tests.bridge.server.caller import Caller
from tests.support.certificates import Authority
from tests.support.installation import ROOT, Peer, link, other
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

type Start = Callable[..., Any]


def endpoint(server: Any, **options: Any) -> Endpoint:
    host, port = server.addresses[0]
    return Endpoint(host=host, port=port, **options)


async def test_announced_and_withdrawn(serve: Start, peer: Peer) -> None:
    """It says where it is, as the main server as well; when it stops, it takes that back."""
    server = await serve()
    await until(lambda: peer.last("run/service/main/conn") is not ABSENT)
    said: Any = peer.last("run/service/main/server/srv1")
    assert said["link"] == [{"host": "127.0.0.1", "port": server.addresses[0][1]}]
    assert said["auth"]["token"]
    assert set(said) == {"node", "link", "auth"}
    assert peer.last("run/service/main/conn") == said
    assert not peer.heard("run/service/main/ping"), "silent in the election"
    server.stop()
    await server.task
    assert peer.heard("run/service/main/down") == ["srv1"]
    assert peer.last("run/service/main/server/srv1") is ABSENT
    assert peer.last("run/service/main/conn") is ABSENT


async def test_withdrawn_for_good(serve: Start, join: Start, peer: Peer) -> None:
    """A client that does not read delays the end; meanwhile nobody comes back to the broker."""
    server = await serve()
    for number in range(20_000):
        server.tree.store.merge(["n", f"x{number}"], encode("x" * 200), Meta("x", 1.0))
    stuck = await join(server, "_stuck")
    stuck.send([9, ["d", "walk"], Path("n")])
    connection = server.clients.find("_stuck").connection
    await until(lambda: not connection.writer.free)
    await until(lambda: peer.last("run/service/main/conn") is not ABSENT)
    server.stop()
    await server.task
    await peer.session.barrier()
    assert server.broker.sessions == 1
    assert peer.last("run/service/main/server/srv1") is ABSENT
    assert peer.last("run/service/main/conn") is ABSENT


async def test_announces_itself_no_more(
    serve: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be said again at its time is not said any more when the server takes its leave."""
    server = await serve()
    topic = "run/service/main/server/srv1"
    await until(lambda: peer.last(topic) is not ABSENT)
    confirm = server.broker.confirm

    async def confirmed(path: Path, value: Any, *, retain: bool = True) -> None:
        await confirm(path, value, retain=retain)
        if value is ABSENT:
            server.office._stir.set()
            await peer.say("something", 1, time=1.0)  # the broker has time for more

    monkeypatch.setattr(server.broker, "confirm", confirmed)
    monkeypatch.setattr(office, "_TOKEN_LIFE", 0.0)
    server.stop()
    await server.task
    await peer.session.barrier()
    assert peer.last(topic) is ABSENT


async def test_withdrawn_though_the_disk_hangs(
    serve: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be remembered in time is left out; the others are told all the same."""
    monkeypatch.setattr(supply, "_GOODBYE", 0.5)
    server = await serve()
    topic = "run/service/main/server/srv1"
    await until(lambda: peer.last(topic) is not ABSENT)
    going = threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        going.wait(10)
        raise OSError("no more")

    monkeypatch.setattr(server._witness, "renew", hang)
    server.tree.write(["a"], 1, Meta("x", 1.0))
    server.stop()
    await server.task
    going.set()
    await peer.session.barrier()
    assert peer.heard("run/service/main/down") == ["srv1"]
    assert peer.last(topic) is ABSENT


async def test_data_both_ways(serve: Start, join: Start, peer: Peer) -> None:
    """What the broker brings is served; what clients write is published with their metadata."""
    server = await serve()
    caller = await join(server)
    await peer.say("a/b", 7, time=100.0)
    await until(lambda: server.tree.store.find(["a", "b"]))
    assert await caller.call(["d", "get"], Path("a", "b")) == [7, "peer", 100]
    assert await caller.call(["d", "set"], Path("a", "b"), 8) == [True]
    await until(lambda: peer.last("a/b") == 8)
    assert peer.packets[-1].retain
    assert peer.packets[-1].meta is not None
    assert peer.packets[-1].meta.startswith("_Q5G49yrpcY4Q\\")
    assert await caller.call(["d", "delete"], Path("a", "b")) == [
        [8, "_Q5G49yrpcY4Q", pytest.approx(2e9, rel=0.2)]
    ]
    await until(lambda: peer.last("a/b") is ABSENT)
    await peer.say("plain", "text without metadata")
    await until(lambda: server.tree.store.find(["plain"]))
    assert (await caller.call(["d", "get"], Path("plain")))[:2] == [
        "text without metadata",
        "via:srv1",
    ]
    await peer.say("run/host/x", {"id": "_1"}, time=5.0)
    await peer.say("run/event", 1, time=5.0, retain=False)
    await peer.say("done", 1, time=1.0)
    await until(lambda: server.tree.store.find(["done"]))
    assert await caller.call(["d", "get"], Path("run", "host", "x")) == [{"id": "_1"}, "peer", 5]
    assert (await caller.call(["d", "get"], Path("run", "event")))[0] is None
    items = await caller.stream(["d", "walk"], Path())
    assert [item[1] for item in items] == [Path("plain"), Path("done")]
    assert await caller.stream(["d", "walk"], Path("run")) == []


async def test_what_makes_no_sense_is_reported_once(serve: Start, peer: Peer) -> None:
    server = await serve()
    for _ in range(3):
        await peer.say_bytes("bad", b"\xff\xff")
    await peer.say_bytes("worse", encode(1), "no\\time%")
    await peer.say("good", 1, time=1.0)
    await until(lambda: server.tree.store.find(["good"]))
    assert server.tree.store.find(["bad"]) is None
    await until(lambda: peer.heard("error/link/mqtt/codec/bad"))
    reports: Any = peer.heard("error/link/mqtt/codec/bad")
    assert [report["val"] for report in reports] == [b"\xff\xff"]


async def test_stamps_and_ids(serve: Start, join: Start, peer: Peer) -> None:
    """A stamp that has come back proves that everything before has; ids are known by themselves."""
    await peer.say("run/host", {"id": "_cleaner", "up": True}, time=1.0)  # removes nothing here
    server = await serve()
    caller = await join(server)
    (stamp,) = await caller.call(["i", "stamp"])
    waiting = asyncio.create_task(caller.call(["i", "sync"], stamp))
    await peer.say("x", 1, time=1.0)
    await peer.say("run/service/main/stamp/srv1", stamp, time=1.0, retain=False)
    assert await waiting == [None]
    assert server.tree.store.find(["x"]) is not None
    assert await caller.call(["i", "sync"], stamp) == [None]
    assert await caller.call(["i", "checkid"], "_other", {"t": 0}) == [False]
    await peer.say("run/id/_other", {"host": "x"}, time=1.0)
    await until(lambda: server.knows("_other"))
    assert await caller.call(["i", "checkid"], "_other") == [True]
    await peer.say("run/ping/id/_other", {"up": False, "state": "closed"}, retain=False)
    await until(lambda: not server.knows("_other"))
    await peer.say("run/ping/id/_other", {"up": True, "state": "auto"}, retain=False)
    await until(lambda: server.knows("_other"))


async def test_name_with_colons(serve: Start, broker: Mosquitto, peer: Peer) -> None:
    """Topics spell it in another way; who publishes a stamp there does not wait in vain."""
    server = await serve("home:1")
    await until(lambda: server.election.main)
    async with link(broker) as mine:
        await until(lambda: mine.status.server == "home:1")
        await mine.set(Path("a"), 1)
        assert (await mine.get(Path("a"))).value == 1
        await until(lambda: peer.heard("run/service/main/stamp/home::1"))
        assert server._stamps._heard > 0
    await server.supplier.vouch()
    await until(lambda: peer.heard("run/moat-bridge/home::1"))
    said: Any = peer.last("run/service/main/server/home::1")
    await peer.say("run/service/main/server/home::1", {"link": []}, time=5e9, origin="other")
    await until(lambda: peer.last("run/service/main/server/home::1") == said)


async def test_tokens(serve: Start, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong token is refused, which fills no log; each named one works, and the announced one."""
    server = await serve(tokens={"me": "a-token-of-mine", "you": "another-token"}, anonymous=False)
    for wrong in (None, "", "a-token-of-minE", "ä"):
        with pytest.raises(AuthenticationError):
            await connect(endpoint(server, token=wrong), name="_1")
    refused = [each for each in caplog.records if "Refused a connection" in each.message]
    assert [each.levelname for each in refused].count("WARNING") == 1
    assert refused[0].message.startswith("Refused a connection to main from this machine: ")
    announced = server._tokens.announced[0]
    for token in ("a-token-of-mine", "another-token", announced):
        connection, identity = await connect(endpoint(server, token=token), name="_1")
        assert identity.method == "token"
        await connection.close()


async def test_anonymous_with_a_wrong_token(serve: Start) -> None:
    """The wrong token opens nothing; being let in anyway is what anonymous clients are."""
    server = await serve(tokens={"me": "a-token-of-mine"})
    connection, identity = await connect(endpoint(server, token="wrong-token-xx"), name="_1")
    assert identity.method == "anon"
    await connection.close()


async def test_no_credentials_are_told(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    (about,) = await caller.call(["i", "backend"])
    assert set(about) == {"driver", "codec", "host", "port"}
    for command in (["d", "deltree"], ["s", "save"], ["s", "load"], ["s", "log"]):
        answer = await caller.call(command, "/etc/passwd")
        assert answer[0] is None
        assert answer[1].name == "_ValErr"


async def test_limits(serve: Start, join: Start) -> None:
    """Large frames of strangers, too many strangers, silent ones: all end."""
    limits = Limits(strangers=2, login=0.2)
    server = await serve(limits=limits)
    path = server.config.listeners[1].path
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(encode([0, [None], "x" * 5000]))
    with contextlib.suppress(ConnectionError):
        while await reader.read(100):
            pass
    writer.close()
    silent = [await asyncio.open_unix_connection(path) for _ in range(3)]
    for reader, writer in silent:
        while await reader.read(100):
            pass
        writer.close()
    caller = await join(server)
    assert await caller.call(["d", "set"], Path("a"), "x" * 60_000) == [True]


async def test_probe(serve: Start, join: Start) -> None:
    """Whoever does not answer a probe is dropped, and can ask why."""
    server = await serve(limits=Limits(probe=0.05, patience=0.1))
    caller = await join(server, "_silent")
    with pytest.raises(ConnectionError):
        while True:
            await caller.hear()
    await until(lambda: server.farewell("_silent"))
    assert "probe" in server.farewell("_silent")
    other_caller = await join(server, "_other")
    assert await other_caller.call(["i", "error"], "_silent") == [server.farewell("_silent")]


async def test_broker_restart(serve: Start, broker: Mosquitto, join: Start) -> None:
    """The server goes on without the broker, and gives back what the broker has lost."""
    server = await serve()
    caller = await join(server)
    assert await caller.call(["d", "set"], Path("kept"), 1) == [True]
    assert await caller.call(["d", "set"], Path("gone"), 1) == [True]
    assert (await caller.call(["d", "delete"], Path("gone")))[0][0] == 1
    await until(lambda: server.election.main)
    await asyncio.to_thread(broker.kill)
    await until(lambda: not server.broker.connected)
    assert await caller.call(["d", "set"], Path("meanwhile"), 2) == [True]
    await asyncio.to_thread(broker.start)
    await until(lambda: server.broker.connected, timeout=20)
    async with other(broker) as peer:
        await until(lambda: peer.last("meanwhile") == 2)
        await until(lambda: peer.last("kept") == 1)
        await until(lambda: peer.last("run/service/main/conn") is not ABSENT)
        await until(lambda: peer.last("run/service/main/server/srv1") is not ABSENT)
        assert peer.heard("gone") == []


async def test_broker_with_older_state(
    serve: Start, broker: Mosquitto, peer: Peer, tmp_path: File
) -> None:
    """Nodes that the broker has in an older version, or still has after their deletion, are corrected."""
    config = JournalConfig(directory=tmp_path / "save", flush=0.001)
    server = await serve(journal=config)
    server.tree.write(["old"], 2, Meta("x", 200.0))
    server.tree.write(["gone"], ABSENT, Meta("x", 200.0))
    server.stop()
    await server.task
    await peer.say("old", 1, time=100.0)
    await peer.say("gone", 1, time=100.0)
    await peer.say("new", 1, time=100.0)
    again = await serve(journal=config)
    await until(lambda: peer.last("old") == 2)
    await until(lambda: peer.last("gone") is ABSENT)
    await until(lambda: again.supplier.supplied == 2)
    await peer.say("old", 1, time=150.0)
    await until(lambda: peer.heard("old")[-2:] == [1, 2], what="overwritten, and corrected")


async def test_restart_from_files(
    serve: Start, broker: Mosquitto, join: Start, tmp_path: File
) -> None:
    """What was written is there after a restart, though the broker has lost it."""
    config = JournalConfig(directory=tmp_path / "save", flush=0.001)
    server = await serve(journal=config)
    caller = await join(server)
    for number in range(50):
        await caller.call(["d", "set"], Path("n", number), {"v": number}, {})
    server.stop()
    await server.task
    await asyncio.to_thread(broker.restart)
    again = await serve(journal=config)
    caller = await join(again)
    assert len(await caller.stream(["d", "walk"], Path("n"))) == 50
    async with other(broker) as peer:
        await until(lambda: len(peer.state("n/")) == 50)


async def test_damage_is_reported(serve: Start, peer: Peer, tmp_path: File) -> None:
    (tmp_path / "save").mkdir()
    (tmp_path / "save" / "x.moat").write_bytes(b"\xff\xff")
    server = await serve(journal=JournalConfig(directory=tmp_path / "save"))
    await until(lambda: peer.last("error/link/server/srv1/journal") is not ABSENT)
    server._disk("full")
    await until(lambda: peer.last("error/link/server/srv1/disk") == {"msg": "full", "level": 4})
    server._disk(None)
    await until(lambda: peer.last("error/link/server/srv1/disk") is ABSENT)


async def test_two_servers(serve: Start, join: Start, peer: Peer) -> None:
    """The second stands back, copies the tree with its deletions, passes calls on, and takes over."""
    one = await serve("one")
    meta = Meta("x", 5.0, ("more",), {"gw": "y"})
    one.tree.store.merge(["only", "here"], encode(1), meta)
    one.tree.store.merge(["deleted"], encode(ABSENT), Meta("x", 5.0))
    await until(lambda: one.election.main)
    two = await serve("two", wait=False)
    two.tree.store.merge(["deleted"], encode(1), Meta("x", 1.0))
    await until(two.serving.is_set)
    await until(lambda: "one" in two.peers.agreed)
    assert two.tree.store.find(["only", "here"]).record.unpack() == (1, meta)
    assert not two.tree.store.find(["deleted"]).alive
    assert not two.election.main
    mine, theirs = await join(one, "_one"), await join(two, "_two")
    await until(lambda: "two" in one.peers._links and one.peers._links["two"].status.connected)
    service: Any = asyncio.create_task(mine.until(lambda frame: frame[1:2] == [["do", "it"]]))
    call = asyncio.create_task(theirs.call(["srv", "one", "cl", "_one", "do", "it"], 5))
    asked = (await service)[-1]
    mine.send([-asked[0] - 4, "done"])
    assert await call == ["done"]
    one.stop()
    await one.task
    await until(lambda: two.election.main, timeout=15)
    await until(lambda: peer.last("run/service/main/conn") == two.office.announcement())


async def test_unknown_destinations(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    assert (await caller.call(["srv", "srv1", "cl"])) == [1]
    assert (await caller.call(["srv", 1]))[1].name == "_SCmdErr"
    assert (await caller.call([]))[1].name == "_IdxErr"
    assert (await caller.call([["x"]]))[1].name == "_KyErr"


async def test_our_own_link(serve: Start, broker: Mosquitto) -> None:
    """The link that integration and bridge use works with this server as with the real one."""
    server = await serve()
    await until(lambda: server.election.main)
    async with link(broker) as mine:
        await until(lambda: mine.status.server == "srv1")
        meta = Meta("x", 5.0, ("more",), {"gw": "y"})
        server.tree.write(["with", "keywords"], 1, meta)
        assert (await mine.get(Path("with", "keywords"))).meta == meta
        assert [each.meta async for each in mine.walk(Path("with"))] == [meta]
        await mine.set(Path("a"), {"x": 1})
        assert (await mine.get(Path("a"))).value == {"x": 1}
        await mine.set(Path("a"), 2, expected_time=(await mine.get(Path("a"))).time)
        assert [each.value async for each in mine.walk(Path("a"))] == [2]
        await mine.delete(Path("a"), recursive=True)
        await mine.report_error(Path("x"), "trouble")
        await until(lambda: server.tree.store.find(["error", "x"]).alive)
        await mine.clear_error(Path("x"))
        await until(lambda: not server.tree.store.find(["error", "x"]).alive)


async def test_written_without_a_broker(serve: Start, broker: Mosquitto, join: Start) -> None:
    """What a server that is not the main one accepts meanwhile is published later."""
    server = await serve()
    caller = await join(server)
    server.election.started = 1e12  # never the main server
    await until(lambda: server.broker.connected)
    server.election.main = False
    assert await caller.call(["d", "set"], Path("before"), 1) == [True]
    await asyncio.to_thread(broker.kill)
    await until(lambda: not server.broker.connected)
    assert await caller.call(["d", "set"], Path("meanwhile"), 2) == [True]
    await asyncio.to_thread(broker.start)
    await until(lambda: server.broker.connected, timeout=20)
    async with other(broker) as peer:
        await until(lambda: peer.last("meanwhile") == 2)
        assert not peer.heard("before"), "that is for the main server to do"
    assert server.supplier.supplied == 1


async def test_name_is_taken(
    serve: Start, peer: Peer, tmp_path: File, caplog: pytest.LogCaptureFixture
) -> None:
    """A second server of the same name leaves the first one alone, and says what is wrong."""
    one = await serve("same")
    await until(lambda: peer.last("run/service/main/server/same") is not ABSENT)
    said = peer.heard("run/service/main/server/same")
    other = await serve("same", wait=False, listeners=(Listener(port=0),))
    await until(lambda: "There is another server same" in caplog.text)
    assert str(one.addresses[0][1]) in caplog.text
    assert not other.broker.connected
    assert one.broker.sessions == 1
    assert peer.heard("run/service/main/server/same") == said


@pytest.mark.parametrize("first", ["plain", "token", "encrypted"])
@pytest.mark.parametrize("newcomer", ["plain", "token", "encrypted"])
async def test_name_is_taken_whoever_gets_in(
    serve: Start, tmp_path: File, caplog: pytest.LogCaptureFixture, first: str, newcomer: str
) -> None:
    """It is heard by its greeting, though it only encrypts, or would not let the other one in."""
    identity = Authority().issue()
    (tmp_path / "server.pem").write_text(identity.certificate + identity.key)
    certificate = Certificate.read(tmp_path / "server.pem", None)
    token: Any = {"anonymous": False, "announce_token": False, "tokens": {"me": "0123456789ab"}}
    kinds: Any = {
        "plain": {},
        "token": token,
        "encrypted": token | {"listeners": (Listener(port=0, certificate=certificate),)},
    }
    one = await serve("same", **({"listeners": (Listener(port=0),)} | kinds[first]))
    await until(lambda: one.broker.connected)
    await until(lambda: not one.office._unsaid)
    other = await serve(
        "same", wait=False, **({"listeners": (Listener(port=0),)} | kinds[newcomer])
    )
    await until(lambda: "There is another server same" in caplog.text)
    assert not other.broker.connected
    assert one.broker.sessions == 1


@pytest.mark.parametrize(
    ("problem", "taken"),
    [(AuthenticationError("protocol 9"), True), (ConnectionLostError("a web server"), False)],
)
async def test_name_at_somebody_odd(
    serve: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch, problem: Exception, taken: bool
) -> None:
    """Whoever answers as servers do holds the name, even if we cannot read it; others do not."""
    asked: list[Endpoint] = []

    async def greeting(endpoint: Endpoint, **_: Any) -> str:
        asked.append(endpoint)
        raise problem

    monkeypatch.setattr(namesake, "greeting", greeting)
    where: Any = {"link": [{"host": "127.0.0.1", "port": 9}]}
    await peer.say("run/service/main/server/same", where, time=5.0, origin="same")
    server = await serve("same", wait=False)
    await until(lambda: asked)
    await until(lambda: server.serving.is_set(), timeout=20)
    assert server.broker.connected is not taken


async def test_name_is_wrested(
    serve: Start,
    broker: Mosquitto,
    peer: Peer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever was thrown off the broker waits until the name is free, and serves meanwhile."""
    monkeypatch.setattr(namesake, "_FIRST", 0.2)
    monkeypatch.setattr(namesake, "_LONGEST", 0.2)
    looks: list[float] = []

    class Looking(Backoff):
        @override
        def wait(self) -> float:
            looks.append(super().wait())
            return looks[-1]

    monkeypatch.setattr(namesake, "Backoff", Looking)
    server = await serve("same")
    topic = "run/service/main/server/same"
    await until(lambda: peer.last(topic) is not ABSENT)
    rival = await Session.open(
        BrokerConfig(host="127.0.0.1", port=broker.port),
        client_id="same",
        on_publish=lambda packet: None,
        on_closed=lambda error: None,
    )
    await until(lambda: not server.broker.connected)
    await until(lambda: peer.last(topic) is ABSENT, what="our will")
    where: Any = {"link": [{"host": "127.0.0.1", "port": 9}], "auth": {"token": "another"}}
    await peer.say(topic, where, time=5e9, origin="same")
    await until(lambda: "There is another server same" in caplog.text)
    connection, _ = await connect(endpoint(server), name="_1")
    await connection.close()
    seen = len(looks)
    await until(lambda: len(looks) > seen + 2, what="looked at the name again and again")
    assert not server.broker.connected
    assert not rival.closed
    await peer.say(topic, ABSENT, time=5e9 + 1, origin="same")
    await until(lambda: server.broker.connected)
    assert rival.closed
    await until(lambda: "Nobody else is server same any more" in caplog.text)
    await until(lambda: peer.last(topic) == server.office.announcement())


async def test_own_leftovers(serve: Start, peer: Peer) -> None:
    """What a former life has left at the broker is nobody else."""
    where: Any = {"link": [{"host": "127.0.0.1", "port": 9}], "auth": {"token": "former"}}
    await peer.say("run/service/main/server/srv1", where, time=5.0, origin="srv1")
    server = await serve("srv1")
    await until(lambda: server.broker.connected)
    await until(lambda: peer.last("run/service/main/server/srv1") == server.office.announcement())


async def test_token_is_renewed(serve: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The former one is good for a little longer."""
    server = await serve(anonymous=False)
    topic = "run/service/main/server/srv1"
    await until(lambda: peer.heard(topic))
    former: Any = peer.last(topic)
    await server.office.renew()
    await until(lambda: peer.last(topic) != former)
    newest: Any = peer.last(topic)
    for said in (former, newest):
        token = said["auth"]["token"]
        connection, _ = await connect(endpoint(server, token=token), name="_1")
        await connection.close()
    monkeypatch.setattr(office, "_TOKEN_GRACE", 0.01)
    await server.office.renew()
    await until(lambda: len(server._tokens.announced) == 1)
    for said in (former, newest):
        with pytest.raises(AuthenticationError):
            await connect(endpoint(server, token=said["auth"]["token"]), name="_1")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.lists(
                st.sampled_from(
                    ["d", "get", "set", "walk", "e", "mon", "cl", "_me", "srv", 1, None]
                )
            ),
            st.lists(
                st.sampled_from([None, 1, "x", Path("a"), ["a"], {"t": 1}, ABSENT]), max_size=4
            ),
        ),
        max_size=12,
    )
    | st.binary(max_size=100)
)
def test_any_frames(frames: Any) -> None:
    """Whatever a client sends, the server goes on, and nothing is left of it."""

    async def work() -> None:
        config = ServerConfig(
            broker=BrokerConfig(host="127.0.0.1", port=1), root=ROOT, name="srv1", listeners=()
        )
        server = Server(config)
        one = server.clients.admit("main")
        assert one is not None
        left, right = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: one, sock=left)
        reader, writer = await asyncio.open_connection(sock=right)
        caller = Caller(reader, writer)
        for frame in LOGIN:
            caller.send(frame)
        await caller.until(lambda frame: frame[0] == -4)
        if isinstance(frames, bytes):
            writer.write(frames)
        else:
            for head, path, arguments in frames:
                caller.send([head + 8, path, *arguments])
        writer.write_eof()
        await server.clients.close()
        await caller.close()
        assert server.clients.names == []

    asyncio.run(work())


LOGIN: list[list[Any]] = [
    [0, [None], 1, False, "_me", ["anon"], {"moat.link": {"version": 0}}],
    [4, [None, "anon"]],
    [-4, "anon"],
]


def test_nobody_is_let_in_unasked() -> None:
    """Listening to a network needs tokens, and no anonymous clients."""
    broker = BrokerConfig(host="localhost")
    wide = (Listener(host="0.0.0.0"),)
    with pytest.raises(ServerConfigError, match="anonymous"):
        ServerConfig(broker=broker, root=ROOT, name="srv1", listeners=wide)
    with pytest.raises(ServerConfigError, match="token"):
        ServerConfig(
            broker=broker,
            root=ROOT,
            name="srv1",
            listeners=wide,
            anonymous=False,
            announce_token=False,
        )
    ServerConfig(broker=broker, root=ROOT, name="srv1", listeners=wide, anonymous=False)
    assert Listener(host="example.org").wide
    assert not Listener(host="::1").wide
    for name in ("", "a/b", "a\n"):
        with pytest.raises(ServerConfigError, match="name"):
            ServerConfig(broker=broker, root=ROOT, name=name)
