"""Values that the user picked: a subentry describes one point of a device of its own."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry

from .link.codec import Key, Value
from .link.describe import VERSION, DescriptionIssue, DeviceDescription, parse_device
from .link.path import Path

SUBENTRY_VALUE: Final = "value"
ID_PREFIX: Final = "value-"
KEY: Final = "value"

_PATHS: Final = ("path",)


def value_description(
    name: str, subentry_id: str, data: Mapping[str, Any]
) -> tuple[DeviceDescription, list[DescriptionIssue]]:
    """Return the device that a subentry stands for.

    Raises DescriptionError when nothing of it is usable, DecodeError for a path that is none.
    """
    points: list[Value] = [_row(data)]
    return parse_device(f"{ID_PREFIX}{subentry_id}", {"v": VERSION, "name": name, "points": points})


def value_subentries(entry: ConfigEntry) -> dict[str, ConfigSubentry]:
    """Return the entry's picked values by the id of their device."""
    return {
        f"{ID_PREFIX}{subentry.subentry_id}": subentry
        for subentry in entry.get_subentries_of_type(SUBENTRY_VALUE)
    }


def _row(data: Mapping[str, Any]) -> dict[Key, Value]:
    """Return the point as the wire has it: a subentry can only hold paths as text."""
    row: dict[Key, Value] = {"key": KEY}
    for name, value in data.items():
        row[name] = Path.parse(value) if name in _PATHS else value
    if write := data.get("write"):
        row["write"] = {**write, "path": Path.parse(write["path"])}
    return row
