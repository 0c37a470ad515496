"""Every recorded command of a real client, answered as the real server did."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, FrameReader, Opaque, RemoteObject, decode
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.server.clients import Limits
from tests.bridge.server.caller import Caller
from tests.support.installation import other
from tests.support.vectors import load
from tests.support.wait import until

# What differs, and is meant to
OURS = {
    "i.backend": "another port",
    "d.get root": "set by -I",
    "d.get run.id": "nobody has published it",
    "badargs": "another text",
    "doc": "another text",
    "doc2": "another text",
    "dir": "another text",
    "s.save": "refused",
    "s.load": "refused",
    "cl": "the real server is its own client",
    'stream P("cl")': "the same",
    "cl.me.i.ping": "another name",
    "i.stamp": "another number",
    "sync": "nobody has published it",
}


def exchanges(file: str) -> list[dict[str, Any]]:
    return [each for group in load(f"moat-link/{file}")["connections"] for each in group]


def frames_of(exchange: dict[str, Any], side: str) -> list[list[Any]]:
    return [
        FrameReader().feed(bytes.fromhex(each["hex"]))[0]
        for each in exchange["frames"]
        if each["dir"].startswith(side) and not each.get("late")
    ]


def neutral(item: Any) -> Any:
    """Make replies comparable: what is now is `now`; keywords of errors do not matter."""
    match item:
        case float() if item > 1_790_000_000:
            return "now"
        case RemoteObject():
            name = "_RemErr" if item.name == "_rErr" else item.name
            return name, [neutral(each) for each in item.arguments if each != {}]
        case list() | tuple():
            return [neutral(each) for each in item]
        case dict():
            return {key: neutral(each) for key, each in item.items()}
        case Opaque() | Path() | datetime():
            return str(item)
        case _:
            return item


def essence(frames: list[list[Any]]) -> list[Any]:
    """Leave out top-up credit."""
    return [neutral(frame) for frame in frames if frame[0] & 3 != 3]


async def replay(caller: Caller, exchange: dict[str, Any]) -> list[list[Any]]:
    """Send what the client sent, and return what the server says."""
    number = exchange["id"]
    for frame in frames_of(exchange, "client"):
        if (
            frame[0] == 4 * number
            and frame[1:] == [None]
            and len(frames_of(exchange, "client")) > 1
        ):
            continue  # after the server's last word
        caller.send(frame)
    heard = await caller.end_of(number)
    if any(frame[0] == 4 * number + 1 for frame in frames_of(exchange, "client")):
        caller.send([4 * number, None])
    return heard


async def test_commands(serve: Callable[..., Any], join: Callable[..., Any]) -> None:
    """The recording of all commands."""
    server = await serve()
    caller = await join(server)
    differing = []
    for exchange in exchanges("rpc-commands"):
        if exchange["initiator"] != "client" or exchange["title"] in OURS:
            continue
        heard = await replay(caller, exchange)
        if essence(heard) != essence(frames_of(exchange, "server")):
            differing.append((exchange["title"], heard, frames_of(exchange, "server")))
    assert differing == []


async def test_errors(serve: Callable[..., Any], join: Callable[..., Any]) -> None:
    """The recording of the error commands, except for the monitors, which take turns."""
    server = await serve()
    caller = await join(server, "_wMqyznc9tCvK")
    for exchange in exchanges("rpc-errors"):
        if exchange["initiator"] != "client":
            continue
        number = exchange["id"]
        for frame in frames_of(exchange, "client"):
            caller.send(frame)
        heard = await caller.end_of(number)
        assert essence(heard) == essence(frames_of(exchange, "server")), exchange["title"]


STREAMS = ["count: small stream", "count: receive window 4", "count: no flow control"]


@pytest.mark.parametrize("title", STREAMS)
async def test_streams(serve: Callable[..., Any], join: Callable[..., Any], title: str) -> None:
    """Test streams, with credit and without."""
    server = await serve()
    caller = await join(server)
    (exchange,) = [each for each in exchanges("rpc-streams") if each["title"] == title]
    heard = await replay(caller, exchange)
    assert essence(heard) == essence(frames_of(exchange, "server"))


async def test_left_early(serve: Callable[..., Any], join: Callable[..., Any]) -> None:
    """Whoever ends its side, fails or cancels is told what the real server tells."""
    server = await serve()
    caller = await join(server)
    caller.send([25, ["i", "count"], {"s": 0, "e": 1000, "t": 0.01}])
    await caller.until(lambda frame: frame == [-27, 1])
    caller.send([24, None])
    heard = await caller.until(lambda frame: frame[0] == -26)
    assert neutral(heard[-1][1]) == ("_CNsErr", [{"_init": True}]) or heard[-1][1].name == "_CNsErr"
    caller.send([29, ["i", "count"], {"s": 0, "e": 1000, "t": 0.01}])
    await caller.until(lambda frame: frame == [-31, 1])
    caller.send([30, -3])
    assert (await caller.call(["i", "ping"])) == ["乓"]


async def test_service(serve: Callable[..., Any], join: Callable[..., Any]) -> None:
    """The recorded calls of one client's service by another, streams included."""
    server = await serve()
    callers = [await join(server, name) for name in ("_gq3fhpPQvZYt", "_other")]
    offering = [each for each in exchanges("rpc-service") if each["initiator"] == "server"]
    calling = [
        each
        for each in exchanges("rpc-service")
        if each["initiator"] == "client" and each["command"][0] == "srv"
    ]
    assert len(offering) == len(calling) == 4
    for call, offer in zip(calling, offering, strict=True):
        client = [each for each in frames_of(call, "client") if each[1:] != [None]]
        for frame in client:
            callers[1].send(frame)
        asked = await callers[0].until(lambda frame: frame[0] & 3 in (0, 1) and frame[0] >= 0)
        shift = asked[-1][0] - frames_of(offer, "server")[0][0]
        assert asked[-1][1:] == frames_of(offer, "server")[0][1:]
        for frame in frames_of(offer, "client"):
            callers[0].send([frame[0] - shift, *frame[1:]])
        number = call["id"]
        heard = await callers[1].end_of(number)
        assert essence(heard) == essence(frames_of(call, "server")), call["title"]


