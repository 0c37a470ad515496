"""Which entities a description asks for. Pure: descriptions in, outlines out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from homeassistant.const import Platform

from .link.describe import DeviceDescription, PointDescription
from .link.quantity import Family, Kind, Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One entity: its platform and the points it follows, the leading one first."""

    platform: Platform
    points: tuple[PointDescription, ...]

    @property
    def lead(self) -> PointDescription:
        """The point that gives the entity its identity, name and place."""
        return self.points[0]


READ: Final[Mapping[Kind, Platform]] = {
    Kind.NUMBER: Platform.SENSOR,
    Kind.BOOLEAN: Platform.BINARY_SENSOR,
    Kind.CHOICE: Platform.SENSOR,
    Kind.TEXT: Platform.SENSOR,
    Kind.MOMENT: Platform.SENSOR,
    Kind.EVENT: Platform.EVENT,
}
WRITE: Final[Mapping[Kind, Platform]] = {
    Kind.NUMBER: Platform.NUMBER,
    Kind.BOOLEAN: Platform.SWITCH,
    Kind.CHOICE: Platform.SELECT,
    Kind.TEXT: Platform.TEXT,
    Kind.TRIGGER: Platform.BUTTON,
}
FAMILIES: Final[Mapping[Family, Platform]] = {
    Family.LIGHT: Platform.LIGHT,
    Family.COVER: Platform.COVER,
    Family.VALVE: Platform.VALVE,
}
LEADS: Final = frozenset({Quantity.LIGHT, Quantity.COVER, Quantity.VALVE})


def platform_for(point: PointDescription) -> Platform:
    """Return where a point belongs."""
    info = point.info
    if info.family is not None:
        return FAMILIES[info.family]
    return (WRITE if point.writable else READ)[info.kind]


def is_main(device: DeviceDescription, lead: PointDescription) -> bool:
    """Tell whether a device, or a part of one, is this light, cover or valve and no other."""
    if lead.info.family is None:
        return False
    return all(
        point.group == lead.group
        for point in device.points
        if point.info.family is not None and point.part == lead.part
    )


def outlines(device: DeviceDescription) -> dict[str, Outline]:
    """Return the entities of a device by the key of their leading point."""
    groups: dict[str | None, list[PointDescription]] = {}
    found: dict[str, Outline] = {}
    for point in device.points:
        if point.info.family is None:
            found[point.key] = Outline(platform=platform_for(point), points=(point,))
        else:
            groups.setdefault(point.group, []).append(point)
    for points in groups.values():
        lead, *others = sorted(points, key=lambda point: point.quantity not in LEADS)
        found[lead.key] = Outline(platform=platform_for(lead), points=(lead, *others))
    return found
