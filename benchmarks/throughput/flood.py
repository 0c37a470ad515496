"""Many retained messages on connect: how many are seen, how soon, and does the loop stand still.

python -m benchmarks.throughput.flood link|hass COUNT SENSORS PORT HTTP_PORT DIRECTORY

`link` is a bare `Link.watch`; `hass` the whole integration, which shows SENSORS of the values.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path as File
from typing import Any
from unittest.mock import patch

from homeassistant.core import HomeAssistant

from custom_components.moat_link.link.client import Link, LinkConfig
from custom_components.moat_link.link.message import Message
from custom_components.moat_link.link.path import Path
from custom_components.moat_link.link.transport import BrokerConfig
from custom_components.moat_link.model import Site

from .gauges import Collections, Heartbeat, resident
from .hass import boot, config_entry
from .sides import SIDES, Retained, topic_of
from .wire import ROOT, Format, payload, properties

PATIENCE = 20
PLANT = "plant"


def retained(count: int, sensors: int) -> Iterator[Retained]:
    """Return the flood: values, and the descriptions of some of them."""
    yield from SIDES["moat"].descriptions(sensors)
    now = time.time()
    for number in range(count):
        at = now - count + number
        yield topic_of(number), payload(Format.CBOR, number, at), properties(at)


class Flood:
    """Counts what arrives."""

    def __init__(self, count: int) -> None:
        """Wait for this many topics."""
        self._count = count
        self._begin = time.monotonic()
        self.seconds = 0.0
        self.topics: set[str] = set()
        self.complete = asyncio.Event()

    def see(self, message: Message) -> None:
        """Take note of a message."""
        if message.topic.startswith(PLANT):
            self.topics.add(message.topic)
            if len(self.topics) == self._count and not self.complete.is_set():
                self.seconds = time.monotonic() - self._begin
                self.complete.set()

    async def finish(self) -> None:
        """Wait until everything has arrived, or nothing more will."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self.complete.wait()
        if not self.complete.is_set():
            self.seconds = time.monotonic() - self._begin


@asynccontextmanager
async def bare(flood: Flood, port: int) -> AsyncIterator[None]:
    """Take part with nothing but a link and one watch."""
    broker = BrokerConfig(host="127.0.0.1", port=port)
    link = Link(LinkConfig(broker=broker, root=Path(ROOT), name="bench"))
    link.watch(Path(PLANT), flood.see)
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def whole(flood: Flood, port: int, hass: HomeAssistant) -> AsyncIterator[None]:
    """Take part with the integration."""
    apply = Site.apply

    def seen(site: Site, message: Message, *, live: bool | None = None) -> None:
        apply(site, message, live=live)
        flood.see(message)

    side = SIDES["moat"]
    with patch.object(Site, "apply", seen):
        await hass.config_entries.async_add(config_entry(side.domain, side.entry(port)))
        yield


async def measure(
    how: str, count: int, sensors: int, port: int, http_port: int, directory: File
) -> dict[str, Any]:
    """Return how one flood went."""
    hass = await boot(directory / "config", http_port) if how == "hass" else None
    gc.collect()
    memory = resident()
    with Collections() as collections:
        async with Heartbeat() as heart:
            flood = Flood(count)
            async with bare(flood, port) if hass is None else whole(flood, port, hass):
                await flood.finish()
    shown = 0 if hass is None else len(hass.states.async_entity_ids("sensor"))
    return {
        "sent": count,
        "seen": len(flood.topics),
        "complete": len(flood.topics) == count and (hass is None or shown >= sensors),
        "seconds": flood.seconds,
        "stall_ms": heart.longest().ms,
        "stall_cpu_ms": max((stall.cpu for stall in heart.stalls), default=0.0),
        "stall_without_gc_ms": heart.longest(collections).ms,
        "full_gc": len(collections.times),
        "full_gc_ms": collections.longest,
        "mb": (resident() - memory) / 1e6,
    }


if __name__ == "__main__":
    _how, *_numbers, _directory = sys.argv[1:]
    _count, _sensors, _port, _http = map(int, _numbers)
    _work = measure(_how, _count, _sensors, _port, _http, File(_directory))
    print("RESULT", json.dumps(asyncio.Runner().run(_work)), flush=True)
    os._exit(0)  # taking Home Assistant down takes longer than the flood
