"""What of all the readings becomes a message, and when; pure.

An outlet is one state path: it composes the values of all points that live there into one map or
list, which changes as a whole. A message is worth sending when something changed enough, or when
there are newer readings and the last message is getting old.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeIs

from .driver import Filter
from .link.codec import Value
from .link.describe import PointDescription
from .link.path import Path
from .link.quantity import Kind

DEFAULT_FILTER = Filter()
FRESH = 3.0  # a message is repeated after this fraction of the shortest `max_age`
_TICK = 0.001  # s, between two messages on one path


@dataclass(slots=True, eq=False)
class _Slot:
    """One point's place in an outlet."""

    point: PointDescription
    filter: Filter
    value: Value = None
    sent: Value = None
    time: float = float("-inf")

    @property
    def known(self) -> bool:
        return self.time > float("-inf")

    def differs(self) -> bool:
        """Return whether the value is another one than was sent, by more than the filter."""
        value, sent = self.value, self.sent
        if not (_is_number(value) and _is_number(sent)):
            return value != sent or type(value) is not type(sent)
        return abs(value - sent) > self.filter.deadband + self.filter.relative * abs(sent)

    @property
    def interval(self) -> float:
        gradual = _is_number(self.value) or isinstance(self.value, datetime)
        return self.filter.interval if gradual else 0.0


@dataclass(slots=True, eq=False)
class Outlet:
    """One state path."""

    path: Path
    _slots: dict[str, _Slot] = field(default_factory=dict)
    _sent_at: float = float("-inf")  # by the clock that decides when to send
    _stamp: float = float("-inf")  # of the last message
    _heard: float = float("-inf")  # the last reading, by the same clock
    _shelf_life: float | None = None  # s, the shortest of the points
    _waits: bool = True  # for its first message since it was last wanted anew

    def add(self, point: PointDescription, filter_: Filter) -> None:
        """Give a point its place."""
        self._slots[point.key] = _Slot(point, filter_)
        if point.max_age is not None:
            self._shelf_life = min(point.max_age, self._shelf_life or point.max_age)

    def update(self, key: str, value: Value, time: float, now: float) -> bool:
        """Take a value unless one as new is there; return whether it was taken."""
        slot = self._slots[key]
        if time <= slot.time:
            return False
        nothing = isinstance(value, float) and not math.isfinite(value)
        slot.value, slot.time = None if nothing else value, time
        self._heard = now
        return True

    def due(self, now: float) -> bool:
        """Return whether a message is worth sending now."""
        known = [slot for slot in self._slots.values() if slot.known]
        shelf_life = self._shelf_life
        if not known or (shelf_life is not None and now - self._heard > shelf_life):
            return False  # what is too old is not told as news
        waited = now - self._sent_at
        if self._waits or any(waited >= slot.interval and slot.differs() for slot in known):
            return True
        refresh = shelf_life is not None and waited >= shelf_life / FRESH
        return refresh and self._newest > self._stamp

    def take(self, now: float) -> tuple[Value, float]:
        """Return the whole value and its time, and count it as sent."""
        self._waits = False
        self._sent_at = now
        self._stamp = max(self._newest, self._stamp + _TICK)
        for slot in self._slots.values():
            slot.sent = slot.value
        return self.value(), self._stamp

    def adopt(self, former: Outlet) -> None:
        """Go on from an outlet of the same path, whose points may have been others."""
        for key, slot in self._slots.items():
            old = former._slots.get(key)
            if old is not None and old.point.item == slot.point.item:
                slot.value, slot.sent, slot.time = old.value, old.sent, old.time
        self._heard, self._stamp = former._heard, former._stamp

    def set_back(self, time: float) -> None:
        """Take readings from this time on: the clock that they are stamped with went back."""
        for slot in self._slots.values():
            slot.time = min(slot.time, time)

    def again(self) -> None:
        """Want a message as soon as possible: whoever had the last one may have lost it."""
        self._waits = True

    @property
    def known(self) -> bool:
        """Return whether there is any value."""
        return any(slot.known for slot in self._slots.values())

    @property
    def time(self) -> float:
        """Return when the newest value was taken."""
        return self._newest

    def value(self) -> Value:
        """Compose the values that are known."""
        result: Value = None
        for slot in self._slots.values():
            if slot.known:
                result = _placed(result, slot.point.item, slot.value)
        return result

    @property
    def _newest(self) -> float:
        return max(slot.time for slot in self._slots.values())


def make_outlets(points: Iterable[tuple[PointDescription, Filter]]) -> dict[str, Outlet]:
    """Return the outlets of these points, by the points' keys; events have none."""
    by_path: dict[Path, Outlet] = {}
    outlets: dict[str, Outlet] = {}
    for point, filter_ in points:
        if point.path is None or point.info.kind is Kind.EVENT:
            continue
        outlet = by_path.setdefault(point.path, Outlet(point.path))
        outlet.add(point, filter_)
        outlets[point.key] = outlet
    return outlets


def find(value: Value, item: tuple[str | int, ...]) -> Value:
    """Return what is at this place of a composed value, None if nothing is."""
    for step in item:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def _placed(container: Value, item: tuple[str | int, ...], value: Value) -> Value:
    """Put a value at its place, growing maps and lists as needed."""
    if not item:
        return value
    step, rest = item[0], item[1:]
    if isinstance(step, str):
        table = container if isinstance(container, dict) else {}
        table[step] = _placed(table.get(step), rest, value)
        return table
    row = container if isinstance(container, list) else []
    row += [None] * (step + 1 - len(row))
    row[step] = _placed(row[step], rest, value)
    return row


def _is_number(value: Value) -> TypeIs[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
