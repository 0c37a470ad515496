"""What a picked value probably is: from the value, from `schema.` and from `doc.`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.const import CONF_PLATFORM, Platform

from .link.codec import Value
from .link.path import Path
from .link.quantity import QUANTITIES, Kind, Quantity, allows_unit

WRITABLE: Final = frozenset(
    {Platform.SWITCH, Platform.NUMBER, Platform.SELECT, Platform.TEXT, Platform.BUTTON}
)
KINDS: Final[Mapping[Platform, tuple[Kind, ...]]] = {
    Platform.SENSOR: (Kind.NUMBER, Kind.TEXT, Kind.CHOICE, Kind.MOMENT),
    Platform.BINARY_SENSOR: (Kind.BOOLEAN,),
    Platform.SWITCH: (Kind.BOOLEAN,),
    Platform.NUMBER: (Kind.NUMBER,),
    Platform.SELECT: (Kind.CHOICE,),
    Platform.TEXT: (Kind.TEXT,),
    Platform.BUTTON: (Kind.TRIGGER,),
    Platform.EVENT: (Kind.EVENT,),
}
DEFAULTS: Final[Mapping[Platform, Quantity]] = {
    Platform.SENSOR: Quantity.NUMBER,
    Platform.BINARY_SENSOR: Quantity.BOOLEAN,
    Platform.SWITCH: Quantity.RELAY,
    Platform.NUMBER: Quantity.NUMBER,
    Platform.SELECT: Quantity.ENUM,
    Platform.TEXT: Quantity.TEXT,
    Platform.BUTTON: Quantity.BUTTON,
    Platform.EVENT: Quantity.EVENT,
}

_ITEMS: Final = 500
_DEPTH: Final = 4
_FIELDS: Final = ("quantity", "unit", "precision", "max_age", "min", "max", "step", "options")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the installation itself says about a value."""

    title: str = ""
    doc: str = ""
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    options: tuple[str, ...] = ()
    read_only: bool = True

    def suggested(self, path: Path, platform: Platform, value: Value) -> dict[str, Any]:
        """Return suggestions for the form of details."""
        quantity = DEFAULTS[platform]
        if platform is Platform.SENSOR and isinstance(value, str):
            quantity = Quantity.ENUM if self.options else Quantity.TEXT
        result: dict[str, Any] = {"quantity": quantity.value}
        if self.unit:
            result["unit"] = self.unit
            if quantity is Quantity.NUMBER:
                result["quantity"] = _quantity_of_unit(self.unit).value
        if self.minimum is not None:
            result["min"] = self.minimum
        if self.maximum is not None:
            result["max"] = self.maximum
        if self.options:
            result["options"] = list(self.options)
        if platform in WRITABLE:
            result["write_path"] = str(path if platform is Platform.BUTTON else path / "cmd")
        return result


def hints_from(schema: Value, doc: Value, item: tuple[str | int, ...]) -> Hints:
    """Read a JSON schema and a `doc` node leniently; whatever does not fit is left out."""
    for step in item:
        schema = _property(schema, step)
    node = schema if isinstance(schema, dict) else {}
    text = doc if isinstance(doc, dict) else {}
    return Hints(
        title=_text(node.get("title")) or ("" if item else _text(text.get("title"))),
        doc=_text(node.get("description")) or _text(text.get("doc")),
        unit=_text(node.get("unit")) or None,
        minimum=_number(node.get("minimum")),
        maximum=_number(node.get("maximum")),
        options=_options(node.get("enum")),
        read_only=node.get("readOnly") is not False,
    )


def guess_platform(value: Value, hints: Hints) -> Platform:
    """Return the platform that fits the value best."""
    if isinstance(value, bool):
        return Platform.BINARY_SENSOR if hints.read_only else Platform.SWITCH
    if hints.read_only or isinstance(value, (dict, list)):
        return Platform.SENSOR
    if isinstance(value, (int, float)):
        return Platform.NUMBER
    return Platform.SELECT if hints.options else Platform.TEXT


def leaves(value: Value) -> dict[str, tuple[tuple[str | int, ...], Value]]:
    """Return the items inside maps and lists by a name like `cells[0].u`, the first few hundred."""
    found: dict[str, tuple[tuple[str | int, ...], Value]] = {}
    _collect(value, (), "", found)
    return found


def point_row(
    path: Path, item: tuple[str | int, ...], platform: Platform, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a subentry stores: a point of a description, with paths as text."""
    row: dict[str, Any] = {CONF_PLATFORM: platform.value}
    row |= {key: details[key] for key in _FIELDS if details.get(key) not in (None, "", [])}
    if platform is not Platform.BUTTON:
        row["path"] = str(path)
        if item:
            row["item"] = list(item)
    if platform in WRITABLE:
        row["access"] = "w" if platform is Platform.BUTTON else "rw"
        row["write"] = {"path": details["write_path"].strip()}
        if details.get("retain"):
            row["write"]["retain"] = True
    return row


def _collect(
    value: Value,
    steps: tuple[str | int, ...],
    name: str,
    found: dict[str, tuple[tuple[str | int, ...], Value]],
) -> None:
    if len(found) >= _ITEMS:
        return
    if isinstance(value, dict) and len(steps) < _DEPTH:
        for key, inner in value.items():
            if isinstance(key, str):
                _collect(inner, (*steps, key), f"{name}.{key}" if name else key, found)
    elif isinstance(value, list) and len(steps) < _DEPTH:
        for index, inner in enumerate(value):
            _collect(inner, (*steps, index), f"{name}[{index}]", found)
    elif steps:
        found[name] = (steps, value)


def _quantity_of_unit(unit: str) -> Quantity:
    """Return the first quantity whose default unit this is, else one that allows it."""
    numbers = [(key, row) for key, row in QUANTITIES.items() if row.kind is Kind.NUMBER]
    for key, row in numbers:
        if row.unit == unit and not row.any_unit:
            return key
    for key, row in numbers:
        if not row.any_unit and allows_unit(row, unit):
            return key
    return Quantity.NUMBER


def _property(schema: Value, step: str | int) -> Value:
    if not isinstance(schema, dict):
        return None
    if isinstance(step, int):
        return schema.get("items")
    properties = schema.get("properties")
    return properties.get(step) if isinstance(properties, dict) else None


def _text(value: object) -> str:
    return value[:255] if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def _options(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(str(each) for each in value)
    return ()
