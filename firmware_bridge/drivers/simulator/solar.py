"""Where the sun stands and what a tilted surface gets from it; pure geometry."""

import math
from dataclasses import dataclass

_J2000 = 946_728_000.0  # 2000-01-01 12:00 UTC
_MAX_BEAM = 1000.0  # W/m²; the horizontal formula overshoots when the sun is very low


@dataclass(frozen=True, slots=True, kw_only=True)
class Sun:
    """Position in the sky, in degrees; azimuth from north over east."""

    elevation: float
    azimuth: float


def sun_position(time: float, latitude: float, longitude: float) -> Sun:
    """Return the position to about 0.02° (Astronomical Almanac's low-precision formula)."""
    days = (time - _J2000) / 86_400
    anomaly = math.radians(357.528 + 0.985_600_3 * days)
    ecliptic = math.radians(
        280.460 + 0.985_647_4 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    tilt = math.radians(23.439 - 4e-7 * days)
    right_ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians((280.460_618_37 + 360.985_647_366_29 * days + longitude) % 360)
    hour = sidereal - right_ascension
    phi = math.radians(latitude)
    height = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(
        declination
    ) * math.cos(hour)
    azimuth = math.atan2(
        -math.sin(hour), math.tan(declination) * math.cos(phi) - math.sin(phi) * math.cos(hour)
    )
    return Sun(
        elevation=math.degrees(math.asin(max(-1.0, min(1.0, height)))),
        azimuth=math.degrees(azimuth) % 360,
    )


def clear_sky(sun: Sun) -> float:
    """Return the horizontal irradiance under a clear sky, W/m² (Haurwitz 1945)."""
    height = math.sin(math.radians(sun.elevation))
    return 1098 * height * math.exp(-0.057 / height) if height > 0.01 else 0.0


def on_surface(sun: Sun, horizontal: float, cloud: float, tilt: float, azimuth: float) -> float:
    """Return the irradiance on a tilted surface, W/m²; the cloudier, the more diffuse."""
    height = math.sin(math.radians(sun.elevation))
    if horizontal <= 0 or height <= 0:
        return 0.0
    diffuse = horizontal * min(1.0, 0.15 + 0.85 * cloud)
    beam = min(_MAX_BEAM, (horizontal - diffuse) / height)
    slope = math.radians(tilt)
    incidence = height * math.cos(slope) + math.cos(math.radians(sun.elevation)) * math.sin(
        slope
    ) * math.cos(math.radians(sun.azimuth - azimuth))
    return beam * max(0.0, incidence) + diffuse * (1 + math.cos(slope)) / 2
