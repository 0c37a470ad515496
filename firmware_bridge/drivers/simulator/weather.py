"""Weather as a function of seed, place and time: clouds, temperature, humidity, wind, pressure."""

import math
from dataclasses import dataclass
from enum import StrEnum

from .noise import smooth
from .solar import Sun, clear_sky, sun_position

_DAY = 86_400.0
_YEAR = 365.2422 * _DAY


class Sky(StrEnum):
    """What the person at the controls wants to see above the roof."""

    AUTO = "auto"
    CLEAR = "clear"
    OVERCAST = "overcast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the home stands, in degrees."""

    latitude: float = 49.45
    longitude: float = 11.08

    def local(self, time: float) -> float:
        """Return the time by the mean sun, in seconds (no time zones, no daylight saving)."""
        return time + self.longitude * 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The outdoors at one moment; °C, %, hPa, m/s, W/m²."""

    sun: Sun
    cloud: float  # share of the sky, 0…1
    irradiance: float  # on the horizontal
    temperature: float
    humidity: float
    pressure: float
    wind: float


def weather(seed: int, place: Place, time: float, sky: Sky = Sky.AUTO) -> Weather:
    """Return the weather at that time."""
    sun = sun_position(time, place.latitude, place.longitude)
    cloud = _cloud(seed, time, sky)
    local = place.local(time)
    season = -math.cos(2 * math.pi * (local / _YEAR - 20 / 365.2422))
    if place.latitude < 0:
        season = -season
    hour = math.cos(2 * math.pi * (local / _DAY - 15 / 24))
    temperature = (
        10 + 10 * season + (5 - 3 * cloud) * hour + 8 * (smooth(seed, 3, time, 2 * _DAY) - 0.5)
    )
    return Weather(
        sun=sun,
        cloud=cloud,
        irradiance=clear_sky(sun) * (1 - 0.75 * cloud**3.4),  # Kasten and Czeplak 1980
        temperature=temperature,
        humidity=max(20.0, min(99.0, 70 - 2.2 * (5 - 3 * cloud) * hour + 20 * (cloud - 0.5))),
        pressure=1000 + 30 * smooth(seed, 4, time, 3 * _DAY),
        wind=12 * smooth(seed, 5, time, 4 * 3600) ** 2 + 2 * smooth(seed, 6, time, 60),
    )


def _cloud(seed: int, time: float, sky: Sky) -> float:
    """Return the share of the sky that is covered: fronts of hours, broken by minutes."""
    if sky is Sky.CLEAR:
        return 0.0
    if sky is Sky.OVERCAST:
        return 0.95
    front = 0.65 * smooth(seed, 1, time, 11 * 3600) + 0.35 * smooth(seed, 2, time, 3 * 3600)
    broken = 4 * front * (1 - front)  # most restless when half covered
    gap = smooth(seed, 7, time, 240) - 0.5
    return max(0.0, min(1.0, 1.6 * (front - 0.2) + 0.9 * broken * gap))
