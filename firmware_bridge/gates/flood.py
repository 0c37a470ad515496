"""Bounds what a flood from outside can do: a burst passes, then so many a second, the latest of each."""

from collections.abc import Iterator
from typing import Final

from .node import Heard

BURST: Final = 2_000.0
RATE: Final = 500.0  # messages a second
MOST: Final = 10_000
"""Topics that wait."""
MOST_BYTES: Final = 16 << 20
"""Of their payloads."""


class Flood:
    """Lets messages through or keeps the latest of each topic for a while. Pure."""

    def __init__(self, now: float) -> None:
        """Start with all that a burst may have."""
        self.dropped = 0
        self._budget = BURST
        self._filled = now
        self._waiting: dict[str, Heard] = {}
        self._size = 0

    @property
    def waiting(self) -> bool:
        """Whether something waits for its turn."""
        return bool(self._waiting)

    def admit(self, topic: str, heard: Heard, now: float) -> bool:
        """Whether a message may pass at once; if not, it waits."""
        self._fill(now)
        if self._budget >= 1 and topic not in self._waiting:
            self._budget -= 1
            return True
        before = self._waiting.get(topic)
        size = self._size + len(heard.payload) - (0 if before is None else len(before.payload))
        room = size <= MOST_BYTES and (before is not None or len(self._waiting) < MOST)
        if room:
            self._waiting[topic] = heard
            self._size = size
        if before is not None or not room:
            self.dropped += 1
        return False

    def take(self, now: float) -> Iterator[tuple[str, Heard]]:
        """Return what may pass now, in the order of its topics' arrival."""
        self._fill(now)
        while self._budget >= 1 and self._waiting:
            self._budget -= 1
            topic = next(iter(self._waiting))
            heard = self._waiting.pop(topic)
            self._size -= len(heard.payload)
            yield topic, heard

    def _fill(self, now: float) -> None:
        self._budget = min(BURST, self._budget + RATE * (now - self._filled))
        self._filled = now
