"""Whether a broker still has what it had: a retained message of ours tells."""

import contextlib
from enum import Enum
from pathlib import Path as File
from typing import Final, NamedTuple

from ..link.codec import ABSENT, Value
from ..link.identity import fresh_name
from ..link.path import Path
from .memory import recall, remember
from .records import Record

TOPIC: Final = Path("run", "moat-bridge")
"""Below the root; the server's name follows."""
_SENSELESS: Final = (ValueError, TypeError, KeyError, IndexError, OverflowError)
_NO_ORIGIN: Final = "via:"


class Standing(Enum):
    """What a broker's retained messages are, compared with when we last were there."""

    KEPT = "kept"
    """Those of that time, and what came later."""
    EMPTY = "empty"
    """All newer: it has lost the others."""
    OLDER = "older"
    """Those of an earlier time: it was restored."""
    UNKNOWN = "unknown"


class _Mark(NamedTuple):
    """A number, when it was left, and up to which time the broker had everything then (0: unknown)."""

    number: int
    time: float
    complete: float = 0.0


class Witness:
    """Numbers that we leave at the broker, one after the other, and remember."""

    def __init__(self, file: File | None = None) -> None:
        """Remember them in a file, too, if there is one."""
        self._file = file
        self._lineage = fresh_name(12)
        self._number = 0
        self._left: list[_Mark] = []
        self._certain = False
        self._since = self._complete = 0.0
        self.time = 0.0
        """When the last one was left."""
        self.standing = Standing.UNKNOWN

    def load(self) -> None:
        """Read the file; if it cannot be understood, we have never been there."""
        if self._file is None:
            return
        with contextlib.suppress(*_SENSELESS):
            match recall(self._file):
                case {"lineage": str(lineage), "certain": bool(certain), "left": [_, *_] as marks}:
                    left = [_Mark(int(mark[0]), *map(float, mark[1:3])) for mark in marks]
                    self._number, self.time, _ = left[-1]
                    self._lineage, self._certain, self._left = lineage, certain, left

    def judge(self, found: Value) -> Standing:
        """Compare what is at the broker (or ABSENT) with what we have left there."""
        self.standing = Standing.UNKNOWN
        match found:
            case {"lineage": self._lineage, "number": int(number)} if self._left:
                there = [mark for mark in self._left if mark.number <= number]
                self.standing = Standing.KEPT if there else Standing.OLDER
                self._left, self._certain = there[-1:] or self._left[:1], True
                self._since, self._complete = self._left[0][1:]
            case _ if found is ABSENT and self._certain:
                self.standing = Standing.EMPTY
                self._since = self._left[0].time
        return self.standing

    @property
    def complete(self) -> float:
        """Up to which time the broker had everything, and has kept it; 0 if that is not known."""
        return self._complete if self.standing is Standing.KEPT else 0.0

    def renew(self, now: float, *, complete: float = 0.0) -> Value:
        """Return what to leave at the broker, which has everything up to `complete`.

        It is remembered before. Raise OSError.
        """
        mark = _Mark(self._number + 1, now, complete)
        left = [*self._left, mark]
        self._save(left, certain=self._certain)
        self._number, self.time, self._left = mark.number, now, left
        return {"lineage": self._lineage, "number": mark.number}

    def confirm(self) -> None:
        """Take note that the broker has got the last one; so it cannot have an earlier one any more.

        Raise OSError.
        """
        self._left, self._certain = self._left[-1:], True
        self._save(self._left, certain=True)

    def loses(self, record: Record, time: float) -> bool:
        """Whether ours is older than a retained message of another value, but without metadata."""
        if self.standing is Standing.OLDER:
            return False
        if record.meta.origin.startswith(_NO_ORIGIN):
            return True
        if self.standing is Standing.UNKNOWN:
            return record.deleted
        return time <= self._since

    def _save(self, left: list[_Mark], *, certain: bool) -> None:
        if self._file is None:
            return
        remember(self._file, {"lineage": self._lineage, "certain": certain, "left": left})
