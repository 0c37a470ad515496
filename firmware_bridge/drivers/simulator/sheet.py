"""How the simulated devices are written down: a data sheet a device, a row a point."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...driver import Filter
from ...link.codec import Value
from ...link.describe import Access, Category, PartDescription, PointDescription
from ...link.path import Path
from ...link.quantity import QUANTITIES, Kind, Quantity
from .home import Home

type Read = Callable[[Home], Value]
type Write = Callable[[Home, Value], None]
"""Carries out a command whose value was checked already; raises RefusedError."""

D, C = Category.DIAGNOSTIC, Category.CONFIG
Q = Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One point: what it is, where its value comes from, what writing it does."""

    point: PointDescription
    read: Read | None
    write: Write | None
    filter: Filter
    delay: float  # s, until a command is carried out

    def value(self, home: Home) -> Value:
        """Return the value now, with as many digits as the sheet says."""
        value = self.read(home) if self.read else None
        if isinstance(value, float) and self.point.precision is not None:
            return round(value, self.point.precision) + 0.0  # no negative zero
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One device."""

    id: str
    name: str
    kind: str
    model: str
    rows: tuple[Row, ...]
    area: str | None = None
    via: str | None = None
    hardware: str | None = None
    parts: Mapping[str, PartDescription] = field(default_factory=dict)


def row(
    key: str,
    quantity: Quantity,
    path: Path,
    item: str | tuple[str | int, ...] = (),
    read: Read | None = None,
    write: Write | None = None,
    *,
    name: str | None = None,
    unit: str | None = None,
    precision: int | None = None,
    category: Category | None = None,
    enabled: bool = True,
    options: tuple[str, ...] = (),
    limits: tuple[float, float] | None = None,
    step: float | None = None,
    part: str | None = None,
    group: str | None = None,
    max_age: float | None = None,
    deadband: float = 0.0,
    relative: float = 0.0,
    interval: float = 1.0,
    delay: float = 0.3,
) -> Row:
    """Write down one point; it can be read, written or both as `read` and `write` are given."""
    access = Access.READ_WRITE if read and write else Access.WRITE if write else Access.READ
    minimum, maximum = limits or (None, None)
    point = PointDescription(
        key=key,
        quantity=quantity,
        path=None if access is Access.WRITE else path,
        item=(item,) if isinstance(item, str) else item,
        name=name,
        unit=unit or QUANTITIES[quantity].unit,
        precision=precision,
        category=category,
        enabled=enabled,
        options=tuple(map(str, options)),
        minimum=minimum,
        maximum=maximum,
        step=step,
        part=part,
        group=group,
        access=access,
        max_age=max_age,
    )
    filter_ = Filter(deadband=deadband, relative=relative, interval=interval)
    return Row(point=point, read=read, write=write, filter=filter_, delay=delay)


def occurs(row_: Row) -> bool:
    """Return whether the point is something that happens, without a value in between."""
    return row_.point.info.kind is Kind.EVENT


def number(value: Value) -> float:
    """Return a value that was checked to be a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"not a number: {value!r}")
    return float(value)


def text(value: Value) -> str:
    """Return a value that was checked to be a text."""
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
