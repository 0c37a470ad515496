"""The pack keeps within its limits whatever is asked of it."""

from hypothesis import given, settings, strategies as st

from firmware_bridge.drivers.simulator.battery import (
    CEILING,
    CELLS,
    FLOOR,
    U_ABS_MAX,
    U_ABS_MIN,
    Battery,
    PackState,
    resting_voltage,
)
from tests.support.effort import examples

POWERS = st.lists(st.floats(-9000, 9000), min_size=1, max_size=60)
AMBIENT = 18.0


@given(st.floats(-0.02, 1.02), st.floats(-0.02, 1.02))
def test_voltage_grows_with_charge(one: float, other: float) -> None:
    """More charge is never less voltage, and always plausible."""
    low, high = sorted((one, other))
    assert 2.4 < resting_voltage(low) <= resting_voltage(high) < 3.8


@settings(max_examples=examples(30))
@given(
    st.integers(0, 1000),
    st.floats(0, 1),
    POWERS,
    st.sampled_from([0.1, 1.0, 5.0, 10.0]),
    st.integers(1, 60),
)
def test_never_leaves_its_limits(
    seed: int, soc: float, powers: list[float], seconds: float, repeat: int
) -> None:
    """No cell is ever damaged, no counter goes back, and it never has to trip."""
    battery = Battery(seed, soc=soc)
    for power in powers:
        for _ in range(repeat):
            before = battery.charged, battery.discharged, battery.throughput
            limits = battery.limits(seconds)
            flowed = battery.step(power, seconds, AMBIENT, 0.0)
            assert -limits.discharge - 1e-9 <= battery.current <= limits.charge + 1e-9
            assert flowed == 0 or (flowed > 0) == (power > 0)
            assert abs(flowed) <= abs(power) + 1e-6
            assert all(FLOOR <= cell.soc <= CEILING for cell in battery.cells)
            assert all(U_ABS_MIN < voltage < U_ABS_MAX for voltage in battery.voltages)
            assert before <= (battery.charged, battery.discharged, battery.throughput)
            assert not battery.tripped
            assert 0 <= battery.soc <= 1


@given(st.integers(0, 1000), st.floats(0.2, 0.9), st.floats(-6000, 6000))
def test_power_and_current_agree(seed: int, soc: float, power: float) -> None:
    """The current that is found carries the power."""
    battery = Battery(seed, soc=soc)
    assert abs(battery.power_at(battery.current_for(power)) - power) < 1e-6


def test_a_round_trip_costs_energy() -> None:
    """What goes in is more than what comes out."""
    battery = Battery(1, soc=0.5)
    start = battery.soc
    for _ in range(1200):
        battery.step(4000, 3, AMBIENT, 0.0)
    while battery.soc > start:
        battery.step(-4000, 3, AMBIENT, 0.0)
    assert 0.85 < battery.discharged / battery.charged < 0.999


def test_has_a_past() -> None:
    """A pack of a year has been through some cycles, and has been full."""
    battery = Battery(1)
    assert (battery.charged, battery.throughput, battery.last_full) == (0, 0, None)
    year = 365 * 86_400.0
    battery.look_back(year, 2 * year)
    assert 0.9 < battery.discharged / battery.charged < 0.97
    assert 100 < battery.throughput / battery.nominal < 300
    assert battery.last_full is not None
    assert year < battery.last_full < 2 * year


def test_fills_up_and_says_so() -> None:
    """At the top the current tapers, then the pack is full until some charge is used."""
    battery = Battery(1, soc=0.95)
    for step in range(4000):
        battery.step(5000, 5, AMBIENT, 5.0 * step)
    assert battery.full
    assert battery.state(battery.limits()) is PackState.FULL
    assert battery.limits().charge == 0
    assert battery.limits().charge_reason == "the battery is full"
    assert battery.last_full is not None
    while battery.soc > 0.96:
        battery.step(-3000, 5, AMBIENT, 0.0)
    assert battery.limits().charge > 100


def test_empties_and_says_why() -> None:
    """At the bottom the weakest cell ends it."""
    battery = Battery(1, soc=0.05)
    for _ in range(4000):
        battery.step(-5000, 5, AMBIENT, 0.0)
    assert battery.soc < 0.02
    assert battery.limits().discharge < 2
    assert battery.limits().discharge_reason.startswith("cell ")
    assert battery.limits().charge > 50


def test_balancing_narrows_the_spread() -> None:
    """Bleeding the full cells brings them together."""
    battery = Battery(3, soc=0.97)
    battery.cells[4].soc += 0.015

    def charges() -> float:
        socs = [cell.soc for cell in battery.cells]
        return max(socs) - min(socs)

    for step in range(6000):
        battery.step(4000 if battery.soc < 0.995 else 0, 10, AMBIENT, 10.0 * step)
    assert battery.balancing or charges() < 0.01
    before = charges()
    for step in range(6000):
        battery.step(300, 10, AMBIENT, 10.0 * step)
    assert charges() < before


def test_an_open_contactor_carries_nothing() -> None:
    """Whoever asks, no current flows, and the reason is given."""
    battery = Battery(1)
    battery.requested = False
    assert battery.step(3000, 10, AMBIENT, 0.0) == 0
    assert battery.limits().charge_reason == "the contactor is open"
    assert battery.state(battery.limits()) is PackState.OFF


def test_trips_when_a_cell_runs_away() -> None:
    """A cell beyond the hard limit opens the contactor."""
    battery = Battery(1)
    battery.cells[2].slow = 0.5
    battery.step(0, 0.1, AMBIENT, 0.0)
    assert battery.tripped == "cell 3 left its limits"
    assert not battery.closed
    assert battery.state(battery.limits()) is PackState.TRIPPED
    assert len(battery.voltages) == CELLS
