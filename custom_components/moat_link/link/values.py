"""What a value may be once it is decoded."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Final, override

from .path import Path, Root


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "ABSENT"

    def __bool__(self) -> bool:
        """Nothing is false."""
        return False

    @override
    def __repr__(self) -> str:
        """Show the name."""
        return self.value


ABSENT: Final = Absent.ABSENT
"""No value: deleted, not given."""


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object of a class known by a short name: an exception, metadata."""

    name: str
    arguments: tuple[Value, ...] = ()
    keywords: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opaque:
    """A tag that means nothing to us, kept as it came."""

    tag: int
    value: Value


ADDRESSES: Final = (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
type Address = IPv4Address | IPv4Interface | IPv4Network | IPv6Address | IPv6Interface | IPv6Network
type Key = str | int | float | bytes | bool | None
type Value = (
    bool
    | int
    | float
    | str
    | bytes
    | datetime
    | Address
    | Path
    | Root
    | Absent
    | RemoteObject
    | Opaque
    | list[Value]
    | dict[Key, Value]
    | frozenset[Value]
    | None
)


def is_member(item: object) -> bool:
    """Whether a set may have it: hashable, and with no choice of values of the same hash."""
    if isinstance(item, int):
        return -(2**64) <= item < 2**64
    return not isinstance(item, (list, dict, tuple, frozenset, RemoteObject, Opaque))


def keywords_of(item: Value) -> dict[str, Value] | None:
    """Return a list's last item if it is a map of keywords: one with nothing but text as keys."""
    if not isinstance(item, dict):
        return None
    keywords = {key: value for key, value in item.items() if isinstance(key, str)}
    return keywords if len(keywords) == len(item) else None
