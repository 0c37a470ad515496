"""Numbers: set points and settings."""

from collections.abc import Mapping
from typing import Final, override

from homeassistant.components.number import (
    NumberDeviceClass,
    NumberEntity,
    NumberEntityDescription,
    NumberMode,
)
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MoatEntity, sends_command
from .hub import Hub, MoatConfigEntry
from .link.quantity import QUANTITIES, Kind, Quantity
from .model import Device
from .outline import Outline

PARALLEL_UPDATES = 0

NUMBERS: Final[Mapping[Quantity, NumberEntityDescription]] = {
    quantity: NumberEntityDescription(
        key=quantity,
        translation_key=quantity,
        device_class=NumberDeviceClass(info.device_class) if info.device_class else None,
    )
    for quantity, info in QUANTITIES.items()
    if info.kind is Kind.NUMBER and info.family is None
}
SLIDER_STEPS: Final = 200
"""A slider with more positions than this cannot be used."""


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become numbers, now and later."""
    entry.runtime_data.devices.on_outline(Platform.NUMBER, MoatNumber, async_add_entities)


class MoatNumber(MoatEntity, NumberEntity):
    """One number that can be set."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Take the range from the description, and a step that fits it."""
        super().__init__(hub, device, outline)
        lead = outline.lead
        assert lead.minimum is not None
        assert lead.maximum is not None
        self.entity_description = NUMBERS[lead.quantity]
        self._attr_native_unit_of_measurement = lead.unit
        self._attr_native_min_value = lead.minimum
        self._attr_native_max_value = lead.maximum
        self._attr_native_step = step = lead.step or 10.0 ** -(lead.precision or 0)
        fits = lead.maximum - lead.minimum <= SLIDER_STEPS * step
        self._attr_mode = NumberMode.SLIDER if fits else NumberMode.BOX

    @property
    @override
    def native_value(self) -> float | None:
        """Return the number; None when it is unknown."""
        return self.point.value if isinstance(self.point.value, float) else None

    @sends_command
    @override
    async def async_set_native_value(self, value: float) -> None:
        """Ask for a number; what was converted from another unit is put on the next step."""
        if self.unit_of_measurement != self.native_unit_of_measurement:
            value = self._on_step(value)
        await self.hub.write(self.point, value)

    def _on_step(self, value: float) -> float:
        low, high, step = self.native_min_value, self.native_max_value, self.native_step or 1.0
        return min(max(low + round((value - low) / step) * step, low), high)
