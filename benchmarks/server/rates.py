"""How many calls a second, and what each costs the server; updates that come by MQTT."""

import asyncio
import time
from itertools import count
from typing import Any, Final

import cbor2

from benchmarks.report import Figures
from benchmarks.throughput.gauges import percentile
from benchmarks.throughput.wire import connect, properties, publish
from tests.support.moat import ROOT

from .caller import Caller, Items, path
from .sides import Running, per_call

PATTERNS: Final = ((1, 1), (1, 20), (20, 1))
"""Connections, and calls under way on each of them."""
KINDS: Final = ("ping", "get", "set")
_BLOCK: Final = 500
_TOPICS: Final = 1000


async def rate(
    running: Running, kind: str, connections: int, depth: int, seconds: float
) -> Figures:
    """Call as often as possible for some seconds."""
    callers = [await Caller.connect(running.socket) for _ in range(connections)]
    for number in range(100):
        await callers[0].call(*_write(number, number))
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def work(caller: Caller, seed: int) -> None:
        for number in count(seed):
            begin = time.perf_counter()
            if begin > end:
                return
            await caller.call(*_call(kind, seed, number))
            times.append(time.perf_counter() - begin)

    before, begin = running.cpu(), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for index, caller in enumerate(callers):
            for slot in range(depth):
                tasks.create_task(work(caller, 1000 * index + slot))
    took = time.perf_counter() - begin
    found = per_call(before, running, len(times))
    for caller in callers:
        caller.close()
    return found | {
        "per_second": len(times) / took,
        "median_ms": 1e3 * percentile(times, 50),
        "p99_ms": 1e3 * percentile(times, 99),
    }


async def updates(running: Running, port: int, number: int) -> Figures:
    """Publish values, and wait after each block until the server has them all."""
    caller = await Caller.connect(running.socket)
    with connect(port, "source") as broker:
        base = time.time()
        before, begin = running.cpu(), time.perf_counter()
        for start in range(0, number, _BLOCK):
            packets = [
                publish(
                    f"{_TOP}/bench/q/s{each % _TOPICS}",
                    cbor2.dumps({"state": each, "unit": "W"}),
                    props=properties(base + each * 1e-5),
                )
                for each in range(start, start + _BLOCK)
            ]
            (stamp,) = await caller.call(["i", "stamp"])
            topic = f"{_TOP}/run/service/main/stamp/{caller.server}"
            packets.append(publish(topic, cbor2.dumps(stamp), props=properties(time.time())))
            broker.sendall(b"".join(packets))
            await asyncio.wait_for(caller.call(["i", "sync"], stamp), 30)
        took = time.perf_counter() - begin
        found = per_call(before, running, number)
        last = await caller.call(["d", "get"], path("bench", "q", f"s{(number - 1) % _TOPICS}"))
    caller.close()
    return found | {"per_second": number / took, "complete": last[0]["state"] == number - 1}


_TOP: Final = ROOT.replace(".", "/")


def _call(kind: str, seed: int, number: int) -> tuple[Items, *tuple[Any, ...]]:
    if kind == "ping":
        return ["i", "ping"], number
    if kind == "get":
        return ["d", "get"], path("bench", "r", f"n{number % 100}")
    return _write(seed % 100, number)


def _write(at: int, state: int) -> tuple[Items, *tuple[Any, ...]]:
    return ["d", "set"], path("bench", "r", f"n{at}"), {"state": state, "unit": "W"}
