"""Events: what happens, as opposed to what is."""

from collections.abc import Mapping
from typing import Final, override

from homeassistant.components.event import DoorbellEventType, EventDeviceClass, EventEntity
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import InstallationEntity, MoatEntity
from .hub import Hub, MoatConfigEntry
from .link.quantity import Quantity
from .model import Device
from .outline import Outline
from .problem import Occurrence, Problem

PARALLEL_UPDATES = 0

DEVICE_CLASSES: Final[Mapping[Quantity, EventDeviceClass]] = {
    Quantity.BUTTON_EVENT: EventDeviceClass.BUTTON,
    Quantity.DOORBELL_EVENT: EventDeviceClass.DOORBELL,
    Quantity.MOTION_EVENT: EventDeviceClass.MOTION,
}

RING: Final = DoorbellEventType.RING
"""What Home Assistant expects of a doorbell."""


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become events, now and later."""
    hub = entry.runtime_data
    async_add_entities([ErrorEvent(hub)])
    hub.devices.on_outline(Platform.EVENT, MoatEvent, async_add_entities)


class MoatEvent(MoatEntity, EventEntity):
    """One kind of occurrence."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Know the words of the description; what was before us did not happen now."""
        super().__init__(hub, device, outline)
        self._attr_event_types = list(outline.lead.options)
        self._attr_device_class = DEVICE_CLASSES.get(outline.lead.quantity)
        if self._attr_device_class is EventDeviceClass.DOORBELL and RING not in self.event_types:
            self._attr_device_class = None
        self._last = self.point.reading

    @override
    @callback
    def async_point_changed(self) -> None:
        """Tell what happened, once for each reading."""
        reading, word = self.point.reading, self.point.value
        if reading is not self._last:
            self._last = reading
            if isinstance(word, str):
                self._trigger_event(word)
        self.async_write_ha_state()


class ErrorEvent(InstallationEntity, EventEntity):
    """What happens to the errors of the installation."""

    def __init__(self, hub: Hub) -> None:
        """Describe the event."""
        super().__init__(hub, "error")
        self._attr_event_types = list(Occurrence)

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the errors."""
        self.async_on_remove(self.hub.problems.on_occurrence(self._occurred))

    @callback
    def _occurred(self, problem: Problem, occurrence: Occurrence) -> None:
        self._trigger_event(occurrence, problem.as_dict())
        self.async_write_ha_state()
