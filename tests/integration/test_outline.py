"""Which entity a point becomes; pure."""

from homeassistant.const import Platform

from custom_components.moat_link.link.describe import parse_device
from custom_components.moat_link.link.quantity import QUANTITIES, Quantity
from custom_components.moat_link.outline import outlines

from .test_entity import described

WRITE = {"write": {"path": ["cmd"]}}


def shape(*points: dict[str, object]) -> dict[str, tuple[Platform, list[str]]]:
    """Return platform and followed points of each entity."""
    device, issues = parse_device("d", {"v": 1, "name": "D", "points": list(points)})
    assert issues == []
    return {
        key: (outline.platform, [point.key for point in outline.points])
        for key, outline in outlines(device).items()
    }


def row(key: str, quantity: str, **fields: object) -> dict[str, object]:
    """Return a point of a description."""
    return {"key": key, "quantity": quantity, "path": ["p"], **fields}


def test_each_kind() -> None:
    """Reading and setting are different platforms."""
    number = {"min": 0, "max": 1}
    words = {"options": ["a", "b"]}
    assert shape(
        row("a", "power"),
        row("b", "power", **WRITE, **number),
        row("c", "relay"),
        row("d", "relay", **WRITE),
        row("e", "enum", **words),
        row("f", "enum", **words, **WRITE),
        row("g", "text"),
        row("h", "text", **WRITE),
        row("i", "timestamp"),
        row("j", "event", **words),
        {"key": "k", "quantity": "restart", **WRITE},
    ) == {
        "a": (Platform.SENSOR, ["a"]),
        "b": (Platform.NUMBER, ["b"]),
        "c": (Platform.BINARY_SENSOR, ["c"]),
        "d": (Platform.SWITCH, ["d"]),
        "e": (Platform.SENSOR, ["e"]),
        "f": (Platform.SELECT, ["f"]),
        "g": (Platform.SENSOR, ["g"]),
        "h": (Platform.TEXT, ["h"]),
        "i": (Platform.SENSOR, ["i"]),
        "j": (Platform.EVENT, ["j"]),
        "k": (Platform.BUTTON, ["k"]),
    }


def test_groups() -> None:
    """A group is one entity with the identity of what leads it, in whatever order."""
    assert shape(
        row("level", "brightness", group="lamp", **WRITE),
        row("on", "light", group="lamp", **WRITE),
        row("power", "power", group="lamp"),
        row("other", "light", **WRITE),
        row("place", "cover_position", group="blind"),
        row("move", "cover", group="blind", **WRITE),
        row("flow", "valve_position", **WRITE),
    ) == {
        "power": (Platform.SENSOR, ["power"]),
        "on": (Platform.LIGHT, ["on", "level"]),
        "other": (Platform.LIGHT, ["other"]),
        "move": (Platform.COVER, ["move", "place"]),
        "flow": (Platform.VALVE, ["flow"]),
    }


def test_every_quantity_has_a_place() -> None:
    """Nothing that can be described is left over."""
    for number, quantity in enumerate(QUANTITIES):
        assert isinstance(quantity, Quantity)
        assert described(quantity, number)
