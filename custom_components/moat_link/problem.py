"""The errors of the installation: what is wrong now, and what happened to it last."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import nlargest
from typing import Final

from .link.codec import ABSENT, Value
from .link.message import Message
from .link.path import Path
from .model import Unsubscribe
from .model.listeners import Listeners

ERRORS: Final = Path("error")
HIGHEST_LEVEL: Final = 4
HIGHEST_COUNT: Final = 2**53
"""More than that, and not every reader of JSON could tell."""
DEFAULT_LEVEL: Final = 3
LONGEST_TEXT: Final = 255


class Occurrence(StrEnum):
    """What can happen to an error."""

    RAISED = "raised"
    REPEATED = "repeated"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error that holds; `level` is 0 (debug) to 4 (fatal)."""

    path: Path
    message: str
    level: int
    count: int
    acknowledged: bool
    time: float

    def as_dict(self) -> dict[str, str | int | bool]:
        """Return what an automation wants to know."""
        return {
            "path": str(self.path),
            "message": self.message,
            "level": self.level,
            "count": self.count,
            "acknowledged": self.acknowledged,
        }


class Problems:
    """The errors below one installation's `error`; `Hub` feeds it."""

    def __init__(self) -> None:
        """Start without any; what is there before the first mark did not happen now."""
        self._open: dict[str, Problem] = {}
        self._change_listeners = Listeners[[]]()
        self._occurrence_listeners = Listeners[[Problem, Occurrence]]()
        self._live = False

    @property
    def open(self) -> Mapping[str, Problem]:
        """The errors that hold, by their topic."""
        return self._open

    @property
    def newest(self) -> Problem | None:
        """The error that was reported last, if any holds."""
        return max(self._open.values(), key=lambda problem: problem.time, default=None)

    def worst(self, count: int) -> list[Problem]:
        """Return the errors of the highest levels, newest first."""
        return nlargest(count, self._open.values(), key=lambda each: (each.level, each.time))

    def subscribe(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back when other errors hold, once for a whole snapshot."""
        return self._change_listeners.add(callback)

    def on_occurrence(self, callback: Callable[[Problem, Occurrence], None]) -> Unsubscribe:
        """Call back with everything that happens; what was there before did not happen."""
        return self._occurrence_listeners.add(callback)

    def mark(self) -> None:
        """Everything that was there has been applied: from now on things happen."""
        self._live = True
        self._change_listeners()

    def apply(self, message: Message) -> None:
        """Take a message at or below `error`."""
        if message.topic == ERRORS.topic:
            return  # errors are below
        before = self._open.get(message.topic)
        now = _problem(message)
        if now is None:
            if before is not None:
                del self._open[message.topic]
                self._tell(before, Occurrence.CLEARED)
            return
        self._open[message.topic] = now
        if before is None:
            self._tell(now, Occurrence.RAISED)
        elif now.acknowledged and not before.acknowledged:
            self._tell(now, Occurrence.ACKNOWLEDGED)
        elif now.count != before.count:
            self._tell(now, Occurrence.REPEATED)
        else:
            self._tell(now, None)

    def _tell(self, problem: Problem, occurrence: Occurrence | None) -> None:
        if not self._live:
            return
        self._change_listeners()
        if occurrence is not None:
            self._occurrence_listeners(problem, occurrence)


def _problem(message: Message) -> Problem | None:
    """Read an error leniently; None when it holds no longer."""
    if message.value is ABSENT or message.value is None or message.item(("ok",)) is True:
        return None
    text, count, level = (message.item((key,)) for key in ("msg", "n", "level"))
    return Problem(
        path=message.path.relative_to(ERRORS),
        message=text[:LONGEST_TEXT] if isinstance(text, str) else "",
        level=_whole(level, DEFAULT_LEVEL, range(HIGHEST_LEVEL + 1)),
        count=_whole(count, 1, range(1, HIGHEST_COUNT)),
        acknowledged=message.item(("ack",)) is True,
        time=message.time,
    )


def _whole(value: Value, default: int, within: range) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return default
    return min(max(value, within[0]), within[-1])
