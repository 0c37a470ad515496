"""Many nodes: written, walked through, kept in memory, read from files, found at the broker."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cbor2

from benchmarks.report import Figures
from benchmarks.throughput.wire import properties
from tests.support.moat import ROOT

from .caller import Caller, CallError, connected, path
from .sides import Running

_UNDER_WAY: Final = 64
_LONG_AGO: Final = 1_700_000_000.0
_GROUP: Final = 100  # nodes with the same parent


async def load(running: Running, nodes: int) -> Figures:
    """Write nodes by `d.set`; what each takes of memory."""
    caller = await Caller.connect(running.socket)
    memory, begin = running.memory(), time.perf_counter()
    todo = iter(range(nodes))

    async def work() -> None:
        for number in todo:
            await caller.call(["d", "set"], _at(number), _value(number))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(_UNDER_WAY, nodes)):
            tasks.create_task(work())
    took = time.perf_counter() - begin
    caller.close()
    await asyncio.sleep(1)  # what was for the disk is on its way
    return {"seconds": took, "bytes_per_node": (running.memory() - memory) / nodes}


async def walk(running: Running, nodes: int) -> Figures:
    """Walk through all nodes, and meanwhile ask on another connection whether somebody is there."""
    walker, prober = [await Caller.connect(running.socket) for _ in range(2)]
    seen = 0
    delays: list[float] = []

    def see(item: list[Any]) -> None:
        nonlocal seen
        seen += 1

    async def probe() -> None:
        while True:
            begin = time.perf_counter()
            await prober.call(["i", "ping"])
            delays.append(time.perf_counter() - begin)
            await asyncio.sleep(0.005)

    before, begin = running.cpu(), time.perf_counter()
    await walker.walk(path("bench", "n"), see)
    took, cpu = time.perf_counter() - begin, running.cpu() - before
    probing = asyncio.create_task(probe())
    await walker.walk(path("bench", "n"), lambda _: None)
    probing.cancel()
    await asyncio.wait([probing])
    walker.close()
    prober.close()
    return {
        "complete": seen == nodes,
        "seconds": took,
        "cpu_s": cpu,
        "ping_max_ms": 1e3 * max(delays, default=0.0),
    }


async def ready(running: AbstractContextManager[Running], nodes: int) -> Figures:
    """Start a server, and wait until a client has got the last of the nodes."""
    begin = time.perf_counter()
    with running as server:
        caller = await connected(server.socket, 120)
        logged_in = time.perf_counter() - begin
        async with asyncio.timeout(120):
            while not await _has(caller, nodes - 1):
                await asyncio.sleep(0.02)
        took = time.perf_counter() - begin
        found = {"seconds": took, "login_s": logged_in, "cpu_s": server.cpu()}
        caller.close()
        return found | {"bytes": server.memory()}


def write_file(file: Path, nodes: int) -> None:
    """Write a complete file in the reference's format, with a node at the root."""
    file.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    text = f"MoaT-Link full {file.name!r}".ljust(25)
    about = {"state": None, "mode": "full", "name": file.name, "time": now}
    with file.open("wb") as output:
        encoder = cbor2.CBOREncoder(output, datetime_as_timestamp=True)
        encoder.encode(cbor2.CBORTag(55800, cbor2.CBORTag(1299145044, [text, about])))
        encoder.encode([0, path(), {"x": 1}, "INIT", _LONG_AGO])
        before: list[str] = []
        for number in range(nodes):
            here: list[str] = _at(number).value
            kept = next(i for i in range(4) if before[i : i + 1] != here[i : i + 1])
            entry = [kept, path(*here[kept:]), _value(number), "bench", _LONG_AGO + number / 1000]
            encoder.encode(entry)
            before = here
        encoder.encode(cbor2.CBORTag(1298360423, {"state": False, "time": now}))
        encoder.encode(cbor2.CBORTag(1298493254, {"time": now}))


def retained(nodes: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Return the same nodes as messages for a broker to retain."""
    top = ROOT.replace(".", "/")
    for number in range(nodes):
        topic = "/".join((top, *_at(number).value))
        yield topic, cbor2.dumps(_value(number)), properties(_LONG_AGO + number / 1000)


def _at(number: int) -> cbor2.CBORTag:
    return path("bench", "n", f"g{number // _GROUP}", f"item{number % _GROUP}")


def _value(number: int) -> dict[str, Any]:
    return {"state": number, "unit": "W"}


async def _has(caller: Caller, number: int) -> bool:
    try:
        return bool((await caller.call(["d", "get"], _at(number)))[0] == _value(number))
    except CallError:
        return False
