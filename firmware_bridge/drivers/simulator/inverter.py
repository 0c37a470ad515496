"""A hybrid inverter: solar strings and battery on its direct current side, the house on the other.

Powers in W. Battery: + = charging. AC: + = out of the inverter, into house and grid.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from .battery import Battery, Limits

RATED = 6000.0  # W, AC
MAX_BATTERY = 5000.0  # W, what its DC stage carries
STANDBY = 25.0  # W
_LINEAR, _SQUARE = 0.018, 4.0e-6  # losses: W = STANDBY + _LINEAR·|P| + _SQUARE·P²
_LAG = 1.5  # s
_HOT, _TOO_HOT = 65.0, 85.0  # °C


class Mode(StrEnum):
    """What the inverter is to do with the battery."""

    SELF_CONSUMPTION = "self_consumption"
    IDLE = "idle"
    CHARGE = "charge"
    DISCHARGE = "discharge"


class Rule(StrEnum):
    """What keeps the inverter from doing more."""

    NONE = "none"
    RATING = "rating"
    TEMPERATURE = "temperature"
    BATTERY_CHARGE = "battery_charge"
    BATTERY_DISCHARGE = "battery_discharge"
    RESERVE = "reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Where the power goes during one step; solar + import - charge = load + losses."""

    solar: float  # what is taken from the strings
    battery: float
    ac: float
    losses: float
    rule: Rule


class Inverter:
    """Mode, set points and the control law."""

    def __init__(self) -> None:
        """Start in self consumption."""
        self.mode = Mode.SELF_CONSUMPTION
        self.set_power = 1500.0  # W, for the modes charge and discharge
        self.grid_target = 0.0  # W, + = import, for self consumption
        self.reserve = 0.10  # state of charge kept in self consumption
        self.temperature = 28.0
        self.flow = Flow(solar=0, battery=0, ac=0, losses=0, rule=Rule.NONE)

    @property
    def rating(self) -> float:
        """Return the AC power that is permitted at this temperature."""
        if self.temperature <= _HOT:
            return RATED
        return RATED * max(0.0, (_TOO_HOT - self.temperature) / (_TOO_HOT - _HOT))

    @property
    def efficiency(self) -> float | None:
        """Return the share that gets through, 0…1; None when nearly nothing flows."""
        flow = self.flow
        through = max(abs(flow.ac), abs(flow.ac + flow.losses))
        return 1 - flow.losses / through if through > 200 else None

    def step(
        self, *, solar: float, load: float, battery: Battery, seconds: float, ambient: float,
        time: float,
    ) -> Flow:  # fmt: skip
        """Regulate for one step; `solar` is what the strings could give."""
        limits = battery.limits(seconds)
        wish, rule = self._limited(self._wish(solar, load), limits, battery)
        previous = self.flow.battery
        towards = previous + (wish - previous) * (1 - math.exp(-seconds / _LAG))
        aim, _ = self._limited(towards, limits, battery)
        dc_max, dc_min = dc_power(self.rating), dc_power(-self.rating)
        if solar - aim < dc_min:  # not so much out of the grid
            aim, rule = solar - dc_min, self._rating_rule()
        if aim < 0 and solar - aim > dc_max:  # nor out of the battery
            aim, rule = min(0.0, solar - dc_max), self._rating_rule()
        charged = battery.step(aim, seconds, ambient, time)
        taken = min(solar, max(0.0, dc_max + charged))
        if taken < solar - 1:
            rule = self._rating_rule()
        direct = taken - charged
        alternating = ac_power(direct)
        self.flow = Flow(
            solar=taken, battery=charged, ac=alternating, losses=direct - alternating, rule=rule
        )
        settled = ambient + 4 + self.flow.losses * 0.13
        self.temperature = settled + (self.temperature - settled) * math.exp(-seconds / 1500)
        return self.flow

    def _wish(self, solar: float, load: float) -> float:
        if self.mode is Mode.CHARGE:
            return self.set_power
        if self.mode is Mode.DISCHARGE:
            return -self.set_power
        if self.mode is Mode.IDLE:
            return 0.0
        return solar - dc_power(load - self.grid_target)

    def _limited(self, wish: float, limits: Limits, battery: Battery) -> tuple[float, Rule]:
        """Return what of the wish is permitted, and what forbids the rest."""
        if wish > 0:
            most = min(MAX_BATTERY, battery.power_at(limits.charge))
            if wish <= most:
                return wish, Rule.NONE
            return most, Rule.RATING if most == MAX_BATTERY else Rule.BATTERY_CHARGE
        keeps = self.mode is Mode.SELF_CONSUMPTION and battery.soc <= self.reserve
        if wish < 0 and keeps:
            return 0.0, Rule.RESERVE
        most = min(MAX_BATTERY, -battery.power_at(-limits.discharge))
        if -wish <= most:
            return wish, Rule.NONE
        return -most, Rule.RATING if most == MAX_BATTERY else Rule.BATTERY_DISCHARGE

    def _rating_rule(self) -> Rule:
        return Rule.TEMPERATURE if self.temperature > _HOT else Rule.RATING


def losses(ac: float) -> float:
    """Return what is lost in the inverter at this AC power."""
    return STANDBY + _LINEAR * abs(ac) + _SQUARE * ac * ac


def dc_power(ac: float) -> float:
    """Return the DC power that this AC power takes (negative: gives)."""
    return ac + losses(ac)


def ac_power(dc: float) -> float:
    """Return the AC power that comes from this DC power; the inverse of `dc_power`."""
    slope = 1 + _LINEAR if dc >= STANDBY else 1 - _LINEAR
    return (math.sqrt(slope * slope + 4 * _SQUARE * (dc - STANDBY)) - slope) / (2 * _SQUARE)
