"""Paths: typed elements and their spellings as MQTT topic, as dotted text and in CBOR."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Self, overload, override

from .elements import (
    ROOT,
    Element,
    Root,
    from_dotted,
    from_level,
    normal,
    split_dotted,
    to_dotted,
    to_level,
)
from .errors import DecodeError, EncodeError

__all__ = ["MAX_LEVELS", "ROOT", "Element", "Path", "Root", "wildcard"]

MAX_TOPIC: Final = 65_535
"""Bytes in a topic: MQTT has no more."""
MAX_LEVELS: Final = 200
"""Levels in a topic: mosquitto disconnects whoever sends more."""
_ROOT_LEVEL: Final = to_level(ROOT)
_FORBIDDEN: Final = re.compile("[+#\0\ud800-\udfff]")


class Path:
    """A node's address. Immutable; equal only if every element has the same type and value."""

    __slots__ = ("_elements", "_key")
    _elements: tuple[Element, ...]
    _key: str  # the topic after one slash, so that the empty path differs from one empty name

    def __init__(self, *elements: Element) -> None:
        """Take the elements; `ROOT` may only be the first. Raise EncodeError for anything odd."""
        self._elements = tuple(map(normal, elements))
        self._key = "".join(map(to_level, self._elements))
        if ROOT in self._elements[1:]:
            raise EncodeError("the root's marker within a path")
        if len(self._elements) > MAX_LEVELS or len(self._key.encode()) > MAX_TOPIC + 1:
            raise EncodeError(f"path too long: {self._key[:40]}…")

    @classmethod
    def from_topic(cls, topic: str) -> Self:
        """Read the slash form, escapes from left to right. Raise DecodeError."""
        if (
            topic.isprintable()
            and ":" not in topic
            and "+" not in topic
            and "#" not in topic
            and len(topic) <= MAX_TOPIC // 4
            and len(elements := tuple(topic.split("/"))) <= MAX_LEVELS
        ):
            path = cls.__new__(cls)
            path._elements = elements if topic else ()  # noqa: SLF001  our own
            path._key = "/" + topic if topic else ""  # noqa: SLF001
            return path
        if len(topic) > MAX_TOPIC or topic.count("/") >= MAX_LEVELS:
            raise DecodeError(f"topic too long: {topic[:40]}…")
        if _FORBIDDEN.search(topic):
            raise DecodeError(f"not a topic to publish to: {topic[:80]!r}")
        return cls.of(from_level(level) for level in topic.split("/"))

    @classmethod
    def parse(cls, dotted: str) -> Self:
        """Read the dotted form; a leading ":R" is the root's marker. Raise DecodeError."""
        if dotted == ":":
            return cls()
        if len(dotted) > MAX_TOPIC:
            raise DecodeError(f"path too long: {dotted[:40]}…")
        return cls.of(map(from_dotted, split_dotted(dotted)))

    @classmethod
    def of(cls, elements: Iterable[object]) -> Self:
        """Take the elements as they came in CBOR (lists for tuples). Raise DecodeError."""
        try:
            return cls(*map(normal, elements))
        except EncodeError as err:
            raise DecodeError(str(err)) from err

    @property
    def elements(self) -> tuple[Element, ...]:
        """The elements."""
        return self._elements

    @property
    def topic(self) -> str:
        """The slash form, fit for publishing. Raise EncodeError if the root is still a marker."""
        if self._key.startswith(_ROOT_LEVEL):
            raise EncodeError(f"the root of {self} is not known here")
        return self._key[1:]

    @property
    def parent(self) -> Path:
        """The path without its last element; the empty path is its own parent."""
        return self[:-1]

    def resolve(self, root: Path | None = None) -> Path:
        """Put the root in its marker's place; without a root, drop the marker."""
        if ROOT not in self._elements[:1]:
            return self
        return Path(*(root or ()), *self._elements[1:])

    def starts_with(self, prefix: Path) -> bool:
        """Whether this is the prefix itself or below it."""
        key = prefix._key
        return self._key == key or self._key.startswith(key + "/")

    def relative_to(self, prefix: Path) -> Path:
        """Return what follows the prefix. Raise ValueError if this path is not below it."""
        if not self.starts_with(prefix):
            raise ValueError(f"{self} is not below {prefix}")
        return self[len(prefix) :]

    def __truediv__(self, other: Element | Path) -> Path:
        """Append one element, or another path's elements."""
        return Path(*self._elements, *(other if isinstance(other, Path) else (other,)))

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self._elements)

    def __iter__(self) -> Iterator[Element]:
        """Walk through the elements."""
        return iter(self._elements)

    @overload
    def __getitem__(self, index: int) -> Element: ...
    @overload
    def __getitem__(self, index: slice) -> Path: ...
    def __getitem__(self, index: int | slice) -> Element | Path:
        """Return one element, or some as a path."""
        if isinstance(index, slice):
            return Path(*self._elements[index])
        return self._elements[index]

    @override
    def __eq__(self, other: object) -> bool:
        """Compare type-strictly."""
        return self._key == other._key if isinstance(other, Path) else NotImplemented

    @override
    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash(self._key)

    @override
    def __str__(self) -> str:
        """Return the dotted form."""
        return "".join(map(to_dotted, self._elements)).removeprefix(".") or ":"

    @override
    def __repr__(self) -> str:
        """Show the dotted form."""
        return f"Path({str(self)!r})"


def wildcard(path: Path, *, subtree: bool) -> str:
    """Return the filter to subscribe to: the node alone, or with everything below it."""
    if not subtree:
        return path.topic
    return f"{path.topic}/#" if path else "#"
