"""Patterns and their codecs: which one counts, what is wrong with others."""

import re

import pytest

from firmware_bridge.gates.codecs import make
from firmware_bridge.gates.table import One, Table
from firmware_bridge.link.codec import Value
from firmware_bridge.link.path import Path


def table(*patterns: Path, **codecs: Value) -> Table:
    """Give each pattern its own words, so that it can be told from the others."""
    rows: dict[str, Value] = {
        pattern.topic: {"codec": {"kind": "json", "item": str(pattern)}} for pattern in patterns
    }
    return Table(rows, codecs)


def found(some: Table, topic: str) -> str | None:
    """Return the pattern that counts for a topic."""
    rule = some.find(topic)
    return None if rule is None else rule.codec.encode(1).payload.decode()[2:-5]


ALL = table(
    Path("a", "b", "c"),
    Path("a", "+", "c"),
    Path("a", "+", "+"),
    Path("a", (1, 2), "c"),
    Path("a", "#", "c"),
    Path("#"),
    Path("x", (2, 3)),
    Path("y", "#", "z", "#"),
    Path("m", "b", "q"),
    Path("m", "+", "r"),
)


@pytest.mark.parametrize(
    ("topic", "pattern"),
    [
        ("a/b/c", "a.b.c"),
        ("a/x/c", "a.+.c"),
        ("a/x/d", "a.+.+"),
        ("a/x/y/c", "a:1,2.c"),
        ("a/x/y/z/c", "a.#.c"),
        ("a/x/y/z", "#"),
        ("a", "#"),
        ("x/1", "#"),
        ("x/1/2", "x:2,3"),
        ("x/1/2/3", "x:2,3"),
        ("x/1/2/3/4", "#"),
        ("y/1/z/2", "y.#.z.#"),
        ("y/1/2/z/2/3", "y.#.z.#"),
        ("y/z/1", "#"),
        ("m/b/q", "m.b.q"),
        ("m/b/r", "m.+.r"),
        ("", None),
    ],
)
def test_the_most_specific_pattern_counts(topic: str, pattern: str | None) -> None:
    assert found(ALL, topic) == pattern
    assert found(ALL, topic) == pattern  # and again, from memory


def test_src_itself() -> None:
    assert found(table(Path(), Path("#")), "") == ":"


def test_levels_are_what_they_are_written_as() -> None:
    some = table(Path("a", 5), Path("a", "5"), Path("#"))
    assert found(some, "a/:5") == "a:5"
    assert found(some, "a/5") == "a.5"
    assert found(some, "a//b") == "#"


def test_many_levels_take_no_time() -> None:
    some = table(Path(*(["#", "a"] * 20), "end"))
    assert found(some, "/".join(["a"] * 190)) is None


def test_null_drops() -> None:
    some = Table({":h": {"codec": "json"}, "x": {"codec": "null"}}, {})
    assert some.find("x") is None
    assert some.find("y") is not None
    assert One(make("null")).find("x") is None
    assert not some.problems


def test_options_of_a_row() -> None:
    rule = Table({"x": {"codec": "json", "speed": 5, "retain": False}}, {}).find("x")
    assert rule is not None
    assert (rule.speed, rule.retain) == (5.0, False)


ONOFF = {"kind": "bool", "true": "AN", "false": "AUS", "decode": "…", "encode": "…", "in": []}


def test_codecs_by_path() -> None:
    some = Table(
        {"x": {"codec": Path("on", "off")}, "y": {"codec": ["on", "off"]}}, {"on/off": ONOFF}
    )
    for topic in ("x", "y"):
        rule = some.find(topic)
        assert rule is not None
        assert rule.codec.decode(b"AN") is True


def test_ours_by_path() -> None:
    """A path of one of our names means ours, where there is no such node."""
    assert Table({"x": {"codec": Path("json")}}, {}).find("x") is not None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"codec": Path("snippet")}, "codec.snippet has no kind, and its program text is not"),
        ({"codec": Path("gone")}, "there is no codec.gone"),
        ({"codec": Path("broken")}, "codec.broken: codec bool needs|codec.broken: bool needs"),
        ({"codec": "onoff"}, "'onoff' is not one of"),
        ({"codec": 5}, "5 is not a codec"),
        ({}, "the entry has no codec"),
        ("json", "the entry has no codec"),
        ({"codec": "json", "speed": "fast"}, "speed must be"),
        ({"codec": "json", "speed": float("nan")}, "speed must be"),
        ({"codec": "json", "retain": 1}, "retain must be"),
    ],
)
def test_wrong_rows(row: Value, problem: str) -> None:
    """A pattern with something wrong leaves its nodes out; less specific ones do not step in."""
    codecs: dict[str, Value] = {
        "snippet": {"decode": "import os", "encode": "return 1"},
        "broken": {"kind": "bool", "true": "x"},
    }
    some = Table({"a/:p": row, ":h": {"codec": "json"}}, codecs)
    [(topic, text)] = some.problems.items()
    assert topic == "a/:p"
    assert re.search(problem, text)
    assert some.find("b") is not None


def test_unsupported_nodes_are_left_out() -> None:
    some = Table({"a/:p": {"codec": Path("x")}, ":h": {"codec": "json"}}, {"x": {"decode": "…"}})
    assert some.find("a/b") is None
