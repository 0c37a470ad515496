"""What a terminal is shown."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, Opaque
from firmware_bridge.link.path import Path
from firmware_bridge.terminal import LogFormatter, plain, safe, shown


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"\x01\xff", "01ff"),
        (float("nan"), None),
        (float("inf"), None),
        (Path("a", 5), "a:5"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (frozenset({3, 1, "x"}), [1, 3, "x"]),
        ((1, [2]), [1, [2]]),
        ({2: 1, True: 4, None: 5, b"\x01": 6}, {"2": 1, "true": 4, "null": 5, "01": 6}),
        (ABSENT, None),
        (Opaque(99, 1), "Opaque(tag=99, value=1)"),
        (2**70, 2**70),
    ],
)
def test_as_json(value: Any, found: Any) -> None:
    """Whatever stands on the wire becomes JSON."""
    assert plain(value) == found


def test_nothing_controls_the_terminal() -> None:
    assert safe("Küche → 5") == "Küche → 5"
    assert safe("a\x1b[2Jb\r\n") == "a\\x1b[2Jb\\r\\n"
    assert safe("a\u202eb\x9b") == "a\\u202eb\\x9b"
    assert safe("a\nb\t", lines=True) == "a\nb\\t"


def test_json_stays_json() -> None:
    """What could control a terminal is escaped as JSON has it."""
    value = {"\x9b": "Küche \x1b\x7f\u202e\ud800\U000e0001\n"}
    said = shown(value)
    assert said.isprintable()
    assert "Küche" in said
    assert json.loads(said) == value


def test_the_log() -> None:
    """Lines stay lines."""
    record = logging.makeLogRecord({"msg": "Gate %s\nmore", "args": ("\x1b[2J",)})
    assert LogFormatter("%(message)s").format(record) == "Gate \\x1b[2J\nmore"
