"""All nodes that a gate knows, as far as there is room for them. Pure."""

from collections.abc import Iterator, ValuesView
from typing import Final

from .node import Heard, Node

MAX_NODES: Final = 50_000
MAX_BYTES: Final = 64 << 20
"""Bytes of payloads that are remembered."""


class Nodes:
    """Nodes by topic. Whoever has changed one has it weighed."""

    def __init__(self) -> None:
        self._known: dict[str, Node] = {}
        self._bytes = 0
        self.dropped = 0
        """Messages that were left out because there is no room."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        """Go through the topics."""
        return iter(self._known)

    def __getitem__(self, topic: str) -> Node:
        """Return one that there is."""
        return self._known[topic]

    def values(self) -> ValuesView[Node]:
        """Return all of them."""
        return self._known.values()

    def make(self, topic: str, heard: Heard | None = None, *, reading: bool) -> Node | None:
        """Return a node, or None if there is no room for it, or for what is `heard` of it.

        `reading`: both sides are being read, so that what was heard before is kept, too.
        """
        node = self._known.get(topic)
        grows = 0 if heard is None else len(heard.payload)
        if node is not None:
            grows -= node.spare(reading=reading)
        if (node is None and len(self._known) >= MAX_NODES) or self._bytes + grows > MAX_BYTES:
            self.dropped += 1
            return None
        return self._known.setdefault(topic, Node()) if node is None else node

    def weigh(self, node: Node) -> None:
        """Count anew what is remembered of a node."""
        self._bytes += node.held - node.weight
        node.weight = node.held
