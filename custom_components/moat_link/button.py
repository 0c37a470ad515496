"""Buttons: what can be triggered."""

from collections.abc import Mapping
from typing import Final, override

from homeassistant.components.button import ButtonDeviceClass, ButtonEntity
from homeassistant.const import EntityCategory, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MoatEntity, sends_command
from .hub import Hub, MoatConfigEntry
from .link.quantity import Quantity
from .model import Device
from .outline import Outline

PARALLEL_UPDATES = 0

DEVICE_CLASSES: Final[Mapping[Quantity, ButtonDeviceClass]] = {
    Quantity.IDENTIFY: ButtonDeviceClass.IDENTIFY,
    Quantity.RESTART: ButtonDeviceClass.RESTART,
}
CATEGORIES: Final[Mapping[Quantity, EntityCategory]] = {
    Quantity.IDENTIFY: EntityCategory.DIAGNOSTIC,
    Quantity.RESTART: EntityCategory.CONFIG,
}


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become buttons, now and later."""
    entry.runtime_data.devices.on_outline(Platform.BUTTON, MoatButton, async_add_entities)


class MoatButton(MoatEntity, ButtonEntity):
    """One thing to trigger."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Put buttons that are not for everyday use where they belong."""
        super().__init__(hub, device, outline)
        lead = outline.lead
        self._attr_device_class = DEVICE_CLASSES.get(lead.quantity)
        if lead.category is None:
            self._attr_entity_category = CATEGORIES.get(lead.quantity)

    @sends_command
    @override
    async def async_press(self) -> None:
        """Ask for it."""
        await self.hub.write(self.point)
