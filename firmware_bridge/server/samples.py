"""Puts the values of a node together, interval by interval. Pure."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..link.codec import ABSENT, Value
from ..link.errors import DecodeError
from ..link.server import Sample
from .records import Record


class Sampler:
    """Weighs every number by how long it held: from its own time until the next value.

    Intervals are `step` seconds long, the first one begins at `start`. Yes and no count as 1 and 0; a
    deletion, or what is no number, ends what held before. Without a number there is no sample.
    """

    def __init__(self, step: float, start: float, item: Sequence[Value] = ()) -> None:
        """`item` is where in a map or list the number is."""
        self._step = step
        self._origin = start
        self._item = item
        self._index = 0
        self._at = start
        self._number: float | None = None
        self._sum = _Sum()

    def carry(self, record: Record) -> None:
        """Take what has held since before the start."""
        self._number = _number(record, self._item)

    def add(self, time: float, record: Record) -> Iterator[Sample]:
        """Take a value, not older than the one before; deliver the intervals that are over."""
        yield from self._advance(time)
        self._number = number = _number(record, self._item)
        if number is not None:
            self._sum.count += 1
            self._sum.note(number)

    def rest(self, end: float) -> Iterator[Sample]:
        """Deliver what there is up to the end."""
        yield from self._advance(end)
        yield from self._close()

    def _advance(self, time: float) -> Iterator[Sample]:
        while (end := self._origin + (self._index + 1) * self._step) <= time:
            self._hold(end)
            yield from self._close()
            self._index += 1
            if self._number is None:  # what has nothing to tell is passed over at once
                self._index = max(self._index, int((time - self._origin) // self._step))
        self._hold(time)

    def _hold(self, until: float) -> None:
        """Let the present number hold until then."""
        seconds = until - self._at
        if self._number is not None and seconds > 0:
            self._sum.note(self._number)
            self._sum.held += seconds
            self._sum.weighted += self._number * (seconds / self._step)
        self._at = until

    def _close(self) -> Iterator[Sample]:
        """Deliver an interval that has a number, and begin another."""
        done, self._sum = self._sum, _Sum()
        if done.low <= done.high:
            mean = done.weighted / (done.held / self._step) if done.held else done.last
            mean = min(max(mean, done.low), done.high)  # nothing but rounding is outside
            start = self._origin + self._index * self._step
            yield Sample(start, mean, done.low, done.high, done.count, done.held)


@dataclass(slots=True)
class _Sum:
    """What there was in an interval so far."""

    low: float = math.inf
    high: float = -math.inf
    last: float = 0.0
    weighted: float = 0.0
    held: float = 0.0
    count: int = 0

    def note(self, number: float) -> None:
        """Take a number."""
        self.low = min(self.low, number)
        self.high = max(self.high, number)
        self.last = number


def picked(value: Value, item: Sequence[Value]) -> Value:
    """Step into maps and lists; ABSENT if there is nothing."""
    for step in item:
        if isinstance(value, dict) and isinstance(step, str | int):
            value = value.get(step, ABSENT)
        elif isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
        else:
            return ABSENT
    return value


def _number(record: Record, item: Sequence[Value]) -> float | None:
    """Return the number at `item`, if there is one that can be calculated with."""
    with suppress(DecodeError, OverflowError):
        plain = record.number  # at once, as there may be millions
        value = picked(record.value, item) if item or plain is None else plain
        if isinstance(value, int | float) and math.isfinite(number := float(value)):
            return number
    return None
