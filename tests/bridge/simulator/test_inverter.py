"""The inverter's arithmetic and its control law."""

import pytest
from hypothesis import given, settings, strategies as st

from firmware_bridge.drivers.simulator.battery import Battery
from firmware_bridge.drivers.simulator.inverter import (
    MAX_BATTERY,
    RATED,
    Flow,
    Inverter,
    Mode,
    Rule,
    ac_power,
    dc_power,
    losses,
)
from tests.support.effort import examples


def run(
    inverter: Inverter, battery: Battery, *, solar: float, load: float, steps: int = 20
) -> Flow:
    """Let it settle."""
    for _ in range(steps):
        flow = inverter.step(solar=solar, load=load, battery=battery, seconds=1, ambient=20, time=0)
    return flow


@given(st.floats(-8000, 8000))
def test_both_directions_agree(ac: float) -> None:
    """DC to AC is the inverse of AC to DC, and losses are losses."""
    assert ac_power(dc_power(ac)) == pytest.approx(ac, abs=1e-6)
    assert losses(ac) > 0


@settings(max_examples=examples(100))
@given(
    st.sampled_from(list(Mode)),
    st.floats(0, 9000),
    st.floats(0, 12_000),
    st.floats(0, MAX_BATTERY),
    st.floats(0, 1),
    st.floats(20, 84),
    st.sampled_from([0.2, 1.0, 10.0]),
)
def test_every_flow_is_possible(
    mode: Mode,
    solar: float,
    load: float,
    wish: float,
    soc: float,
    temperature: float,
    seconds: float,
) -> None:
    """Nothing is made of nothing, and nothing is overloaded."""
    inverter, battery = Inverter(), Battery(1, soc=soc)
    inverter.mode, inverter.set_power, inverter.temperature = mode, wish, temperature
    for _ in range(5):
        rating = inverter.rating
        flow = inverter.step(
            solar=solar, load=load, battery=battery, seconds=seconds, ambient=20, time=0
        )
        assert 0 <= flow.solar <= solar
        assert flow.losses > 0
        assert abs(flow.ac) <= rating + 0.01 or (flow.ac < 0 and flow.solar == 0)
        assert abs(flow.battery) <= MAX_BATTERY + RATED  # the limits of the pack hold besides
        assert flow.solar == pytest.approx(flow.battery + flow.ac + flow.losses, abs=1e-6)


def test_self_consumption_zeroes_the_grid() -> None:
    """Surplus goes into the battery, lack comes out of it."""
    inverter, battery = Inverter(), Battery(1)
    surplus = run(inverter, battery, solar=3000, load=1000)
    assert surplus.ac == pytest.approx(1000, abs=2)
    assert surplus.battery > 1800
    lack = run(inverter, battery, solar=0, load=1000)
    assert lack.ac == pytest.approx(1000, abs=2)
    assert lack.battery < -1000


def test_the_grid_set_point_is_kept() -> None:
    """Import and export can be asked for."""
    inverter, battery = Inverter(), Battery(1)
    inverter.grid_target = 500
    assert run(inverter, battery, solar=0, load=1500).ac == pytest.approx(1000, abs=2)


def test_the_reserve_is_kept() -> None:
    """Self consumption stops at the reserve; discharging on command does not."""
    inverter, battery = Inverter(), Battery(1, soc=0.15)
    inverter.reserve = 0.2
    flow = run(inverter, battery, solar=0, load=1000)
    assert flow.battery == pytest.approx(0, abs=1e-6)
    assert flow.rule is Rule.RESERVE
    inverter.mode, inverter.set_power = Mode.DISCHARGE, 800
    assert run(inverter, battery, solar=0, load=0).battery == pytest.approx(-800, abs=1)


def test_modes_follow_the_set_point() -> None:
    """Charging and discharging carry the power that was set; idle carries none."""
    inverter, battery = Inverter(), Battery(1)
    inverter.mode, inverter.set_power = Mode.CHARGE, 2000
    assert run(inverter, battery, solar=0, load=300).battery == pytest.approx(2000, abs=1)
    inverter.mode = Mode.IDLE
    idle = run(inverter, battery, solar=1500, load=300)
    assert idle.battery == pytest.approx(0, abs=1)
    assert idle.ac > 1400


def test_too_much_sun_is_left_on_the_roof() -> None:
    """Beyond its rating the inverter takes less from the strings."""
    inverter, battery = Inverter(), Battery(1)
    inverter.mode = Mode.IDLE
    flow = run(inverter, battery, solar=8000, load=300)
    assert flow.ac == pytest.approx(RATED, abs=1)
    assert flow.solar < 8000
    assert flow.rule is Rule.RATING


def test_says_what_limits_it() -> None:
    """A full battery is named as the reason."""
    inverter, battery = Inverter(), Battery(1)
    battery.full = True
    battery.set_soc(1.0)
    assert run(inverter, battery, solar=3000, load=300).rule is Rule.BATTERY_CHARGE
    inverter.temperature = 80
    assert inverter.rating < RATED
