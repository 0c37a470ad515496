"""Texts that can be set."""

from typing import override

from homeassistant.components.text import TextEntity
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
    """Take the points that become texts, now and later."""
    entry.runtime_data.devices.on_outline(Platform.TEXT, MoatText, async_add_entities)


class MoatText(MoatEntity, TextEntity):
    """One text."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Know how long it may be."""
        super().__init__(hub, device, outline)
        if (shortest := outline.lead.minimum) is not None:
            self._attr_native_min = int(shortest)
        if (longest := outline.lead.maximum) is not None:
            self._attr_native_max = int(longest)

    @property
    @override
    def native_value(self) -> str | None:
        """Return the text; None when it is unknown, or too long for a state."""
        return self.point.value if isinstance(self.point.value, str) else None

    @sends_command
    @override
    async def async_set_value(self, value: str) -> None:
        """Ask for another text."""
        await self.hub.write(self.point, value)
