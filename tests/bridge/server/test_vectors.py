"""Every recorded command of a real client, answered as the real server did."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from firmware_bridge.link.codec import FrameReader, Opaque, RemoteObject
from firmware_bridge.link.path import Path
from tests.bridge.server.caller import Caller
from tests.support.vectors import load

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
