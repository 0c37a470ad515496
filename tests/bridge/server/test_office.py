"""What is said about a server, and what it makes of what others say."""

import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.identity import fresh_id
from firmware_bridge.link.message import Message
from firmware_bridge.link.meta import Meta, decode_meta
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.session import BrokerConfig, Session
from firmware_bridge.server import office
from firmware_bridge.server.ballot import Parameters
from firmware_bridge.server.config import ServerConfig
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT, Peer
from tests.support.mosquitto import Mosquitto
from tests.support.strategies import values
from tests.support.vectors import load
from tests.support.wait import until

type Start = Callable[..., Any]

MAIN = f"{ROOT.topic}/run/service/main/"
POISON = [bytes.fromhex(each["payload_hex"]) for each in load("moat-link/election")["poison"]]
RECORDED = {
    each["label"]: each for each in load("moat-link/announcements")["vectors"] if "label" in each
}


@asynccontextmanager
async def listening(broker: Mosquitto) -> AsyncIterator[list[Publish]]:
    """Hear everything with the quality of service that it was sent with."""
    packets: list[Publish] = []
    session = await Session.open(
        BrokerConfig(host="127.0.0.1", port=broker.port),
        client_id=fresh_id(),
        on_publish=packets.append,
        on_closed=lambda _: None,
    )
    await session.subscribe(f"{MAIN}#", qos=1)
    yield packets
    await session.close()


def shape(packet: Publish) -> Any:
    return packet.topic.removeprefix(MAIN), packet.retain, packet.qos


async def test_as_recorded(broker: Mosquitto, serve: Start) -> None:
    """Topics, flags, keys, and their order are those of a real server, and so is what comes first."""
    async with listening(broker) as packets:
        server = await serve("srv1", turns=Parameters(cycle=1, gap=0.1))
        await until(lambda: len([each for each in packets if each.topic == f"{MAIN}conn"]) >= 2)
        server.stop()
        await server.task
        await until(lambda: packets and packets[-1].payload == b"")
        first = [shape(each)[0] for each in packets[:5]]
        assert first[0] == "server/srv1", "nobody may come before we are to be found"
        assert set(first[1:4]) == {"ping", "conn"}
        said = {shape(each): each for each in packets}
    labels = {
        ("server/srv1", True, 1): "server announcement",
        ("conn", True, 0): "elected server (what clients use for discovery)",
        ("ping", False, 1): "server election: ping",
        ("down", False, 0): "server going down",
    }
    assert set(said) - {("conn", True, 1)} == set(labels), "but for the end of `conn`"
    for key, label in labels.items():
        recorded = RECORDED[label]
        assert recorded["retain"] is key[1]
        assert recorded["qos"] == key[2]
        assert recorded["topic"].endswith(f"run/service/main/{key[0]}")
        assert said[key].meta is not None
        assert decode_meta(said[key].meta or "").origin == "srv1"
    assert said["down", False, 0].payload == b"srv1"
    assert said["down", False, 0].text
    announced = next(
        each for each in packets if each.payload and each.topic.endswith("server/srv1")
    )
    keys = RECORDED["server announcement"]["payload_decoded"]
    assert list(server.office.announcement()) == list(keys)
    assert announced.payload == next(
        each.payload for each in packets if each.topic.endswith("conn")
    ), "the same content"


