"""A broker, and a link of somebody else who watches and calls."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.config import Config
from firmware_bridge.link.client import Link
from firmware_bridge.link.clock import Clock
from firmware_bridge.link.codec import Value
from firmware_bridge.link.config import LinkConfig
from firmware_bridge.link.message import Message
from firmware_bridge.link.path import Path
from firmware_bridge.link.transport import BrokerConfig
from tests.support.mosquitto import Mosquitto

ROOT = Path("test", "home")
SERVICE = Path("run", "host", "here", "bridge")


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[Mosquitto]:
    """A broker of our own; an indirect parameter is the text of its ACL file."""
    with Mosquitto(acl=getattr(request, "param", None)) as running:
        yield running


class Peer:
    """Somebody else on the link: sees everything, calls the bridge."""

    def __init__(self, link: Link) -> None:
        """Take a link; `heard` gets every message."""
        self.link = link
        self.heard: list[Message] = []
        self._watches = [
            link.watch(Path(*first), self.heard.append)
            for first in (("device",), ("ems",), ("run", "host"), ("run", "ping"), ("error",))
        ]

    @property
    def state(self) -> dict[str, Value]:
        """What there is now, by topic."""
        return {
            topic: message.value
            for watch in self._watches
            for topic, message in watch.messages.items()
        }

    def values(self, topic: str) -> list[Value]:
        """Every value that was heard at a topic, in order."""
        return [each.value for each in self.heard if each.topic == topic]

    async def set(self, *arguments: Value, timeout: float = 5) -> Value:
        """Send a command to the bridge."""
        reply = await self.link.call(SERVICE, ["set"], *arguments, timeout=timeout)
        return reply.value


def settings(broker: Mosquitto, name: str = "peer") -> LinkConfig:
    """Return how to reach the broker."""
    return LinkConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=ROOT,
        name=name,
        host="there",
        use_server=False,
    )


@pytest.fixture
async def peer(broker: Mosquitto) -> AsyncIterator[Peer]:
    """Somebody who is on the link for the whole test."""
    link = Link(settings(broker))
    other = Peer(link)
    task = asyncio.create_task(link.run())
    try:
        await link.wait_ready(10)
        yield other
    finally:
        await ended(task)


@contextlib.asynccontextmanager
async def running(bridge: Bridge, *, forget: bool = False) -> AsyncIterator[asyncio.Task[str]]:
    """Run a bridge for the length of the context."""
    task = asyncio.create_task(bridge.run(forget=forget))
    try:
        yield task
    finally:
        bridge.stop("the test ends")
        async with asyncio.timeout(15):
            await task


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def bridge_for(broker: Mosquitto, config: Config, clock: Clock | None = None) -> Bridge:
    """Return a bridge on this broker."""
    link = LinkConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=config.root,
        name=config.name,
        host=config.host,
        use_server=False,
    )
    return Bridge(config, Link(link), clock=clock)
