"""What a device says about itself: schema version 1 of `docs/wire.md`.

Strict per field, lenient per device: a point with anything wrong is left out and
reported with the place of the mistake; the rest of the device is used.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from functools import partial
from typing import Final

from .codec import Key, Value
from .description import (
    Access,
    Category,
    Code,
    DescriptionIssue,
    DeviceDescription,
    PartDescription,
    PointDescription,
    WritePath,
    WriteService,
)
from .errors import LinkError
from .fields import FieldError, Fields
from .points import default_access, parse_points
from .quantity import Kind

__all__ = [
    "MAX_PARTS",
    "MAX_POINTS",
    "VERSION",
    "Access",
    "Category",
    "Code",
    "DescriptionError",
    "DescriptionIssue",
    "DeviceDescription",
    "PartDescription",
    "PointDescription",
    "WritePath",
    "WriteService",
    "describe",
    "parse_device",
]

VERSION: Final = 1
MAX_POINTS: Final = 1000
MAX_PARTS: Final = 256

_ID = re.compile("[A-Za-z0-9_-]{1,64}")
_TEXTS: Final = ("kind", "maker", "model", "serial", "software", "hardware", "area")
_PART_TEXTS: Final = ("kind", "model", "serial", "software", "hardware")


class DescriptionError(LinkError):
    """A description is of no use at all."""

    def __init__(self, device: str, key: str, problem: str) -> None:
        """Name the device, the place in its description, and what is wrong there."""
        super().__init__(f"device.{device}: {key}: {problem}")
        self.issue = DescriptionIssue(key, problem)


def parse_device(device_id: str, value: Value) -> tuple[DeviceDescription, list[DescriptionIssue]]:
    """Read a description; raise DescriptionError if nothing of it can be used."""
    issues: list[DescriptionIssue] = []
    try:
        fields = _open(device_id, value)
        rows = _rows(fields, issues)
    except FieldError as err:
        raise DescriptionError(device_id[:64], err.key, err.problem) from err
    parts = _lenient(issues, lambda: _parts(fields, issues)) or {}
    kind, maker, model, serial, software, hardware, area = (
        _lenient(issues, partial(fields.text, name)) for name in _TEXTS
    )
    device = DeviceDescription(
        id=device_id,
        name=_lenient(issues, lambda: fields.needed("name", fields.text("name"))) or device_id,
        kind=kind,
        maker=maker,
        model=model,
        serial=serial,
        software=software,
        hardware=hardware,
        area=area,
        via=_lenient(issues, lambda: _via(fields, device_id)),
        alive=_lenient(issues, lambda: fields.path("alive")),
        parts=parts,
        points=parse_points(rows, parts, issues),
    )
    return device, issues


def describe(device: DeviceDescription) -> dict[Key, Value]:
    """Write the description that `parse_device` reads; defaults are left out."""
    result: dict[str, Value] = {"v": VERSION, "name": device.name}
    result |= {name: getattr(device, name) for name in (*_TEXTS, "via", "alive")}
    if device.parts:
        result["parts"] = {
            key: _given({each.name: getattr(part, each.name) for each in fields_of(part)})
            for key, part in device.parts.items()
        }
    result["points"] = [_describe_point(point) for point in device.points]
    return _given(result)


def _lenient[T](issues: list[DescriptionIssue], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except FieldError as err:
        issues.append(DescriptionIssue(err.key, err.problem))
        return None


def _open(device_id: str, value: Value) -> Fields:
    if not _ID.fullmatch(device_id):
        raise FieldError("(id)", f"does not match {_ID.pattern}")
    fields = Fields(value)
    version = fields.needed("v", fields.integer("v", 1, 2**31))
    if version > VERSION:
        raise fields.error("v", f"schema version {version} is newer than {VERSION}")
    return fields


def _rows(fields: Fields, issues: list[DescriptionIssue]) -> list[Value]:
    rows = fields.raw("points")
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise fields.error("points", "is not a list")
    if len(rows) > MAX_POINTS:
        issues.append(DescriptionIssue("points", f"only the first {MAX_POINTS} are used"))
    return rows[:MAX_POINTS]


def _via(fields: Fields, device_id: str) -> str | None:
    via = fields.text("via", _ID)
    if via == device_id:
        raise fields.error("via", "is the device itself")
    return via


def _parts(fields: Fields, issues: list[DescriptionIssue]) -> dict[str, PartDescription]:
    rows = fields.raw("parts")
    if rows is None:
        return {}
    if not isinstance(rows, Mapping):
        raise fields.error("parts", "is not a map")
    if len(rows) > MAX_PARTS:
        issues.append(DescriptionIssue("parts", f"only the first {MAX_PARTS} are used"))
    parts: dict[str, PartDescription] = {}
    for key, row in list(rows.items())[:MAX_PARTS]:
        try:
            part_id = _part_id(key)
            parts[part_id] = _part(part_id, Fields(row, f"parts.{part_id}"))
        except FieldError as err:
            issues.append(DescriptionIssue(err.key, err.problem))
    return parts


def _part_id(key: object) -> str:
    if isinstance(key, str) and _ID.fullmatch(key):
        return key
    raise FieldError("parts", f"has a key that does not match {_ID.pattern}")


def _part(part_id: str, fields: Fields) -> PartDescription:
    kind, model, serial, software, hardware = (fields.text(name) for name in _PART_TEXTS)
    return PartDescription(
        name=fields.text("name") or part_id,
        kind=kind,
        model=model,
        serial=serial,
        software=software,
        hardware=hardware,
    )


def _describe_point(point: PointDescription) -> dict[Key, Value]:
    info = point.info
    has_path, has_write = point.path is not None, point.write is not None
    usual = default_access(info, has_path=has_path, has_write=has_write)
    result = _given(
        {
            "key": point.key,
            "quantity": str(point.quantity),
            "name": point.name,
            "state_class": _unless(point.state_class, info.state_classes[:1]),
            "path": point.path,
            "item": list(point.item) or None,
            "access": _unless(point.access, (usual,)),
            "write": None if point.write is None else _describe_write(point.write),
            "min": point.minimum,
            "max": point.maximum,
            "step": point.step,
            "scale": point.scale,
            "precision": point.precision,
            "category": _unless(point.category, ()),
            "enabled": None if point.enabled else False,
            "part": point.part,
            "max_age": point.max_age,
            "group": None if point.group == point.key and info.family else point.group,
        }
    )
    if point.unit != info.unit:
        result["unit"] = point.unit
    return result | _describe_meanings(point)


def _describe_meanings(point: PointDescription) -> dict[Key, Value]:
    if point.codes and point.info.kind is Kind.BOOLEAN:
        on, off = point.codes
        return {"on": on.raw, "off": off.raw}
    if point.codes:
        return {"options": [[code.raw, code.meaning] for code in point.codes]}
    if point.options == point.info.words:
        return {}
    return {"options": list(point.options)}


def _describe_write(write: WritePath | WriteService) -> dict[Key, Value]:
    if isinstance(write, WritePath):
        retain = True if write.retain else None
        return _given({"path": write.path, "retain": retain, "expires": write.expires})
    return _given(
        {
            "service": write.service,
            "command": list(write.command),
            "args": list(write.args) or None,
            "expires": write.expires,
        }
    )


def _unless(word: str | None, usual: tuple[str, ...]) -> str | None:
    return None if word is None or word in usual else str(word)


def _given(fields: Mapping[str, Value]) -> dict[Key, Value]:
    return {name: value for name, value in fields.items() if value is not None}