async def test_poison(
    broker: Mosquitto, serve: Start, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """What kills real servers, retained or not, does nothing here, and is never repeated."""
    for payload in POISON:
        await peer.session.publish(Publish(f"{MAIN}ping", payload, retain=True))
    await peer.session.publish(Publish(f"{MAIN}ping", POISON[2], retain=True))
    server = await serve("srv-a")
    await until(lambda: server.election.main)
    for payload in (*POISON, encode({"t": "init", "node": "srv-a"})):
        await peer.session.publish(Publish(f"{MAIN}ping", payload))
    heard = len(peer.packets)
    await peer.say("end", 1, time=1.0)
    await until(lambda: server.tree.store.find(["end"]))
    await server.supplier.supply()
    assert server.election.main
    assert server.broker.sessions == 1
    assert "Ignored in the election" in caplog.text
    assert "Another server takes part in the election as srv-a" in caplog.text
    later = [each for each in peer.packets[heard:] if each.topic == f"{MAIN}ping"]
    assert [each.payload for each in later if each.meta] == [], "silent"


def office_of(turns: Parameters | None) -> Server:
    config = ServerConfig(
        broker=BrokerConfig(host="127.0.0.1", port=1),
        root=ROOT,
        name="srv1",
        listeners=(),
        turns=turns,
    )
    return Server(config)


NAMES = st.sampled_from(["srv1", "a", "b/c", "", "d\n", "x" * 300, "server"])
BALLOTS = st.fixed_dictionaries(
    {"t": st.sampled_from(["init", "vers", "ping", "hist", "quit"])},
    optional={
        "node": NAMES,
        "value": st.sampled_from([None, True, False, 1]),
        "history": st.lists(NAMES, max_size=3),
        "version": st.integers(-1, 3),
        "cycle": st.floats(0, 100),
        "x": st.none(),
    },
)
CHANNELS = st.sampled_from(
    ["ping", "conn", "down", "server/a", "server/b/c", "server/srv1", "x", ""]
)


@given(
    st.lists(st.tuples(CHANNELS, BALLOTS | values, NAMES.filter(bool), st.booleans()), max_size=30),
    st.booleans(),
)
async def test_anything_heard(heard: list[Any], turns: bool) -> None:
    """Whatever others say, nothing but exact messages comes of it, and little is remembered."""
    server = office_of(Parameters(cycle=1, gap=0.1) if turns else None)
    for channel, value, origin, retained in heard:
        message = Message(f"run/service/main/{channel}", value, Meta(origin, 1.0), retained)
        server.office.hear(channel, message)
        said = server.election.ballots(server.clock.monotonic() + 5)
        assert all(turns and each.node in {"srv1", "a", "server"} for each in said)
        server.election.due(server.clock.monotonic() + 5)
    assert "b/c" not in server.election.others
    await server.peers.close()


async def test_others_say_who_we_are(
    serve: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is put right, but no more often than every second."""
    monkeypatch.setattr(office, "_BREATH", 0.3)
    server = await serve("srv1")
    topic = "run/service/main/server/srv1"
    await until(lambda: peer.last(topic) == server.office.announcement())
    for number in range(20):
        await peer.say(topic, {"link": [], "node": str(number)}, time=5.0)
        await peer.say(topic, ABSENT, time=5.0)
    await until(lambda: peer.last(topic) == server.office.announcement())
    mine = [each for each in peer.heard(topic) if each == server.office.announcement()]
    assert len(mine) <= 4
    assert "Somebody else announces itself as server srv1" in caplog.text


async def test_forgotten_servers(serve: Start, broker: Mosquitto, peer: Peer) -> None:
    """A broker that has lost its state does not say who is gone: who is not announced again is."""
    await peer.say("run/service/main/server/real", {"link": []}, time=5.0, origin="real")
    await peer.say("run/service/main/conn", {"link": []}, time=5.0, origin="real")
    server = await serve("srv1")
    await until(lambda: server.election.owner == "real")
    assert server.election.others == ["real"]
    broker.restart()
    await until(lambda: server.election.main, timeout=15)
    assert server.election.others == []


async def test_will(broker: Mosquitto, serve: Start) -> None:
    """Whoever is cut off is announced no more, as a real server is not: retained, QoS 1, no metadata."""
    async with listening(broker) as packets:
        server = await serve("srv1")
        await until(lambda: any(each.topic == f"{MAIN}conn" for each in packets))
        server.broker.session._wire.abort()
        await until(lambda: packets[-1].payload == b"" or len(packets) > 3)
        will = next(each for each in packets if not each.payload)
        assert shape(will) == ("server/srv1", True, 1)
        assert will.meta is None
        await until(lambda: packets[-1].topic == f"{MAIN}conn")
    assert [shape(each)[0] for each in packets[-2:]] == ["server/srv1", "conn"]


async def test_token_lives_for_a_while(
    serve: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is announced with the lifetime of real servers, and where clients look for it."""
    assert (office._TOKEN_LIFE, office._TOKEN_GRACE) == (900, 30)
    monkeypatch.setattr(office, "_TOKEN_LIFE", 0.3)
    monkeypatch.setattr(office, "_TOKEN_GRACE", 0.0)
    server = await serve("srv1")
    await until(lambda: server.election.main)
    topic, main = "run/service/main/server/srv1", "run/service/main/conn"
    before = len(peer.heard(topic))
    await until(lambda: len(peer.heard(topic)) >= before + 3)
    said: list[Any] = peer.heard(topic)
    assert len({each["auth"]["token"] for each in said}) == len(said)
    assert all(len(each["auth"]["token"]) == 20 for each in said)
    await until(lambda: said[-1] in peer.heard(main))
    assert said[before:] == [each for each in peer.heard(main) if each in said[before:]]


async def test_token_of_who_stands_back(
    serve: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not the main server announces another token at its own place alone."""
    monkeypatch.setattr(office, "_TOKEN_LIFE", 0.3)
    main = "run/service/main/conn"
    await peer.say("run/service/main/server/other", {"link": []}, time=5.0, origin="other")
    await peer.say(main, {"link": []}, time=5.0, origin="other")
    await serve("srv1")
    await until(lambda: len(peer.heard("run/service/main/server/srv1")) >= 3)
    assert peer.heard(main) == [{"link": []}]


async def test_left_behind(serve: Start, peer: Peer) -> None:
    """A server of this machine, where nobody listens any more, is not waited for."""
    where: Any = {"node": socket.gethostname(), "link": [{"host": "127.0.0.1", "port": 9}]}
    await peer.say("run/service/main/server/dead", where, time=5.0, origin="dead")
    await peer.say("run/service/main/conn", where, time=5.0, origin="dead")
    server = await serve("srv1")
    assert server.election.owner == "dead"
    await until(lambda: server.election.main, timeout=10)


async def test_conn_is_cleared(serve: Start, peer: Peer) -> None:
    """The main server says again that it is the main one, but does not argue at full speed."""
    server = await serve("srv1")
    topic = "run/service/main/conn"
    await until(lambda: peer.last(topic) == server.office.announcement())
    for _ in range(10):
        await peer.say(topic, ABSENT, time=5.0)
        await peer.say(topic, {"link": []}, time=5.0, origin="stranger")
    await until(lambda: peer.last(topic) == server.office.announcement())
    assert len([each for each in peer.heard(topic) if each == server.office.announcement()]) <= 3
    assert server.election.main


async def test_never_main_without_being_found(
    broker: Mosquitto, serve: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Who may not announce itself does not claim to be the main server, until it may."""
    root = ROOT.topic
    caplog.set_level(logging.DEBUG, "firmware_bridge.server.office")
    rules = f"topic readwrite {root}/#\n"
    broker.stop()
    forbidden = f"topic deny {root}/run/service/main/server/#\n"
    refusing = Mosquitto(port=broker.port, acl=rules + forbidden)
    with refusing:
        async with listening(refusing) as packets:
            await serve("srv1")
            await until(lambda: caplog.text.count("Not announced") >= 3)
            assert [each for each in packets if each.topic.endswith("conn")] == []
            refusing.set_acl(rules)
            refusing.reload()
            await until(lambda: any(each.topic.endswith("conn") for each in packets), timeout=15)
    assert shape(packets[0])[0] == "server/srv1"
