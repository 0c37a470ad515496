"""What is believed: a description that is missed, and one that was deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import override

import pytest

from custom_components.moat_link.feed import PATIENCE, Feed
from custom_components.moat_link.link.client import Link, LinkConfig
from custom_components.moat_link.link.clock import SystemClock
from custom_components.moat_link.link.path import Path
from custom_components.moat_link.link.transport import BrokerConfig
from custom_components.moat_link.problem import Problems
from tests.support.mosquitto import Mosquitto
from tests.support.server import FakeServer
from tests.support.wait import until

from .wire import ROOT, Peer, point


@dataclass
class Shifted(SystemClock):
    """A clock whose durations can be stretched."""

    ahead: float = field(default=0.0)

    @override
    def monotonic(self) -> float:
        """Return the seconds since some time, and what was added."""
        return super().monotonic() + self.ahead


@asynccontextmanager
async def running(broker: Mosquitto, clock: Shifted) -> AsyncIterator[tuple[Link, Feed]]:
    """Run a link with little patience, and a feed on it."""
    config = LinkConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port), root=Path(ROOT), grace=0.2
    )
    link = Link(config, clock=SystemClock())
    feed = Feed(link, clock, Problems())
    feed.start()
    task = asyncio.create_task(link.run())
    try:
        await link.wait_ready(5)
        yield link, feed
    finally:
        feed.stop()
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.no_server("a server gives the broker back what it has lost")
async def test_forgotten_by_the_broker(broker: Mosquitto, peer: Peer) -> None:
    """Doubted as long as nobody says more; the user may let go of it."""
    await peer.describe("battery", point("u", "voltage", "battery.u"))
    await peer.describe("board")
    async with running(broker, clock := Shifted()) as (link, feed):
        assert set(feed.site.devices) == {"battery", "board"}
        broker.kill()
        broker.start()
        await until(lambda: feed.doubts("battery") and feed.doubts("board"), 20)
        clock.ahead = 2 * PATIENCE
        feed.tick()
        assert set(feed.site.devices) == {"battery", "board"}
        async with Peer(broker, origin="again") as again:
            await again.describe("battery")
            await until(lambda: not feed.doubts("battery"))
        feed.forget("board")
        assert set(feed.site.devices) == {"battery"}
        assert link.status.degraded


@pytest.mark.no_server("has one of its own")
async def test_unknown_to_the_server(broker: Mosquitto, peer: Peer) -> None:
    """A server that goes on not knowing a device is believed in the end."""
    await peer.describe("battery")
    async with FakeServer() as server, running(broker, clock := Shifted()) as (link, feed):
        assert set(feed.site.devices) == {"battery"}
        await peer.put("run.service.main.conn", server.announcement)
        await until(lambda: feed.doubts("battery"))
        feed.tick()
        assert set(feed.site.devices) == {"battery"}
        assert not link.status.degraded
        clock.ahead = 2 * PATIENCE
        feed.tick()
        assert set(feed.site.devices) == set()


async def test_deleted(broker: Mosquitto, peer: Peer) -> None:
    """What somebody deletes is gone at once."""
    await peer.describe("battery")
    async with running(broker, Shifted()) as (_, feed):
        assert set(feed.site.devices) == {"battery"}
        await peer.delete("device.battery")
        await until(lambda: not feed.site.devices)
