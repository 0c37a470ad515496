"""The sun against known positions, and bounds of what reaches a surface."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.drivers.simulator.solar import Sun, clear_sky, on_surface, sun_position

TIMES = st.floats(1.5e9, 2.2e9)
SUNS = st.builds(Sun, elevation=st.floats(-90, 90), azimuth=st.floats(0, 360, exclude_max=True))


@pytest.mark.parametrize(
    ("moment", "latitude", "longitude", "elevation", "azimuth"),
    [
        # culminations: 90° - |latitude - declination|, due south or north
        ("2026-06-21T11:08:10", 52.52, 13.40, 60.92, 180),
        ("2026-12-21T11:04:30", 52.52, 13.40, 14.04, 180),
        ("2026-03-20T12:07:30", 0.0, 0.0, 89.97, None),
        ("2026-01-01T01:58:40", -33.87, 151.21, 79.1, 0),
    ],
)
def test_known_positions(
    moment: str, latitude: float, longitude: float, elevation: float, azimuth: float | None
) -> None:
    """The sun culminates where almanacs say."""
    time = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    sun = sun_position(time, latitude, longitude)
    assert sun.elevation == pytest.approx(elevation, abs=0.1)
    if azimuth is not None:
        assert min(abs(sun.azimuth - azimuth), abs(sun.azimuth - azimuth - 360)) < 1.5


@given(TIMES, st.floats(-66, 66), st.floats(-180, 180))
def test_the_sun_is_somewhere(time: float, latitude: float, longitude: float) -> None:
    """Every position is on the sphere."""
    sun = sun_position(time, latitude, longitude)
    assert -90 <= sun.elevation <= 90
    assert 0 <= sun.azimuth <= 360


@given(SUNS, st.floats(0, 1), st.floats(0, 90), st.floats(0, 360))
def test_light_on_a_surface(sun: Sun, cloud: float, tilt: float, azimuth: float) -> None:
    """No light at night, never more than the sun sends."""
    horizontal = clear_sky(sun)
    light = on_surface(sun, horizontal, cloud, tilt, azimuth)
    assert 0 <= horizontal <= 1100
    assert 0 <= light <= 1500
    assert sun.elevation > 0 or light == 0
