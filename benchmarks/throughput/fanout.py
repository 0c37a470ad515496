"""What one value costs among many entities: it should wake only those that follow it.

python -m benchmarks.throughput.fanout SENSORS MESSAGES PORT HTTP_PORT DIRECTORY
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path as File
from typing import Any
from unittest.mock import patch

from homeassistant.helpers.entity import Entity

from custom_components.moat_link.link.message import Message, decode_message
from custom_components.moat_link.model import Site

from .sides import SIDES, topic_of
from .states import Run
from .wire import ROOT, Format, metadata, payload

ROUNDS = 5


def messages(sensors: int, count: int, first: int) -> list[Message]:
    """Return values for as many sensors, all over the place."""
    now = time.time()
    result = []
    for number in range(first, first + count):
        topic = topic_of(number * 7919 % sensors).removeprefix(f"{ROOT}/")
        content, meta = payload(Format.CBOR, number, now), metadata(now + number / 1000)
        result.append(
            decode_message(topic, content, text=False, meta=meta, retained=False, now=now, me="me")
        )
    return result


async def measure(
    sensors: int, count: int, port: int, http_port: int, directory: File
) -> dict[str, Any]:
    """Return how many states a message writes, and its CPU from the decoder to the state."""
    run = Run(SIDES["moat"], sensors, port, directory)
    await run.start(http_port)
    site: Site = run.entry.runtime_data.site
    written = 0
    write = Entity.async_write_ha_state

    def counted(entity: Entity) -> None:
        nonlocal written
        written += 1
        write(entity)

    rounds = []
    for number in range(ROUNDS):
        prepared = messages(sensors, count, 1 + number * count)
        await run.hass.async_block_till_done()
        begin = time.process_time()
        for message in prepared:
            site.apply(message, live=True)
        rounds.append((time.process_time() - begin) / count * 1e6)
    # counted apart, since counting is not for nothing
    with patch.object(Entity, "async_write_ha_state", counted):
        for message in messages(sensors, count, 1 + ROUNDS * count):
            site.apply(message, live=True)
    return {"sensors": sensors, "writes": written / count, "cpu_us": sorted(rounds)[ROUNDS // 2]}


if __name__ == "__main__":
    *_numbers, _directory = sys.argv[1:]
    _sensors, _count, _port, _http = map(int, _numbers)
    _work = measure(_sensors, _count, _port, _http, File(_directory))
    print("RESULT", json.dumps(asyncio.Runner().run(_work)), flush=True)
    os._exit(0)  # taking everything down takes longer than measuring it
