"""The errors of the installation: what is wrong now, and what happened to it last."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .link.codec import ABSENT, Value
from .link.message import Message
from .link.path import Path
from .model import Unsubscribe
from .model.listeners import Listeners

ERRORS: Final = Path("error")
LEVELS: Final = range(5)
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
        self._listeners = Listeners[[Problem, Occurrence | None]]()
        self._live = False

    @property
    def open(self) -> Mapping[str, Problem]:
        """The errors that hold, by their topic."""
        return self._open

    def subscribe(self, callback: Callable[[Problem, Occurrence | None], None]) -> Unsubscribe:
        """Call back with every change; without an occurrence if it is old news."""
        return self._listeners.add(callback)

    def mark(self) -> None:
        """Everything that was there has been applied: from now on things happen."""
        self._live = True

    def apply(self, message: Message) -> None:
        """Take a message at or below `error`."""
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
        self._listeners(problem, occurrence if self._live else None)


def _problem(message: Message) -> Problem | None:
    """Read an error leniently; None when it holds no longer."""
    if message.value is ABSENT or message.value is None or message.item(("ok",)) is True:
        return None
    text, count, level = (message.item((key,)) for key in ("msg", "n", "level"))
    return Problem(
        path=message.path.relative_to(ERRORS),
        message=text[:LONGEST_TEXT] if isinstance(text, str) else "",
        level=_whole(level, DEFAULT_LEVEL) if level in LEVELS else DEFAULT_LEVEL,
        count=_whole(count, 1),
        acknowledged=message.item(("ack",)) is True,
        time=message.time,
    )


def _whole(value: Value, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
