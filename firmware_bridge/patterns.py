"""Stored patterns: which of them match a path when `+`, `#` and (min, max) are wildcards. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from .link.elements import from_level
from .link.errors import DecodeError

_ONE: Final = ":p"  # how a topic spells the element "+"
_MANY: Final = ":h"  # and "#"

type Span[Place] = tuple[int, int, Place]
"""A (min, max) element: how many levels it stands for, and where it leads."""


def matches[Place](
    start: Place,
    levels: Sequence[str],
    *,
    child: Callable[[Place, str], Place | None],
    spans: Callable[[Place], Iterable[Span[Place]]],
    on_step: Callable[[], object] = lambda: None,
) -> Iterator[Place]:
    """Find the places below `start` that match the levels, most specific first.

    At each step: the name itself, `+`, the (min, max) elements, `#` for one or more. `child` steps down
    by a level, `spans` tells which (min, max) elements a place has. What `on_step` raises ends it.
    """
    seen: set[tuple[int, int]] = set()
    count = len(levels)

    def steps(place: Place, level: str) -> Iterator[Span[Place]]:
        for name in (level, _ONE):
            if (below := child(place, name)) is not None:
                yield 1, 1, below
        yield from spans(place)
        if (below := child(place, _MANY)) is not None:
            yield 1, count, below

    def search(place: Place, index: int) -> Iterator[Place]:
        if (id(place), index) in seen:  # with the same rest nothing else would be found
            return
        on_step()
        seen.add((id(place), index))
        if index == count:
            yield place
            return
        for least, most, below in steps(place, levels[index]):
            for after in range(index + least, min(index + most, count) + 1):
                yield from search(below, after)

    return search(start, 0)


def span(level: str) -> tuple[int, int] | None:
    """Read a (min, max) element; None if the level is something else."""
    if level[:1] != ":" or "," not in level:
        return None
    try:
        element = from_level(level)
    except DecodeError:
        return None
    match element:
        case (int(least), int(most)) if 1 <= least <= most:
            return least, most
    return None
