"""The battery's data sheet: the layout of one map, one list of cells, work, contactor."""

from datetime import UTC, datetime

from ...link.codec import Value
from ...link.describe import PartDescription
from ...link.errors import RefusedError
from ...link.path import Path
from .battery import CELLS, I_MAX_CHARGE, I_MAX_DISCHARGE, U_MAX, U_MIN, Cell, PackState
from .home import ALERTS, Home
from .noise import smooth
from .sheet import C, D, Q, Row, Sheet, number, row, text

BASE = Path("bat", "main")
OUT, WORK, RELAY = BASE / "out", BASE / "work" / "out", BASE / "relay" / "out"
CELLS_OUT = BASE / "cells" / "out"
AGE = 90.0  # s
AUTO, OFF = "auto", "off"


def measured(home: Home, number_: int) -> float:
    """Return a cell's voltage as its converter reads it: with half a millivolt of noise."""
    noise = 0.0005 * (smooth(home.seed, 90 + number_, home.time, 3) - 0.5)
    return home.battery.cells[number_].voltage(home.battery.current) + noise


def _voltages(home: Home) -> list[float]:
    return [measured(home, each) for each in range(CELLS)]


def _moment(seconds: float | None) -> Value:
    return None if seconds is None else datetime.fromtimestamp(round(seconds), UTC)


def _spread(home: Home) -> float:
    voltages = _voltages(home)
    return 1000 * (max(voltages) - min(voltages))


def _lowest(home: Home) -> Value:
    voltages = _voltages(home)
    return voltages.index(min(voltages)) + 1


def _highest(home: Home) -> Value:
    voltages = _voltages(home)
    return voltages.index(max(voltages)) + 1


def _temperatures(home: Home) -> list[float]:
    return [cell.temperature for cell in home.battery.cells]


def _health(home: Home) -> float:
    """Return the usable share of what was bought, %."""
    return 100 * sum(home.battery.usable) / home.battery.nominal


def _request(home: Home, value: Value) -> None:
    battery = home.battery
    if text(value) == OFF:
        if abs(battery.current) > 60:  # A, what the contactor may break
            raise RefusedError(f"there flow {abs(battery.current):.0f} A, stop the inverter first")
        battery.requested = False
        return
    low, high = min(_voltages(home)), max(_voltages(home))
    if not U_MIN < low <= high < U_MAX:
        raise RefusedError(f"the cells are between {low:.3f} and {high:.3f} V")
    battery.requested, battery.tripped = True, ""


def _balance(home: Home, value: Value) -> None:
    home.battery.balance_from = number(value)


def _identify(home: Home, value: Value) -> None:
    home.board.text = "Battery: here!"


def _cell_rows(index: int) -> tuple[Row, ...]:
    part = f"cell_{index + 1}"

    def cell(home: Home) -> Cell:
        return home.battery.cells[index]

    return (
        row(f"{part}_voltage", Q.VOLTAGE, CELLS_OUT, (index, "u"), lambda h: measured(h, index),
            precision=3, part=part, deadband=0.0009, interval=10, max_age=AGE),
        row(f"{part}_temperature", Q.TEMPERATURE, CELLS_OUT, (index, "t"),
            lambda h: cell(h).temperature, precision=1, part=part, enabled=False,
            deadband=0.2, interval=10, max_age=AGE),
        row(f"{part}_balancing", Q.RUNNING, CELLS_OUT, (index, "b"), lambda h: cell(h).bleeding,
            name="Balancing", category=D, part=part, enabled=False, max_age=AGE),
    )  # fmt: skip


