"""Keeps Home Assistant's devices and entities like the site's."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Final

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .model import Device, Point, Site
from .outline import Outline, outlines
from .values import ID_PREFIX

if TYPE_CHECKING:
    from .entity import MoatEntity
    from .hub import Hub, MoatConfigEntry

_LOGGER = logging.getLogger(__name__)

AT_ONCE: Final = 50
"""Entities that are added in one turn of the loop, which takes about ten milliseconds."""
MOST_HOPS: Final = 16
"""Devices that one may be connected through; a longer way is left out, like one in a circle."""

type EntityFactory = Callable[[Hub, Device, Outline], MoatEntity]


@dataclass(frozen=True, slots=True)
class _Shown:
    """An entity, and what it was made from."""

    entity: MoatEntity
    outline: Outline
    points: tuple[Point | None, ...]


class Devices:
    """The devices of one installation, and the entities that show them."""

    def __init__(self, hass: HomeAssistant, entry: MoatConfigEntry, hub: Hub) -> None:
        """Register the installation itself; everything else hangs below it."""
        self._entry = entry
        self._hub = hub
        self._registry = dr.async_get(hass)
        self._entities = er.async_get(hass)
        self._factories: dict[Platform, tuple[EntityFactory, AddConfigEntryEntitiesCallback]] = {}
        self._shown: dict[str, dict[str, _Shown]] = {}
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()
        self.installation = self._registry.async_get_or_create(
            config_entry_id=entry.entry_id,
            identifiers={(DOMAIN, entry.entry_id)},
            entry_type=dr.DeviceEntryType.SERVICE,
            manufacturer="MoaT",
            model="MoaT-Link",
            name=entry.title,
        )

    @property
    def _site(self) -> Site:
        return self._hub.site

    def unique_id(self, device_id: str, key: str) -> str:
        """Return the unique id of an entity; neither ids nor keys hold a colon."""
        return f"{self._entry.entry_id}_{device_id}:{key}"

    def identifier(self, device_id: str, part: str | None = None) -> tuple[str, str]:
        """Return how the registry knows a device, or a part of it."""
        whole = f"{self._entry.entry_id}_{device_id}"
        return DOMAIN, whole if part is None else f"{whole}:{part}"

    def device_entry(self, device_id: str, part: str | None = None) -> dr.AnyDeviceEntry | None:
        """Return the registry's entry of a device, or of a part of it."""
        identifier = self.identifier(device_id, part)
        if part is None:
            return self._registry.async_get_device_by_identifier(identifier, self._entry.entry_id)
        return self._registry.async_get_child_device_by_identifier(identifier, self._entry.entry_id)

    def device_of(self, entry: dr.AnyDeviceEntry) -> Device | None:
        """Return the described device that a registry entry, whole or part, stands for."""
        start = f"{self._entry.entry_id}_"
        for domain, name in entry.identifiers:
            device_id, _, part = name.removeprefix(start).partition(":")
            if domain == DOMAIN and (device := self._site.devices.get(device_id)) is not None:
                return device if not part or part in device.description.parts else None
        return None

    @callback
    def async_delete(self, entry: dr.AnyDeviceEntry) -> bool:
        """Tell whether a registry entry stands for nothing any more, and let go of it if so."""
        if entry.id == self.installation.id:
            return False
        if (device := self.device_of(entry)) is None:
            return True
        if not self._hub.feed.doubts(device.id):
            return False
        self._hub.feed.forget(device.id)
        return True

    def subentry_of(self, device_id: str) -> str | None:
        """Return the subentry that describes a device, if it is one."""
        subentry_id = device_id.removeprefix(ID_PREFIX)
        found = subentry_id != device_id and subentry_id in self._entry.subentries
        return subentry_id if found else None

    @callback
    def on_outline(
        self,
        platform: Platform,
        factory: EntityFactory,
        async_add_entities: AddConfigEntryEntitiesCallback,
    ) -> None:
        """Make entities of this platform for every device there is and will be."""
        self._factories[platform] = factory, async_add_entities

    @callback
    def changed(self, device: Device) -> None:
        """Note that a device has come, changed or gone."""
        self._due[device.id] = None
        self._wake.set()

    async def settle(self) -> None:
        """Bring everything up to date that has changed so far, one device after the other."""
        while self._due:
            device_id = next(iter(self._due))
            del self._due[device_id]
            try:
                if (device := self._site.devices.get(device_id)) is None:
                    await self._remove(device_id)
                else:
                    await self._update(device)
            except Exception:
                # the one supervisor of devices: what is wrong with one must not keep the others away
                _LOGGER.exception("Device %s cannot be shown", device_id)
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Keep everything up to date for as long as the entry is loaded."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.settle()

    async def _update(self, device: Device) -> None:
        """Show a device as it describes itself now."""
        if self.device_entry(device.id) is None:
            self._revisit_users_of(device.id)
        whole = self._register(device)
        wanted = outlines(device.description)
        shown = self._shown.setdefault(device.id, {})
        for key, one in list(shown.items()):
            if wanted.get(key) != one.outline or one.points != _points(device, one.outline):
                del shown[key]
                await one.entity.async_detach()
        wanted = outlines(device.description)  # it may have changed meanwhile
        self._forget_entities(device, whole, wanted)
        new: dict[Platform, list[MoatEntity]] = {}
        for key, outline in wanted.items():
            if key not in shown:
                entity = self._factories[outline.platform][0](self._hub, device, outline)
                shown[key] = _Shown(entity, outline, _points(device, outline))
                new.setdefault(outline.platform, []).append(entity)
        for platform, entities in new.items():
            add = self._factories[platform][1]
            for some in batched(entities, AT_ONCE, strict=False):
                add(some, config_subentry_id=self.subentry_of(device.id))
                await asyncio.sleep(0)

    async def _remove(self, device_id: str) -> None:
        """Remove a device that is gone; its history stays."""
        for one in self._shown.pop(device_id, {}).values():
            await one.entity.async_detach()
        if (entry := self.device_entry(device_id)) is not None:
            self._registry.async_remove_device(entry.id)
            self._revisit_users_of(device_id)

    def _revisit_users_of(self, device_id: str) -> None:
        """Have the devices looked at that are connected through this one."""
        for other in self._site.devices.values():
            if other.description.via == device_id:
                self.changed(other)

    def _register(self, device: Device) -> dr.DeviceEntry:
        """Bring the registry's entries of a device and its parts up to date."""
        about = device.description
        whole = self._registry.async_get_or_create(
            config_entry_id=self._entry.entry_id,
            config_subentry_id=self.subentry_of(device.id),
            identifiers={self.identifier(device.id)},
            name=about.name,
            manufacturer=about.maker,
            model=about.model or about.kind,
            serial_number=about.serial,
            sw_version=about.software,
            hw_version=about.hardware,
            suggested_area=about.area,
            via_device_id=self._via(device),
        )
        for part_id, part in about.parts.items():
            self._registry.async_get_or_create_child(
                config_entry_id=self._entry.entry_id,
                config_subentry_id=self.subentry_of(device.id),
                identifiers={self.identifier(device.id, part_id)},
                name=part.name,
                parent_device_id=whole.id,
            )
        parts = {self.identifier(device.id, part_id) for part_id in about.parts}
        for child in dr.async_entries_for_parent_device(self._registry, whole.id):
            if not child.identifiers & parts:
                self._registry.async_remove_device(child.id)
        return whole

    def _via(self, device: Device) -> str:
        """Return the registry's id of what a device is connected through, registered first."""
        via = _next(self._site, device)
        seen = {device.id}
        step = via
        while step is not None:
            if step.id in seen or len(seen) > MOST_HOPS:
                return self.installation.id
            seen.add(step.id)
            step = _next(self._site, step)
        if via is None:
            return self.installation.id
        return (self.device_entry(via.id) or self._register(via)).id

    def _forget_entities(
        self, device: Device, whole: dr.DeviceEntry, wanted: dict[str, Outline]
    ) -> None:
        """Remove what the registry knows of this device, but its description no longer holds."""
        keep = {
            (outline.platform, self.unique_id(device.id, key)) for key, outline in wanted.items()
        }
        parts = dr.async_entries_for_parent_device(self._registry, whole.id)
        for entry in _entities_of(self._entities, (whole, *parts)):
            if entry.platform == DOMAIN and (entry.domain, entry.unique_id) not in keep:
                self._entities.async_remove(entry.entity_id)


def _points(device: Device, outline: Outline) -> tuple[Point | None, ...]:
    return tuple(device.points.get(point.key) for point in outline.points)


def _next(site: Site, device: Device) -> Device | None:
    via = device.description.via
    return None if via is None else site.devices.get(via)


def _entities_of(
    registry: er.EntityRegistry, devices: Iterable[dr.AnyDeviceEntry]
) -> list[er.RegistryEntry]:
    return [
        entry
        for device in devices
        for entry in er.async_entries_for_device(
            registry, device.id, include_disabled_entities=True
        )
    ]
