"""What a value probably is, from itself and from what is said about it."""

import pytest
from homeassistant.const import Platform

from custom_components.moat_link.link.codec import ABSENT, Value
from custom_components.moat_link.link.path import Path
from custom_components.moat_link.value_forms import shown
from custom_components.moat_link.value_guess import (
    Hints,
    guess_platform,
    hints_from,
    leaves,
    point_row,
)

WRITABLE = Hints(read_only=False)
WORDS = Hints(read_only=False, options=("a", "b"))


@pytest.mark.parametrize(
    ("value", "hints", "platform"),
    [
        (True, Hints(), Platform.BINARY_SENSOR),
        (True, WRITABLE, Platform.SWITCH),
        (1, Hints(), Platform.SENSOR),
        (1.5, WRITABLE, Platform.NUMBER),
        ("x", WRITABLE, Platform.TEXT),
        ("a", WORDS, Platform.SELECT),
        ({"a": 1}, WRITABLE, Platform.SENSOR),
        (ABSENT, Hints(), Platform.SENSOR),
    ],
)
def test_platform(value: Value, hints: Hints, platform: Platform) -> None:
    """Yes and no, numbers, words and texts have platforms of their own."""
    assert guess_platform(value, hints) is platform


@pytest.mark.parametrize(
    ("unit", "quantity"),
    [("W", "power"), ("kWh", "energy"), ("mbar", "atmospheric_pressure"), ("furlong", "number")],
)
def test_quantity_of_unit(unit: str, quantity: str) -> None:
    """A unit tells what is measured, as far as anybody uses it."""
    suggested = Hints(unit=unit).suggested(Path("a"), Platform.SENSOR, 1.0)
    assert suggested["quantity"] == quantity


def test_words() -> None:
    """Words become a choice, other texts stay texts."""
    assert WORDS.suggested(Path("a"), Platform.SENSOR, "a") == {
        "quantity": "enum",
        "options": ["a", "b"],
    }
    assert Hints().suggested(Path("a"), Platform.SENSOR, "a") == {"quantity": "text"}
    button = Hints().suggested(Path("a"), Platform.BUTTON, ABSENT)
    assert button == {"quantity": "button", "write_path": "a"}


def test_hints_of_an_item() -> None:
    """The schema of an item is inside that of the whole; the title of the whole is not its own."""
    schema: Value = {
        "title": "Lamp",
        "properties": {
            "level": {"title": "Level", "description": "Dimmer", "enum": ["low", "high"]},
            "cells": {"items": {"unit": "V", "maximum": True, "enum": [1, 2]}},
        },
    }
    doc: Value = {"title": "A lamp", "doc": "It shines."}
    assert hints_from(schema, doc, ()) == Hints(title="Lamp", doc="It shines.")
    level = hints_from(schema, doc, ("level",))
    assert level == Hints(title="Level", doc="Dimmer", options=("low", "high"))
    assert hints_from(schema, doc, ("cells", 3)) == Hints(doc="It shines.", unit="V")
    for steps in (("level", "deep"), ("nothing", "at", "all"), (0, 1)):
        assert hints_from(schema, doc, steps) == Hints(doc="It shines.")
    assert hints_from("rubbish", ["rubbish"], ()) == Hints()


def test_leaves_are_bounded() -> None:
    """Only so many items are offered, only so deep, and only what has a name."""
    assert len(leaves(list(range(2000)))) == 500
    assert leaves({"a": {"b": {"c": {"d": {"e": 1}}}}}) == {
        "a.b.c.d": (("a", "b", "c", "d"), {"e": 1})
    }
    assert leaves({1: 2, "x": 3}) == {"x": (("x",), 3)}
    assert leaves(5) == {}


def test_row() -> None:
    """Empty fields are left out; a button has no value to read."""
    details = {"quantity": "button", "unit": "", "write_path": " a.b ", "options": []}
    assert point_row(Path("a"), ("x",), Platform.BUTTON, details) == {
        "platform": "button",
        "quantity": "button",
        "access": "w",
        "write": {"path": "a.b"},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ABSENT, "-"),
        ({"a": 1, "b": 2}, "{a, b}"),
        ([1, 2], "[2]"),
        ("x" * 100, "x" * 59 + "…"),
        (21.5, "21.5"),
    ],
)
def test_shown(value: Value, text: str) -> None:
    """Values are shortened for forms."""
    assert shown(value) == text
