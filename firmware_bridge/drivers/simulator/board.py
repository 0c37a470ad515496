"""A small board in the cellar: relays, inputs, sensors, a display; and what is wired to it."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from .noise import smooth, uniform

BOOT = 5.0  # s
_DAY = 86_400
HEATER, PUMP = 600.0, 180.0  # W behind relay 1 and relay 2
LAMP = 14.0  # W at full brightness
FLOW = 11.0  # l/min through the open valve
TRAVEL = 4.0  # % per second, of the blind


class Door(StrEnum):
    """What the cellar door does: by itself, or as told at the controls."""

    AUTO = "auto"
    OPEN = "open"
    CLOSED = "closed"


class Press(StrEnum):
    """How the push button was pressed."""

    SHORT = "short"
    LONG = "long"
    DOUBLE = "double"


class Motion(StrEnum):
    """What the blind does."""

    OPEN = "open"
    CLOSED = "closed"
    OPENING = "opening"
    CLOSING = "closing"
    STOPPED = "stopped"


@dataclass(slots=True, eq=False)
class Board:
    """The board itself."""

    seed: int
    started: float
    relays: list[bool] = field(default_factory=lambda: [False, False])
    switched: list[int] = field(default_factory=lambda: [0, 0])
    text: str = "MoaT"
    firmware: str = "1.4.2"
    door_control: Door = Door.AUTO
    door: bool = False
    motion: bool = False
    temperature: float = 16.0
    now: float = 0.0

    @property
    def up(self) -> bool:
        """Return whether it has finished booting."""
        return self.now >= self.started + BOOT

    @property
    def uptime(self) -> float:
        """Return the seconds since it started."""
        return max(0.0, self.now - self.started)

    @property
    def signal(self) -> float:
        """Return the strength of its radio signal, dBm."""
        return -58 - 14 * smooth(self.seed, 63, self.now, 300)

    @property
    def humidity(self) -> float:
        """Return the humidity of the cellar, %: the warmer, the drier."""
        return 62 + 10 * smooth(self.seed, 62, self.now, 5000) - 1.8 * (self.temperature - 16)

    @property
    def load(self) -> float:
        """Return what its relays switch on, W."""
        return (HEATER if self.relays[0] else 0) + (PUMP if self.relays[1] else 0)

    def restart(self) -> None:
        """Boot; the relays fall off."""
        self.started = self.now
        for number in (0, 1):
            self.set_relay(number, on=False)

    def set_relay(self, number: int, *, on: bool) -> None:
        """Switch one relay; no questions asked."""
        self.switched[number] += self.relays[number] != on
        self.relays[number] = on

    def step(self, time: float, local: float, seconds: float) -> Press | None:
        """Let time pass; return how the button was pressed meanwhile, if it was."""
        before, self.now = self.now, time
        by_itself = self.door_control is Door.AUTO and _door(self.seed, local)
        self.door = by_itself or self.door_control is Door.OPEN
        self.motion = self.door or uniform(self.seed, 61, math.floor(local / 240)) < 0.06
        ambient = 15 + 2 * smooth(self.seed, 60, time, 20_000) - (3 if self.door else 0)
        settled = ambient + (9 if self.relays[0] else 0)
        self.temperature = settled + (self.temperature - settled) * math.exp(-seconds / 5400)
        return _press(self.seed, before, time) if self.up and before else None


@dataclass(slots=True, eq=False)
class Lamp:
    """A dimmable light; it fades."""

    on: bool = False
    wanted: float = 60.0  # %
    level: float = 0.0  # % that it shines with now

    @property
    def power(self) -> float:
        """Return what it draws, W."""
        return 0.4 + LAMP * self.level / 100

    def step(self, seconds: float) -> None:
        """Fade towards what is wanted, 50 % per second."""
        self.level = _towards(self.level, self.wanted if self.on else 0.0, 50 * seconds)


@dataclass(slots=True, eq=False)
class Valve:
    """A water valve in the garden, and the soil that it waters."""

    seed: int
    open: bool = False
    volume: float = 0.0  # l since ever
    moisture: float = 38.0  # %

    @property
    def flow(self) -> float:
        """Return the flow, l/min."""
        return FLOW if self.open else 0.0

    def step(self, seconds: float, temperature: float) -> None:
        """Let water flow and the soil dry."""
        self.volume += self.flow * seconds / 60
        settled = 75.0 if self.open else max(5.0, 35 - temperature)
        self.moisture = settled + (self.moisture - settled) * math.exp(
            -seconds / (2400 if self.open else 90_000)
        )


@dataclass(slots=True, eq=False)
class Blind:
    """A blind that takes its time; 100 % is open."""

    position: float = 100.0
    wanted: float = 100.0

    @property
    def motion(self) -> Motion:
        """Return what it is doing."""
        if self.position < self.wanted:
            return Motion.OPENING
        if self.position > self.wanted:
            return Motion.CLOSING
        if self.position in (0.0, 100.0):
            return Motion.OPEN if self.position else Motion.CLOSED
        return Motion.STOPPED

    def stop(self) -> None:
        """Stay where it is."""
        self.wanted = self.position

    def step(self, seconds: float) -> None:
        """Move on."""
        self.position = _towards(self.position, self.wanted, TRAVEL * seconds)


def _towards(value: float, wanted: float, most: float) -> float:
    return max(value - most, min(value + most, wanted))


def _door(seed: int, local: float) -> bool:
    """Return whether somebody left the door open: up to six times a day, for minutes."""
    day, into = divmod(local, _DAY)
    for visit in range(6):
        opened = 3600 * (7 + 14 * uniform(seed, 64, int(day), visit, 0))
        if opened <= into < opened + 60 + 500 * uniform(seed, 64, int(day), visit, 1):
            return True
    return False


def _press(seed: int, before: float, time: float) -> Press | None:
    """Return the press between two times; there is one in most hours."""
    hour = math.floor(time / 3600)
    moment = 3600 * (hour + uniform(seed, 65, hour, 0))
    if not before < moment <= time:
        return None
    return list(Press)[int(3 * uniform(seed, 65, hour, 1))]
