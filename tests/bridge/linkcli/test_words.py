"""How words are read."""

import argparse
import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from firmware_bridge.access import port
from firmware_bridge.link.path import Path
from firmware_bridge.linkcli import words
from firmware_bridge.linkcli.errors import level


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (words.path, "a.b:5", Path("a", "b", 5)),
        (words.path, ":", Path()),
        (words.value, "5", 5),
        (words.value, '{"a": [null, true]}', {"a": [None, True]}),
        (words.value, "on", "on"),
        (words.value, "", ""),
        (words.value, "NaN", "NaN"),
        (words.value, "[-Infinity]", "[-Infinity]"),
        (words.value, "[" * 100_000, "[" * 100_000),
        (words.keyword, "a=5", ("a", 5)),
        (words.keyword, "a=b=c", ("a", "b=c")),
        (words.count, "0", 0),
        (port, "1883", 1883),
        (words.duration, "90", 90),
        (words.duration, "1.5h", 5400),
        (words.duration, "2 d", 172_800),
        (words.moment, "1700000000.5", 1_700_000_000.5),
        (words.moment, "2026-11-28T12:30", datetime(2026, 11, 28, 12, 30).timestamp()),
        (words.moment, "2026-11-28", datetime(2026, 11, 28).timestamp()),
        (words.moment, "2026-11-28T12:30:00Z", 1_795_869_000),
        (level, "warning", 2),
        (level, "4", 4),
    ],
)
def test_read(read: Callable[[str], Any], text: str, found: Any) -> None:
    assert read(text) == found


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (words.path, "a..b", "'a..b' is no path"),
        (words.keyword, "a", "NAME=VALUE"),
        (words.keyword, "=5", "NAME=VALUE"),
        (words.count, "-1", "no count"),
        (port, "0", "no port"),
        (port, "65536", "no port"),
        (words.duration, "0", "no duration"),
        (words.duration, "5y", "no duration"),
        (words.duration, "-5", "no duration"),
        (words.moment, "yesterday", "no time"),
        (words.moment, "2026-13-01", "no time"),
        (words.moment, "0001-01-01", "no time"),
        (level, "bad", "none of debug"),
        (level, "5", "none of debug"),
    ],
)
def test_refused(read: Callable[[str], Any], text: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=told):
        read(text)


def test_from_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("line\nline\n"))
    assert words.given("-") == "line\nline"
    assert words.given("text") == "text"
