"""A driver whose bus is the test."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, override

from firmware_bridge.driver import Batch, Driver, Offer, Reading
from firmware_bridge.link.clock import Clock, SystemClock
from firmware_bridge.link.codec import Value
from firmware_bridge.link.describe import Access, DeviceDescription, PointDescription
from firmware_bridge.link.path import Path
from firmware_bridge.link.quantity import Quantity

OUT, PRESS = Path("box", "out"), Path("box", "press")

BOX = DeviceDescription(
    id="box",
    name="Box",
    points=(
        PointDescription(
            key="voltage", quantity=Quantity.VOLTAGE, unit="V", path=OUT, item=("u",), max_age=60
        ),
        PointDescription(
            key="relay",
            quantity=Quantity.RELAY,
            path=OUT,
            item=("r",),
            access=Access.READ_WRITE,
        ),
        PointDescription(
            key="press", quantity=Quantity.BUTTON_EVENT, path=PRESS, options=("short", "long")
        ),
        PointDescription(key="go", quantity=Quantity.BUTTON, access=Access.WRITE),
    ),
)


def named(device: str, name: str = "") -> DeviceDescription:
    """Return another box, with paths of its own."""
    point = PointDescription(
        key="voltage", quantity=Quantity.VOLTAGE, unit="V", path=Path(device, "out")
    )
    return DeviceDescription(id=device, name=name or device.title(), points=(point,))


class ShiftedClock(SystemClock):
    """The machine's clock, wrong by `offset` seconds; `ahead` seconds have passed besides."""

    offset = 0.0
    ahead = 0.0

    @override
    def time(self) -> float:
        """Return the wrong time."""
        return super().time() + self.offset + self.ahead

    @override
    def monotonic(self) -> float:
        """Return seconds that have passed."""
        return super().monotonic() + self.ahead


@dataclass(eq=False)
class Bus:
    """What the test does with the bus, and what it sees of it."""

    devices: tuple[DeviceDescription, ...] = (BOX,)
    opened: int = 0
    closed: int = 0
    restored: list[Reading] = field(default_factory=list)
    written: list[tuple[str, str, Value]] = field(default_factory=list)
    refusal: Exception | None = None
    stuck: bool = False
    broken: Exception | None = None
    queue: asyncio.Queue[Batch | Exception] = field(default_factory=asyncio.Queue)

    def make(self, clock: Clock) -> Driver:
        """Return a driver on this bus."""
        return FakeDriver(self)

    def read(self, device: str, time: float, **values: Value) -> None:
        """Let the driver read something."""
        self.queue.put_nowait([Reading(device=device, values=values, time=time)])


class FakeDriver(Driver):
    """Does what the bus says."""

    def __init__(self, bus: Bus) -> None:
        """Take the bus."""
        self._bus = bus
        self._offers: tuple[Offer, ...] = ()

    @override
    async def __aenter__(self) -> Self:
        """Open, unless the bus is broken."""
        if self._bus.broken is not None:
            raise self._bus.broken
        self._bus.opened += 1
        return self

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self._bus.closed += 1

    @override
    def offers(self) -> tuple[Offer, ...]:
        """Return the bus' devices, the same tuple while they are the same."""
        if tuple(each.description for each in self._offers) != self._bus.devices:
            self._offers = tuple(Offer(description=each) for each in self._bus.devices)
        return self._offers

    @override
    def restore(self, readings: Batch) -> None:
        """Remember what there was."""
        self._bus.restored += readings

    @override
    async def readings(self) -> AsyncIterator[Batch]:
        """Yield what the test puts in."""
        while True:
            batch = await self._bus.queue.get()
            if isinstance(batch, Exception):
                raise batch
            yield batch

    @override
    async def write(self, device: str, key: str, value: Value) -> None:
        """Do as the bus says."""
        if self._bus.stuck:
            await asyncio.Event().wait()
        if self._bus.refusal is not None:
            raise self._bus.refusal
        self._bus.written.append((device, key, value))
