"""Reading the points of a description, each one strictly."""

import re
from collections.abc import Mapping
from typing import Final

from .codec import Value
from .description import (
    Access,
    Category,
    Code,
    DescriptionIssue,
    PartDescription,
    PointDescription,
    WritePath,
    WriteService,
)
from .fields import TEXT_LIMIT, FieldError, Fields, finite, shown
from .quantity import (
    CLOSED,
    OPEN,
    QUANTITIES,
    Kind,
    Quantity,
    QuantityInfo,
    StateClass,
    allows_unit,
    normal_unit,
)

MAX_OPTIONS: Final = 256
RESERVED: Final = frozenset({"run", "device", "error"})
"""First elements of paths that belong to MoaT-Link and to descriptions: nobody's wishes go there."""
MAX_PRECISION: Final = 10

_KEY = re.compile("[a-z0-9_]{1,64}")
_GROUP = re.compile("[A-Za-z0-9_-]{1,64}")
_READ_ONLY = (Kind.MOMENT, Kind.EVENT)

type _Placed = dict[str, tuple[int, PointDescription]]


def parse_points(
    rows: list[Value], parts: Mapping[str, PartDescription], issues: list[DescriptionIssue]
) -> tuple[PointDescription, ...]:
    """Read all points that are right; report the others."""
    points: _Placed = {}
    for place, row in enumerate(rows):
        try:
            fields = Fields(row, f"points[{place}]")
            point = _point(fields, parts)
            if (taken := points.get(point.key)) is not None:
                raise fields.error("key", f"{shown(point.key)} is taken by points[{taken[0]}]")
        except FieldError as err:
            issues.append(DescriptionIssue(err.key, err.problem))
        else:
            points[point.key] = place, point
    _leave_out_broken_groups(points, issues)
    return tuple(point for _, point in points.values())


def default_access(info: QuantityInfo, *, has_path: bool, has_write: bool) -> Access:
    """Tell how a point that does not say so can be used."""
    if info.kind is Kind.TRIGGER or (has_write and not has_path):
        return Access.WRITE
    return Access.READ_WRITE if has_write else Access.READ


def _point(fields: Fields, parts: Mapping[str, PartDescription]) -> PointDescription:
    key = fields.needed("key", fields.text("key", _KEY))
    quantity = fields.needed("quantity", fields.word("quantity", Quantity))
    info = QUANTITIES[quantity]
    path, write = fields.path("path"), _write(fields)
    access = _access(fields, info, has_path=path is not None, has_write=write is not None)
    writable = access is not Access.READ
    unit = _unit(fields, quantity, info)
    minimum, maximum = _limits(fields, info, unit, writable=writable)
    options, codes = _meanings(fields, info)
    number = info.kind is Kind.NUMBER
    return PointDescription(
        key=key,
        quantity=quantity,
        name=fields.text("name"),
        unit=unit,
        state_class=_state_class(fields, quantity, info),
        path=path,
        item=fields.steps("item"),
        access=access,
        write=write,
        minimum=minimum,
        maximum=maximum,
        step=fields.number("step", above=0) if number else None,
        scale=_scale(fields) if number else None,
        options=options,
        codes=codes,
        precision=fields.integer("precision", 0, MAX_PRECISION) if number else None,
        category=_category(fields, writable=writable),
        enabled=fields.flag("enabled", default=True),
        part=_part(fields, parts),
        max_age=fields.number("max_age", above=0),
        group=fields.text("group", _GROUP) or (key if info.family else None),
    )


def _write(fields: Fields) -> WritePath | WriteService | None:
    if (spec := fields.child("write")) is None:
        return None
    path, service = spec.path("path"), spec.path("service")
    expires = spec.number("expires", above=0)
    if path is not None and service is None:
        if path[0] in RESERVED:
            raise spec.error("path", f"is below {path[0]}, where no values are set")
        return WritePath(path=path, retain=spec.flag("retain", default=False), expires=expires)
    if service is None or path is not None:
        raise fields.error("write", "needs either a path or a service")
    if not (command := spec.steps("command")):
        raise spec.error("command", "is missing")
    return WriteService(
        service=service, command=command, args=spec.scalars("args"), expires=expires
    )


def _access(fields: Fields, info: QuantityInfo, *, has_path: bool, has_write: bool) -> Access:
    access = fields.word("access", Access)
    if access is None:
        access = default_access(info, has_path=has_path, has_write=has_write)
    writable = access is not Access.READ
    if info.kind is Kind.TRIGGER and access is not Access.WRITE:
        raise fields.error("access", "must be w: there is nothing to read")
    if info.kind in _READ_ONLY and writable:
        raise fields.error("access", "must be r: there is nothing to set")
    if writable and not has_write:
        raise fields.error("write", f"is missing, but access is {access}")
    if has_write and not writable:
        raise fields.error("write", "is useless: access is r")
    if access is not Access.WRITE and not has_path:
        raise fields.error("path", "is missing")
    return access


