"""From what came over the wire to the typed value of a point. Never raises, never guesses."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from typing import Final

from ..link.codec import Value
from ..link.description import PointDescription
from ..link.fields import finite
from ..link.quantity import Kind

type PointValue = bool | float | str | datetime | None

TEXT_LIMIT: Final = 255
"""Characters of a text; what follows is cut off."""


class Wrong(Enum):
    """The type of `WRONG`."""

    WRONG = "wrong"


WRONG: Final = Wrong.WRONG
"""Not a value of this quantity."""

_UNPRINTABLE: Final = dict.fromkeys((*range(9), *range(14, 32), 127), "\N{REPLACEMENT CHARACTER}")
"""No text in a terminal or a database: NUL ends PostgreSQL's, escape sequences take over logs."""

type Read = Callable[[Value], PointValue | Wrong]


def reader_for(point: PointDescription) -> Read:
    """Return the function that reads this point's values; null is unknown: None."""
    match point.info.kind:
        case Kind.NUMBER:
            return _number if point.scale is None else _scaled(point.scale)
        case Kind.BOOLEAN:
            return _coded(_meanings(point)) if point.codes else _boolean
        case Kind.CHOICE | Kind.EVENT:
            return _coded(_meanings(point) or {(False, word): word for word in point.options})
        case Kind.TEXT:
            return _text
        case Kind.MOMENT:
            return _moment
        case _:
            return _nothing


def rounded(number: float) -> float:
    """Drop the noise that scaling by a decimal factor adds."""
    return float(f"{number:.12g}")


def _number(value: Value) -> float | Wrong | None:
    if type(value) is float:
        return value if isfinite(value) else WRONG
    if value is None:
        return None
    number = finite(value)
    return WRONG if number is None else number


def _scaled(scale: float) -> Read:
    def read(value: Value) -> float | Wrong | None:
        number = _number(value)
        if not isinstance(number, float):
            return number
        number *= scale
        return rounded(number) if isfinite(number) else WRONG

    return read


def _boolean(value: Value) -> bool | Wrong | None:
    return value if isinstance(value, bool) or value is None else WRONG


def _meanings(point: PointDescription) -> dict[tuple[bool, object], str | bool]:
    # the first of several raw values wins; they are unique for one meaning only
    return {code.raw_key: code.meaning for code in point.codes}


def _coded(meanings: Mapping[tuple[bool, object], str | bool]) -> Read:
    known = dict[tuple[bool, object], PointValue | Wrong](meanings)
    known.setdefault((False, None), None)

    def read(value: Value) -> PointValue | Wrong:
        if value is not None and not isinstance(value, (str, int, float)):
            return WRONG
        return known.get((isinstance(value, bool), value), WRONG)

    return read


def _text(value: Value) -> str | Wrong | None:
    if isinstance(value, str):
        return value[:TEXT_LIMIT].translate(_UNPRINTABLE)
    return None if value is None else WRONG


def _moment(value: Value) -> datetime | Wrong | None:
    if value is None:
        return None
    try:
        if isinstance(value, datetime):
            return WRONG if value.tzinfo is None else value.astimezone(UTC)
        seconds = finite(value)
        return WRONG if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except ValueError, OverflowError, OSError:
        return WRONG


def _nothing(_value: Value) -> Wrong:
    return WRONG