SHEET = Sheet(
    id="battery",
    name="Battery",
    kind="battery",
    model="LFP 16S 280 Ah",
    hardware="1.2",
    via="board",
    area="Cellar",
    parts={
        f"cell_{each + 1}": PartDescription(name=f"Cell {each + 1}", kind="cell", model="LFP 280 Ah")
        for each in range(CELLS)
    },
    rows=(
        row("state_of_charge", Q.STATE_OF_CHARGE, OUT, "soc", lambda h: 100 * h.battery.soc,
            precision=1, max_age=AGE),
        row("voltage", Q.VOLTAGE, OUT, "u", lambda h: h.battery.voltage,
            precision=2, deadband=0.03, max_age=AGE),
        row("current", Q.CURRENT, OUT, "i", lambda h: h.battery.current,
            precision=1, deadband=0.25, relative=0.02, max_age=AGE),
        row("power", Q.POWER, OUT, "p", lambda h: h.battery.power,
            precision=0, deadband=10, relative=0.02, max_age=AGE),
        row("energy_stored", Q.ENERGY_STORAGE, OUT, "e", lambda h: h.battery.stored / 1000,
            name="Stored energy", unit="kWh", precision=2, deadband=0.02, max_age=AGE),
        row("energy_capacity", Q.ENERGY_STORAGE, OUT, "size", lambda h: h.battery.size / 1000,
            name="Usable capacity", unit="kWh", precision=2, category=D, enabled=False,
            deadband=0.02, max_age=AGE),
        row("charge_energy", Q.ENERGY, WORK, "chg", lambda h: h.battery.charged / 1000,
            name="Charged energy", unit="kWh", precision=3, deadband=0.005, interval=5,
            max_age=AGE),
        row("discharge_energy", Q.ENERGY, WORK, "dis", lambda h: h.battery.discharged / 1000,
            name="Discharged energy", unit="kWh", precision=3, deadband=0.005, interval=5,
            max_age=AGE),
        row("cycles", Q.COUNT, WORK, "n", lambda h: h.battery.throughput / h.battery.nominal,
            name="Cycles", precision=2, category=D, interval=60, max_age=AGE),
        row("charge_limit", Q.CURRENT, OUT, "i_chg", lambda h: h.battery.limits().charge,
            name="Charge current limit", precision=0, category=D, deadband=1, max_age=AGE),
        row("discharge_limit", Q.CURRENT, OUT, "i_dis", lambda h: h.battery.limits().discharge,
            name="Discharge current limit", precision=0, category=D, deadband=1, max_age=AGE),
        row("charge_derating", Q.RATIO, OUT, "lim_chg",
            lambda h: 100 * h.battery.limits().charge / I_MAX_CHARGE,
            name="Charge derating", unit="%", precision=0, category=D, enabled=False,
            deadband=1, max_age=AGE),
        row("discharge_derating", Q.RATIO, OUT, "lim_dis",
            lambda h: 100 * h.battery.limits().discharge / I_MAX_DISCHARGE,
            name="Discharge derating", unit="%", precision=0, category=D, enabled=False,
            deadband=1, max_age=AGE),
        row("charge_permitted", Q.PERMITTED, OUT, "chg_ok",
            lambda h: h.battery.limits().charge > 0,
            name="Charging permitted", category=D, max_age=AGE),
        row("discharge_permitted", Q.PERMITTED, OUT, "dis_ok",
            lambda h: h.battery.limits().discharge > 0,
            name="Discharging permitted", category=D, max_age=AGE),
        row("cell_voltage_min", Q.VOLTAGE, OUT, "u_min", lambda h: min(_voltages(h)),
            name="Lowest cell voltage", precision=3, deadband=0.0011, interval=5, max_age=AGE),
        row("cell_voltage_max", Q.VOLTAGE, OUT, "u_max", lambda h: max(_voltages(h)),
            name="Highest cell voltage", precision=3, deadband=0.0011, interval=5, max_age=AGE),
        row("cell_spread", Q.VOLTAGE, OUT, "u_dif", _spread,
            name="Cell spread", unit="mV", precision=0, category=D, deadband=0.9, interval=5,
            max_age=AGE),
        row("cell_lowest", Q.NUMBER, OUT, "n_min", _lowest,
            name="Lowest cell", category=D, enabled=False, interval=30, max_age=AGE),
        row("cell_highest", Q.NUMBER, OUT, "n_max", _highest,
            name="Highest cell", category=D, enabled=False, interval=30, max_age=AGE),
        row("temperature_max", Q.TEMPERATURE, OUT, "t_max", lambda h: max(_temperatures(h)),
            name="Highest temperature", precision=1, deadband=0.15, interval=5, max_age=AGE),
        row("temperature_min", Q.TEMPERATURE, OUT, "t_min", lambda h: min(_temperatures(h)),
            name="Lowest temperature", precision=1, category=D, enabled=False,
            deadband=0.15, interval=5, max_age=AGE),
        row("balancing", Q.RUNNING, OUT, "bal", lambda h: h.battery.balancing,
            name="Balancing", category=D, max_age=AGE),
        row("state", Q.ENUM, OUT, "state", lambda h: h.battery.state(h.battery.limits()).value,
            name="State", options=tuple(PackState), category=D, max_age=AGE),
        row("problem", Q.PROBLEM, OUT, "problem", lambda h: bool(h.alerts),
            category=D, max_age=AGE),
        row("state_of_health", Q.STATE_OF_HEALTH, OUT, "soh", _health,
            precision=1, category=D, max_age=AGE),
        row("last_full", Q.TIMESTAMP, OUT, "full", lambda h: _moment(h.battery.last_full),
            name="Last full", category=D, interval=60, max_age=AGE),
        row("alert", Q.EVENT, BASE / "alert", name="Alert", options=ALERTS, category=D),
        row("contactor", Q.RELAY, RELAY, "p", lambda h: h.battery.closed,
            name="Contactor", max_age=AGE),
        row("contactor_request", Q.ENUM, RELAY, "v",
            lambda h: AUTO if h.battery.requested else OFF, _request,
            name="Contactor request", options=(AUTO, OFF), category=C, enabled=False,
            max_age=AGE),
        row("balance_voltage", Q.VOLTAGE, OUT, "u_bal", lambda h: h.battery.balance_from, _balance,
            name="Balance from", precision=3, limits=(3.30, 3.55), step=0.005, category=C,
            max_age=AGE),
        row("identify", Q.IDENTIFY, OUT, (), None, _identify, category=D),
        *(each for index in range(CELLS) for each in _cell_rows(index)),
    ),
)  # fmt: skip