def _unit(fields: Fields, quantity: Quantity, info: QuantityInfo) -> str | None:
    text = fields.text("unit")
    absent = None if fields.has("unit") else info.unit
    unit = absent if text is None else normal_unit(text)
    if not allows_unit(info, unit):
        known = ", ".join(each or "null" for each in info.units)
        name = "null" if unit is None else shown(unit)
        raise fields.error("unit", f"{name} is not a unit of {quantity} ({known})")
    return unit


def _state_class(fields: Fields, quantity: Quantity, info: QuantityInfo) -> StateClass | None:
    word = fields.word("state_class", StateClass)
    if word is None:
        return info.state_classes[0] if info.state_classes else None
    if word not in info.state_classes:
        raise fields.error("state_class", f"{word} does not fit {quantity}")
    return word


def _limits(
    fields: Fields, info: QuantityInfo, unit: str | None, *, writable: bool
) -> tuple[float | None, float | None]:
    if info.kind is Kind.TEXT:
        return fields.integer("min", 0, TEXT_LIMIT), fields.integer("max", 1, TEXT_LIMIT)
    if info.kind is not Kind.NUMBER:
        return None, None
    low, high = fields.number("min"), fields.number("max")
    if low is None and high is None and info.limits is not None and unit == "%":
        return info.limits
    if writable or info.limits is not None:
        fields.needed("min", low)
        fields.needed("max", high)
    if low is not None and high is not None and low >= high:
        raise fields.error("max", "must be greater than min")
    return low, high


def _scale(fields: Fields) -> float | None:
    scale = fields.number("scale")
    if scale is not None and (not scale or finite(1 / scale) is None):
        raise fields.error("scale", "is too small")
    return scale


def _meanings(fields: Fields, info: QuantityInfo) -> tuple[tuple[str, ...], tuple[Code, ...]]:
    if info.kind is Kind.BOOLEAN:
        return (), _booleans(fields)
    if info.kind not in (Kind.CHOICE, Kind.EVENT):
        return (), ()
    pairs = fields.codes("options", MAX_OPTIONS)
    codes = tuple(Code(raw, word) for raw, word in pairs)
    if len({code.raw_key for code in codes}) < len(codes):
        raise fields.error("options", "has the same value twice")
    options = tuple(dict.fromkeys(word for _, word in pairs)) or info.words
    if not options:
        raise fields.error("options", "is missing")
    if info.words and not {OPEN, CLOSED} <= set(options) <= set(info.words):
        raise fields.error("options", f"must be open, closed, and others of {info.words}")
    plain = all(code.raw == code.meaning for code in codes)
    return options, () if plain else codes


def _booleans(fields: Fields) -> tuple[Code, ...]:
    if not (fields.has("on") or fields.has("off")):
        return ()
    if not (fields.has("on") and fields.has("off")):
        raise fields.error("on", "and off must be given together")
    codes = Code(fields.scalar("on"), True), Code(fields.scalar("off"), False)
    if codes[0].raw_key == codes[1].raw_key:
        raise fields.error("off", "is the same as on")
    return () if codes == (Code(True, True), Code(False, False)) else codes


def _category(fields: Fields, *, writable: bool) -> Category | None:
    category = fields.word("category", Category)
    if category is Category.CONFIG and not writable:
        raise fields.error("category", "config is for points that can be set")
    return category


def _part(fields: Fields, parts: Mapping[str, PartDescription]) -> str | None:
    part = fields.text("part")
    if part is not None and part not in parts:
        raise fields.error("part", f"{shown(part)} is not among the parts")
    return part


def _leave_out_broken_groups(points: _Placed, issues: list[DescriptionIssue]) -> None:
    groups: dict[str, list[tuple[int, PointDescription]]] = {}
    for place, point in points.values():
        if point.info.family is not None and point.group is not None:
            groups.setdefault(point.group, []).append((place, point))
    for members in groups.values():
        if problem := _group_problem([point for _, point in members]):
            for place, point in members:
                issues.append(DescriptionIssue(f"points[{place}].group", problem))
                del points[point.key]


def _group_problem(members: list[PointDescription]) -> str | None:
    if len({point.info.family for point in members}) > 1:
        return "is shared by points that make no single thing"
    if len({point.quantity for point in members}) < len(members):
        return "has two points of the same quantity"
    if len({point.part for point in members}) > 1:
        return "is spread over several parts"
    if not any(point.writable for point in members):
        return "has nothing that can be set"
    return None
