"""What is printed."""

from datetime import datetime

import pytest

from firmware_bridge.link.message import Message
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.linkcli.show import RED, Screen, span, when


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


def test_a_text_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as it is in a pipe, and harmless at a terminal."""
    screen = Screen(json=False, colour="never", environ={})
    screen.text("a\x1b]0;b\x07\nc")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    screen.text("a\x1b]0;b\x07\nc")
    assert capsys.readouterr().out == "a\x1b]0;b\x07\nc\na\\x1b]0;b\\x07\nc\n"
