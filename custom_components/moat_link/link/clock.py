"""Time: the clock the link asks, stamps that only increase, and how long to wait before a retry."""

import math
import random
import time
from collections import deque
from collections.abc import Hashable
from typing import Final, Protocol, override

STEP: Final = 0.001  # MoaT's resolution: two writes of one node are at least this far apart
LATEST: Final = 1e18  # nothing could be written after the last time there is: later ones are none


class Clock(Protocol):
    """Where the link reads the time."""

    def time(self) -> float:
        """Return the seconds since 1970, for metadata."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""


class SystemClock(Clock):
    """The clock of the machine."""

    @override
    def time(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    @override
    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


class Stamps:
    """Strictly increasing times for our own writes, node by node.

    Whoever writes a node twice within one tick, or with a clock behind the node's last writer, loses
    the write silently: every reader drops what is not newer.
    """

    def __init__(self, clock: Clock, *, limit: int = 50_000) -> None:
        """Remember the last time of at most about `limit` nodes."""
        self._clock = clock
        self._limit = limit
        self._sent: dict[str, tuple[float, Hashable]] = {}

    def stamp(
        self,
        topic: str,
        *,
        seen: float | None = None,
        source: float | None = None,
        content: Hashable = None,
    ) -> float:
        """Return the time for the next write of a node.

        `seen` is the newest time received for it, believed up to LATEST; `source` the time the source
        took the value, kept when it is newer than our last write. The same `content` with the same
        `source` time again is a repetition, and repeats its time.
        """
        last = self._sent.get(topic)
        if source is not None and content is not None and last == (source, content):
            return source
        if seen is not None and seen > LATEST:
            seen = None
        stamp = self._clock.time() if source is None else source
        for earlier in (seen, last and last[0]):
            if earlier is not None and stamp <= earlier:
                stamp = max(earlier + STEP, math.nextafter(earlier, math.inf))
        self._remember(topic, stamp, content)
        return stamp

    def _remember(self, topic: str, stamp: float, content: Hashable) -> None:
        self._sent[topic] = (stamp, content)
        if len(self._sent) > self._limit:
            newest = sorted(self._sent.items(), key=lambda entry: entry[1][0])
            self._sent = dict(newest[len(newest) // 2 :])


class Backoff:
    """Waiting times for a retry: from `first` to `longest`, each half as long again, with jitter."""

    def __init__(self, first: float = 1.0, longest: float = 30.0) -> None:
        """Start with about `first` seconds."""
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        """Start over: the last attempt succeeded."""
        self._next = self._first

    def wait(self) -> float:
        """Return the seconds until the next attempt: three quarters of the current step or more."""
        delay, self._next = self._next, min(self._next * 1.5, self._longest)
        return delay * random.uniform(0.75, 1.0)  # jitter is no secret


class Skew:
    """How far another clock is ahead of ours, from times it has just told us."""

    def __init__(self, samples: int = 5) -> None:
        """Judge by the last few samples."""
        self._samples: deque[float] = deque(maxlen=samples)

    def add(self, difference: float) -> float:
        """Add a sample, its time minus that of arrival; return the estimate.

        Being under way makes a sample smaller, so the largest one is the best.
        """
        self._samples.append(difference)
        return max(self._samples)
