"""Strict reading of maps that others wrote: the right type or a named problem."""

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from .codec import ABSENT, Value
from .errors import DecodeError
from .path import Path

type Scalar = bool | int | float | str | None
"""A value that stands for a word on the wire."""

TEXT_LIMIT: Final = 255
PATH_LIMIT: Final = 1000
LEVEL_LIMIT: Final = 30
STEP_LIMIT: Final = 16

_SEPARATOR = re.compile("[.:]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class FieldError(Exception):
    """A field is not what it should be: `key` says which, `problem` why."""

    def __init__(self, key: str, problem: str) -> None:
        """Take the field's place, like `points[3].unit`, and what is wrong with it."""
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


class Fields:
    """A map read field by field; null and absent fields are the same: None."""

    def __init__(self, value: Value, at: str = "") -> None:
        """Take the map found at the key `at`, or refuse what is not a map."""
        if not isinstance(value, Mapping):
            raise FieldError(at or "(all)", f"is {kind_of(value)}, not a map")
        self._map = value
        self._at = at

    def error(self, name: str, problem: str) -> FieldError:
        """Make the exception that names this field."""
        return FieldError(f"{self._at}.{name}" if self._at else name, problem)

    def has(self, name: str) -> bool:
        """Whether the field is there, be it null."""
        return name in self._map

    def needed[T](self, name: str, value: T | None) -> T:
        """Insist on a field that was read."""
        if value is None:
            raise self.error(name, "is missing")
        return value

    def child(self, name: str) -> Fields | None:
        """Return the map inside."""
        if (value := self.raw(name)) is None:
            return None
        return Fields(value, f"{self._at}.{name}" if self._at else name)

    def raw(self, name: str) -> Value:
        """Return whatever is there, None for nothing."""
        value = self._map.get(name)
        return None if value is ABSENT else value

    def text(self, name: str, pattern: re.Pattern[str] | None = None) -> str | None:
        """Return a text without blanks around it, of 1 to 255 printable characters."""
        if (value := self.raw(name)) is None:
            return None
        return self._text(name, value, pattern)

    def word[E: StrEnum](self, name: str, words: type[E]) -> E | None:
        """Return one word of a vocabulary."""
        if (text := self.text(name)) is None:
            return None
        try:
            return words(text)
        except ValueError:
            raise self.error(name, f"{shown(text)} is not a known word") from None

    def number(self, name: str, *, above: float | None = None) -> float | None:
        """Return a finite number, beyond a lower bound if there is one."""
        if (value := self.raw(name)) is None:
            return None
        if (number := finite(value)) is None:
            raise self.error(name, f"is {kind_of(value)}, not a finite number")
        if above is not None and number <= above:
            raise self.error(name, f"must be greater than {above:g}")
        return number

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Return a whole number within these bounds."""
        if (value := self.raw(name)) is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(name, f"is not a whole number from {low} to {high}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        if (value := self.raw(name)) is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"is {kind_of(value)}, not true or false")
        return value

    def path(self, name: str) -> Path | None:
        """Return a path below the root: a path, its dotted text, or a list of elements."""
        if (value := self.raw(name)) is None:
            return None
        path = self._path(name, value).resolve()
        if not 0 < len(path.topic) <= PATH_LIMIT:
            raise self.error(name, f"is empty, or longer than {PATH_LIMIT} characters")
        return path

    def steps(self, name: str) -> tuple[str | int, ...]:
        """Return where to step inside of a map or list: a key, an index, or a list of them."""
        value = self.raw(name)
        steps = value if isinstance(value, list) else [] if value is None else [value]
        if len(steps) > STEP_LIMIT:
            raise self.error(name, f"has more than {STEP_LIMIT} steps")
        return tuple(self._step(name, step) for step in steps)

    def scalar(self, name: str) -> Scalar:
        """Return a value that can stand for a word: null, true, a number, or a text."""
        return self._scalar(name, self.raw(name))

    def scalars(self, name: str) -> tuple[Scalar, ...]:
        """Return a short list of plain values."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > STEP_LIMIT:
            raise self.error(name, f"is not a list of at most {STEP_LIMIT} values")
        return tuple(self._scalar(name, each) for each in value)

    def codes(self, name: str, limit: int) -> list[tuple[Scalar, str]]:
        """Return raw values and their words, of a list of words or pairs, or a map."""
        value = self.raw(name)
        if isinstance(value, Mapping):
            value = [list(pair) for pair in value.items()]
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > limit:
            raise self.error(name, f"is not a list or map of at most {limit} words")
        return [self._code(f"{name}[{place}]", each) for place, each in enumerate(value)]

    def _code(self, name: str, value: Value) -> tuple[Scalar, str]:
        if not isinstance(value, list):
            word = self._text(name, value, None)
            return word, word
        if len(value) != 2:
            raise self.error(name, "is not a pair of a value and its word")
        return self._scalar(name, value[0]), self._text(name, value[1], None)

    def _text(self, name: str, value: Value, pattern: re.Pattern[str] | None) -> str:
        if not isinstance(value, str):
            raise self.error(name, f"is {kind_of(value)}, not a text")
        text = value.strip()
        if not 0 < len(text) <= TEXT_LIMIT:
            raise self.error(name, f"is not a text of 1 to {TEXT_LIMIT} characters")
        if _UNPRINTABLE.search(text):
            raise self.error(name, "has characters that cannot be shown")
        if pattern is not None and not pattern.fullmatch(text):
            raise self.error(name, f"{shown(text)} does not match {pattern.pattern}")
        return text

    def _scalar(self, name: str, value: Value) -> Scalar:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and len(value) <= TEXT_LIMIT:
            return value
        if isinstance(value, (int, float)) and finite(value) is not None:
            return value
        raise self.error(name, f"{kind_of(value)} cannot stand here")

    def _step(self, name: str, value: Value) -> str | int:
        if isinstance(value, str) and len(value) <= TEXT_LIMIT:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return value
        raise self.error(name, f"{kind_of(value)} is neither key nor index")

    def _path(self, name: str, value: Value) -> Path:
        if isinstance(value, Path):
            return value
        if not isinstance(value, (str, list)) or len(value) > PATH_LIMIT:
            raise self.error(name, f"is {kind_of(value)}, not a path")
        # every element costs: thousands of them in one message must not hold the loop
        if len(value if isinstance(value, list) else _SEPARATOR.findall(value)) > LEVEL_LIMIT:
            raise self.error(name, f"has more than {LEVEL_LIMIT} elements")
        try:
            if isinstance(value, str):
                return Path.parse(value)
            return Path.of([self._step(name, step) for step in value])
        except DecodeError as err:
            raise self.error(name, str(err)) from err


def finite(value: object) -> float | None:
    """Return a number as float; None for anything else, booleans and infinities included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def kind_of(value: object) -> str:
    """Name what a value is, without showing it."""
    for kinds, name in _KINDS:
        if isinstance(value, kinds):
            return name
    return "something else"


def shown(text: str) -> str:
    """Quote the beginning of a text."""
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "a text"),
    (bytes, "a byte string"),
    (Path, "a path"),
    (Mapping, "a map"),
    ((list, tuple), "a list"),
    (type(None), "nothing"),
)
