"""Lights: on and off, and how bright."""

from typing import Any, override

from homeassistant.components.light import ATTR_BRIGHTNESS, ColorMode, LightEntity
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MoatEntity, sends_command
from .hub import Hub, MoatConfigEntry
from .link.quantity import Quantity
from .model import Device
from .outline import Outline
from .range import fraction, value_at

PARALLEL_UPDATES = 0

FULL = 255


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become lights, now and later."""
    entry.runtime_data.devices.on_outline(Platform.LIGHT, MoatLight, async_add_entities)


class MoatLight(MoatEntity, LightEntity):
    """One light; a brightness without a switch is off at its lowest value."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Find out what the light can do."""
        super().__init__(hub, device, outline)
        self._switch = self.member(Quantity.LIGHT)
        self._dimmer = self.member(Quantity.BRIGHTNESS)
        self._attr_color_mode = ColorMode.ONOFF if self._dimmer is None else ColorMode.BRIGHTNESS
        self._attr_supported_color_modes = {self._attr_color_mode}

    @property
    @override
    def is_on(self) -> bool | None:
        """Return whether the light is on; None when that is unknown."""
        if self._switch is not None and self._switch.description.readable:
            return self._switch.value if isinstance(self._switch.value, bool) else None
        level = None if self._dimmer is None else fraction(self._dimmer)
        return None if level is None else level > 0

    @property
    @override
    def brightness(self) -> int | None:
        """Return the brightness from 0 to 255."""
        level = None if self._dimmer is None else fraction(self._dimmer)
        return None if level is None else round(level * FULL)

    @sends_command
    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Ask for a brightness, for on, or for both."""
        dimmer, switch = self.writable(self._dimmer), self.writable(self._switch)
        level = kwargs.get(ATTR_BRIGHTNESS, None if switch else FULL)
        if dimmer is not None and level is not None:
            await self.hub.write(dimmer, value_at(dimmer.description, level / FULL))
        if switch is not None and (switch.value is not True or level is None):
            await self.hub.write(switch, True)

    @sends_command
    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Ask for off."""
        if (switch := self.writable(self._switch)) is not None:
            await self.hub.write(switch, False)
        elif (dimmer := self.writable(self._dimmer)) is not None:
            await self.hub.write(dimmer, value_at(dimmer.description, 0))
