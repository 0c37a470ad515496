"""What was said in passing: the nodes whose last message was not to be retained, on disk, too."""

from collections.abc import Iterator
from pathlib import Path as File
from typing import Final

from ..link.clock import Clock
from .memory import recall, remember

_MOST: Final = 20_000
_PER_SECOND: Final = 200  # topics written, so that a large set is written less often
_BREATH: Final = 1.0  # seconds between two times


class Passing:
    """A set of topics, of limited size, that survives a restart if there is a file."""

    def __init__(self, clock: Clock, file: File | None = None) -> None:
        self._clock = clock
        self._file = file
        self._topics: dict[str, None] = {}
        self._changed = False
        self._next = float("-inf")

    def add(self, topic: str) -> None:
        """Take note of one, if there is room."""
        if topic not in self._topics and len(self._topics) < _MOST:
            self._topics[topic] = None
            self._changed = True

    def discard(self, topic: str) -> None:
        """Forget one."""
        if topic in self._topics:
            del self._topics[topic]
            self._changed = True

    def __iter__(self) -> Iterator[str]:
        """Go through all topics; they may change meanwhile."""
        return iter(list(self._topics))

    @property
    def due(self) -> bool:
        """Whether there is something to save, and the last time is long enough ago."""
        return self._changed and self._clock.monotonic() >= self._next

    def load(self) -> None:
        """Read the file; what cannot be understood is not there."""
        if self._file is None:
            return
        match recall(self._file):
            case {"topics": [*topics]}:
                known = (each for each in topics[:_MOST] if isinstance(each, str))
                self._topics = dict.fromkeys(known)

    def save(self) -> None:
        """Write the file, if there is news. OSError."""
        if not self._changed:
            return
        self._changed = False
        topics = list(self._topics)
        self._next = self._clock.monotonic() + max(_BREATH, len(topics) / _PER_SECOND)
        if self._file is None:
            return
        try:
            remember(self._file, {"topics": topics})
        except OSError:
            self._changed = True
            raise
