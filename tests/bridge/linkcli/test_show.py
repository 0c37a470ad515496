"""What is printed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, Opaque
from firmware_bridge.link.message import Message
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.linkcli.show import RED, Screen, plain, safe, span, when


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


def test_times() -> None:
    assert when(0) == datetime.fromtimestamp(0).strftime("%F %T")
    assert when(1e300) == "1e+300"
    assert [span(each) for each in (-1, 0, 59.4, 61, 7300, 1e6)] == [
        *("0 s", "0 s", "59 s"),
        *("1 min", "2 h", "12 d"),
    ]


@pytest.mark.parametrize(
    ("colour", "environ", "painted"),
    [
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {}, False),
        ("auto", {}, True),
        ("auto", {"NO_COLOR": "1"}, False),
        ("auto", {"NO_COLOR": ""}, True),
        ("auto", {"TERM": "dumb"}, False),
    ],
)
def test_colour(
    monkeypatch: pytest.MonkeyPatch, colour: str, environ: dict[str, str], painted: bool
) -> None:
    """On a terminal, unless somebody does not like it."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    screen = Screen(json=False, colour=colour, environ=environ)
    assert (screen.paint("x", RED) != "x") is painted
    assert screen.paint("", RED) == ""


def test_no_colour_in_files() -> None:
    assert Screen(json=False, colour="auto", environ={}).paint("x", RED) == "x"


def test_a_hostile_node(capsys: pytest.CaptureFixture[str]) -> None:
    """Path, value and origin may hold anything."""
    screen = Screen(json=False, colour="never", environ={})
    screen.message(Message(Path("\x1b]").topic, {"\x1b": "\x9b"}, Meta("\x1b[1m", 1e300), True))
    said = capsys.readouterr().out
    assert said.removesuffix("\n").isprintable()
    screen.note("\x1b")
    screen.complain("\x1b\nmore")
    assert capsys.readouterr().err == "\\x1b\n\\x1b\nmore\n"
