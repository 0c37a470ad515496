"""How long, and how much, history is kept: one rule a prefix. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DAY: Final = 86400.0
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SMALLEST: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What is kept below a prefix: seconds, and bytes on the disk; None is no limit of its own."""

    age: float | None = None
    size: int | None = None


class Rules:
    """Which rule counts for a topic: that of the longest prefix."""

    def __init__(self, keep: Mapping[str, Keep]) -> None:
        """Take the rules by topic prefix; the empty one is everything."""
        self._keep = dict(keep)
        self._prefixes = sorted(keep, key=len, reverse=True)

    def prefix(self, topic: str) -> str | None:
        """Return the prefix whose rule counts, None if nothing is kept."""
        for prefix in self._prefixes:
            if not prefix or topic == prefix or topic.startswith(f"{prefix}/"):
                return prefix
        return None

    def __getitem__(self, prefix: str) -> Keep:
        """Return the rule of a prefix."""
        return self._keep[prefix]


def parse_rule(text: str) -> Keep:
    """Read `DAYS`, `DAYS,SIZE` or `,SIZE`. ValueError says what is wrong."""
    days, _, size = text.partition(",")
    return make_rule(days.strip() or None, size.strip() or None)


def make_rule(days: float | str | None, size: int | str | None) -> Keep:
    """Make a rule of days and a size, at least one of them. ValueError says what is wrong."""
    if days is None and size is None:
        raise ValueError("write days, a size, or both")
    age = None if days is None else _days(days)
    return Keep(age=age, size=None if size is None else parse_size(size))


def parse_size(size: int | str) -> int:
    """Read bytes: `500M`, `2G`, `1000000`. ValueError says what is wrong."""
    text = str(size).strip().lower().removesuffix("b").removesuffix("i")
    digits = text.rstrip("kmgt")
    try:
        found = int(float(digits) * _UNITS[text[len(digits) :]])
    except ValueError, KeyError, OverflowError:
        raise ValueError(f"{size} is no size: write 500M or 2G") from None
    if found < _SMALLEST:
        raise ValueError(f"{size} is too small: at least 64K")
    return found


def _days(days: float | str) -> float:
    try:
        found = float(days)
    except ValueError:
        raise ValueError(f"{days} is no number of days") from None
    if not math.isfinite(found) or found <= 0:
        raise ValueError(f"{days} is no number of days: more than 0")
    return found * DAY
