"""Texts that can be set."""

from typing import override

from homeassistant.components.text import TextEntity
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MoatEntity, sends_command
from .hub import MoatConfigEntry

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
