"""Stored patterns: which nodes stand for a path when `+`, `#` and (min, max) are wildcards."""

from collections.abc import Iterator
from typing import Final

from ..link.elements import from_level
from ..link.errors import DecodeError
from .store import Levels, Node

_ONE: Final = ":p"  # how a topic spells the element "+"
_MANY: Final = ":h"


def matches(start: Node, levels: Levels) -> Iterator[Node]:
    """Find the nodes below `start` that match the levels, most specific first.

    At each step: the name itself, `+`, (min, max) elements, `#` for one or more.
    """
    return _Search(levels).run(start, 0)


class _Search:
    """One search; it comes to no place of a pattern with the same rest twice."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self._seen: set[tuple[int, int]] = set()

    def run(self, node: Node, index: int) -> Iterator[Node]:
        if (id(node), index) in self._seen:
            return
        self._seen.add((id(node), index))
        if index == len(self._levels):
            yield node
            return
        for child, low, high in _steps(node, self._levels[index]):
            for after in range(index + low, min(index + high, len(self._levels)) + 1):
                yield from self.run(child, after)


def _steps(node: Node, level: str) -> Iterator[tuple[Node, int, int]]:
    """Return the children that match, and how many levels at least and at most."""
    if (child := node.child(level)) is not None:
        yield child, 1, 1
    if (child := node.child(_ONE)) is not None:
        yield child, 1, 1
    yield from _ranges(node)
    if (child := node.child(_MANY)) is not None:
        yield child, 1, 200


def _ranges(node: Node) -> Iterator[tuple[Node, int, int]]:
    for name, child in (node.children or {}).items():
        if name[:1] != ":" or "," not in name:
            continue
        try:
            element = from_level(name)
        except DecodeError:
            continue
        match element:
            case (int(low), int(high)) if 1 <= low <= high:
                yield child, low, high
