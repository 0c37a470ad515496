"""Valves: for water, gas, heat."""

from typing import override

from homeassistant.components.valve import ValveEntity, ValveEntityFeature
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


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become valves, now and later."""
    entry.runtime_data.devices.on_outline(Platform.VALVE, MoatValve, async_add_entities)


class MoatValve(MovableEntity, ValveEntity):
    """One valve."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Find out what the valve can do."""
        super().__init__(hub, device, outline, Quantity.VALVE, Quantity.VALVE_POSITION)
        self._attr_reports_position = self.has_position
        self._attr_supported_features = ValveEntityFeature.OPEN | ValveEntityFeature.CLOSE
        if self.can_stop:
            self._attr_supported_features |= ValveEntityFeature.STOP
        if self.can_be_set:
            self._attr_supported_features |= ValveEntityFeature.SET_POSITION

    @property
    @override
    def current_valve_position(self) -> int | None:
        """Return how far the valve is open, from 0 to 100."""
        return self.position

    @sends_command
    @override
    async def async_open_valve(self) -> None:
        """Ask for open."""
        await self.move(OPEN)

    @sends_command
    @override
    async def async_close_valve(self) -> None:
        """Ask for closed."""
        await self.move(CLOSED)

    @sends_command
    @override
    async def async_stop_valve(self) -> None:
        """Ask for a stop, wherever the valve is."""
        await self.move(STOPPED)

    @sends_command
    @override
    async def async_set_valve_position(self, position: int) -> None:
        """Ask for a position from 0 to 100."""
        await self.move_to(position)
