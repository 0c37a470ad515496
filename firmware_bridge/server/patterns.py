"""Patterns among the nodes: which of them stand for a path."""

from collections.abc import Iterator

from ..patterns import Span, matches as find, span
from .store import Levels, Node


def matches(start: Node, levels: Levels) -> Iterator[Node]:
    """Find the nodes below `start` that match the levels, most specific first."""
    return find(start, levels, child=Node.child, spans=_spans)


def _spans(node: Node) -> Iterator[Span[Node]]:
    for name, child in (node.children or {}).items():
        if (found := span(name)) is not None:
            yield *found, child
