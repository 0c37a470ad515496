"""The tree in memory: which write wins, what a walk delivers. Pure; times are passed in.

Nodes are kept in dicts by topic level, so that 1, true and "1" are three children.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from math import inf
from sys import intern
from typing import Final

from ..link.errors import EncodeError
from ..link.meta import Meta
from ..link.path import Path
from .listing import Listings
from .records import Record, pack

LIFETIME: Final = 100_000.0
"""Seconds for which a deletion is remembered."""
RUN: Final = "run"
PASSING: Final = -(1 << 60)
"""Instead of a connection: the record came unretained, and is never to be retained."""
type Levels = Sequence[str]


_NODE: Final = 300  # bytes that a node takes besides its record
_FEW: Final = 512  # bytes of metadata that always have room


class FullError(EncodeError):
    """There is no room for more."""


class Outcome(Enum):
    """What became of a write."""

    TAKEN = "taken"
    """Newer and different, or the first."""
    REFRESHED = "refreshed"
    """Newer, with the same value."""
    SAME = "same"
    """The same value, not newer."""
    STALE = "stale"
    """Something else, not newer."""

    @property
    def stored(self) -> bool:
        """Whether the tree has changed."""
        return self in (Outcome.TAKEN, Outcome.REFRESHED)


class Node:
    """A place in the tree: its record (none if it only leads elsewhere), its children."""

    __slots__ = ("children", "kept", "record", "time")

    def __init__(self) -> None:
        self.record: Record | None = None
        self.time = 0.0
        self.kept = 0
        """In which connection the broker was seen to retain this record; negative: another one.

        0 if it came from elsewhere, or `PASSING`.
        """
        self.children: dict[str, Node] | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a value."""
        return self.record is not None and not self.record.deleted

    def child(self, level: str) -> Node | None:
        """Return a child."""
        return None if self.children is None else self.children.get(level)


