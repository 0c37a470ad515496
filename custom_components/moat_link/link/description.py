"""The static facts about a device, its parts and its points, as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import override

from .fields import Scalar
from .path import Path
from .quantity import QUANTITIES, Quantity, QuantityInfo, StateClass


class Access(StrEnum):
    """Whether a point can be read, set, or both."""

    READ = "r"
    WRITE = "w"
    READ_WRITE = "rw"


class Category(StrEnum):
    """What a point is for, if not for the device's main use."""

    DIAGNOSTIC = "diagnostic"
    CONFIG = "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePath:
    """A point is set by publishing to a path; `expires` (s) makes the wish an intent."""

    path: Path
    retain: bool = False
    expires: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteService:
    """A point is set by calling its owner: `command(*args, value)`."""

    service: Path
    command: tuple[str | int, ...]
    args: tuple[Scalar, ...] = ()
    expires: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """One raw value on the wire, and what it means; raw 1 and true differ, 1 and 1.0 do not."""

    raw: Scalar
    meaning: str | bool

    @property
    def raw_key(self) -> tuple[bool, Scalar]:
        """The raw value as a key of a dict."""
        return isinstance(self.raw, bool), self.raw

    @override
    def __eq__(self, other: object) -> bool:
        """Compare type-strictly."""
        return isinstance(other, Code) and self._identity == other._identity

    @override
    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[tuple[bool, Scalar], str | bool]:
        return self.raw_key, self.meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDescription:
    """Static facts about one value of a device."""

    key: str
    quantity: Quantity
    name: str | None = None
    unit: str | None = None
    state_class: StateClass | None = None
    path: Path | None = None
    item: tuple[str | int, ...] = ()
    access: Access = Access.READ
    write: WritePath | WriteService | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    scale: float | None = None
    options: tuple[str, ...] = ()
    codes: tuple[Code, ...] = ()
    precision: int | None = None
    category: Category | None = None
    enabled: bool = True
    part: str | None = None
    max_age: float | None = None
    group: str | None = None

    @property
    def info(self) -> QuantityInfo:
        """The row of the point's quantity."""
        return QUANTITIES[self.quantity]

    @property
    def readable(self) -> bool:
        """Whether the point has a value."""
        return self.access is not Access.WRITE

    @property
    def writable(self) -> bool:
        """Whether the point can be set."""
        return self.access is not Access.READ


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDescription:
    """Static facts about a part of a device that has a name of its own: a cell, a channel."""

    name: str
    kind: str | None = None
    model: str | None = None
    serial: str | None = None
    software: str | None = None
    hardware: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDescription:
    """Static facts about a device and its points."""

    id: str
    name: str
    kind: str | None = None
    maker: str | None = None
    model: str | None = None
    serial: str | None = None
    software: str | None = None
    hardware: str | None = None
    via: str | None = None
    area: str | None = None
    alive: Path | None = None
    parts: Mapping[str, PartDescription] = field(default_factory=dict)
    points: tuple[PointDescription, ...] = ()


@dataclass(frozen=True, slots=True)
class DescriptionIssue:
    """Something in a description that was not used: where, and why."""

    key: str
    problem: str
