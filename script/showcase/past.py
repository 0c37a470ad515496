"""The days before: what the home would have done, as long-term statistics of Home Assistant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from firmware_bridge.drivers.simulator.home import Home
from firmware_bridge.drivers.simulator.simulator import SHEETS
from firmware_bridge.drivers.simulator.weather import Place

HOUR = 3600
SAMPLES = 12  # an hour
SEED = 1  # the bridge's own default

type Key = tuple[str, str]

TOTALS: tuple[Key, ...] = (
    ("meter", "import_energy"),
    ("meter", "export_energy"),
    ("solar", "energy"),
    ("battery", "charge_energy"),
    ("battery", "discharge_energy"),
    ("house", "energy"),
)
MEANS: tuple[Key, ...] = (
    ("meter", "power"),
    ("solar", "power"),
    ("battery", "power"),
    ("battery", "state_of_charge"),
    ("battery", "cell_spread"),
    ("house", "power"),
    ("weather", "temperature"),
)
ROWS = {
    (device, row.point.key): row
    for device, sheet in SHEETS.items()
    for row in sheet.rows
    if (device, row.point.key) in TOTALS + MEANS
}


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour: when it began, and the samples of every value."""

    start: int
    samples: Mapping[Key, Sequence[float]]


def hours(place: Place, count: int, *, now: float) -> list[Hour]:
    """Simulate the last whole hours."""
    begin = (int(now) // HOUR - count) * HOUR
    home = Home(seed=SEED, start=begin, place=place)
    return [_hour(home, begin + index * HOUR) for index in range(count)]


def statistics(
    past: Sequence[Hour], entities: Mapping[Key, str], known: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the websocket commands that import them; `known` are the recorder's own metadata.

    Sums end at zero, where the recorder begins to count.
    """
    for key, entity_id in entities.items():
        about = known[entity_id]
        yield {
            "type": "recorder/import_statistics",
            "metadata": {
                "has_sum": about["has_sum"],
                "mean_type": about["mean_type"],
                "name": None,
                "source": "recorder",
                "statistic_id": entity_id,
                "unit_class": about["unit_class"],
                "unit_of_measurement": about["statistics_unit_of_measurement"],
            },
            "stats": [_row(hour, key, past[-1].samples[key][-1]) for hour in past],
        }


def _hour(home: Home, start: int) -> Hour:
    samples: dict[Key, list[float]] = {key: [] for key in ROWS}
    for index in range(1, SAMPLES + 1):
        home.advance(start + index * HOUR / SAMPLES)
        for key, row in ROWS.items():
            value = row.value(home)
            assert isinstance(value, (int, float))
            samples[key].append(float(value))
    return Hour(start, samples)


def _row(hour: Hour, key: Key, last: float) -> dict[str, object]:
    """Return one hour as the recorder wants it."""
    values = hour.samples[key]
    start: dict[str, object] = {"start": datetime.fromtimestamp(hour.start, UTC).isoformat()}
    if key in TOTALS:
        return start | {"state": values[-1], "sum": values[-1] - last}
    return start | {
        "mean": sum(values) / len(values),
        "min": min(values),
        "max": max(values),
    }
