"""What a frame of the RPC protocol is: a list led by a number, values, perhaps keywords."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .path import Path

if TYPE_CHECKING:
    from .codec import Value
    from .path import Element

type Frame = list[Value]
type CommandPath = Path | Sequence[Value]

FINAL: Final = 0
STREAM: Final = 1
ERROR: Final = 2
WARNING: Final = 3


@dataclass(slots=True)
class Reply:
    """Positional values and keywords as they came in one frame; treat as immutable."""

    arguments: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = field(default_factory=dict)

    @property
    def value(self) -> Value:
        """The first positional value, else the lone map, else None."""
        if self.arguments:
            return self.arguments[0]
        return dict(self.keywords.items()) if self.keywords else None


def command(value: Value) -> list[Value] | None:
    """Return a command path as the array it is on the wire; None if it is no path."""
    if isinstance(value, Path):
        return [_plain(element) for element in value]
    return value if isinstance(value, list) else None


def compose(head: int, arguments: Iterable[Value], keywords: Mapping[str, Value] | None) -> Frame:
    """Build a frame; a last map that is no keyword map is followed by an empty one."""
    frame: Frame = [head, *arguments]
    if keywords:
        frame.append(dict(keywords.items()))
    elif len(frame) > 1 and isinstance(frame[-1], dict):
        frame.append({})
    return frame


def take_apart(frame: Frame, start: int) -> Reply:
    """Take a frame apart; the last map is the keyword map if its keys are text."""
    last = frame[-1]
    if type(last) is dict and len(frame) > start:
        keywords = {key: value for key, value in last.items() if type(key) is str}
        if len(keywords) == len(last):
            return Reply(tuple(frame[start:-1]), keywords)
    return Reply(tuple(frame[start:]), {})


def _plain(element: Element) -> Value:
    return [_plain(each) for each in element] if isinstance(element, tuple) else element
