"""The seam that every bus plugs into: a driver offers devices, yields readings, obeys writes.

A driver knows nothing of brokers, hosts, prefixes or retained messages. Its descriptions hold paths
below the bridge's prefix, no `alive` and no `write`: the bridge fills them in.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from .link.clock import Clock
from .link.codec import Value
from .link.describe import DeviceDescription


class DriverError(Exception):
    """The bus does not work now; the bridge tells, waits, and starts the driver again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """When a change of a number or a moment is worth a message; anything else always is.

    More than `deadband` plus `relative` times the value, and `interval` seconds after the last.
    """

    deadband: float = 0.0
    relative: float = 0.0
    interval: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A device as a driver offers it: its description, and filters by the points' keys."""

    description: DeviceDescription
    filters: Mapping[str, Filter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Values of one device by the points' keys, taken at one time (seconds since 1970).

    A value None says that the device has no value for this point now. Points that are left out keep
    theirs. For a point of the kind event the value is what happened.
    """

    device: str
    values: Mapping[str, Value]
    time: float


type Batch = Sequence[Reading]


class Driver(Protocol):
    """One bus with its devices. Opened once, iterated once; a new one is made for a new attempt.

    `offers` returns the same tuple as long as nothing changed; the bridge looks after every batch.
    An empty batch is fine. Opening and iterating raise DriverError when the bus is gone.
    """

    async def __aenter__(self) -> Self:
        """Open the bus."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, whatever happened."""

    def offers(self) -> tuple[Offer, ...]:
        """Return the devices that are there now."""

    def restore(self, readings: Batch) -> None:
        """Take what was published last, before this start: totals go on from there.

        Called at most once, after opening and before the first batch, and only if something is known.
        """

    def readings(self) -> AsyncIterator[Batch]:
        """Yield what was read, for ever."""

    async def write(self, device: str, key: str, value: Value) -> None:
        """Set a point, or pull a trigger (value None); return when the device has accepted.

        The bridge has checked type, range and options. Raise RefusedError with a reason for people;
        never wait longer than a few seconds. The new value comes back as a reading.
        """


type Opener = Callable[[Clock], Driver]
"""Makes a driver, ready to be opened."""

type Configure = Callable[[Mapping[str, object]], Opener]
"""Checks a driver's table of the configuration; raises voluptuous.Invalid. One row of DRIVERS."""
