"""Whether a broker still has what it had: a retained message of ours tells."""

import contextlib
import json
import os
from enum import Enum
from pathlib import Path as File
from typing import Final

from ..link.codec import ABSENT, Value
from ..link.identity import fresh_name
from ..link.path import Path
from .records import Record

TOPIC: Final = Path("run", "moat-bridge")
"""Below the root; the server's name follows."""
_NO_ORIGIN: Final = "via:"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class Standing(Enum):
    """What a broker's retained messages are, compared with when we last were there."""

    KEPT = "kept"
    """Those of that time, and what came later."""
    EMPTY = "empty"
    """All newer: it has lost the others."""
    OLDER = "older"
    """Those of an earlier time: it was restored."""
    UNKNOWN = "unknown"


class Witness:
    """A number that we leave at the broker, and remember."""

    def __init__(self, file: File | None = None) -> None:
        """Remember it in a file, too, if there is one."""
        self._file = file
        self._lineage = fresh_name(12)
        self._number = 0
        self.time = 0.0
        """When the last one was left."""
        self.standing = Standing.UNKNOWN

    def load(self) -> None:
        """Read the file; if it cannot be understood, we have never been there."""
        if self._file is None:
            return
        with contextlib.suppress(OSError, ValueError):
            match json.loads(self._file.read_text()):
                case {"lineage": str(lineage), "number": int(number), "time": float(time)}:
                    self._lineage, self._number, self.time = lineage, number, time

    def judge(self, found: Value) -> Standing:
        """Compare what is at the broker (or ABSENT) with what we have left there."""
        self.standing = Standing.UNKNOWN
        if self._number and found is ABSENT:
            self.standing = Standing.EMPTY
        match found:
            case {"lineage": self._lineage, "number": int(number)}:
                self.standing = Standing.OLDER if number < self._number else Standing.KEPT
        return self.standing

    def renew(self, now: float) -> Value:
        """Return what to leave at the broker; it is remembered before. Raise OSError."""
        number = self._number + 1
        said = {"lineage": self._lineage, "number": number, "time": now}
        if self._file is not None:
            temporary = self._file.with_name(f"{self._file.name}.tmp")
            with os.fdopen(os.open(temporary, _NEW, 0o600), "w") as target:
                json.dump(said, target)
                target.flush()
                os.fsync(target.fileno())
            temporary.rename(self._file)
        self._number, self.time = number, now
        return {"lineage": self._lineage, "number": number}

    def loses(self, record: Record, time: float) -> bool:
        """Whether ours is older than a retained message of another value, but without metadata."""
        if self.standing is Standing.OLDER:
            return False
        if record.meta.origin.startswith(_NO_ORIGIN):
            return True
        if self.standing is Standing.UNKNOWN:
            return record.deleted
        return time <= self.time
