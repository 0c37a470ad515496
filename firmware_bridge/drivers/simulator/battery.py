"""A pack of lithium iron phosphate cells: voltages, heat, limits, balancing; current + = charging.

Every constant is a plausible one of common 280 Ah prismatic cells.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from .noise import uniform

# state of charge → resting voltage; flat in the middle, steep at both ends
_CURVE: tuple[tuple[float, float], ...] = (
    (-0.02, 2.45),
    (0.0, 2.80),
    (0.02, 2.98),
    (0.05, 3.08),
    (0.10, 3.17),
    (0.15, 3.205),
    (0.20, 3.230),
    (0.30, 3.265),
    (0.40, 3.286),
    (0.50, 3.294),
    (0.60, 3.305),
    (0.70, 3.325),
    (0.80, 3.332),
    (0.90, 3.338),
    (0.95, 3.346),
    (0.98, 3.380),
    (0.99, 3.430),
    (1.0, 3.530),
    (1.02, 3.780),
)
_SOCS = [soc for soc, _ in _CURVE]
_NOMINAL = 3.2  # V, for the energy that is stored
_SLOW_RESISTANCE = 0.35e-3  # Ω, with the time constant below
_SLOW_TIME = 60.0  # s
_HEAT_CAPACITY = 5400.0  # J/K a cell
_BLEED = 0.15  # A
_EFFICIENCY = 0.998  # of charge

CELLS = 16
U_ABS_MIN, U_MIN, U_STD_MIN = 2.60, 2.80, 3.00  # V a cell: trip, blocked, full current
U_STD_MAX, U_MAX, U_ABS_MAX = 3.48, 3.58, 3.65
T_MIN, T_STD_MIN, T_STD_MAX, T_MAX = 0.0, 8.0, 42.0, 52.0  # °C
I_MAX_CHARGE, I_MAX_DISCHARGE = 120.0, 140.0  # A
FLOOR, CEILING = -0.005, 1.005  # no cell's charge ever leaves this


class PackState(StrEnum):
    """How the pack is."""

    OK = "ok"
    DERATED = "derated"
    FULL = "full"
    BLOCKED = "blocked"
    OFF = "off"
    TRIPPED = "tripped"


def resting_voltage(soc: float) -> float:
    """Return the voltage of a cell at rest, by its state of charge (0…1)."""
    index = max(1, min(len(_CURVE) - 1, bisect_right(_SOCS, soc)))
    (soc0, low), (soc1, high) = _CURVE[index - 1], _CURVE[index]
    return low + (high - low) * (soc - soc0) / (soc1 - soc0)


@dataclass(slots=True, eq=False, kw_only=True)
class Cell:
    """One cell; no two are alike."""

    capacity: float  # Ah
    resistance: float  # Ω
    cooling: float  # W/K
    soc: float
    temperature: float
    slow: float = 0.0  # V, the overvoltage that builds up over a minute
    bleeding: bool = False

    @property
    def rest(self) -> float:
        """Return the voltage at no current, as it is now."""
        return resting_voltage(self.soc) + self.slow

    def voltage(self, current: float) -> float:
        """Return the voltage at its terminals."""
        return self.rest + current * self.resistance

    def step(self, current: float, seconds: float, ambient: float) -> None:
        """Let a current flow."""
        net = current * (_EFFICIENCY if current > 0 else 1.0) - (_BLEED if self.bleeding else 0)
        self.soc += net * seconds / 3600 / self.capacity
        self.soc = max(FLOOR, min(CEILING, self.soc))
        decay = math.exp(-seconds / _SLOW_TIME)
        self.slow = current * _SLOW_RESISTANCE * (1 - decay) + self.slow * decay
        heat = current * current * (self.resistance + _SLOW_RESISTANCE)
        heat += self.rest * _BLEED * 0.3 if self.bleeding else 0.0
        settled = ambient + heat / self.cooling
        cooled = math.exp(-seconds * self.cooling / _HEAT_CAPACITY)
        self.temperature = settled + (self.temperature - settled) * cooled


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the pack permits at this moment, in amperes, both positive; and why not more."""

    charge: float
    discharge: float
    charge_reason: str = ""
    discharge_reason: str = ""


