"""A broker, somebody on MoaT-Link, somebody with plain MQTT, and gates between them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from firmware_bridge.gates.gates import Gates
from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import Value
from firmware_bridge.link.config import LinkConfig
from firmware_bridge.link.message import Message
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.link.transport import BrokerConfig
from tests.support.mosquitto import Mosquitto
from tests.support.sessions import Record, connect
from tests.support.wait import until

ROOT = Path("test", "home")


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """Run a broker."""
    with Mosquitto() as running:
        yield running


def config(broker: Mosquitto, name: str = "gates", **more) -> LinkConfig:
    address = BrokerConfig(host=broker.host, port=broker.port)
    return LinkConfig(broker=address, root=ROOT, name=name, host="here", **more)


class Insider:
    """Somebody on MoaT-Link who sees everything."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.heard: list[Message] = []
        self._watch = link.watch(Path(), self.heard.append)

    def message(self, path: str) -> Message | None:
        return self._watch.messages.get(Path.parse(path).topic)

    def value(self, path: str) -> Value:
        message = self.message(path)
        return None if message is None else message.value

    def values(self, path: str) -> list[Value]:
        topic = Path.parse(path).topic
        return [each.value for each in self.heard if each.topic == topic]

    async def set(self, path: str, value: Value, **more) -> Message:
        return await self.link.set(Path.parse(path), value, **more)


@pytest.fixture
async def inside(broker: Mosquitto) -> AsyncIterator[Insider]:
    """Join the installation."""
    async with linked(broker) as insider:
        yield insider


@contextlib.asynccontextmanager
async def linked(broker: Mosquitto) -> AsyncIterator[Insider]:
    link = Link(config(broker, "insider", use_server=False))
    insider = Insider(link)
    task = asyncio.create_task(link.run())
    try:
        await link.wait_ready(10)
        yield insider
    finally:
        task.cancel()
        await asyncio.wait([task])


class Outsider:
    """Somebody with plain MQTT who sees everything below `ext`."""

    def __init__(self, record: Record) -> None:
        self._record = record

    @property
    def session(self):
        return self._record.session

    def payloads(self, topic: str) -> list[bytes]:
        return [each.payload for each in self._record.messages if each.topic == topic]

    def last(self, topic: str) -> Publish | None:
        found = [each for each in self._record.messages if each.topic == topic]
        return found[-1] if found else None

    async def say(self, topic: str, payload: str | bytes, **more) -> None:
        data = payload if isinstance(payload, bytes) else payload.encode()
        await self.session.publish(Publish(topic, data, **{"retain": True, **more}))


@contextlib.asynccontextmanager
async def joined(broker: Mosquitto) -> AsyncIterator[Outsider]:
    record = await connect(broker)
    await record.session.subscribe("ext/#")
    try:
        yield Outsider(record)
    finally:
        await record.session.close()


@pytest.fixture
async def outside(broker: Mosquitto) -> AsyncIterator[Outsider]:
    """Join the broker without MoaT-Link."""
    async with joined(broker) as outsider:
        yield outsider


@contextlib.asynccontextmanager
async def driven(broker: Mosquitto, **more) -> AsyncIterator[Gates]:
    """Drive the gates of the installation."""
    link = Link(config(broker, **more))
    gates = Gates(link)
    linked = asyncio.create_task(link.run())
    working = asyncio.create_task(gates.run())
    try:
        yield gates
    finally:
        working.cancel()
        await asyncio.wait([working])
        linked.cancel()
        await asyncio.wait([linked])
    if not working.cancelled():
        working.result()


def entry(src: str = "home", dst: str = "ext.js", **more: Value) -> Value:
    """Return an entry as somebody writes it."""
    return {
        "driver": "mqtt",
        "src": Path.parse(src),
        "dst": Path.parse(dst),
        "codec": "json",
        "timeout": 0.05,
        **more,
    }


async def runs(inside: Insider, name: str = "js", timeout: float = 10) -> None:
    """Wait until a gate says that it runs."""

    def running() -> bool:
        said = inside.value(f"run.host.gate.{name}")
        return isinstance(said, dict) and said.get("value") == "running" and said["up"] is True

    await until(running, timeout, f"gate {name} runs")
