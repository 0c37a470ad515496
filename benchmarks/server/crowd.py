"""A large tree and many clients: does everybody get an answer in time while much goes on."""

import asyncio
import time
from typing import Final

from benchmarks.report import Figures

from .caller import Caller, CallError, path
from .sides import Running

PATIENCE: Final = 3.0
"""Seconds in which a probe must be answered."""
_EVERY: Final = 1.0
_WALKERS: Final = 3
_WRITES: Final = 100  # a second


async def crowd(running: Running, clients: int, seconds: float) -> Figures:
    """Let every client probe the server each second, while some walk, and one writes."""
    callers = [await Caller.connect(running.socket) for _ in range(clients)]
    walkers = [await Caller.connect(running.socket) for _ in range(_WALKERS)]
    end = time.perf_counter() + seconds
    delays: list[float] = []
    late = walks = items = 0

    async def probe(caller: Caller, index: int) -> None:
        nonlocal late
        await asyncio.sleep(index / clients * _EVERY)
        while (begin := time.perf_counter()) < end:
            try:
                async with asyncio.timeout(PATIENCE):
                    await caller.call(["i", "ping"])
            except TimeoutError, CallError:
                late += 1
            delays.append(time.perf_counter() - begin)
            await asyncio.sleep(_EVERY)

    def see(_: object) -> None:
        nonlocal items
        items += 1

    async def walk(caller: Caller) -> None:
        nonlocal walks
        while time.perf_counter() < end:
            await caller.walk(path("bench", "n"), see)
            walks += 1

    async def write(caller: Caller) -> None:
        number = 0
        while time.perf_counter() < end:
            number += 1
            await caller.call(["d", "set"], path("bench", "w", f"n{number % 100}"), number)
            await asyncio.sleep(1 / _WRITES)

    async with asyncio.TaskGroup() as tasks:
        for index, caller in enumerate(callers):
            tasks.create_task(probe(caller, index))
        for caller in walkers:
            tasks.create_task(walk(caller))
        tasks.create_task(write(callers[0]))
    lost = sum(caller.lost.done() for caller in [*callers, *walkers])
    probed = sum(caller.probed for caller in callers)
    for caller in [*callers, *walkers]:
        caller.close()
    return {
        "late": late,
        "lost": lost,
        "probes": len(delays),
        "probed": probed,
        "walks": walks,
        "items": items,
        "max_ms": 1e3 * max(delays),
    }
