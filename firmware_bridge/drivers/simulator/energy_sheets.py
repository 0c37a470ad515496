"""The data sheets of inverter, roof, meter and house."""

from ...link.codec import Value
from ...link.describe import PartDescription
from ...link.errors import RefusedError
from ...link.path import Path
from .home import STRINGS, Home
from .inverter import MAX_BATTERY, Mode, Rule
from .sheet import C, D, Q, Row, Sheet, number, row, text

AGE = 90.0  # s
INVERTER, ROOF = Path("inv", "main", "out"), Path("pv", "roof", "out")
METER, HOUSE = Path("meter", "grid", "out"), Path("load", "house", "out")


def _state(home: Home) -> Value:
    flow = home.inverter.flow
    if flow.rule in (Rule.RATING, Rule.TEMPERATURE):
        return "derating"
    if flow.ac > 10:  # W
        return "feeding"
    return "charging" if flow.battery > 10 else "standby"  # W


def _efficiency(home: Home) -> Value:
    efficiency = home.inverter.efficiency
    return None if efficiency is None else 100 * efficiency


def _check(home: Home, mode: Mode, power: float) -> None:
    """Refuse what the battery forbids, and say why."""
    limits = home.battery.limits()
    if mode is Mode.CHARGE:
        most, verb, reason = home.battery.power_at(limits.charge), "charging", limits.charge_reason
    elif mode is Mode.DISCHARGE:
        most = -home.battery.power_at(-limits.discharge)
        verb, reason = "discharging", limits.discharge_reason
    else:
        return
    because = f": {reason}" if reason else ""
    if most <= 0:
        raise RefusedError(f"the battery does not permit {verb}{because}")
    if power > most:
        raise RefusedError(f"the battery permits {verb} with at most {most:.0f} W{because}")


def _set_mode(home: Home, value: Value) -> None:
    mode = Mode(text(value))
    _check(home, mode, 0)
    home.inverter.mode = mode


def _set_power(home: Home, value: Value) -> None:
    _check(home, home.inverter.mode, number(value))
    home.inverter.set_power = number(value)


def _set_reserve(home: Home, value: Value) -> None:
    home.inverter.reserve = number(value) / 100


def _set_grid(home: Home, value: Value) -> None:
    home.inverter.grid_target = number(value)


def _release(home: Home, value: Value) -> None:
    home.inverter.mode, home.inverter.grid_target = Mode.SELF_CONSUMPTION, 0.0


INVERTER_SHEET = Sheet(
    id="inverter",
    name="Inverter",
    kind="inverter",
    model="Hybrid 6 kW",
    hardware="3",
    area="Cellar",
    rows=(
        row("mode", Q.ENUM, INVERTER, "mode", lambda h: h.inverter.mode.value, _set_mode,
            name="Mode", options=tuple(Mode), max_age=AGE, delay=0.6),
        row("set_power", Q.POWER, INVERTER, "p_set", lambda h: h.inverter.set_power, _set_power,
            name="Set point", limits=(0, MAX_BATTERY), step=10, precision=0, max_age=AGE),
        row("reserve", Q.STATE_OF_CHARGE, INVERTER, "soc_min",
            lambda h: 100 * h.inverter.reserve, _set_reserve,
            name="Battery reserve", limits=(5, 60), step=1, precision=0, category=C, max_age=AGE),
        row("grid_target", Q.POWER, INVERTER, "p_grid", lambda h: h.inverter.grid_target,
            _set_grid, name="Grid set point", limits=(-3000, 3000), step=10, precision=0,
            category=C, enabled=False, max_age=AGE),
        row("ac_power", Q.POWER, INVERTER, "p_ac", lambda h: h.inverter.flow.ac,
            name="AC power", precision=0, deadband=10, relative=0.02, max_age=AGE),
        row("dc_power", Q.POWER, INVERTER, "p_dc",
            lambda h: h.inverter.flow.ac + h.inverter.flow.losses,
            name="DC power", precision=0, category=D, enabled=False, deadband=10, relative=0.02,
            max_age=AGE),
        row("losses", Q.POWER, INVERTER, "loss", lambda h: h.inverter.flow.losses,
            name="Losses", precision=0, category=D, deadband=3, relative=0.05, max_age=AGE),
        row("efficiency", Q.RATIO, INVERTER, "eff", _efficiency,
            name="Efficiency", unit="%", precision=1, category=D, deadband=0.3, interval=5,
            max_age=AGE),
        row("temperature", Q.TEMPERATURE, INVERTER, "t", lambda h: h.inverter.temperature,
            precision=1, category=D, deadband=0.3, interval=5, max_age=AGE),
        row("state", Q.ENUM, INVERTER, "state", _state, name="State",
            options=("standby", "feeding", "charging", "derating"), category=D, max_age=AGE),
        row("limit", Q.ENUM, INVERTER, "limit", lambda h: h.inverter.flow.rule.value,
            name="Active limit", options=tuple(Rule), category=D, max_age=AGE),
        row("limited", Q.BOOLEAN, INVERTER, "limited",
            lambda h: h.inverter.flow.rule is not Rule.NONE,
            name="Limited", category=D, max_age=AGE),
        row("release", Q.BUTTON, INVERTER, (), None, _release, name="Back to self-consumption", category=C),
    ),
)  # fmt: skip