def said(packet: dict[str, Any]) -> tuple[str, bool, Any]:
    """Return what a recorded packet says: where, whether retained, and what."""
    payload = bytes.fromhex(packet["payload"])
    topic = packet["topic"].removeprefix("moat/link/test/")
    return topic, packet["retain"], neutral(decode(payload) if payload else ABSENT)


async def test_published_errors(serve: Callable[..., Any], join: Callable[..., Any]) -> None:
    """What is published of errors, in that order: events with back-trace, states without."""
    server = await serve()
    caller = await join(server, "_wMqyznc9tCvK")
    published = []

    def tell(levels: list[str], value: Any, meta: Any) -> None:
        published.append(("/".join(levels), levels[0] != "run", neutral(value)))
        assert meta.origin == "_wMqyznc9tCvK"

    server.tree.tell = tell
    for exchange in exchanges("rpc-errors"):
        if exchange["initiator"] == "client":
            for frame in frames_of(exchange, "client"):
                caller.send(frame)
            await caller.end_of(exchange["id"])
    recorded = [said(packet) for packet in load("moat-link/errors")["vectors"]]
    assert [each[:2] for each in published] == [each[:2] for each in recorded]
    for mine, theirs in zip(published, recorded, strict=True):
        assert mine == theirs


async def test_odd_messages(serve: Callable[..., Any], broker: Any) -> None:
    """What is kept of odd messages, and what is reported, is what the real server keeps and reports."""
    server = await serve()
    vectors = load("moat-link/bad-input")
    async with other(broker) as peer:
        for packet in vectors["vectors"]:
            if packet["label"] == "input":
                properties = packet["properties"]
                await peer.session.publish(
                    Publish(
                        packet["topic"].replace("moat/link/test", "moat/test"),
                        bytes.fromhex(packet["payload"]),
                        text=properties.get("payload_format_indicator") == 1,
                        retain=packet["retain"],
                        meta=dict(properties.get("user_property", [])).get("MoaT"),
                    )
                )
        await peer.say("done", 1)
        await until(lambda: server.tree.store.find(["done"]))
        await until(lambda: peer.heard("error/link/mqtt/meta/g/emptyorigin"))
        there = {
            name: (node.record.value, node.record.meta.origin)
            for name in vectors["stored"]
            if (node := server.tree.store.find(["g", *name.split("/")])) and node.alive
        }
        reports = {
            each.topic.removeprefix("moat/test/")
            for each in peer.packets
            if each.topic.startswith("moat/test/error")
        }
    assert there == {
        "noprop": (42, "via:srv1"),
        "json": ('{"json": 1}', "via:srv1"),
        "originonly": (2, "foo"),
        "tag": (Opaque(12345, "x"), "via:srv1"),
        "nonretain": (5, "via:srv1"),
        ":zz:bad": (6, "via:srv1"),
    }
    recorded = {
        said(each)[0] for each in vectors["vectors"] if each["label"] == "server report"
    } - {"error/link/mqtt/topic"}  # ours takes such a topic as it is, and does not complain
    assert reports == recorded


