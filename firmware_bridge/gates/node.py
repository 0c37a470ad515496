"""What a gate knows of a node, what it hears of it and what it does about it. Pure."""

from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Final, Self

from ..link.alike import alike
from ..link.codec import ABSENT, RemoteObject, Value
from ..link.meta import Meta
from ..link.mirror import Packed, packed, unpacked
from .codecs import MAX_PAYLOAD, written
from .plain import CodecError
from .table import Rule

FUTURE: Final = 60.0
"""Seconds: times that are further ahead of our clock are not believed."""
LIVE: Final = "live"
"""Keyword of what was not retained outside: it is not put back there."""
_BEGINNING: Final = 1_000  # bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """A message from outside."""

    payload: bytes
    text: bool = False
    meta: Meta | None = None
    retained: bool = False
    size: int = 0
    """Bytes of a message that is too long; its payload is only the beginning."""

    @classmethod
    def of(cls, payload: bytes, *, text: bool, meta: Meta | None, retained: bool) -> Self:
        """Return what has to be kept of a message."""
        if len(payload) <= MAX_PAYLOAD:
            return cls(payload, text, meta, retained)
        return cls(payload[:_BEGINNING], text, meta, retained, len(payload))


@dataclass(frozen=True, slots=True)
class Told:
    """A message from inside, from MoaT-Link; ABSENT: a deletion."""

    value: Value
    meta: Meta
    retained: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """Publish this outside; `time` is for its metadata."""

    topic: str
    payload: bytes
    text: bool
    retain: bool
    time: float


@dataclass(frozen=True, slots=True)
class Write:
    """Write this inside; `outer` are the metadata it had outside, if any; `inner`: it never was there."""

    topic: str
    value: Value
    time: float
    outer: Meta | None
    live: bool
    inner: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Something cannot be translated; None: it is well again."""

    topic: str
    problem: str | None
    payload: bytes = b""


type Action = Send | Write | Fault


@dataclass(slots=True, eq=False)
class Node:
    """What is known of a node: what was agreed, and what is outside."""

    known: bool = False
    kept: Packed = (ABSENT, False)
    """The `value`, packed: as objects, maps and lists take up to seventy times as much."""
    inside: float = -inf
    """The time of what was agreed, at MoaT-Link."""
    outside: float = -inf
    """The same, to be compared with times from outside."""
    written: bool = False
    """Whether that is the time at which we wrote it."""
    from_outside: bool = False
    live: bool = False
    retained: bool = True
    heard: Heard | None = None
    sent: int = 0
    """Messages of ours that have not come back yet."""
    taken: float = -inf
    """When something was last taken from outside."""
    waiting: tuple[Heard, float] | None = None
    """Something from outside that came too soon, and when."""
    due: float = inf
    pause: float = 0.0
    correct_after: float = -inf
    told: Told | None = None
    """What was told while both sides are read, its value apart, packed."""
    told_value: Packed = (ABSENT, False)
    fresh: Heard | None = None
    """What was heard meanwhile."""
    weight: int = 0
    """What was `held` when the gate last counted."""

    @property
    def value(self) -> Value:
        """What was agreed."""
        return unpacked(self.kept)

    @value.setter
    def value(self, value: Value) -> None:
        self.kept = packed(value) or (value, False)

    @property
    def held(self) -> int:
        """Bytes of payloads that are remembered."""
        waiting = None if self.waiting is None else self.waiting[0]
        return (
            (len(self.heard.payload) if self.heard is not None else 0)
            + (len(self.fresh.payload) if self.fresh is not None else 0)
            + (len(waiting.payload) if waiting is not None and waiting is not self.heard else 0)
        )

    def note(self, told: Told) -> None:
        """Keep what was told for later."""
        self.told = replace(told, value=ABSENT)
        self.told_value = packed(told.value) or (told.value, False)

    def noted(self) -> Told | None:
        """Take what was kept for later."""
        told, self.told = self.told, None
        value, self.told_value = self.told_value, (ABSENT, False)
        return told and replace(told, value=unpacked(value))

    def spare(self, *, reading: bool) -> int:
        """Bytes of what the next message is to replace."""
        if reading:
            return 0 if self.fresh is None else len(self.fresh.payload)
        if self.heard is None or (self.waiting is not None and self.waiting[0] is self.heard):
            return 0
        return len(self.heard.payload)


def adopt(node: Node, told: Told, origin: str, now: float) -> None:
    """Agree on what is inside."""
    outer = _outer(told.meta) if told.meta.origin == origin else None
    node.known = True
    node.value = told.value
    node.inside = told.meta.time
    node.written = False
    node.from_outside = outer is not None
    time = told.meta.time if outer is None else outer
    node.outside = time if time <= now + FUTURE else now
    node.live = outer is not None and told.meta.keywords.get(LIVE) is True
    node.retained = told.retained
    if node.waiting is not None and (believed(node.waiting[0], now) or node.waiting[1]) <= time:
        node.waiting, node.due = None, inf
    node.pause, node.correct_after = 0.0, -inf


def _outer(meta: Meta) -> float | None:
    """Return the time that a value taken from outside had there."""
    match meta.keywords.get("gw"):
        case RemoteObject("_MM", (str(), float() | int() as time, *_)):
            return float(time)
    return None


def believed(heard: Heard, now: float) -> float | None:
    """Return the time that a message from outside says itself, if it is one."""
    if heard.meta is None or not isfinite(heard.meta.time) or heard.meta.time > now + FUTURE:
        return None
    return heard.meta.time


def same(node: Node, rule: Rule, heard: Heard, value: Value) -> bool:
    """Whether outside is what was agreed, as far as the codec can tell."""
    if alike(node.value, value):
        return True
    if node.value is ABSENT or value is ABSENT:
        return False
    try:
        return written(rule.codec, node.value).payload == heard.payload
    except CodecError:
        return False
