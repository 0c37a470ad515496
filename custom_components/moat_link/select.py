"""Selects: one of several words."""

from typing import override

from homeassistant.components.select import SelectEntity
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MoatEntity, sends_command
from .hub import Hub, MoatConfigEntry
from .model import Device
from .outline import Outline

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become selects, now and later."""
    entry.runtime_data.devices.on_outline(Platform.SELECT, MoatSelect, async_add_entities)


class MoatSelect(MoatEntity, SelectEntity):
    """One choice."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Offer the words of the description."""
        super().__init__(hub, device, outline)
        self._attr_options = list(outline.lead.options)

    @property
    @override
    def current_option(self) -> str | None:
        """Return the word that holds; None when it is unknown."""
        return self.point.value if isinstance(self.point.value, str) else None

    @sends_command
    @override
    async def async_select_option(self, option: str) -> None:
        """Ask for another word."""
        await self.hub.write(self.point, option)
