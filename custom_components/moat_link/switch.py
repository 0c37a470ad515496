"""Switches: yes or no, and it can be changed from here."""

from collections.abc import Mapping
from typing import Any, Final, override

from homeassistant.components.switch import SwitchDeviceClass, SwitchEntity
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MoatEntity, sends_command
from .hub import Hub, MoatConfigEntry
from .link.quantity import Quantity
from .model import Device
from .outline import Outline

PARALLEL_UPDATES = 0

DEVICE_CLASSES: Final[Mapping[Quantity, SwitchDeviceClass]] = {
    Quantity.OUTLET: SwitchDeviceClass.OUTLET,
    Quantity.RELAY: SwitchDeviceClass.SWITCH,
}


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become switches, now and later."""
    entry.runtime_data.devices.on_outline(Platform.SWITCH, MoatSwitch, async_add_entities)


class MoatSwitch(MoatEntity, SwitchEntity):
    """One thing that is on or off."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Show two buttons if nobody tells whether it is on."""
        super().__init__(hub, device, outline)
        self._attr_device_class = DEVICE_CLASSES.get(outline.lead.quantity)
        self._attr_assumed_state = not outline.lead.readable

    @property
    @override
    def is_on(self) -> bool | None:
        """Return whether it is on; None when that is unknown."""
        return self.point.value if isinstance(self.point.value, bool) else None

    @sends_command
    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Ask for on."""
        await self.hub.write(self.point, True)

    @sends_command
    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Ask for off."""
        await self.hub.write(self.point, False)
