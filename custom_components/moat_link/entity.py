"""What all entities share: they follow points, and ask the hub to change them."""

from asyncio import TimerHandle
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Final, override

from homeassistant.const import EntityCategory
from homeassistant.core import callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.entity import Entity

from .const import DOMAIN
from .hub import Hub
from .link.description import Category
from .link.errors import CommandError, CommandFailure
from .link.quantity import Quantity
from .model import Device, Point
from .outline import Outline, is_main

CATEGORIES: Final[Mapping[Category, EntityCategory]] = {
    Category.CONFIG: EntityCategory.CONFIG,
    Category.DIAGNOSTIC: EntityCategory.DIAGNOSTIC,
}
PAUSE: Final = 0.5
"""Seconds between two sums of the errors: one costs the more, the more errors there are."""
MISTAKES: Final = frozenset(
    {CommandFailure.INVALID, CommandFailure.NOT_ALLOWED, CommandFailure.READ_ONLY}
)


class InstallationEntity(Entity):
    """An entity of the installation itself, which says how the link is."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, hub: Hub, key: str) -> None:
        """Belong to the installation's own device."""
        self.hub = hub
        self.device_entry = hub.devices.installation
        self._attr_unique_id = f"{hub.entry.entry_id}_{key}"
        self._attr_translation_key = key

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the link's status for as long as the entity exists."""
        self.async_on_remove(self.hub.on_status(self.async_write_ha_state))


class ProblemsEntity(InstallationEntity):
    """An entity that sums up the errors of the installation: at once, but not all the time."""

    _pause: TimerHandle | None = None
    _outdated = False

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the errors, too."""
        await super().async_added_to_hass()
        self.async_on_remove(self.hub.problems.subscribe(self._problems_changed))
        self.async_on_remove(self._end_pause)

    @property
    @override
    def available(self) -> bool:
        """Whether the errors are known."""
        return self.hub.connected

    @callback
    def _problems_changed(self) -> None:
        self._outdated = True
        if self._pause is None:
            self._show()

    @callback
    def _show(self) -> None:
        self._pause = None
        if self._outdated:
            self._outdated = False
            self.async_write_ha_state()
            self._pause = self.hass.loop.call_later(PAUSE, self._show)

    @callback
    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()


class MoatEntity(Entity):
    """An entity that shows what its points say, and never anything else."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, hub: Hub, device: Device, outline: Outline) -> None:
        """Follow the outline's points of the device; the first one leads."""
        lead = outline.lead
        self.hub = hub
        self.points = tuple(device.points[point.key] for point in outline.points)
        self.point = self.points[0]
        self._attached = False
        self.device_entry = hub.devices.device_entry(device.id, lead.part)
        self._attr_unique_id = hub.devices.unique_id(device.id, lead.key)
        self._attr_translation_key = lead.quantity.value
        self._attr_entity_registry_enabled_default = lead.enabled
        if lead.category is not None:
            self._attr_entity_category = CATEGORIES[lead.category]
        if lead.name is not None:
            self._attr_name = lead.name
        elif hub.devices.subentry_of(device.id) is not None or is_main(device.description, lead):
            self._attr_name = None

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the points for as long as the entity exists."""
        self._attached = True
        for point in self.points:
            self.async_on_remove(point.subscribe(self.async_point_changed))

    @override
    async def async_will_remove_from_hass(self) -> None:
        """Note that there is nothing left to detach."""
        self._attached = False

    async def async_detach(self) -> None:
        """Make room for another entity, or for none; what is disabled is not there anyway."""
        if self._attached:
            await self.async_remove(force_remove=True)

    @property
    @override
    def available(self) -> bool:
        """Whether the link is up, the owner alive and the value fresh."""
        return self.point.available

    @callback
    def async_point_changed(self) -> None:
        """Show what the points say now."""
        self.async_write_ha_state()

    def member(self, quantity: Quantity) -> Point | None:
        """Return the point of the group that has this quantity."""
        return next((p for p in self.points if p.description.quantity is quantity), None)

    @staticmethod
    def writable(point: Point | None) -> Point | None:
        """Return the point if it can be set."""
        return point if point is not None and point.description.writable else None


def command_failed(err: CommandError, name: str) -> HomeAssistantError:
    """Return what to raise in Home Assistant when a command to `name` failed."""
    kind = ServiceValidationError if err.reason in MISTAKES else HomeAssistantError
    return kind(
        translation_domain=DOMAIN,
        translation_key=f"command_{err.reason}",
        translation_placeholders={"name": name, "reason": str(err)},
    )


def sends_command[**P](
    method: Callable[P, Awaitable[None]],
) -> Callable[P, Coroutine[Any, Any, None]]:
    """Translate the CommandError of an entity's action for the user."""

    @wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await method(*args, **kwargs)
        except CommandError as err:
            entity = args[0]
            assert isinstance(entity, Entity)
            state = entity.hass.states.get(entity.entity_id)
            raise command_failed(err, entity.entity_id if state is None else state.name) from err

    return wrapper
