"""When two values are the same."""

import pytest
from hypothesis import given

from firmware_bridge.link.alike import alike
from firmware_bridge.link.codec import ABSENT, Opaque, RemoteObject, Value, decode, encode
from firmware_bridge.link.path import Path
from tests.support import strategies


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (None, ABSENT),
        ("a", b"a"),
        ([1], [1.0]),
        ([1], [1, 1]),
        ({"a": [1]}, {"a": [True]}),
        ({1: "a"}, {True: "a"}),
        ({"a": 1}, {"a": 1, "b": 2}),
        (Path("a", 1), Path("a", True)),
        (frozenset({1}), frozenset({True})),
        (RemoteObject("x", (1,)), RemoteObject("x", (1.0,))),
        (RemoteObject("x", (), {"a": 1}), RemoteObject("x", (), {"a": True})),
        (Opaque(99, [1]), Opaque(99, [True])),
        (Opaque(99, 1), Opaque(98, 1)),
    ],
)
def test_strict(one: Value, other: Value) -> None:
    """Whatever is around it."""
    assert alike(one, one)
    assert alike(other, other)
    assert not alike(one, other)
    assert not alike({"in": [one]}, {"in": [other]})


def test_the_same() -> None:
    assert alike({"a": 1, "b": [2, {"c": 3, "d": 4}]}, {"b": [2, {"d": 4, "c": 3}], "a": 1})
    assert alike({"a": float("nan")}, {"a": float("nan")})


@given(strategies.values)
def test_what_comes_back(value: Value) -> None:
    there = decode(encode(value))
    assert alike(there, decode(encode(there)))
