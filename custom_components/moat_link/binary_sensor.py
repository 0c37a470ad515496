"""Binary sensors: yes or no, and nobody can change it from here."""

from collections.abc import Mapping
from typing import Any, Final, override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import InstallationEntity, MoatEntity, ProblemsEntity
from .hub import Hub, MoatConfigEntry
from .link.quantity import QUANTITIES, Kind, Quantity
from .model import Device
from .outline import Outline

PARALLEL_UPDATES = 0

BINARY_SENSORS: Final[Mapping[Quantity, BinarySensorEntityDescription]] = {
    quantity: BinarySensorEntityDescription(
        key=quantity,
        translation_key=quantity,
        device_class=BinarySensorDeviceClass(info.device_class) if info.device_class else None,
    )
    for quantity, info in QUANTITIES.items()
    if info.kind is Kind.BOOLEAN
}

ATTR_COUNT: Final = "count"
ATTR_MESSAGE: Final = "message"
ATTR_PATH: Final = "path"
ATTR_PROBLEMS: Final = "problems"
SHOWN: Final = 10


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become binary sensors, now and later."""
    hub = entry.runtime_data
    async_add_entities([ConnectedSensor(hub), ProblemSensor(hub)])
    hub.devices.on_outline(Platform.BINARY_SENSOR, MoatBinarySensor, async_add_entities)


class MoatBinarySensor(MoatEntity, BinarySensorEntity):
    """One answer."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Describe the answer by the row of its quantity."""
        super().__init__(hub, device, outline)
        self.entity_description = BINARY_SENSORS[outline.lead.quantity]

    @property
    @override
    def is_on(self) -> bool | None:
        """Return the answer; None when it is unknown."""
        return self.point.value if isinstance(self.point.value, bool) else None


class ConnectedSensor(InstallationEntity, BinarySensorEntity):
    """Whether we take part in the installation."""

    _attr_device_class = BinarySensorDeviceClass.CONNECTIVITY
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    def __init__(self, hub: Hub) -> None:
        """Describe the sensor."""
        super().__init__(hub, "connected")

    @property
    @override
    def is_on(self) -> bool:
        """Return whether everything is known."""
        return self.hub.connected


class ProblemSensor(ProblemsEntity, BinarySensorEntity):
    """Whether anything in the installation has reported an error."""

    _attr_device_class = BinarySensorDeviceClass.PROBLEM
    _unrecorded_attributes = frozenset({ATTR_PROBLEMS})

    def __init__(self, hub: Hub) -> None:
        """Describe the sensor."""
        super().__init__(hub, "problem")

    @property
    @override
    def is_on(self) -> bool:
        """Return whether any error holds."""
        return bool(self.hub.problems.open)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Return how many errors hold, where and what the newest is, and some of the worst."""
        problems = self.hub.problems
        newest = problems.newest
        return {
            ATTR_COUNT: len(problems.open),
            ATTR_PATH: None if newest is None else str(newest.path),
            ATTR_MESSAGE: None if newest is None else newest.message,
            ATTR_PROBLEMS: [problem.as_dict() for problem in problems.worst(SHOWN)],
        }