class Battery:
    """The pack: cells in series behind a contactor."""

    def __init__(self, seed: int, *, capacity: float = 280.0, soc: float = 0.55) -> None:
        """Build a pack whose cells differ as bought cells do."""
        self.nominal = capacity
        self.cells = tuple(_cell(seed, number, capacity, soc) for number in range(CELLS))
        self.current = 0.0
        self.requested = True  # what the contactor was told
        self.tripped = ""
        self.full = False  # stays until some charge is used
        self.balance_from = 3.40  # V
        self.charged = 0.0  # Wh at the terminals, only ever up
        self.discharged = 0.0
        self.throughput = 0.0  # Ah out
        self.last_full: float | None = None

    def look_back(self, age: float, now: float) -> None:
        """Have what a pack of this age, in seconds, has behind it."""
        days = max(0.0, age / 86_400)
        self.charged, self.discharged = 8_000.0 * days, 7_500.0 * days
        self.throughput = self.discharged / (CELLS * 3.28)
        self.last_full = now - 2.2 * 86_400 if days else None

    @property
    def closed(self) -> bool:
        """Return whether the contactor connects."""
        return self.requested and not self.tripped

    @property
    def voltages(self) -> list[float]:
        """Return the cells' voltages, under the present current."""
        return [cell.voltage(self.current) for cell in self.cells]

    @property
    def voltage(self) -> float:
        """Return the pack's voltage."""
        return sum(self.voltages)

    @property
    def power(self) -> float:
        """Return the power at the terminals, W; positive while charging."""
        return self.voltage * self.current

    @property
    def usable(self) -> tuple[float, float]:
        """Return what can be taken out and put in before one cell ends it, Ah."""
        out = min(max(0.0, cell.soc) * cell.capacity for cell in self.cells)
        room = min(max(0.0, 1 - cell.soc) * cell.capacity for cell in self.cells)
        return out, room

    @property
    def soc(self) -> float:
        """Return the state of charge of the pack, 0…1: the weakest cell decides at both ends."""
        out, room = self.usable
        return out / (out + room)

    @property
    def stored(self) -> float:
        """Return the energy that can be taken out, Wh."""
        return self.usable[0] * _NOMINAL * CELLS

    @property
    def size(self) -> float:
        """Return the energy between empty and full, Wh."""
        return sum(self.usable) * _NOMINAL * CELLS

    @property
    def balancing(self) -> bool:
        """Return whether any cell is being bled."""
        return any(cell.bleeding for cell in self.cells)

    def limits(self, seconds: float = 1.0) -> Limits:
        """Return what may flow during the next so many seconds."""
        if not self.closed:
            reason = self.tripped or "the contactor is open"
            return Limits(charge=0, discharge=0, charge_reason=reason, discharge_reason=reason)
        high, high_number = max((cell.rest, number) for number, cell in enumerate(self.cells, 1))
        low, low_number = min((cell.rest, number) for number, cell in enumerate(self.cells, 1))
        heat = min(_heat_factor(cell.temperature) for cell in self.cells)
        charge = I_MAX_CHARGE * heat * _ramp(high, U_MAX, U_STD_MAX)
        discharge = I_MAX_DISCHARGE * heat * _ramp(low, U_MIN, U_STD_MIN)
        for cell in self.cells:  # nor may the step overshoot, however long it is
            room = (CEILING - cell.soc) * cell.capacity * 3600 / seconds
            left = (cell.soc - FLOOR) * cell.capacity * 3600 / seconds - _BLEED
            charge = min(charge, (U_ABS_MAX - 0.02 - cell.rest) / cell.resistance, room)
            discharge = min(discharge, (cell.rest - U_ABS_MIN - 0.02) / cell.resistance, left)
        warm = f"the cells are at {self.cells[0].temperature:.1f} °C" if heat < 1 else ""
        top = f"cell {high_number} is at {high:.3f} V" if high > U_STD_MAX else warm
        return Limits(
            charge=0.0 if self.full else max(0.0, charge),
            discharge=max(0.0, discharge),
            charge_reason="the battery is full" if self.full else top,
            discharge_reason=f"cell {low_number} is at {low:.3f} V" if low < U_STD_MIN else warm,
        )

    def state(self, limits: Limits) -> PackState:
        """Return the pack's state under these limits."""
        if self.tripped:
            return PackState.TRIPPED
        if not self.requested:
            return PackState.OFF
        if self.full:
            return PackState.FULL
        if limits.charge <= 0 or limits.discharge <= 0:
            return PackState.BLOCKED
        full = limits.charge >= I_MAX_CHARGE and limits.discharge >= I_MAX_DISCHARGE
        return PackState.OK if full else PackState.DERATED

    def set_soc(self, soc: float) -> None:
        """Move every cell so that the pack has this state of charge (0…1), more or less."""
        shift = max(0.0, min(1.0, soc)) - self.soc
        for cell in self.cells:
            cell.soc = max(0.0, min(1.0, cell.soc + shift))

    def current_for(self, power: float) -> float:
        """Return the current that carries this power (W, + = charging) at the terminals."""
        rest = sum(cell.rest for cell in self.cells)
        resistance = sum(cell.resistance for cell in self.cells)
        root = max(0.0, rest * rest + 4 * resistance * power)
        return (math.sqrt(root) - rest) / (2 * resistance)

    def power_at(self, current: float) -> float:
        """Return the power at the terminals if this current flowed now."""
        return current * sum(cell.voltage(current) for cell in self.cells)

    def step(self, power: float, seconds: float, ambient: float, time: float) -> float:
        """Charge (+) or discharge (-) within the limits; return the power that really flowed."""
        limits = self.limits(seconds)
        self.current = max(-limits.discharge, min(limits.charge, self.current_for(power)))
        power = self.power_at(self.current)
        for cell in self.cells:
            cell.step(self.current, seconds, ambient)
        if power > 0:
            self.charged += power * seconds / 3600
        else:
            self.discharged -= power * seconds / 3600
            self.throughput -= self.current * seconds / 3600
        self._balance()
        self._protect()
        if max(cell.rest for cell in self.cells) > U_MAX - 0.01:
            self.full = True
            self.last_full = time
        elif self.full:
            self.full = self.soc > 0.97
        return power

    def _balance(self) -> None:
        low = min(cell.rest for cell in self.cells)
        for cell in self.cells:
            start = 0.008 if not cell.bleeding else 0.004
            cell.bleeding = cell.rest > self.balance_from and cell.rest - low > start

    def _protect(self) -> None:
        for number, cell in enumerate(self.cells, 1):
            if not U_ABS_MIN < cell.voltage(self.current) < U_ABS_MAX:
                self.tripped = f"cell {number} left its limits"
            elif cell.temperature > T_MAX + 10:
                self.tripped = f"cell {number} is too hot"
        if self.tripped:
            self.current = 0.0


def _cell(seed: int, number: int, capacity: float, soc: float) -> Cell:
    def spread(what: int, width: float) -> float:
        return 1 + width * (2 * uniform(seed, 40, number, what) - 1)

    middle = 1 - abs(number - (CELLS - 1) / 2) / CELLS * 1.2  # inner cells are warmer
    return Cell(
        capacity=capacity * spread(0, 0.015),
        resistance=0.45e-3 * spread(1, 0.2),
        cooling=0.55 - 0.15 * middle,
        soc=soc + 0.006 * (2 * uniform(seed, 40, number, 2) - 1),
        temperature=18 + 1.5 * middle + 0.4 * uniform(seed, 40, number, 3),
    )


def _ramp(value: float, none: float, full: float) -> float:
    """Return 0 at `none`, 1 at `full`, linear in between."""
    return max(0.0, min(1.0, (value - none) / (full - none)))


def _heat_factor(temperature: float) -> float:
    return min(_ramp(temperature, T_MIN, T_STD_MIN), _ramp(temperature, T_MAX, T_STD_MAX))
