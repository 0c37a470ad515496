"""Our words, units and state classes are Home Assistant's."""

import pytest
from homeassistant.components.binary_sensor import BinarySensorDeviceClass
from homeassistant.components.button import ButtonDeviceClass
from homeassistant.components.event import EventDeviceClass
from homeassistant.components.number import NumberDeviceClass
from homeassistant.components.number.const import DEVICE_CLASS_UNITS as NUMBER_UNITS
from homeassistant.components.sensor import SensorDeviceClass, SensorStateClass
from homeassistant.components.sensor.const import (
    AMBIGUOUS_UNITS,
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
    STATE_CLASS_UNITS,
)

from custom_components.moat_link.link.quantity import (
    QUANTITIES,
    Kind,
    Quantity,
    QuantityInfo,
    StateClass,
)

NUMBERS = [q for q, info in QUANTITIES.items() if info.kind is Kind.NUMBER]
CLASSED = [q for q in NUMBERS if QUANTITIES[q].device_class]
CLASSES = {
    Kind.BOOLEAN: BinarySensorDeviceClass,
    Kind.CHOICE: SensorDeviceClass,
    Kind.MOMENT: SensorDeviceClass,
    Kind.TRIGGER: ButtonDeviceClass,
    Kind.EVENT: EventDeviceClass,
}
LEFT_OUT = {SensorDeviceClass.DATE, SensorDeviceClass.BLOOD_GLUCOSE_CONCENTRATION}


@pytest.mark.parametrize("quantity", CLASSED)
def test_units_of_numbers(quantity: Quantity) -> None:
    """Every unit of a number with a device class is one of that class, read and written."""
    info = QUANTITIES[quantity]
    allowed = DEVICE_CLASS_UNITS.get(SensorDeviceClass(str(info.device_class)), {*info.units})
    assert set(info.units) <= allowed
    number = NUMBER_UNITS.get(NumberDeviceClass(str(info.device_class)), {*info.units})
    assert set(info.units) <= number


@pytest.mark.parametrize("quantity", CLASSED)
def test_state_classes_of_numbers(quantity: Quantity) -> None:
    """Every state class of a number is one that its device class knows."""
    info = QUANTITIES[quantity]
    known = DEVICE_CLASS_STATE_CLASSES[SensorDeviceClass(str(info.device_class))]
    assert {SensorStateClass(word) for word in info.state_classes} <= known
    assert info.state_classes


@pytest.mark.parametrize("quantity", NUMBERS)
def test_state_classes_and_units_fit(quantity: Quantity) -> None:
    """A state class that demands a unit is allowed only with that unit."""
    info = QUANTITIES[quantity]
    for word in info.state_classes:
        assert set(info.units) <= STATE_CLASS_UNITS.get(SensorStateClass(word), {*info.units})


@pytest.mark.parametrize("quantity", sorted(set(QUANTITIES) - set(NUMBERS)))
def test_device_classes_of_others(quantity: Quantity) -> None:
    """What is not a number has a device class of the platform it becomes."""
    info = QUANTITIES[quantity]
    words = {str(word) for word in CLASSES.get(info.kind, ())}
    assert info.device_class is None or info.device_class in words


def test_units_are_spelled_unambiguously() -> None:
    """No unit is one of the spellings that Home Assistant corrects."""
    units = {unit for info in QUANTITIES.values() for unit in info.units}
    assert not units & set(AMBIGUOUS_UNITS)


def test_state_class_words() -> None:
    """Our state classes are Home Assistant's."""
    assert {str(word) for word in StateClass} == {str(word) for word in SensorStateClass}


def test_every_sensor_class_has_a_quantity() -> None:
    """No class of sensor is forgotten, apart from two that no house needs."""
    ours = {info.device_class for info in QUANTITIES.values() if _measures(info)}
    assert {str(word) for word in set(SensorDeviceClass) - LEFT_OUT} == ours


def test_every_binary_sensor_class_has_a_quantity() -> None:
    """No class of binary sensor is forgotten."""
    ours = {
        info.device_class
        for info in QUANTITIES.values()
        if info.kind is Kind.BOOLEAN and info.device_class
    }
    assert {str(word) for word in BinarySensorDeviceClass} == ours


def _measures(info: QuantityInfo) -> bool:
    sensors = {Kind.NUMBER, Kind.CHOICE, Kind.MOMENT}
    return info.kind in sensors and info.device_class is not None
