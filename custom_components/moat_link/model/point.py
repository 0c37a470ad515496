"""One value of a device, as it is now."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from ..link.codec import ABSENT, Value
from ..link.description import PointDescription, WritePath
from ..link.message import Message
from ..link.quantity import Kind
from .listeners import Listeners, Unsubscribe
from .values import PointValue, Wrong, reader_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from .device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value, when its source took it (s since 1970), and when it came (monotonic s)."""

    value: PointValue
    time: float
    received: float


class Point:
    """A described value. Only `Site` changes it; everybody may follow it."""

    __slots__ = (
        "_arrived",
        "_event",
        "_intent",
        "_listeners",
        "_max_age",
        "_read",
        "_seen",
        "_steps",
        "_unset",
        "ages",
        "current",
        "description",
        "device",
        "mistakes",
        "reading",
        "removed",
        "scheduled",
    )

    def __init__(self, device: Device, description: PointDescription) -> None:
        """Start without a reading."""
        self.device = device
        self.description = description
        self.reading: Reading | None = None
        self.mistakes = 0
        """Messages whose value was of a wrong type."""
        self.removed = False
        self.scheduled = False
        self._event = description.info.kind is Kind.EVENT
        self._intent = _is_intent(description)
        self.current = self._event or self._intent or not description.readable
        """Whether there is a reading, and a fresh one; always true where none is needed."""
        self._max_age = None if self._event else description.max_age
        self.ages = self._max_age is not None
        """Whether the value can become too old."""
        self._read = reader_for(description)
        self._unset = _value(self._read(None)) if self._intent else None
        self._seen = self._arrived = -inf
        self._steps = description.item
        self._listeners: Listeners[[]] = Listeners()

    @property
    def value(self) -> PointValue:
        """The last value of the quantity's type; None while unknown."""
        return self._unset if self.reading is None else self.reading.value

    @property
    def available(self) -> bool:
        """Whether the link is up, the owner alive, and the value there and fresh."""
        return self.current and self.device.available

    @property
    def topic(self) -> str | None:
        """The topic this point follows."""
        path = self.description.path
        return path.topic if path is not None and self.description.readable else None

    @property
    def deadline(self) -> float | None:
        """When the value will be too old (monotonic s); None for never."""
        if self._max_age is None or self.reading is None or not self.current:
            return None
        return self.reading.received + self._max_age

    def subscribe(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back when the value or the availability changed, and on every occurrence."""
        return self._listeners.add(callback)

    def notify(self) -> None:
        """Tell the subscribers (for `Site`)."""
        self._listeners()

    def take(
        self, message: Message, now: float, received: float, *, live: bool, latest: float
    ) -> bool:
        """Read a message of the point's topic; return whether that is news (for `Site`).

        What happened after `latest` (Unix s) has a wrong time, and keeps nothing else from happening.
        """
        raw = message.item(self._steps) if self._steps else message.value
        if self._event:
            if message.time == self._seen or message.time < self._seen <= latest:
                return False
            self._seen = message.time
            return live and self._occur(raw, message.time, received)
        if self._intent:
            raw = _wish(raw)
        before, was_available = self.value, self.available
        if raw is ABSENT:
            self.reading = None
            self.current = self._intent
        else:
            # what is newer cannot have come earlier: a deadline only ever moves on
            self._arrived = received = max(received, self._arrived)
            self.reading = Reading(value=self._typed(raw), time=message.time, received=received)
            self.current = self._max_age is None or now < received + self._max_age
        return self.value != before or self.available is not was_available

    def expire(self) -> bool:
        """The value has become too old; return whether that is news (for `Site`)."""
        was_available = self.available
        self.current = False
        return was_available

    def _occur(self, raw: Value, time: float, received: float) -> bool:
        if raw is ABSENT or (value := self._typed(raw)) is None:
            return False
        self.reading = Reading(value=value, time=time, received=received)
        return True

    def _typed(self, raw: Value) -> PointValue:
        value = self._read(raw)
        if isinstance(value, Wrong):
            self.mistakes += 1
            return None
        return value


def _is_intent(point: PointDescription) -> bool:
    """Whether a point shows the wish itself: what is not there is not wished."""
    write = point.write
    return (
        isinstance(write, WritePath)
        and write.expires is not None
        and write.path == point.path
        and not point.item
    )


def _wish(raw: Value) -> Value:
    """Unpack `{"value": …, "expires": …}`."""
    return raw.get("value") if isinstance(raw, dict) and "value" in raw else raw


def _value(value: PointValue | Wrong) -> PointValue:
    return None if isinstance(value, Wrong) else value
