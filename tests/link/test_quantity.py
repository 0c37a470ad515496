"""The vocabulary is complete and consistent in itself."""

import pytest

from firmware_bridge.link.quantity import (
    QUANTITIES,
    Family,
    Kind,
    Quantity,
    StateClass,
    allows_unit,
    normal_unit,
)


def test_every_quantity_has_a_row() -> None:
    assert set(QUANTITIES) == set(Quantity)


@pytest.mark.parametrize("quantity", Quantity)
def test_rows_are_consistent(quantity: Quantity) -> None:
    info = QUANTITIES[quantity]
    is_number = info.kind is Kind.NUMBER
    assert is_number or (info.units == (None,) and not info.state_classes and not info.any_unit)
    assert not is_number or info.state_classes
    assert len(set(info.units)) == len(info.units)
    assert info.unit == info.units[0]
    assert allows_unit(info, info.unit)
    assert not info.words or info.kind is Kind.CHOICE


def test_families_have_a_state_and_a_position() -> None:
    members = {
        family: {q for q, info in QUANTITIES.items() if info.family is family} for family in Family
    }
    assert members == {
        Family.LIGHT: {Quantity.LIGHT, Quantity.BRIGHTNESS},
        Family.COVER: {Quantity.COVER, Quantity.COVER_POSITION},
        Family.VALVE: {Quantity.VALVE, Quantity.VALVE_POSITION},
    }


def test_energies_accumulate_and_powers_do_not() -> None:
    assert QUANTITIES[Quantity.ENERGY].state_classes[0] is StateClass.TOTAL_INCREASING
    assert QUANTITIES[Quantity.ENERGY].accumulates
    assert QUANTITIES[Quantity.MONETARY].accumulates
    assert not QUANTITIES[Quantity.POWER].accumulates
    assert not QUANTITIES[Quantity.RELAY].accumulates


def test_units() -> None:
    temperature, number = QUANTITIES[Quantity.TEMPERATURE], QUANTITIES[Quantity.NUMBER]
    assert allows_unit(temperature, "K")
    assert not allows_unit(temperature, "V")
    assert not allows_unit(temperature, None)
    assert allows_unit(number, "EUR/kWh")
    assert allows_unit(number, None)


def test_the_micro_sign_becomes_the_greek_letter() -> None:
    assert normal_unit("\u00b5A") == "\u03bcA"
    assert normal_unit("m³/h") == "m³/h"