def _string_rows(index: int) -> tuple[Row, ...]:
    part = f"string_{index + 1}"

    def power(home: Home) -> float:
        return home.strings[index][0] * home.curtailed

    def voltage(home: Home) -> float:
        return home.strings[index][1]

    return (
        row(f"{part}_power", Q.POWER, ROOF, ("s", index, "p"), power,
            precision=0, part=part, deadband=10, relative=0.02, max_age=AGE),
        row(f"{part}_voltage", Q.VOLTAGE, ROOF, ("s", index, "u"), voltage,
            precision=1, part=part, category=D, deadband=2, interval=5, max_age=AGE),
        row(f"{part}_current", Q.CURRENT, ROOF, ("s", index, "i"),
            lambda h: power(h) / voltage(h) if voltage(h) else 0.0,
            precision=2, part=part, category=D, enabled=False, deadband=0.1, relative=0.02,
            max_age=AGE),
    )  # fmt: skip


ROOF_SHEET = Sheet(
    id="solar",
    name="Solar roof",
    kind="solar",
    model=f"{sum(string.peak for string in STRINGS) / 1000:.2f} kWp",
    via="inverter",
    area="Roof",
    parts={
        f"string_{index + 1}": PartDescription(
            name=name, kind="channel", model=f"{string.peak / 1000:.2f} kWp"
        )
        for index, (name, string) in enumerate(
            zip(("South-east string", "South-west string"), STRINGS, strict=True)
        )
    },
    rows=(
        row("power", Q.POWER, ROOF, "p", lambda h: h.balance.solar,
            precision=0, deadband=10, relative=0.02, max_age=AGE),
        row("energy", Q.ENERGY, ROOF, "e", lambda h: h.counters.solar / 1000,
            unit="kWh", precision=3, deadband=0.005, interval=5, max_age=AGE),
        row("used", Q.RATIO, ROOF, "used", lambda h: 100 * h.curtailed,
            name="Used share", unit="%", precision=0, category=D, enabled=False, deadband=1,
            interval=5, max_age=AGE),
        *(each for index in range(len(STRINGS)) for each in _string_rows(index)),
    ),
)  # fmt: skip


def _phase_rows(index: int) -> tuple[Row, ...]:
    part = f"l{index + 1}"
    return (
        row(f"{part}_power", Q.POWER, METER, ("l", index, "p"), lambda h: h.phase(index).power,
            precision=0, part=part, deadband=10, relative=0.03, interval=2, max_age=AGE),
        row(f"{part}_voltage", Q.VOLTAGE, METER, ("l", index, "u"),
            lambda h: h.phase(index).voltage,
            precision=1, part=part, category=D, deadband=0.5, interval=10, max_age=AGE),
        row(f"{part}_current", Q.CURRENT, METER, ("l", index, "i"),
            lambda h: h.phase(index).current,
            precision=2, part=part, category=D, enabled=False, deadband=0.1, relative=0.03,
            interval=5, max_age=AGE),
    )  # fmt: skip


METER_SHEET = Sheet(
    id="meter",
    name="Grid meter",
    kind="meter",
    model="Three phases, both directions",
    area="Cellar",
    parts={f"l{each}": PartDescription(name=f"L{each}", kind="phase", model="230 V") for each in (1, 2, 3)},
    rows=(
        row("power", Q.POWER, METER, "p", lambda h: h.balance.grid,
            precision=0, deadband=10, relative=0.02, max_age=AGE),
        row("import_power", Q.POWER, METER, "p_in", lambda h: max(0.0, h.balance.grid),
            name="Import power", precision=0, deadband=10, relative=0.02, max_age=AGE),
        row("export_power", Q.POWER, METER, "p_out", lambda h: max(0.0, -h.balance.grid),
            name="Export power", precision=0, deadband=10, relative=0.02, max_age=AGE),
        row("import_energy", Q.ENERGY, METER, "e_in", lambda h: h.counters.grid_import / 1000,
            name="Imported energy", unit="kWh", precision=3, deadband=0.005, interval=5,
            max_age=AGE),
        row("export_energy", Q.ENERGY, METER, "e_out", lambda h: h.counters.grid_export / 1000,
            name="Exported energy", unit="kWh", precision=3, deadband=0.005, interval=5,
            max_age=AGE),
        row("frequency", Q.FREQUENCY, METER, "f", lambda h: h.frequency,
            precision=2, category=D, deadband=0.015, interval=10, max_age=AGE),
        row("power_factor", Q.POWER_FACTOR, METER, "pf", lambda h: h.power_factor,
            precision=2, category=D, enabled=False, deadband=0.015, interval=10, max_age=AGE),
        *(each for index in range(3) for each in _phase_rows(index)),
    ),
)  # fmt: skip


def _appliance_rows(part: str, index: int) -> tuple[Row, ...]:
    return (
        row(f"{part}_power", Q.POWER, HOUSE, ("a", index, "p"), lambda h: h.appliance(part),
            precision=0, part=part, deadband=5, max_age=AGE),
        row(f"{part}_running", Q.RUNNING, HOUSE, ("a", index, "on"),
            lambda h: h.appliance(part) > 0, part=part, max_age=AGE),
    )  # fmt: skip


HOUSE_SHEET = Sheet(
    id="house",
    name="Household",
    kind="load",
    model="Three phases",
    parts={
        "washing_machine": PartDescription(name="Washing machine", kind="appliance", model="230 V"),
        "dishwasher": PartDescription(name="Dishwasher", kind="appliance", model="230 V"),
    },
    rows=(
        row("power", Q.POWER, HOUSE, "p", lambda h: h.balance.load,
            precision=0, deadband=10, relative=0.02, max_age=AGE),
        row("energy", Q.ENERGY, HOUSE, "e", lambda h: h.counters.load / 1000,
            unit="kWh", precision=3, deadband=0.005, interval=5, max_age=AGE),
        *_appliance_rows("washing_machine", 0),
        *_appliance_rows("dishwasher", 1),
    ),
)  # fmt: skip
