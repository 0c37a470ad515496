"""A program that publishes something on the link and describes nothing: a freezer's thermometer."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator

from firmware_bridge.link.client import Link, LinkConfig
from firmware_bridge.link.codec import Value
from firmware_bridge.link.errors import ConnectionLostError
from firmware_bridge.link.path import Path
from firmware_bridge.link.transport import BrokerConfig

EVERY = 2.0  # s
SCHEMA: Value = {
    "type": "object",
    "properties": {
        "temperature": {
            "type": "number",
            "title": "Freezer",
            "description": "Measured at the top, with the door closed.",
            "unit": "°C",
        },
        "door": {"type": "boolean", "title": "Door"},
    },
}


@contextlib.asynccontextmanager
async def neighbour(port: int, root: str, path: str) -> AsyncIterator[Link]:
    """Publish for as long as the context lasts; the link is for others, too."""
    link = Link(
        LinkConfig(
            broker=BrokerConfig(host="127.0.0.1", port=port),
            root=Path.parse(root),
            name="neighbour",
        )
    )
    tasks = [
        asyncio.create_task(link.run(), name="neighbour"),
        asyncio.create_task(_publish(link, Path.parse(path)), name="freezer"),
    ]
    try:
        await link.wait_ready(10)
        yield link
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.wait(tasks)


async def _publish(link: Link, path: Path) -> None:
    """Publish the temperature, and what it is; after an outage again."""
    while True:
        with contextlib.suppress(ConnectionLostError):
            value = -18.4 + 0.8 * math.sin(time.time() / 20)
            link.publish(path, {"temperature": round(value, 2), "door": False})
            link.publish(Path("schema") / path, SCHEMA)
        await asyncio.sleep(EVERY)
