"""Weather and household are functions of time that stay within what people know."""

from hypothesis import given, strategies as st

from firmware_bridge.drivers.simulator.load import APPLIANCES, appliance_power, household
from firmware_bridge.drivers.simulator.noise import smooth, uniform
from firmware_bridge.drivers.simulator.weather import Place, Sky, weather

SEEDS = st.integers(0, 2**32)
TIMES = st.floats(1.5e9, 2.2e9)


@given(SEEDS, TIMES, st.floats(-60, 60), st.sampled_from(list(Sky)))
def test_weather_is_plausible(seed: int, time: float, latitude: float, sky: Sky) -> None:
    """Every quantity stays within its range, and the same question has the same answer."""
    place = Place(latitude=latitude)
    now = weather(seed, place, time, sky)
    assert now == weather(seed, place, time, sky)
    assert 0 <= now.cloud <= 1
    assert 0 <= now.irradiance <= 1100
    assert -20 < now.temperature < 40
    assert 20 <= now.humidity <= 99
    assert 970 < now.pressure < 1060
    assert 0 <= now.wind < 20


@given(SEEDS, TIMES)
def test_weather_has_no_jumps(seed: int, time: float) -> None:
    """A second later it is nearly the same."""
    now, then = (weather(seed, Place(), each) for each in (time, time + 1))
    assert abs(now.temperature - then.temperature) < 0.05
    assert abs(now.cloud - then.cloud) < 0.05


@given(SEEDS, TIMES)
def test_household_draws_plausibly(seed: int, local: float) -> None:
    """There is always something on, never more than the fuses carry."""
    phases = household(seed, local)
    assert all(40 < phase < 6000 for phase in phases)


def test_every_appliance_is_used() -> None:
    """In a month each one runs, through its whole program, past midnight too."""
    for appliance in APPLIANCES:
        ran = sum(
            appliance_power(7, appliance, 20_000 * 86_400 + 60.0 * minute) > 0
            for minute in range(30 * 1440)
        )
        starts = ran * 60 / appliance.seconds
        assert 0 < starts <= 30.5


@given(SEEDS, st.integers(), TIMES, st.floats(0.1, 1e6))
def test_noise_is_even_and_smooth(seed: int, key: int, time: float, period: float) -> None:
    """Random numbers are within [0, 1) and belong to their arguments."""
    assert 0 <= uniform(seed, key) < 1
    assert 0 <= smooth(seed, key, time, period) < 1
    assert smooth(seed, key, time, period) == smooth(seed, key, time, period)
