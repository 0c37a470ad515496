"""From a wish for a point to what has to be sent, and from its state to "done". Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isclose
from typing import Final

from ..link.codec import Key, Value
from ..link.description import PointDescription, WritePath
from ..link.errors import CommandError, CommandFailure
from ..link.fields import finite
from ..link.path import Path
from ..link.quantity import CLOSED, CLOSING, OPEN, OPENING, Kind
from .values import TEXT_LIMIT, PointValue, rounded

TOLERANCE: Final = 0.002
"""Relative error of a number that made its way as half-precision float."""

_ON_ITS_WAY: Final = {OPEN: OPENING, CLOSED: CLOSING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A command to publish."""

    path: Path
    value: Value
    retain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command to call."""

    service: Path
    command: tuple[str | int, ...]
    arguments: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = field(default_factory=dict)


def prepare(
    point: PointDescription, value: PointValue, *, now: float, reason: str = ""
) -> Publication | Call:
    """Return what to send to set a point; `now` in Unix s, `reason` goes with an intent.

    Raises CommandError: READ_ONLY, or INVALID when the point cannot have this value.
    """
    write = point.write
    if write is None or not point.writable:
        raise CommandError(CommandFailure.READ_ONLY)
    trigger = point.info.kind is Kind.TRIGGER
    raw = _raw(point, value)
    keywords = _intent(write.expires, now, reason)
    if isinstance(write, WritePath):
        # null takes a wish back; there is nothing left that could expire
        wrap = bool(keywords) and raw is not None
        wrapped = dict[Key, Value]([("value", raw), *keywords.items()])
        return Publication(path=write.path, value=wrapped if wrap else raw, retain=write.retain)
    return Call(
        service=write.service,
        command=write.command,
        arguments=write.args if trigger else (*write.args, raw),
        keywords=keywords,
    )


def confirms(point: PointDescription, wish: PointValue, value: PointValue) -> bool:
    """Whether the point's value shows that the wish has come true, or is about to."""
    if isinstance(wish, (int, float)) and isinstance(value, (int, float)):
        half_step = 0.501 * (point.step or 0.0)
        return isclose(wish, value, rel_tol=TOLERANCE, abs_tol=half_step)
    if point.info.words and isinstance(wish, str):
        return value in (wish, _ON_ITS_WAY.get(wish, wish))
    return wish == value


def _intent(expires: float | None, now: float, reason: str) -> dict[str, Value]:
    if expires is None:
        return {}
    return {"expires": now + expires, **({"reason": reason} if reason else {})}


def _raw(point: PointDescription, value: PointValue) -> Value:
    match point.info.kind:
        case Kind.NUMBER:
            return _number(point, value)
        case Kind.BOOLEAN if isinstance(value, bool):
            return _code(point, value) if point.codes else value
        case Kind.CHOICE if isinstance(value, str) and value in _wishes(point):
            return _code(point, value) if point.codes else value
        case Kind.TEXT if isinstance(value, str) and len(value) <= TEXT_LIMIT:
            return value
        case Kind.TRIGGER if value is None:
            return True
    raise CommandError(CommandFailure.INVALID, f"{_shown(value)} is no {point.quantity}")


def _wishes(point: PointDescription) -> tuple[str, ...]:
    """Return the options that can be wished for: nothing is ever asked to be on its way."""
    fixed = bool(point.info.words)
    return tuple(word for word in point.options if not fixed or word not in _ON_ITS_WAY.values())


def _code(point: PointDescription, meaning: str | bool) -> Value:
    return next(code.raw for code in point.codes if code.meaning == meaning)


def _number(point: PointDescription, value: PointValue) -> Value:
    number = finite(value)
    if number is None:
        raise CommandError(CommandFailure.INVALID, f"{_shown(value)} is no {point.quantity}")
    low, high = point.minimum, point.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        raise CommandError(CommandFailure.INVALID, f"{number:g} is out of range")
    if point.scale is not None:
        number = rounded(number / point.scale)
    whole = point.step is not None and point.step.is_integer() and number.is_integer()
    return int(number) if whole else number


def _shown(value: PointValue) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)[:40]
