"""A whole installation for tests: a real broker, another client of it, and a fake server."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, override

from firmware_bridge.link.client import Link, LinkConfig
from firmware_bridge.link.clock import Clock, SystemClock
from firmware_bridge.link.codec import ABSENT, Value, decode_payload, encode_payload
from firmware_bridge.link.errors import DecodeError
from firmware_bridge.link.identity import fresh_id
from firmware_bridge.link.meta import Meta, decode_meta, encode_meta
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import Session
from firmware_bridge.link.transport import BrokerConfig

from .mosquitto import Mosquitto
from .running import running
from .server import FakeServer, Node

ROOT = Path("moat", "test")


class ShiftedClock(SystemClock):
    """The machine's clock, wrong by `offset` seconds."""

    offset = 0.0

    @override
    def time(self) -> float:
        """Return the wrong time."""
        return super().time() + self.offset


@dataclass(eq=False)
class Peer:
    """Another client of the broker, on the level of packets; it hears everything."""

    session: Session
    packets: list[Publish] = field(default_factory=list)

    @classmethod
    async def join(cls, port: int, on_packet: Callable[[Publish], None] = lambda _: None) -> Self:
        """Connect and follow everything below the root."""
        packets: list[Publish] = []

        def take(packet: Publish) -> None:
            packets.append(packet)
            on_packet(packet)

        session = await Session.open(
            BrokerConfig(host="127.0.0.1", port=port),
            client_id=fresh_id(),
            on_publish=take,
            on_closed=lambda _: None,
        )
        await session.subscribe(f"{ROOT.topic}/#")
        await session.barrier()
        return cls(session, packets)

    async def say(
        self,
        topic: str,
        value: Value,
        *,
        time: float | None = None,
        origin: str = "peer",
        retain: bool = True,
        **more: Any,
    ) -> None:
        """Publish a value below the root; without `time` there are no metadata."""
        packet = _packet(topic, value, None if time is None else Meta(origin, time))
        await self.session.publish(replace(packet, retain=retain, **more))

    async def say_bytes(self, topic: str, payload: bytes, meta: str | None = None) -> None:
        """Publish raw bytes, retained."""
        await self.session.publish(Publish(_absolute(topic), payload, retain=True, meta=meta))

    def heard(self, topic: str) -> list[Value]:
        """Return the values published at a topic so far, in order."""
        return [_value(each) for each in self.packets if each.topic == _absolute(topic)]

    def last(self, topic: str) -> Value:
        """Return the newest value at a topic; ABSENT if there is none."""
        return (self.heard(topic) or [ABSENT])[-1]

    def state(self, prefix: str) -> dict[str, Value]:
        """Return what is there at and below a prefix, by topic."""
        newest = {
            topic: _value(packet)
            for packet in self.packets
            if (topic := _relative(packet.topic)).startswith(prefix)
        }
        return {topic: value for topic, value in newest.items() if value is not ABSENT}

    async def leave(self) -> None:
        """Disconnect."""
        await self.session.close()


class Backbone:
    """A fake server that takes part: learns what is published, publishes what it is told."""

    def __init__(self, server: FakeServer) -> None:
        """Take a running server; `join` connects it to the broker."""
        self.server = server
        self.peer: Peer
        self._queue: list[Publish] | None = None

    async def join(self, broker: Mosquitto) -> Self:
        """Take part."""
        self.peer = await Peer.join(broker.port, self._learn)
        self.server.on_write = lambda path, node: self.peer.session.publish_nowait(
            _packet(path.topic, node.value, node.meta)
        )
        return self

    async def announce(self, topic: str = "conn", *, time: float = 1.0, **changes: Value) -> None:
        """Publish where the server is."""
        value: Any = {**self.server.announcement, **changes}
        where = f"run/service/main/{topic}"
        await self.peer.say(where, value, time=time, origin=self.server.name)

    async def leave(self) -> None:
        """Take part no more."""
        await self.peer.leave()

    def fall_behind(self) -> None:
        """Keep what comes in a queue until `keep_up`, and say nothing of that."""
        self._queue = []

    def keep_up(self) -> None:
        """Learn what is in the queue, and what comes."""
        queue, self._queue = self._queue or [], None
        for packet in queue:
            self._learn(packet)

    def _learn(self, packet: Publish) -> None:
        if self._queue is not None:
            self._queue.append(packet)
            return
        topic = _relative(packet.topic)
        if topic.startswith("run/") and not packet.retain:
            return
        with contextlib.suppress(DecodeError):
            key = tuple(Path.from_topic(topic))
            meta = decode_meta(packet.meta or "?", 0)
            old = self.server.nodes.get(key)
            if old is None or old.meta.time < meta.time:
                self.server.nodes[key] = Node(_value(packet), meta)


@asynccontextmanager
async def other(broker: Mosquitto) -> AsyncIterator[Peer]:
    """Another client of this broker."""
    peer = await Peer.join(broker.port)
    try:
        yield peer
    finally:
        await peer.leave()


@asynccontextmanager
async def backbone(broker: Mosquitto, **options: Any) -> AsyncIterator[Backbone]:
    """A fake server on this broker, not announced yet."""
    async with FakeServer(**options) as server:
        joined = await Backbone(server).join(broker)
        try:
            yield joined
        finally:
            await joined.leave()


def config(broker: Mosquitto, /, **options: Any) -> LinkConfig:
    """Return the configuration of a link to this broker."""
    settings: dict[str, Any] = {
        "broker": BrokerConfig(host="127.0.0.1", port=broker.port),
        "root": ROOT,
        "host": "here",
    }
    return LinkConfig(**(settings | options))


@asynccontextmanager
async def link(
    broker: Mosquitto, /, *, ready: bool = True, clock: Clock | None = None, **options: Any
) -> AsyncIterator[Link]:
    """A link that runs; `options` are those of LinkConfig."""
    one = Link(config(broker, **options), clock=clock)
    async with running(one.run()):
        if ready:
            await one.wait_ready(10)
        yield one


def _packet(topic: str, value: Value, meta: Meta | None) -> Publish:
    payload, text = encode_payload(value)
    said = None if meta is None else encode_meta(meta)
    return Publish(_absolute(topic), payload, text=text, retain=True, meta=said)


def _absolute(topic: str) -> str:
    return f"{ROOT.topic}/{topic}"


def _relative(topic: str) -> str:
    return topic.removeprefix(f"{ROOT.topic}/")


def _value(packet: Publish) -> Value:
    return decode_payload(packet.payload, packet.text)
