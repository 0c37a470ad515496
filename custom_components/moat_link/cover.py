"""Covers: shutters, blinds, doors that move."""

from typing import Any, Final, override

from homeassistant.components.cover import (
    ATTR_POSITION,
    CoverDeviceClass,
    CoverEntity,
    CoverEntityFeature,
)
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import sends_command
from .hub import Hub, MoatConfigEntry
from .link.quantity import CLOSED, OPEN, STOPPED, Quantity
from .model import Device
from .movable import MovableEntity
from .outline import Outline

PARALLEL_UPDATES = 0

CLASSES: Final = {each.value: each for each in CoverDeviceClass}
"""By the kind of the device, or of its part."""


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become covers, now and later."""
    entry.runtime_data.devices.on_outline(Platform.COVER, MoatCover, async_add_entities)


class MoatCover(MovableEntity, CoverEntity):
    """One cover."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Find out what the cover can do."""
        super().__init__(hub, device, outline, Quantity.COVER, Quantity.COVER_POSITION)
        about = device.description
        part = about.parts.get(outline.lead.part or "")
        self._attr_device_class = CLASSES.get((part and part.kind) or about.kind or "")
        self._attr_supported_features = CoverEntityFeature.OPEN | CoverEntityFeature.CLOSE
        if self.can_stop:
            self._attr_supported_features |= CoverEntityFeature.STOP
        if self.can_be_set:
            self._attr_supported_features |= CoverEntityFeature.SET_POSITION

    @property
    @override
    def current_cover_position(self) -> int | None:
        """Return how far the cover is open, from 0 to 100."""
        return self.position

    @sends_command
    @override
    async def async_open_cover(self, **kwargs: Any) -> None:
        """Ask for open."""
        await self.move(OPEN)

    @sends_command
    @override
    async def async_close_cover(self, **kwargs: Any) -> None:
        """Ask for closed."""
        await self.move(CLOSED)

    @sends_command
    @override
    async def async_stop_cover(self, **kwargs: Any) -> None:
        """Ask for a stop, wherever the cover is."""
        await self.move(STOPPED)

    @sends_command
    @override
    async def async_set_cover_position(self, **kwargs: Any) -> None:
        """Ask for a position from 0 to 100."""
        await self.move_to(kwargs[ATTR_POSITION])
