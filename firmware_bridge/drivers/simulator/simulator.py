"""The simulated home as a driver: lets its time pass, reads its sheets, carries out commands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import compress
from types import TracebackType
from typing import Self, override

from ...driver import Batch, Driver, DriverError, Offer, Reading
from ...link.clock import Clock
from ...link.codec import Value
from ...link.describe import DeviceDescription
from ...link.errors import NotFoundError, RefusedError
from .battery_sheet import SHEET as BATTERY_SHEET
from .energy_sheets import HOUSE_SHEET, INVERTER_SHEET, METER_SHEET, ROOF_SHEET
from .german import GERMAN, refusal_in_german
from .home import Home
from .house_sheets import (
    BLIND_SHEET,
    BOARD_SHEET,
    CONTROLS_SHEET,
    LIGHT_SHEET,
    VALVE_SHEET,
    WEATHER_SHEET,
)
from .memory import remember
from .sheet import Row, Sheet, occurs
from .weather import Place

SHEETS: dict[str, Sheet] = {
    sheet.id: sheet
    for sheet in (
        *(BATTERY_SHEET, INVERTER_SHEET, ROOF_SHEET, METER_SHEET, HOUSE_SHEET, BOARD_SHEET),
        *(LIGHT_SHEET, VALVE_SHEET, BLIND_SHEET, WEATHER_SHEET, CONTROLS_SHEET),
    )
}
"""Every simulated device."""

_MAKER = "MoaT (simulated)"
_VERSION = "1.4.2"
_FLAP = 2.0  # s
_CRASH = 3.0  # s
_SLOW = 3.0  # s
_BOOTING = frozenset({"online", "started"})  # all that is known of a board that starts


class Fault(StrEnum):
    """What can be made to go wrong with a device."""

    SILENT = "silent"
    """Neither readings nor answers."""
    REFUSE = "refuse"
    """Every command is refused."""
    SLOW = "slow"
    """Commands take seconds."""
    DUPLICATE = "duplicate"
    """Every reading comes twice, and once more with an older time."""
    FLAP = "flap"
    """The device comes and goes every two seconds."""
    CRASH = "crash"
    """The whole bus fails after three seconds, again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the home is simulated; `start` None means now."""

    seed: int = 1
    start: float | None = None
    speed: float = 1.0
    interval: float = 1.0  # s of real time between two batches
    place: Place = field(default_factory=Place)
    devices: tuple[str, ...] = tuple(SHEETS)
    id_prefix: str = ""
    language: str = "en"  # of all names
    faults: frozenset[tuple[Fault, str]] = frozenset()


class Simulator(Driver):
    """A bus that is not there."""

    def __init__(self, options: Options, clock: Clock) -> None:
        """Prepare the home; its time begins when it is opened."""
        self._options = options
        self._clock = clock
        self._wake = asyncio.Event()
        self._sheets = tuple(SHEETS[name] for name in options.devices)
        self._home = Home(seed=options.seed, start=0.0, place=options.place)
        self._start = 0.0
        self._begun = 0.0
        self._all = tuple(self._offer(sheet) for sheet in self._sheets)
        staying = [not self._has(Fault.FLAP, sheet.id) for sheet in self._sheets]
        self._some = self._all if all(staying) else tuple(compress(self._all, staying))

    @override
    async def __aenter__(self) -> Self:
        """Let the home's time begin."""
        options = self._options
        self._begun = self._clock.monotonic()
        self._start = self._clock.time() if options.start is None else options.start
        self._home = Home(seed=options.seed, start=self._start, place=options.place)
        return self

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""

    @override
    def offers(self) -> tuple[Offer, ...]:
        """Return the devices of the sheets."""
        return self._some if self._elapsed % (2 * _FLAP) >= _FLAP else self._all

    @override
    def restore(self, readings: Batch) -> None:
        """Let the devices go on where they were."""
        known = [
            Reading(device=self._own(each.device), values=each.values, time=each.time)
            for each in readings
        ]
        remember(self._home, self._sheets, known)
        self._wake.set()

    @override
    async def readings(self) -> AsyncIterator[Batch]:
        """Yield everything at every interval, and at once after a command."""
        while True:
            if self._elapsed > _CRASH and any(fault is Fault.CRASH for fault, _ in self._faults):
                raise DriverError("the simulated bus failed")
            self._home.advance(self._now)
            yield self._batch()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.interval):
                    await self._wake.wait()
            self._wake.clear()

    @override
    async def write(self, device: str, key: str, value: Value) -> None:
        """Do it after a little while."""
        sheet, row = self._find(device, key)
        if self._has(Fault.REFUSE, sheet.id):
            raise RefusedError("the simulated fault refuses everything")
        if self._has(Fault.SILENT, sheet.id):
            await asyncio.Event().wait()
        await asyncio.sleep(_SLOW if self._has(Fault.SLOW, sheet.id) else row.delay)
        if row.write is None:
            raise RefusedError(f"{key} cannot be written")
        self._home.advance(self._now)
        try:
            row.write(self._home, value)
        except RefusedError as err:
            if self._options.language != "de":
                raise
            raise RefusedError(refusal_in_german(str(err))) from err
        self._wake.set()

    @property
    def _faults(self) -> frozenset[tuple[Fault, str]]:
        return self._options.faults

    @property
    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._begun

    @property
    def _now(self) -> float:
        return self._start + self._elapsed * self._options.speed

    def _has(self, fault: Fault, device: str) -> bool:
        return (fault, device) in self._faults

    def _own(self, device: str) -> str:
        return device.removeprefix(self._options.id_prefix)

    def _find(self, device: str, key: str) -> tuple[Sheet, Row]:
        for sheet in self._sheets:
            for row in sheet.rows:
                if sheet.id == self._own(device) and row.point.key == key:
                    return sheet, row
        raise NotFoundError(f"{device} has no {key}")

    def _batch(self) -> list[Reading]:
        time = self._clock.time()
        batch = [
            reading
            for sheet in self._sheets
            if not self._has(Fault.SILENT, sheet.id)
            for reading in self._read(sheet, time)
        ]
        batch += [
            Reading(
                device=self._options.id_prefix + happened.device,
                values={happened.key: happened.what},
                time=time,
            )
            for happened in self._home.happened()
            if happened.device in self._options.devices
            and not self._has(Fault.SILENT, happened.device)
        ]
        return batch

    def _read(self, sheet: Sheet, time: float) -> list[Reading]:
        booting = sheet.id == "board" and not self._home.board.up
        values = {
            row.point.key: row.value(self._home)
            for row in sheet.rows
            if row.read is not None and not occurs(row)
            if not booting or row.point.key in _BOOTING
        }
        device = self._options.id_prefix + sheet.id
        reading = Reading(device=device, values=values, time=time)
        if not self._has(Fault.DUPLICATE, sheet.id):
            return [reading]
        return [reading, reading, Reading(device=device, values=values, time=time - 5)]

    def _offer(self, sheet: Sheet) -> Offer:
        prefix = self._options.id_prefix
        return Offer(
            description=DeviceDescription(
                id=prefix + sheet.id,
                name=self._say(sheet.name),
                kind=sheet.kind,
                maker=_MAKER,
                model=self._say(sheet.model),
                serial=f"SIM-{self._options.seed:04d}-{sheet.id.upper()}",
                software=_VERSION,
                hardware=sheet.hardware,
                via=self._via(sheet),
                area=self._say(sheet.area) if sheet.area else None,
                parts={
                    key: replace(part, name=self._say(part.name))
                    for key, part in sheet.parts.items()
                },
                points=tuple(
                    replace(row.point, name=self._say(row.point.name))
                    if row.point.name
                    else row.point
                    for row in sheet.rows
                ),
            ),
            filters={row.point.key: row.filter for row in sheet.rows},
        )

    def _say(self, name: str) -> str:
        return GERMAN.get(name, name) if self._options.language == "de" else name

    def _via(self, sheet: Sheet) -> str | None:
        if sheet.via is None or sheet.via not in self._options.devices:
            return None
        return self._options.id_prefix + sheet.via
