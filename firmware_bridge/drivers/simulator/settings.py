"""The simulator's table in the configuration."""

from collections.abc import Mapping
from datetime import UTC, datetime

import voluptuous as vol

from ...driver import Driver, Opener
from ...link.clock import Clock
from .simulator import SHEETS, Fault, Options, Simulator
from .weather import Place


def moment(value: object) -> float:
    """Read a date and time, ISO 8601 or TOML's own; without a zone it is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise vol.Invalid("is not a date and time like 2026-06-21T08:00Z") from None
    if not isinstance(value, datetime):
        raise vol.Invalid("is not a date and time like 2026-06-21T08:00Z")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def fault(value: object) -> tuple[Fault, str]:
    """Read a fault like `silent:battery`."""
    name, _, device = value.partition(":") if isinstance(value, str) else ("", "", "")
    if name not in tuple(Fault) or device not in SHEETS:
        kinds, devices = ", ".join(Fault), ", ".join(SHEETS)
        raise vol.Invalid(f"is not FAULT:DEVICE; faults: {kinds}; devices: {devices}")
    return Fault(name), device


def _number(low: float, high: float) -> vol.All:
    return vol.All(vol.Any(float, int), vol.Coerce(float), vol.Range(low, high))


_SCHEMA = vol.Schema(
    {
        vol.Optional("seed", default=1): vol.All(int, vol.Range(0, 2**32)),
        vol.Optional("speed", default=1.0): _number(0.01, 10_000),
        vol.Optional("start"): moment,
        vol.Optional("interval", default=1.0): _number(0.05, 60),
        vol.Optional("latitude", default=49.45): _number(-66, 66),
        vol.Optional("longitude", default=11.08): _number(-180, 180),
        vol.Optional("devices", default=list(SHEETS)): [vol.In(SHEETS)],
        vol.Optional("id_prefix", default=""): vol.Match("^[A-Za-z0-9_-]{0,32}$"),
        vol.Optional("language", default="en"): vol.In(("en", "de")),
        vol.Optional("faults", default=list): [fault],
    }
)


def configure(table: Mapping[str, object]) -> Opener:
    """Check the table; return what makes the driver."""
    checked = _SCHEMA(dict(table))
    options = Options(
        seed=checked["seed"],
        start=checked.get("start"),
        speed=checked["speed"],
        interval=checked["interval"],
        place=Place(latitude=checked["latitude"], longitude=checked["longitude"]),
        devices=tuple(dict.fromkeys(checked["devices"])),
        id_prefix=checked["id_prefix"],
        language=checked["language"],
        faults=frozenset(checked["faults"]),
    )

    def make(clock: Clock) -> Driver:
        return Simulator(options, clock)

    return make
