"""Checks a command's value against what the point says about itself; pure."""

from .link.codec import Value
from .link.describe import PointDescription
from .link.errors import RefusedError
from .link.fields import finite
from .link.quantity import Kind

_NOTHING_TO_SET = (Kind.MOMENT, Kind.EVENT)


def checked(point: PointDescription, value: Value) -> Value:
    """Return the value as the driver gets it; raise RefusedError with the reason."""
    if not point.writable or point.info.kind in _NOTHING_TO_SET:
        raise RefusedError(f"{point.key} can only be read")
    match point.info.kind:
        case Kind.NUMBER:
            return _number(point, value)
        case Kind.BOOLEAN:
            return _one_of(point, value, (True, False))
        case Kind.CHOICE:
            return _one_of(point, value, point.options or point.info.words)
        case Kind.TEXT:
            return _text(point, value)
        case _:
            if value is not None:
                raise RefusedError(f"{point.key} takes no value")
            return None


def _number(point: PointDescription, value: Value) -> float:
    number = finite(value)
    if number is None:
        raise RefusedError(f"{point.key} takes a number")
    scale = point.scale or 1.0
    low, high = _limits(point)
    shown = f"{number * scale:g}{' ' + point.unit if point.unit else ''}"
    if low is not None and number * scale < low:
        raise RefusedError(f"{shown} is less than {low:g}")
    if high is not None and number * scale > high:
        raise RefusedError(f"{shown} is more than {high:g}")
    if point.step:
        start = low or 0.0
        steps = round((number * scale - start) / point.step)
        number = round(start + steps * point.step, 9) / scale
    return number


def _limits(point: PointDescription) -> tuple[float | None, float | None]:
    if point.minimum is None and point.maximum is None and point.info.limits:
        return point.info.limits
    return point.minimum, point.maximum


def _one_of(point: PointDescription, value: Value, plain: tuple[str | bool, ...]) -> Value:
    allowed = tuple(code.raw for code in point.codes) or plain
    if not any(value == each and type(value) is type(each) for each in allowed):
        raise RefusedError(f"{point.key} takes one of {', '.join(map(_word, allowed))}")
    return value


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(point: PointDescription, value: Value) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"{point.key} takes a text")
    most = int(point.maximum or 255)
    if len(value) > most:
        raise RefusedError(f"the text has more than {most} characters")
    return value
