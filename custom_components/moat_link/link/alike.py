"""Equality of values: type-strict, and without regard to the order of maps. Pure."""

from struct import pack

from .values import Opaque, RemoteObject, Value


def alike(one: Value, other: Value) -> bool:
    """Whether two values are the same: 1, 1.0 and true are three values, 0.0 and -0.0 two."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float) and isinstance(other, float):
        return pack("d", one) == pack("d", other)
    if isinstance(one, dict) and isinstance(other, dict):
        theirs = {(type(key), key): value for key, value in other.items()}
        return len(one) == len(other) and all(
            (type(key), key) in theirs and alike(value, theirs[type(key), key])
            for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other, strict=True))
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return {(type(each), each) for each in one} == {(type(each), each) for each in other}
    if isinstance(one, RemoteObject) and isinstance(other, RemoteObject):
        return (
            one.name == other.name
            and alike([*one.arguments], [*other.arguments])
            and alike(dict(one.keywords.items()), dict(other.keywords.items()))
        )
    if isinstance(one, Opaque) and isinstance(other, Opaque):
        return one.tag == other.tag and alike(one.value, other.value)
    return one == other
