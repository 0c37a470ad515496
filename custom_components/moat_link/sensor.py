"""Sensors: every reading that nobody can change from here."""

from collections.abc import Mapping
from typing import Final, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, Platform, UnitOfEnergy
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import InstallationEntity, MoatEntity, ProblemsEntity
from .hub import Hub, MoatConfigEntry
from .link.quantity import QUANTITIES, Kind, Quantity
from .model import Device, PointValue
from .outline import READ, Outline

PARALLEL_UPDATES = 0

NO_SERVER: Final = "none"  # translated

KINDS: Final = frozenset(kind for kind, platform in READ.items() if platform is Platform.SENSOR)
SENSORS: Final[Mapping[Quantity, SensorEntityDescription]] = {
    quantity: SensorEntityDescription(
        key=quantity,
        translation_key=quantity,
        device_class=SensorDeviceClass(info.device_class) if info.device_class else None,
    )
    for quantity, info in QUANTITIES.items()
    if info.kind in KINDS and info.family is None
}


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MoatConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Take the points that become sensors, now and later."""
    hub = entry.runtime_data
    async_add_entities([ServerSensor(hub), ErrorCountSensor(hub)])
    hub.devices.on_outline(Platform.SENSOR, MoatSensor, async_add_entities)


class MoatSensor(MoatEntity, SensorEntity):
    """One reading."""

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Describe the reading by the row of its quantity."""
        super().__init__(hub, device, outline)
        lead = outline.lead
        self.entity_description = SENSORS[lead.quantity]
        kind = lead.info.kind
        self._whole = lead.precision == 0 or lead.quantity is Quantity.COUNT
        if kind is Kind.CHOICE:
            self._attr_device_class = SensorDeviceClass.ENUM
            self._attr_options = list(lead.options)
        elif kind is Kind.NUMBER:
            self._attr_native_unit_of_measurement = lead.unit
            self._attr_suggested_display_precision = lead.precision
            if lead.unit == UnitOfEnergy.WATT_HOUR:
                self._attr_suggested_unit_of_measurement = UnitOfEnergy.KILO_WATT_HOUR
                if lead.precision is not None:
                    self._attr_suggested_display_precision = lead.precision + 3
            if lead.state_class is not None:
                self._attr_state_class = SensorStateClass(lead.state_class)

    @property
    @override
    def native_value(self) -> PointValue:
        """Return the reading; None while it is unknown."""
        value = self.point.value
        if self._whole and isinstance(value, float) and value.is_integer():
            return int(value)
        return value


class ServerSensor(InstallationEntity, SensorEntity):
    """The name of the server we are connected to."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC

    def __init__(self, hub: Hub) -> None:
        """Describe the sensor."""
        super().__init__(hub, "server")

    @property
    @override
    def available(self) -> bool:
        """Whether there is a connection at all."""
        return self.hub.connected

    @property
    @override
    def native_value(self) -> str:
        """Return the server's name, or that we do without."""
        return self.hub.link.status.server or NO_SERVER


class ErrorCountSensor(ProblemsEntity, SensorEntity):
    """How many errors hold."""

    _attr_state_class = SensorStateClass.MEASUREMENT

    def __init__(self, hub: Hub) -> None:
        """Describe the sensor."""
        super().__init__(hub, "errors")

    @property
    @override
    def native_value(self) -> int:
        """Return the number of errors."""
        return len(self.hub.problems.open)
