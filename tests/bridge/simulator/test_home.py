"""The whole home: energy is conserved, counters only grow, the same seed gives the same home."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings, strategies as st

from firmware_bridge.drivers.simulator.board import Door, Press
from firmware_bridge.drivers.simulator.home import Home
from firmware_bridge.drivers.simulator.inverter import Mode
from firmware_bridge.drivers.simulator.weather import Place, Sky
from tests.support.effort import examples

SUMMER = datetime(2026, 6, 21, tzinfo=UTC).timestamp()
PLACES = st.builds(Place, latitude=st.floats(-60, 60), longitude=st.floats(-180, 180))
WISHES = st.lists(
    st.tuples(
        st.sampled_from(list(Mode)),
        st.floats(0, 5000),
        st.booleans(),
        st.sampled_from(list(Sky)),
        st.floats(0.1, 900),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=examples(15))
@given(st.integers(0, 2**32), st.floats(1.7e9, 2.0e9), PLACES, st.floats(0, 1), WISHES)
def test_energy_is_conserved(
    seed: int,
    start: float,
    place: Place,
    soc: float,
    wishes: list[tuple[Mode, float, bool, Sky, float]],
) -> None:
    """At every step what comes in is what goes out; no total ever goes back."""
    home = Home(seed=seed, start=start, place=place)
    home.battery.set_soc(soc)
    totals = _totals(home)
    for mode, power, heater, sky, seconds in wishes:
        home.inverter.mode, home.inverter.set_power, home.sky = mode, power, sky
        home.board.set_relay(0, on=heater)
        for _ in range(5):
            home.advance(home.time + seconds)
            flow = home.balance
            given_, taken = flow.solar + flow.grid - flow.battery, flow.load + flow.losses
            assert given_ == pytest.approx(taken, abs=1e-6)
            assert sum(home.phase(each).power for each in range(3)) == pytest.approx(
                flow.grid, abs=1e-6
            )
            assert flow.solar >= 0
            assert flow.losses > 0
            assert flow.load > 50
            assert all(old <= new for old, new in zip(totals, _totals(home), strict=True))
            assert not home.battery.tripped
            totals = _totals(home)


def _totals(home: Home) -> tuple[float, ...]:
    counters, battery = home.counters, home.battery
    return (
        *(counters.grid_import, counters.grid_export, counters.solar, counters.load),
        *(battery.charged, battery.discharged, home.valve.volume, home.time),
    )


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=examples(3))
def test_the_seed_decides(seed: int, other: int) -> None:
    """One seed, one home; another seed, another home."""
    homes = [Home(seed=each, start=SUMMER) for each in (seed, seed, other)]
    for home in homes:
        home.advance(SUMMER + 3600)
    first, again, different = (home.balance for home in homes)
    assert first == again
    assert seed == other or first != different


def test_a_summer_day() -> None:
    """The roof yields what such a roof yields, and the house eats what a house eats."""
    home = Home(seed=1, start=SUMMER)
    before = home.counters.solar, home.counters.load
    home.sky = Sky.CLEAR
    home.advance(SUMMER + 3 * 3600)
    for hour in range(4, 25):
        home.advance(SUMMER + 3600 * hour)
    solar, load = home.counters.solar - before[0], home.counters.load - before[1]
    assert 35_000 < solar < 65_000  # Wh
    assert 6_000 < load < 16_000


def test_a_long_sleep_is_left_out() -> None:
    """After a suspend of days the home goes on at once."""
    home = Home(seed=1, start=SUMMER)
    home.advance(SUMMER + 86_400 * 30)
    assert home.time == SUMMER + 86_400 * 30


def test_things_happen() -> None:
    """In a day the button is pressed, and everything is told once."""
    home = Home(seed=1, start=SUMMER)
    for hour in range(1, 25):
        home.advance(SUMMER + 3600 * hour)
    presses = [each for each in home.happened() if each.key == "button"]
    assert 10 < len(presses) <= 25
    assert {each.what for each in presses} <= set(Press)
    assert home.happened() == []


def test_alerts_are_told_when_they_begin() -> None:
    """An empty battery is an alert once, not at every step."""
    home = Home(seed=1, start=SUMMER)
    home.sky = Sky.OVERCAST
    home.battery.set_soc(0.06)
    home.inverter.mode, home.inverter.set_power = Mode.DISCHARGE, 4000.0
    home.advance(SUMMER + 1800)
    alerts = [each.what for each in home.happened() if each.device == "battery"]
    assert alerts.count("low_charge") == 1
    assert "low_charge" in home.alerts


def test_switched_loads_are_felt() -> None:
    """A heater behind a relay warms the cellar and is paid for."""
    home, other = (Home(seed=1, start=SUMMER) for _ in range(2))
    home.board.set_relay(0, on=True)
    for each in (home, other):
        each.advance(SUMMER + 3600)
    assert home.balance.load == pytest.approx(other.balance.load + 600, abs=1)
    assert home.board.temperature > other.board.temperature + 3


def test_light_valve_and_blind_take_their_time() -> None:
    """They get where they were sent, step by step."""
    home = Home(seed=1, start=SUMMER)
    home.lamp.on, home.valve.open, home.blind.wanted = True, True, 40.0
    home.advance(SUMMER + 1)
    assert home.lamp.level == 50
    assert home.blind.position == 96
    assert home.blind.motion == "closing"
    home.advance(SUMMER + 60)
    assert home.lamp.level == 60
    assert home.blind.motion == "stopped"
    assert home.valve.volume == pytest.approx(11, abs=0.1)
    home.blind.stop()
    assert home.blind.position == 40


def test_a_restart_releases_the_relays() -> None:
    """The board boots for some seconds, with its relays off."""
    home = Home(seed=1, start=SUMMER)
    up = []
    for seconds in (1, 2, 10):
        home.advance(SUMMER + seconds)
        up.append(home.board.up)
        if seconds == 1:
            home.board.set_relay(1, on=True)
            home.board.restart()
    assert up == [True, False, True]
    assert home.board.relays == [False, False]


def test_the_door_obeys_the_controls() -> None:
    """Open and closed hold; by itself it opens sometimes."""
    home = Home(seed=1, start=SUMMER)
    home.board.door_control = Door.OPEN
    home.advance(SUMMER + 1)
    assert home.board.door
    home.board.door_control = Door.CLOSED
    home.advance(SUMMER + 86_000)
    assert not home.board.door
