"""Patterns among the nodes: which of them stand for a path."""

from collections.abc import Iterator
from typing import Final

from ..link.errors import RefusedError
from ..patterns import Span, matches as find, span
from .store import Levels, Node

_MOST: Final = 20_000  # steps of a search
_NAMES: Final = 50  # names that are looked at in the time of a step


def matches(start: Node, levels: Levels) -> Iterator[Node]:
    """Find the nodes below `start` that match the levels, most specific first.

    RefusedError if that takes too many steps.
    """
    budget = _Budget()
    return find(start, levels, child=Node.child, spans=budget.spans, on_step=budget.spend)


class _Budget:
    """What one search may still do."""

    def __init__(self) -> None:
        self._left = _MOST

    def spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise RefusedError("too many patterns to look at")

    def spans(self, node: Node) -> Iterator[Span[Node]]:
        children = node.children or {}
        self.spend(len(children) // _NAMES)
        for name, child in children.items():
            if name[:1] == ":":
                self.spend()
            if (found := span(name)) is not None:
                yield *found, child
