"""What the simulated devices remember while the bridge is away, as real ones would."""

from collections.abc import Callable, Iterable

from ...driver import Reading
from ...link.errors import RefusedError
from .home import Home
from .sheet import Sheet, number


def _charged(home: Home, energy: float) -> None:
    home.battery.charged = max(home.battery.charged, energy)


def _discharged(home: Home, energy: float) -> None:
    home.battery.discharged = max(home.battery.discharged, energy)


def _imported(home: Home, energy: float) -> None:
    home.counters.grid_import = max(home.counters.grid_import, energy)


def _exported(home: Home, energy: float) -> None:
    home.counters.grid_export = max(home.counters.grid_export, energy)


def _produced(home: Home, energy: float) -> None:
    home.counters.solar = max(home.counters.solar, energy)


def _consumed(home: Home, energy: float) -> None:
    home.counters.load = max(home.counters.load, energy)


_ENERGIES: dict[tuple[str, str], Callable[[Home, float], None]] = {
    ("battery", "charge_energy"): _charged,
    ("battery", "discharge_energy"): _discharged,
    ("meter", "import_energy"): _imported,
    ("meter", "export_energy"): _exported,
    ("solar", "energy"): _produced,
    ("house", "energy"): _consumed,
}


def remember(home: Home, sheets: Iterable[Sheet], readings: Iterable[Reading]) -> None:
    """Bring the home into the state that was published last."""
    known = {(each.device, key): value for each in readings for key, value in each.values.items()}
    for place, take in _ENERGIES.items():
        if isinstance(value := known.get(place), (int, float)):
            take(home, number(value) * 1000 + 0.5)  # never below what was rounded up
    if isinstance(value := known.get(("battery", "state_of_charge")), (int, float)):
        home.battery.set_soc(number(value) / 100)
    for sheet in sheets:
        for row in sheet.rows:
            value = known.get((sheet.id, row.point.key))
            if row.read is None or row.write is None or value is None:
                continue
            try:
                row.write(home, value)
            except RefusedError, TypeError, ValueError:
                continue  # what the devices do not want back, they do not get