async def test_what_clients_announce(serve: Callable[..., Any], broker: Any) -> None:
    """Identity, signs of life, services and stamps of a real client, as recorded, are understood."""
    server = await serve()
    async with other(broker) as peer:
        for packet in load("moat-link/announcements")["vectors"]:
            if "server" in packet["label"] or "election" in packet["label"]:
                continue
            topic = packet["topic"].replace("moat/link/test", "moat/test")
            await peer.session.publish(
                Publish(
                    topic.replace("stamp/srv1", f"stamp/{server.name}"),
                    bytes.fromhex(packet["payload"]),
                    retain=packet["retain"],
                    meta=dict(packet["properties"].get("user_property", [])).get("MoaT"),
                )
            )
        await peer.say("done", 1)
        await until(lambda: server.tree.store.find(["done"]))
    identity = server.tree.store.find(["run", "id", "_gq3fhpPQvZYt"])
    assert identity.record.value["host"] == "vm"
    assert server.knows("_gq3fhpPQvZYt")
    service = server.tree.store.find(["run", "host", "vechost", "vec", "service"])
    assert not service.alive


async def test_probe(serve: Callable[..., Any], join: Callable[..., Any]) -> None:
    """The probe is the recorded one, and its recorded answer suffices."""
    server = await serve(limits=Limits(probe=0.05, patience=0.5))
    caller = await join(server)
    (exchange, _), *_ = load("moat-link/rpc-probe")["connections"]
    (probe,) = frames_of(exchange, "server")
    (answer,) = frames_of(exchange, "client")
    for _ in range(3):
        heard = (await caller.until(lambda frame: frame[0] >= 0 and not frame[0] & 3))[-1]
        assert heard[1:] == probe[1:]
        caller.send([-heard[0] - 4, *answer[1:]])
    assert server.clients.names == ["_Q5G49yrpcY4Q"]


async def test_old_handshake(serve: Callable[..., Any]) -> None:
    """Clients of before 2026 are told what the real server tells them."""
    server = await serve()
    (vector,) = [
        each
        for each in load("moat-link/rpc-handshake")["negative"]
        if each["title"] == "legacy hello"
    ]
    (path,) = [each.path for each in server.config.listeners if each.path]
    caller = Caller(*await asyncio.open_unix_connection(path))
    for each in vector["client_frames"]:
        caller.writer.write(bytes.fromhex(each["hex"]))
    recorded = [FrameReader().feed(bytes.fromhex(f["hex"]))[0] for f in vector["server_frames"]]
    heard = await caller.until(lambda frame: frame[0] & 3 == 2)
    assert neutral(heard[-1]) in [neutral(each) for each in recorded]
    await caller.close()
