"""What is printed: for people, with colour on a terminal, or JSON for programs."""

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TextIO

from ..link.codec import ABSENT
from ..link.message import Message
from ..terminal import safe, shown

BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "31"
YELLOW: Final = "33"
BRIGHT_RED: Final = "1;31"


class Screen:
    """Prints results to the standard output, all else to the standard error."""

    def __init__(self, *, json: bool, colour: str, environ: Mapping[str, str]) -> None:
        """Colours: `always`, `never`, or as the environment and the terminal have it."""
        self.json = json
        self._out = _colourful(sys.stdout, colour, environ)
        self._err = _colourful(sys.stderr, colour, environ)

    def say(self, *parts: str) -> None:
        """Print a line of parts, which may be painted."""
        sys.stdout.write("  ".join(each for each in parts if each) + "\n")
        sys.stdout.flush()

    def dump(self, value: object) -> None:
        """Print a value as JSON."""
        self.say(shown(value))

    def text(self, text: str) -> None:
        """Print a text as it is, unless it could control a terminal."""
        self.say(safe(text, lines=True) if sys.stdout.isatty() else text)

    def note(self, text: str) -> None:
        """Tell what is worth knowing, but no result."""
        sys.stderr.write(f"{_paint(safe(text), YELLOW, on=self._err)}\n")

    def complain(self, text: str) -> None:
        """Tell why it failed."""
        sys.stderr.write(f"{_paint(safe(text, lines=True), RED, on=self._err)}\n")

    def paint(self, text: str, style: str) -> str:
        """Return a text that can be printed, in a style."""
        return _paint(safe(text), style, on=self._out)

    def message(self, message: Message, *, mark: str = "", **more: object) -> None:
        """Print a node: its path, its value, who said it and when."""
        if self.json:
            self.dump(about(message) | more)
            return
        deleted = message.value is ABSENT
        value = self.paint("(deleted)", RED) if deleted else shown(message.value)
        said = self.paint(f"{message.meta.origin}  {when(message.time)}", DIM)
        self.say(mark + self.paint(str(message.path), BOLD), value, said)


def about(message: Message) -> dict[str, object]:
    """Return a node as the object that all commands print."""
    value = {"deleted": True} if message.value is ABSENT else {"value": message.value}
    return {
        "path": str(message.path),
        **value,
        "time": message.time,
        "origin": message.meta.origin,
    }


def when(time: float) -> str:
    """Return a local time to the second; a number where there is no date."""
    try:
        return datetime.fromtimestamp(time).astimezone().strftime("%F %T")
    except (ValueError, OverflowError, OSError):  # fmt: skip
        return f"{time:g}"


def span(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _paint(text: str, style: str, *, on: bool) -> str:
    return f"\033[{style}m{text}\033[0m" if on and text and style else text


def _colourful(stream: TextIO, colour: str, environ: Mapping[str, str]) -> bool:
    if colour != "auto":
        return colour == "always"
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
