"""Typed values: what fits is read, anything else is unknown and counted, nothing is raised."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from custom_components.moat_link.link.codec import ABSENT, Opaque, RemoteObject
from custom_components.moat_link.link.describe import parse_device
from custom_components.moat_link.link.description import PointDescription
from custom_components.moat_link.link.path import ROOT, Path
from custom_components.moat_link.link.quantity import Quantity
from custom_components.moat_link.model.values import WRONG, reader_for

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def described(quantity: str, **row: Any) -> PointDescription:
    rows = [{"key": "p", "quantity": quantity, "path": "a.b"} | row]
    device, issues = parse_device("box", {"v": 1, "name": "Box", "points": rows})
    assert issues == []
    return device.points[0]


def read(value: Any, quantity: str, **row: Any) -> Any:
    return reader_for(described(quantity, **row))(value)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (1.5, 1.5),
        (3, 3.0),
        (-(2**70), -(2.0**70)),
        (None, None),
        (True, WRONG),
        ("1.5", WRONG),
        (b"1", WRONG),
        (float("nan"), WRONG),
        (float("inf"), WRONG),
        (10**400, WRONG),
        ([1.5], WRONG),
        ({"value": 1.5}, WRONG),
        (NOON, WRONG),
        (Path("a"), WRONG),
        (RemoteObject("X"), WRONG),
        (Opaque(4, [1, 2]), WRONG),
        (frozenset({1}), WRONG),
        (ROOT, WRONG),
    ],
)
def test_numbers(value: Any, result: Any) -> None:
    found = read(value, "power")
    assert found == result
    assert type(found) is type(result)


def test_scaled_numbers() -> None:
    assert read(0.07, "ratio", scale=100) == 7.0
    assert read(3600, "energy", unit="Wh", scale=1 / 3600) == 1.0
    assert read(-5, "power", scale=-1) == 5.0
    assert read(1e300, "power", scale=1e300) is WRONG
    assert read(None, "power", scale=2) is None
    assert read("1", "power", scale=2) is WRONG


@pytest.mark.parametrize(
    ("value", "result"),
    [(True, True), (False, False), (None, None), (1, WRONG), (0.0, WRONG), ("on", WRONG)],
)
def test_booleans(value: Any, result: Any) -> None:
    assert read(value, "relay") is result


@pytest.mark.parametrize(
    ("value", "result"),
    [(1, True), (1.0, True), (0, False), (True, WRONG), (2, WRONG), (None, None), ([], WRONG)],
)
def test_booleans_as_numbers(value: Any, result: Any) -> None:
    assert read(value, "relay", on=1, off=0) is result


def test_booleans_with_words_of_their_own() -> None:
    assert read("OFF", "relay", on="ON", off="OFF") is False
    assert read(True, "relay", on=False, off=True) is False
    assert read(None, "relay", on="forced", off=None) is False


def test_choices() -> None:
    assert read("a", "enum", options=["a", "b"]) == "a"
    assert read("c", "enum", options=["a", "b"]) is WRONG
    assert read(1, "enum", options=["a", "b"]) is WRONG
    assert read(None, "enum", options=["a", "b"]) is None
    assert read({}, "enum", options=["a", "b"]) is WRONG
    codes = [[None, "auto"], [True, "on"], [1, "eco"]]
    assert read(None, "enum", options=codes) == "auto"
    assert read(True, "enum", options=codes) == "on"
    assert read(1, "enum", options=codes) == "eco"
    assert read(False, "enum", options=codes) is WRONG
    assert read("on", "enum", options=codes) is WRONG


def test_texts() -> None:
    assert read("", "text") == ""
    assert read("x" * 300, "text") == "x" * 255
    assert read("a\0b\x1b[2J\tc\n", "text") == "a\ufffdb\ufffd[2J\tc\n"
    assert read(None, "text") is None
    assert read(5, "text") is WRONG
    assert read(b"x", "text") is WRONG


def test_moments() -> None:
    assert read(NOON, "timestamp") == NOON
    assert read(NOON.timestamp(), "timestamp") == NOON
    east = NOON.astimezone(timezone(timedelta(hours=5)))
    assert read(east, "uptime").tzinfo is UTC
    assert read(None, "timestamp") is None
    edge = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    for bad in (NOON.replace(tzinfo=None), edge, 1e30, True, "2026-11-20", 10**400):
        assert read(bad, "timestamp") is WRONG


def test_triggers_have_no_value() -> None:
    row = described("button", write={"path": "a.b"})
    assert reader_for(row)(True) is WRONG


ROWS: list[tuple[str, dict[str, Any]]] = [
    ("power", {}),
    ("power", {"scale": 0.001}),
    ("relay", {}),
    ("relay", {"on": 1, "off": "x"}),
    ("enum", {"options": ["a"]}),
    ("enum", {"options": [[1, "a"], ["b", "c"]]}),
    ("text", {}),
    ("timestamp", {}),
]
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.sampled_from([ABSENT, ROOT, Path("a"), NOON, 10**400, RemoteObject("X"), Opaque(1, 2)]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(ANY, st.sampled_from(ROWS))
def test_nothing_is_ever_raised_or_shown_raw(value: Any, row: tuple[str, dict[str, Any]]) -> None:
    found = read(value, row[0], **row[1])
    assert found is WRONG or found is None or isinstance(found, (bool, float, str, datetime))
    assert Quantity(row[0])
