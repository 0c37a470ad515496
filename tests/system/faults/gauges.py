"""What tells whether a fault did harm: stalls of the loop, things left behind, lines in the log."""

import asyncio
import contextlib
import gc
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from homeassistant.core import HomeAssistant

from .source import session

STEP = 0.01


@dataclass
class Stalls:
    """How long the loop was busy with one thing, at most, in seconds.

    Counted is what our own thread computed meanwhile (`longest`): not the time that other processes
    took the processor away, nor full garbage collections, which hit every integration.
    """

    longest: float = 0.0
    collecting: float = 0.0


@contextlib.asynccontextmanager
async def stalls() -> AsyncIterator[Stalls]:
    """Watch the loop."""
    found = Stalls()
    began = 0.0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        elif info["generation"] == 2:
            found.collecting += time.thread_time() - began

    async def watch() -> None:
        while True:
            wall, cpu, collected = time.monotonic(), time.thread_time(), found.collecting
            await asyncio.sleep(STEP)
            late = time.monotonic() - wall - STEP
            busy = time.thread_time() - cpu - (found.collecting - collected)
            found.longest = max(found.longest, min(late, busy))

    gc.callbacks.append(note)
    task = asyncio.get_running_loop().create_task(watch())
    try:
        yield found
    finally:
        task.cancel()
        gc.callbacks.remove(note)


async def visit(port: int) -> float:
    """Return the seconds in which a bare session connects, reads what is retained, and leaves."""
    start = time.monotonic()
    line = await session(port)
    await line.subscribe("#")
    await line.barrier()
    await line.close()
    return time.monotonic() - start


def memory() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def footprint(hass: HomeAssistant) -> dict[str, int]:
    """Count what could be left behind."""
    loop = asyncio.get_running_loop()
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "listeners": sum(hass.bus.async_listeners().values()),
        "timers": sum(not each.cancelled() for each in loop._scheduled),  # type: ignore[attr-defined]
    }


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return what there is more of."""
    return {name: count - before[name] for name, count in after.items() if count > before[name]}


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    """Return what our own code has logged at this level and above."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("custom_components.moat_link") and record.levelno >= level
    ]
