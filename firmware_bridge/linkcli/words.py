"""How words of the command line are read. argparse.ArgumentTypeError says what is wrong."""

import argparse
import json
import re
import sys
from datetime import datetime
from math import isfinite, nan
from typing import Final

from ..link.codec import Value
from ..link.errors import DecodeError
from ..link.path import Path

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.ASCII)


def path(text: str) -> Path:
    """Read a dotted path."""
    try:
        return Path.parse(text)
    except DecodeError as err:
        raise argparse.ArgumentTypeError(f"{text!r} is no path: {err}") from err


def given(text: str) -> str:
    """Take a text; a - is what comes at the standard input."""
    return sys.stdin.read().removesuffix("\n") if text == "-" else text


def value(text: str) -> Value:
    """Read JSON; what is none is text."""
    try:
        found: Value = json.loads(text, parse_constant=_no_constant)
    except ValueError, RecursionError:
        return text
    return found


def _no_constant(name: str) -> Value:
    """Take `NaN` and `Infinity`, which Python reads as JSON, for text."""
    raise ValueError(name)


def keyword(text: str) -> tuple[str, Value]:
    """Read `NAME=VALUE`."""
    name, separator, said = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE")
    return name, value(said)


def count(text: str) -> int:
    """Read an integer that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no count")
    return int(text)


def several(text: str) -> int:
    """Read an integer that is more than nothing."""
    if not count(text):
        raise argparse.ArgumentTypeError(f"{text!r}: at least 1")
    return int(text)


def stamp(text: str) -> float:
    """Read the time of a node, as JSON shows it."""
    try:
        found = float(text)
    except ValueError:
        found = nan
    if not isfinite(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write the one that --json shows")
    return found


def duration(text: str) -> float:
    """Read seconds, or a number with a unit."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not (found := float(match[1]) * _UNITS[match[2]]):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 30s, 15m, 24h, 7d")
    return found


def moment(text: str) -> float:
    """Read Unix seconds, or a local time."""
    try:
        return float(text) if text.replace(".", "", 1).isdecimal() else _local(text)
    except (ValueError, OverflowError) as err:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-11-28T12:30") from err


def _local(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
