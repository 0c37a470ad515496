"""The simulated home: everything together, step by step; no clock, no bus, no logging.

The same seed, start and commands give the same home. At every step
solar + import = load + charge + losses holds (export and discharge being negative).
"""

import math
from dataclasses import dataclass

from .battery import U_MAX, U_STD_MIN, Battery
from .board import Blind, Board, Lamp, Valve
from .inverter import Inverter
from .load import APPLIANCES, appliance_power, household
from .noise import smooth
from .solar import on_surface
from .weather import Place, Sky, Weather, weather

LONGEST_STEP = 10.0  # s
_LONGEST_JUMP = 6 * 3600.0  # s, that are simulated rather than left out
_DERATING = 0.0035  # 1/K, of a solar module


@dataclass(frozen=True, slots=True, kw_only=True)
class String:
    """Solar modules in series on one side of the roof."""

    peak: float  # W
    modules: int
    tilt: float
    azimuth: float

    def output(self, now: Weather) -> tuple[float, float]:
        """Return power and voltage at the best operating point."""
        light = on_surface(now.sun, now.irradiance, now.cloud, self.tilt, self.azimuth)
        warmth = now.temperature + 0.028 * light - 25
        power = max(0.0, self.peak * light / 1000 * (1 - _DERATING * warmth) * 0.96)
        if power < 3:
            return 0.0, 0.0
        voltage = self.modules * 31.5 * (1 - 0.0028 * warmth) * (1 + 0.03 * math.log(light / 1000))
        return power, voltage


