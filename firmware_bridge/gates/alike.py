"""Equality of values: type-strict, and without regard to the order of maps. Pure."""

from ..link.codec import Value


def alike(one: Value, other: Value) -> bool:
    """Whether two values are the same: 1, 1.0 and true are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        theirs = {(type(key), key): value for key, value in other.items()}
        return len(one) == len(other) and all(
            (type(key), key) in theirs and alike(value, theirs[type(key), key])
            for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other, strict=True))
    return one == other
