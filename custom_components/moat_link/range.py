"""From a point's own range to a fraction of it, and back."""

from .link.description import PointDescription
from .model import Point


def fraction(point: Point) -> float | None:
    """Return where in its range a point stands, 0 to 1; None when that is unknown."""
    low, high = limits(point.description)
    value = point.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return min(max((value - low) / (high - low), 0.0), 1.0)


def value_at(point: PointDescription, part: float) -> float:
    """Return the value at a fraction of the range, on the nearest step."""
    low, high = limits(point)
    step = point.step or (1.0 if high - low >= 10 else 0.01)
    return min(low + round(part * (high - low) / step) * step, high)


def limits(point: PointDescription) -> tuple[float, float]:
    """Return the lowest and the highest value; a writable number has both."""
    return point.minimum or 0.0, 100.0 if point.maximum is None else point.maximum
