"""Somebody on MoaT-Link, somebody with plain MQTT, and gates between them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from firmware_bridge.gates.gates import Gates, driving
from firmware_bridge.gates.limits import Limits, parse_broker, parse_prefix
from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import Value
from firmware_bridge.link.config import LinkConfig
from firmware_bridge.link.message import Message
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import Session
from firmware_bridge.link.transport import BrokerConfig

from .mosquitto import Mosquitto
from .sessions import Record, connect
from .wait import until

ROOT = Path("test", "home")


def config(
    broker: Mosquitto, name: str = "gates", root: Path = ROOT, *, use_server: bool = True
) -> LinkConfig:
    """Return how to reach an installation."""
    address = BrokerConfig(host=broker.host, port=broker.port)
    return LinkConfig(broker=address, root=root, name=name, host="here", use_server=use_server)


def address(broker: Mosquitto) -> str:
    """Return how a broker is named among those that gates may touch."""
    return f"{broker.host}:{broker.port}"


class Insider:
    """Somebody on MoaT-Link who sees everything."""

    def __init__(self, link: Link) -> None:
        """Take a link; `heard` gets every message."""
        self.link = link
        self.heard: list[Message] = []
        self._watch = link.watch(Path(), self.heard.append)

    @property
    def topics(self) -> set[str]:
        """Return the topics of all that there is."""
        return set(self._watch.messages)

    def message(self, path: str) -> Message | None:
        """Return what is at a dotted path."""
        return self._watch.messages.get(Path.parse(path).topic)

    def value(self, path: str) -> Value:
        """Return the value at a dotted path, None if there is none."""
        message = self.message(path)
        return None if message is None else message.value

    def values(self, path: str) -> list[Value]:
        """Return every value that was heard at a dotted path."""
        topic = Path.parse(path).topic
        return [each.value for each in self.heard if each.topic == topic]

    async def set(self, path: str, value: Value, **more: Any) -> Message:
        """Write a dotted path."""
        return await self.link.set(Path.parse(path), value, **more)

    async def delete(self, path: str) -> None:
        """Delete a dotted path."""
        await self.link.delete(Path.parse(path))


@contextlib.asynccontextmanager
async def insider(
    broker: Mosquitto, root: Path = ROOT, *, use_server: bool = False
) -> AsyncIterator[Insider]:
    """Join an installation for the length of the context."""
    link = Link(config(broker, "insider", root, use_server=use_server))
    joined = Insider(link)
    task = asyncio.create_task(link.run())
    try:
        await link.wait_ready(10)
        yield joined
    finally:
        task.cancel()
        await asyncio.wait([task])


class Outsider:
    """Somebody with plain MQTT who sees everything below `ext`."""

    def __init__(self, record: Record) -> None:
        """Take a session and what it has heard."""
        self._record = record

    @property
    def session(self) -> Session:
        """The session."""
        return self._record.session

    @property
    def heard(self) -> list[Publish]:
        """Every message."""
        return self._record.messages

    def payloads(self, topic: str) -> list[bytes]:
        """Return every payload at a topic."""
        return [each.payload for each in self.heard if each.topic == topic]

    def last(self, topic: str) -> Publish | None:
        """Return the last message at a topic."""
        found = [each for each in self.heard if each.topic == topic]
        return found[-1] if found else None

    async def say(self, topic: str, payload: str | bytes, **more: Any) -> None:
        """Publish, retained unless told otherwise."""
        data = payload if isinstance(payload, bytes) else payload.encode()
        await self.session.publish(Publish(topic, data, **{"retain": True, **more}))


@contextlib.asynccontextmanager
async def outsider(
    broker: Mosquitto, username: str | None = None, password: str | None = None
) -> AsyncIterator[Outsider]:
    """Join a broker for the length of the context."""
    record = await connect(broker, username=username, password=password)
    await record.session.subscribe("ext/#")
    try:
        yield Outsider(record)
    finally:
        await record.session.close()


@contextlib.asynccontextmanager
async def driven(
    broker: Mosquitto,
    root: Path = ROOT,
    *,
    name: str = "gates",
    allow: tuple[str, ...] | None = None,
    backends: tuple[str, ...] = (),
) -> AsyncIterator[Gates]:
    """Drive the gates of an installation for the length of the context, within limits."""
    limits = Limits(
        allow=None if allow is None else [*map(parse_prefix, allow)],
        backends=[*map(parse_broker, backends)],
    )
    async with driving(config(broker, name, root), limits=limits) as gates:
        yield gates


def entry(src: str = "home", dst: str = "ext.js", **more: Value) -> Value:
    """Return an entry as somebody writes it."""
    known: dict[str, Value] = {
        "driver": "mqtt",
        "src": Path.parse(src),
        "dst": Path.parse(dst),
        "codec": "json",
        "timeout": 0.05,
    }
    return dict((known | more).items())


async def runs(inside: Insider, name: str = "js", timeout: float = 10) -> None:
    """Wait until a gate says that it runs."""

    def running() -> bool:
        said = inside.value(f"run.host.gate.{name}")
        return isinstance(said, dict) and said.get("value") == "running" and said["up"] is True

    await until(running, timeout, f"gate {name} runs")
