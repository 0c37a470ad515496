"""What a household draws, as a function of seed and local time; watts by phase."""

import math
from dataclasses import dataclass

from .noise import smooth, uniform

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """Something that is started now and then and runs through a program."""

    name: str
    phase: int
    program: tuple[tuple[float, float], ...]  # minutes, watts
    earliest: float  # hour of the day
    latest: float
    chance: float  # of being started on a day

    @property
    def seconds(self) -> float:
        """Return how long the whole program takes."""
        return sum(minutes for minutes, _ in self.program) * 60


APPLIANCES: tuple[Appliance, ...] = (
    Appliance(
        name="coffee", phase=0, program=((4, 1400.0),), earliest=5.8, latest=7.5, chance=0.95
    ),
    Appliance(name="kettle", phase=1, program=((3, 2100.0),), earliest=15, latest=17, chance=0.6),
    Appliance(
        name="stove",
        phase=2,
        program=((6, 2200.0), (4, 900.0), (5, 1800.0), (15, 700.0)),
        earliest=11.3,
        latest=12.5,
        chance=0.5,
    ),
    Appliance(
        name="oven",
        phase=2,
        program=((9, 2600.0), (4, 100.0), (3, 2600.0), (6, 100.0), (3, 2600.0), (10, 100.0)),
        earliest=17.5,
        latest=19.0,
        chance=0.7,
    ),
    Appliance(
        name="washing_machine",
        phase=0,
        program=((4, 120.0), (22, 2000.0), (60, 180.0), (12, 450.0)),
        earliest=8,
        latest=15,
        chance=0.6,
    ),
    Appliance(
        name="dishwasher",
        phase=1,
        program=((8, 60.0), (16, 1900.0), (45, 80.0), (14, 1900.0), (20, 15.0)),
        earliest=19.5,
        latest=21.5,
        chance=0.75,
    ),
    Appliance(
        name="vacuum", phase=1, program=((25, 750.0),), earliest=9.5, latest=18.0, chance=0.25
    ),
)


def appliance_power(seed: int, appliance: Appliance, local: float) -> float:
    """Return what one appliance draws at that local time, in watts."""
    key = APPLIANCES.index(appliance)
    today = math.floor(local / _DAY)
    for day in (today, today - 1):
        if uniform(seed, 20, key, day, 0) >= appliance.chance:
            continue
        hour = appliance.earliest + (appliance.latest - appliance.earliest) * uniform(
            seed, 20, key, day, 1
        )
        into = local - day * _DAY - hour * 3600
        if 0 <= into < appliance.seconds:
            return _program_power(appliance.program, into / 60)
    return 0.0


def household(seed: int, local: float) -> tuple[float, float, float]:
    """Return what the house draws on each phase without anything that we switch."""
    phases = [
        70 + 25 * smooth(seed, 21, local, 45),
        55 + 20 * smooth(seed, 22, local, 70),
        60 + 15 * smooth(seed, 23, local, 30),
    ]
    phases[1] += _fridge(seed, local)
    phases[2] += _evening(seed, local)
    for appliance in APPLIANCES:
        phases[appliance.phase] += appliance_power(seed, appliance, local)
    return phases[0], phases[1], phases[2]


def _program_power(program: tuple[tuple[float, float], ...], minute: float) -> float:
    for length, power in program:
        if minute < length:
            return power
        minute -= length
    return 0.0


def _fridge(seed: int, local: float) -> float:
    cycle = 2700.0
    index, into = divmod(local, cycle)
    return 85.0 if into < cycle * (0.3 + 0.2 * uniform(seed, 24, int(index))) else 0.0


def _evening(seed: int, local: float) -> float:
    """Return lights and television: from dusk to bedtime, some at breakfast."""
    hour = local / 3600 % 24
    wanted = 260.0 if 17.5 <= hour < 22.6 else 120.0 if 6 <= hour < 8 else 0.0
    return wanted * (0.7 + 0.3 * smooth(seed, 25, local, 600))