STRINGS = (
    String(peak=4200.0, modules=10, tilt=38.0, azimuth=140.0),
    String(peak=3780.0, modules=9, tilt=38.0, azimuth=230.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The power flows of one step, W."""

    solar: float
    grid: float  # + = import
    battery: float  # + = charging
    load: float
    losses: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """Something that happened at a moment."""

    device: str
    key: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What the meter sees on one phase."""

    voltage: float
    current: float
    power: float  # + = import


_BUILT = 1_704_067_200.0  # the beginning of 2024


class Counters:
    """Energies in Wh that only ever grow; they start where an installation of some age would."""

    def __init__(self, time: float) -> None:
        """Start with what has accumulated since the home was built."""
        days = max(0.0, (time - _BUILT) / 86_400)
        self.grid_import = 5_200.0 * days
        self.grid_export = 9_400.0 * days
        self.solar = 19_000.0 * days
        self.load = 11_000.0 * days

    def add(self, flow: Balance, seconds: float) -> None:
        """Count one step."""
        hours = seconds / 3600
        self.grid_import += max(0.0, flow.grid) * hours
        self.grid_export += max(0.0, -flow.grid) * hours
        self.solar += flow.solar * hours
        self.load += flow.load * hours


class Home:
    """The whole home at one moment."""

    def __init__(self, *, seed: int, start: float, place: Place | None = None) -> None:
        """Set up everything as it is at `start`, seconds since 1970."""
        self.seed = seed
        self.place = place or Place()
        self.time = start
        self.sky = Sky.AUTO
        self.weather = weather(seed, self.place, start)
        self.battery = Battery(seed)
        self.battery.look_back(start - _BUILT, start)
        self.inverter = Inverter()
        self.board = Board(seed, started=start - 86_400 * 3.5, now=start)
        self.lamp = Lamp()
        self.valve = Valve(seed)
        self.blind = Blind()
        self.counters = Counters(start)
        self.strings = [string.output(self.weather) for string in STRINGS]
        self.phase_loads = (0.0, 0.0, 0.0)
        self.balance = Balance(solar=0, grid=0, battery=0, load=0, losses=0)
        self._alerts: set[str] = set()
        self._happened: list[Occurrence] = []

    @property
    def local(self) -> float:
        """Return the time by the sun at this place, in seconds."""
        return self.place.local(self.time)

    @property
    def curtailed(self) -> float:
        """Return the share of the possible solar power that is used, 0…1."""
        possible = sum(power for power, _ in self.strings)
        return self.inverter.flow.solar / possible if possible > 0 else 0.0

    @property
    def alerts(self) -> frozenset[str]:
        """Return what the battery complains about now."""
        return frozenset(self._alerts)

    def advance(self, until: float) -> None:
        """Let time pass, in steps. A jump of hours is left out."""
        if until - self.time > _LONGEST_JUMP:
            self.time = until - LONGEST_STEP
        while self.time < until:
            self._step(min(LONGEST_STEP, until - self.time))

    def happen(self, device: str, key: str, what: str) -> None:
        """Let something happen now."""
        self._happened.append(Occurrence(device=device, key=key, what=what))

    def happened(self) -> list[Occurrence]:
        """Return what happened since this was asked last."""
        happened, self._happened = self._happened, []
        return happened

    def appliance(self, name: str) -> float:
        """Return what one appliance of the house draws now, W."""
        found = next(appliance for appliance in APPLIANCES if appliance.name == name)
        return appliance_power(self.seed, found, self.local)

    def phase(self, number: int) -> Phase:
        """Return what the meter sees on phase 0, 1 or 2."""
        power = self.phase_loads[number] - self.inverter.flow.ac / 3
        idle = 231.5 + 5 * (smooth(self.seed, 80 + number, self.time, 900) - 0.5)
        idle += 0.8 * (smooth(self.seed, 83 + number, self.time, 8) - 0.5)
        voltage = idle - power / 230 * 0.25
        return Phase(voltage=voltage, current=abs(power) / voltage / self.power_factor, power=power)

    @property
    def power_factor(self) -> float:
        """Return the power factor at the meter."""
        return 0.93 + 0.06 * min(1.0, abs(self.balance.grid) / 2000)

    @property
    def frequency(self) -> float:
        """Return the grid's frequency, Hz."""
        return 50 + 0.06 * (smooth(1, 86, self.time, 40) - 0.5)  # the same for all homes

    def _step(self, seconds: float) -> None:
        self.time += seconds
        self.weather = weather(self.seed, self.place, self.time, self.sky)
        press = self.board.step(self.time, self.local, seconds)
        self.lamp.step(seconds)
        self.valve.step(seconds, self.weather.temperature)
        self.blind.step(seconds)
        self.strings = [string.output(self.weather) for string in STRINGS]
        base = household(self.seed, self.local)
        self.phase_loads = (base[0] + self.board.load, base[1], base[2] + self.lamp.power)
        load = sum(self.phase_loads)
        flow = self.inverter.step(
            solar=sum(power for power, _ in self.strings),
            load=load,
            battery=self.battery,
            seconds=seconds,
            ambient=self.board.temperature,
            time=self.time,
        )
        self.balance = Balance(
            solar=flow.solar,
            grid=load - flow.ac,
            battery=flow.battery,
            load=load,
            losses=flow.losses,
        )
        self.counters.add(self.balance, seconds)
        self._notice_alerts()
        if press is not None:
            self.happen("board", "button", press)

    def _notice_alerts(self) -> None:
        """Notice what is wrong with the battery now and was not before."""
        voltages = self.battery.voltages
        present = {
            "high_cell_voltage": max(voltages) > U_MAX + 0.02,
            "low_cell_voltage": min(voltages) < U_STD_MIN,
            "low_charge": self.battery.soc < 0.05,
            "high_temperature": max(cell.temperature for cell in self.battery.cells) > 45,
            "tripped": bool(self.battery.tripped),
        }
        now = {name for name, is_so in present.items() if is_so}
        new, self._alerts = now - self._alerts, now
        for name in sorted(new):
            self.happen("battery", "alert", name)


ALERTS = ("high_cell_voltage", "low_cell_voltage", "low_charge", "high_temperature", "tripped")
