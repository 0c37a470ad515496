"""What an installation can hold and pass on: the paths below its root, times, origins. Pure."""

from typing import Final

from ..link.errors import EncodeError
from ..link.message import MAX_LENGTH
from ..link.meta import Meta, encode_meta, fit_as_origin
from ..link.path import MAX_LEVELS, MAX_TOPIC, Path
from .store import Levels

LATEST: Final = 1e11
"""Seconds since 1970 that are no time any more: the year 5138."""
_RESERVE: Final = 86400.0  # seconds for those who write after what others say
COMPLAINT: Final = ("error", "link", "mqtt")
"""Where everybody reports what it cannot understand, for those who listen, not to stay."""
_PREFIX: Final = (*COMPLAINT, "codec")
_MOST_BYTES: Final = 4  # of a character


class Reach:
    """How long a path may be, so that a report about it fits below the installation's root, too."""

    def __init__(self, root: Path) -> None:
        """Take the installation's root."""
        reserve = len("/".join(_PREFIX)) + 1
        room = (MAX_TOPIC - len(root.topic.encode()) - 1) // _MOST_BYTES
        self.levels = MAX_LEVELS - len(root) - len(_PREFIX)
        self.length = min(MAX_LENGTH, room) - reserve
        """In characters."""

    def check(self, levels: Levels, meta: Meta) -> None:
        """Raise EncodeError for what cannot be published, or could never be written again."""
        self.check_path(levels)
        check_time(meta.time)
        if meta.extra or meta.keywords:
            encode_meta(meta)
        elif not fit_as_origin(meta.origin):
            raise EncodeError(f"not fit as an origin: {meta.origin[:80]!r}")

    def check_path(self, levels: Levels) -> None:
        """Raise EncodeError for a path that is too long."""
        if len(levels) > self.levels:
            raise EncodeError(
                f"path too long: {len(levels)} levels, of at most {self.levels} below this root"
            )
        if (length := len("/".join(levels))) > self.length:
            raise EncodeError(
                f"path too long: {length} characters, of at most {self.length} below this root"
            )

    def cut(self, levels: Levels) -> Levels:
        """Return as many levels as fit."""
        found: list[str] = []
        size = -1
        for level in levels[: self.levels]:
            size += len(level) + 1
            if size > self.length:
                break
            found.append(level)
        return found


def check_time_told(time: float) -> None:
    """Raise EncodeError for what others cannot have said: no time, or none after which we can write."""
    check_time(time, LATEST - _RESERVE)


def check_time(time: float, latest: float | None = None) -> None:
    """Raise EncodeError for what is no time; whether it is in the future, small machines cannot tell."""
    latest = LATEST if latest is None else latest
    if not 0 <= time < latest:
        raise EncodeError(f"{time:g} is no time (seconds since 1970, below {latest:.0f})")
