"""What is looked at while something runs: garbage collections, stalls, memory."""

import asyncio
import gc
import resource
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

PAGE = resource.getpagesize()


def resident() -> int:
    """Return the bytes of memory that this process uses now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that this many percent are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Collections:
    """Full garbage collections while it is open: when they were (monotonic ns)."""

    def __init__(self) -> None:
        """Start without any."""
        self.times: list[tuple[int, int]] = []
        self._begin = 0

    def __enter__(self) -> Self:
        """Start to look."""
        gc.callbacks.append(self._collected)
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        gc.callbacks.remove(self._collected)

    @property
    def longest(self) -> float:
        """How long the longest took, in ms."""
        return max((end - begin for begin, end in self.times), default=0) / 1e6

    def within(self, begin: int, end: int) -> bool:
        """Tell whether one ran at some time between these two."""
        # they do not overlap each other, and are in order
        first = bisect_left(self.times, begin, key=lambda one: one[1])
        return first < len(self.times) and self.times[first][0] <= end

    def _collected(self, phase: str, info: Mapping[str, int]) -> None:
        if info["generation"] < 2:
            return
        if phase == "start":
            self._begin = time.monotonic_ns()
        else:
            self.times.append((self._begin, time.monotonic_ns()))


class Heartbeat:
    """How long the event loop did not come round, at most.

    A busy machine keeps it waiting, too: `cpu` of a stall tells how much of it was our own work.
    """

    PERIOD = 0.002

    def __init__(self) -> None:
        """Start with a calm loop."""
        self.stalls: list[Stall] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to beat."""
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Beat no more."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def longest(self, collections: Collections | None = None) -> Stall:
        """Return the longest stall, without those in which garbage was collected."""
        return max(
            (
                stall
                for stall in self.stalls
                if collections is None or not collections.within(stall.begin, stall.end)
            ),
            key=lambda stall: stall.ms,
            default=Stall(0, 0, 0.0),
        )

    async def _beat(self) -> None:
        while True:
            due = time.monotonic_ns() + int(self.PERIOD * 1e9)
            cpu = time.thread_time()
            await asyncio.sleep(self.PERIOD)
            now = time.monotonic_ns()
            if now - due > 1_000_000:
                self.stalls.append(Stall(due, now, (time.thread_time() - cpu) * 1e3))


class Stall(NamedTuple):
    """When the loop stood still (monotonic ns), and for how much of it at work (CPU, ms)."""

    begin: int
    end: int
    cpu: float

    @property
    def ms(self) -> float:
        """How long it was."""
        return (self.end - self.begin) / 1e6
