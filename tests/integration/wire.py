"""Somebody else in the installation: speaks MQTT 5, CBOR and metadata without any code of ours."""

import asyncio
import base64
import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiomqtt
import cbor2
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.mosquitto import Mosquitto

ROOT = "home"

type Answer = Callable[[list[Any], dict[str, Any]], list[Any]]


def meta_text(origin: str, when: float) -> str:
    """Spell metadata."""
    return f"{origin}\\{base64.b85encode(cbor2.dumps(when)).decode()}"


def path(dotted: str) -> cbor2.CBORTag:
    """Return a path of texts as it stands inside of values."""
    return cbor2.CBORTag(39, dotted.split("."))


def point(key: str, quantity: str, at: str, **fields: Any) -> dict[str, Any]:
    """Return a point of a description; `at` is the dotted path."""
    return {"key": key, "quantity": quantity, "path": path(at), **fields}


def setter(dotted: str, **fields: Any) -> dict[str, Any]:
    """Return how to write a point by publishing."""
    return {"path": path(dotted), **fields}


class Peer:
    """An MQTT client that publishes, remembers what it receives, and answers requests."""

    def __init__(
        self, broker: Mosquitto, *, origin: str = "peer", root: str = ROOT, **login: Any
    ) -> None:
        self._broker = broker
        self._login = login
        self._root = root.replace(".", "/")
        self.origin = origin
        self.received: list[tuple[str, Any, bool]] = []
        self.pages: dict[str, Any] = {}
        self._time = time.time()
        self._answers: dict[str, Answer] = {}
        self._watchers: dict[str, Callable[[Any], object]] = {}

    async def __aenter__(self) -> Self:
        self._client = aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            protocol=aiomqtt.ProtocolVersion.V5,
            identifier=self.origin,
            **self._login,
        )
        await self._client.__aenter__()
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(aiomqtt.MqttError):
            await self._client.__aexit__(None, None, None)

    async def put(
        self,
        dotted: str,
        value: Any,
        *,
        when: float | None = None,
        retain: bool = True,
        origin: str | None = None,
    ) -> None:
        """Publish a value with metadata."""
        text = isinstance(value, str) and value.isprintable() and value != ""
        payload = value.encode() if text else cbor2.dumps(value)
        await self.raw(dotted, payload, text=text, when=when, retain=retain, origin=origin)

    async def delete(self, dotted: str, *, when: float | None = None) -> None:
        """Delete a node."""
        await self.raw(dotted, b"", when=when)

    async def raw(
        self,
        dotted: str,
        payload: bytes,
        *,
        text: bool = False,
        when: float | None = None,
        retain: bool = True,
        origin: str | None = None,
    ) -> None:
        """Publish bytes with metadata."""
        self._time = max(time.time(), self._time + 0.002)
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = ("MoaT", meta_text(origin or self.origin, when or self._time))
        if text:
            properties.PayloadFormatIndicator = 1
        topic = f"{self._root}/{dotted.replace('.', '/')}"
        await self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)

    async def describe(self, device: str, *points: dict[str, Any], **fields: Any) -> None:
        """Publish a description."""
        about = {"v": 1, "name": device.replace("_", " ").title(), "points": list(points)}
        await self.put(f"device.{device}", about | fields)

    async def follow(self, dotted: str, callback: Callable[[Any], object] | None = None) -> None:
        """Remember (or hand on) what is published at a path and below it."""
        topic = f"{self._root}/{dotted.replace('.', '/')}"
        if callback is not None:
            self._watchers[topic] = callback
        await self._client.subscribe(f"{topic}/#", qos=1)

    async def serve(self, host: str, name: str, answer: Answer) -> None:
        """Offer a service by request; `answer` gets route and arguments, and keywords."""
        await self._client.subscribe(f"{self._root}/run/request/{self.origin}", qos=1)
        self._answers[name] = answer
        announced = {"id": self.origin, "path": cbor2.CBORTag(39, [name]), "request": True}
        await self.put(f"run.host.{host}.{name}", announced | {"up": True})

    async def ping(self, *, up: bool = True) -> None:
        """Give a sign of life, or take leave."""
        payload = cbor2.dumps({"up": up, "state": "auto" if up else "closed"})
        await self._client.publish(f"{self._root}/run/ping/id/{self.origin}", payload)

    def values(self, dotted: str) -> list[Any]:
        """Return what has been received at a path."""
        topic = dotted.replace(".", "/")
        return [value for where, value, _ in self.received if where == topic]

    async def _read(self) -> None:
        async for message in self._client.messages:
            topic = str(message.topic).removeprefix(f"{self._root}/")
            assert isinstance(message.payload, bytes)
            text = getattr(message.properties, "PayloadFormatIndicator", 0)
            if topic.startswith("run/request/"):
                await self._respond(message)
                continue
            raw = message.payload
            value = raw.decode() if text else cbor2.loads(raw) if raw else None
            self.received.append((topic, value, bool(message.retain)))
            self.pages[topic] = value
            if (watcher := self._watchers.get(f"{self._root}/{topic}")) is not None:
                result = watcher(value)
                if asyncio.iscoroutine(result):
                    await result

    async def _respond(self, message: aiomqtt.Message) -> None:
        assert isinstance(message.payload, bytes)
        route, *arguments, keywords = cbor2.loads(message.payload)
        name, *command = route.value if isinstance(route, cbor2.CBORTag) else route
        answer = self._answers[name]([*command, *arguments], keywords)
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = ("MoaT", meta_text(self.origin, time.time()))
        properties.CorrelationData = message.properties.CorrelationData
        await self._client.publish(
            message.properties.ResponseTopic, cbor2.dumps(answer), qos=1, properties=properties
        )