class Store:
    """All nodes: data, and apart from them those below `run`, which are never walked or saved."""

    def __init__(self) -> None:
        self.root = Node()
        self.count = 0
        """Nodes with a record, below `run` and elsewhere."""
        self.size = 0
        """About how many bytes of memory they take."""
        self._run = Node()

    def find(self, levels: Levels) -> Node | None:
        """Return the node at a path, if there is one."""
        node: Node | None = self._tree(levels)
        for level in levels:
            assert node is not None
            if node.children is None or (node := node.children.get(level)) is None:
                return None
        return node

    def missing(self, levels: Levels) -> int | None:
        """Return the index of the first level that leads nowhere."""
        node: Node | None = self._tree(levels)
        for index, level in enumerate(levels):
            assert node is not None
            if (node := node.child(level)) is None:
                return index
        return None

    def merge(self, levels: Levels, value: bytes, meta: Meta) -> Outcome:
        """Write an encoded value, if it is newer than what is there. Raise EncodeError."""
        return self.place(levels, value, meta)[0]

    def place(
        self, levels: Levels, value: bytes, meta: Meta, *, most: float = inf
    ) -> tuple[Outcome, Node]:
        """Do what `merge` does; return the node, too.

        FullError for what would take more than `most` bytes, unless it is no larger than what is there.
        """
        node = self.find(levels)
        if node is not None and node.record is not None:
            same = node.record.holds(value)
            if meta.time <= node.time:
                return (Outcome.SAME if same else Outcome.STALE), node
            outcome = Outcome.REFRESHED if same else Outcome.TAKEN
            record = pack(value, meta)
            growth = len(record) - len(node.record)
            if self.size + growth > most and not _no_larger(value, record, node.record):
                raise FullError(f"no room for more data: {most:.0f} bytes are taken")
        else:
            outcome = Outcome.TAKEN
            record = pack(value, meta)
            growth = len(record)
            if self.size + growth + _NODE > most:
                raise FullError(f"no room for more data: {most:.0f} bytes are taken")
            node = self._make(levels)
            self.count += 1
        node.record = record
        node.time = meta.time
        self.size += growth
        return outcome, node

    def nodes(self) -> Iterator[tuple[list[str], Node]]:
        """Go through all nodes but those below `run`; the tree may change meanwhile."""
        return _descend(self.root, None)

    def walk(
        self,
        levels: Levels,
        *,
        since: float | None = None,
        low: int = 0,
        high: int | None = None,
        deleted: bool = False,
    ) -> Iterator[tuple[int, list[str], Record]]:
        """Go through a subtree, parents first: (levels kept, levels added, record).

        The levels kept are those of the item before. `since` and the depths leave out what is older,
        higher or lower. The tree may change meanwhile.
        """
        looks = self.looks(levels, since=since, low=low, high=high, deleted=deleted)
        return (found for found in looks if found is not None)

    def looks(
        self,
        levels: Levels,
        *,
        since: float | None = None,
        low: int = 0,
        high: int | None = None,
        deleted: bool = False,
    ) -> Iterator[tuple[int, list[str], Record] | None]:
        """Do what `walk` does; None stands for each node that is left out."""
        start = self.find(levels)
        if start is None:
            return
        before: list[str] = []
        for path, node in _descend(start, high):
            record = node.record
            if (
                record is None
                or len(path) < low
                or (since is not None and node.time < since)
                or (record.deleted and not deleted)
            ):
                yield None
                continue
            kept = common(before, path)
            before = path
            yield kept, path[kept:], record

    def names(self, levels: Levels) -> Iterator[str]:
        """Go through the levels below a node, with deleted ones. The tree may change meanwhile."""
        node = self.find(levels)
        for level, _ in _LISTINGS.of((node and node.children) or {}):
            yield level

    def prune(self, now: float, lifetime: float = LIFETIME) -> Iterator[None]:
        """Forget old deletions and what leads nowhere, node by node; the tree may change meanwhile."""
        for tree in (self.root, self._run):
            yield from self._prune(tree, now - lifetime)

    def _tree(self, levels: Levels) -> Node:
        return self._run if levels and levels[0] == RUN else self.root

    def _make(self, levels: Levels) -> Node:
        node = self._tree(levels)
        for level in levels:
            if node.children is None:
                node.children = {}
            child = node.children.get(level)
            if child is None:
                child = node.children[intern(level)] = Node()
                self.size += _NODE + len(level)
            node = child
        return node

    def _prune(self, node: Node, limit: float) -> Iterator[None]:
        yield
        if node.record is not None and node.record.deleted and node.time < limit:
            self.size -= len(node.record)
            node.record = None
            node.time = 0.0
            node.kept = 0
            self.count -= 1
        if (children := node.children) is None:
            return
        for level, child in list(children.items()):
            yield from self._prune(child, limit)
            if child.record is None and not child.children:
                _LISTINGS.forget(children)
                del children[level]
                self.size -= _NODE + len(level)
        if not children:
            node.children = None


def _no_larger(value: bytes, record: Record, before: Record) -> bool:
    """Whether a value takes no more room than the one before, and its metadata little."""
    return len(record) - len(value) < _FEW and len(value) <= before.value_size


def levels_of(path: Path) -> list[str]:
    """Return the topic levels of a path below the root."""
    return path.topic.split("/") if len(path) else []


def common(one: Levels, other: Levels) -> int:
    """Return how many levels two paths have in common at their start."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


_LISTINGS: Final[Listings[Node]] = Listings()


def _descend(start: Node, depth: int | None) -> Iterator[tuple[list[str], Node]]:
    """Go through a subtree, parents first, with the levels from its start."""
    path: list[str] = []
    yield path, start
    if depth == 0:
        return
    stack = [_LISTINGS.of(start.children or {})]
    while stack:
        for level, node in stack[-1]:
            here = [*path, level]
            yield here, node
            if node.children and (depth is None or len(here) < depth):
                path = here
                stack.append(_LISTINGS.of(node.children))
                break
        else:
            stack.pop()
            path = path[:-1]
