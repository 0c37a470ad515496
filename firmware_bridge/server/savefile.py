"""The file format that MoaT's servers keep their data in: a sequence of CBOR items."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from ..link.codec import Key, Opaque, Value, encode
from ..link.elements import from_level
from ..link.errors import DecodeError, EncodeError
from ..link.meta import Meta, meta_of
from ..link.path import Path
from ..link.sequence import EndOfDataError, SequenceReader
from .records import Record
from .store import Levels, common, levels_of

SUFFIX: Final = ".moat"
FULL: Final = "full"
INCREMENTAL: Final = "incr"
_FILE: Final = 55800
_HEADER: Final = 0x4D6F6154  # MoaT
_CHANGES: Final = 0x4D636867  # Mchg
_END: Final = 0x4D656F46  # MeoF

type Apply = Callable[[list[str], Value, Meta], None]


@dataclass(slots=True, kw_only=True)
class Contents:
    """What was found in a file."""

    mode: str = ""
    prev: str | None = None
    time: float = 0.0
    entries: int = 0
    whole: bool = False
    """Whether all that the file was begun with is there: a full tree, or nothing."""
    ended: bool = False
    good: int = 0
    """Bytes up to the end of the last good item."""
    torn: bool = False
    """Whether the last item is incomplete."""
    damage: str | None = None
    """What is wrong after the good bytes, other than that."""
    tags: list[Value] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing older is needed."""
        return self.mode in (FULL, "init") and self.whole


class Encoder:
    """Turns what happens into items of one file; paths are shortened by what the entry before has."""

    def __init__(self) -> None:
        self._before: Levels = ()

    def entry(self, levels: Levels, record: Record) -> bytes:
        """Return an entry: a node and what is there now."""
        kept = common(self._before, levels)
        self._before = levels
        head = bytes((record[0] + 2,))
        return b"".join((head, encode(kept), encode_path(levels[kept:]), record[1:]))


def encode_path(levels: Levels) -> bytes:
    """Return the CBOR of a path given as topic levels."""
    count = len(levels)
    head = bytes((0x80 + count,)) if count < 24 else bytes((0x98, count))
    return b"".join((b"\xd8\x27", head, *map(_element, levels)))


def encode_header(name: str, time: float, *, mode: str, prev: str | None) -> bytes:
    """Return a file's first item; `name` and `prev` are relative to the directory."""
    text = f"MoaT-Link {mode} {name!r}".ljust(25)
    about: dict[Key, Value] = {"state": None if mode == FULL else False}
    if prev is not None:
        about["prev"] = prev
    about["mode"] = mode
    about["name"] = name
    about["time"] = _when(time)
    return encode(Opaque(_FILE, Opaque(_HEADER, [text, about])))


def encode_changes(time: float) -> bytes:
    """Return what stands between the tree as it was and the changes since."""
    return encode(Opaque(_CHANGES, {"state": False, "time": _when(time)}))


def encode_end(time: float, **why: str) -> bytes:
    """Return a file's last item."""
    about: dict[Key, Value] = dict(why.items())
    about["time"] = _when(time)
    return encode(Opaque(_END, about))


def read(data: bytes, apply: Apply, *, header_only: bool = False) -> Contents:
    """Read a file's content, entry by entry; what is wrong is told in the result."""
    found = Contents()
    reader = SequenceReader(data)
    before: list[str] = []
    try:
        while reader.position < len(data):
            item = reader.read()
            if isinstance(item, list):
                before = _entry(item, before, apply)
                found.entries += 1
            else:
                _mark(item, found)
            found.good = reader.position
            if header_only and found.mode:
                break
        if not found.mode and not header_only:
            found.damage = "no header"
    except EndOfDataError:
        found.torn = True
    except (DecodeError, EncodeError) as err:
        found.damage = f"at byte {found.good}: {err}"
    return found


def _entry(item: list[Value], before: list[str], apply: Apply) -> list[str]:
    match item:
        case [int(kept), Path() as path, value, *meta] if 0 <= kept <= len(before):
            levels = before[:kept] + levels_of(path.resolve())
            apply(levels, value, meta_of(meta))
            return levels
    raise DecodeError("not an entry")


def _mark(item: Value, found: Contents) -> None:
    match item:
        case Opaque(tag=tag, value=[_, dict() as about]) if tag == _HEADER:
            mode, prev, time = (about.get(key) for key in ("mode", "prev", "time"))
            found.mode = mode if isinstance(mode, str) else FULL
            found.prev = prev if isinstance(prev, str) else None
            found.time = time.timestamp() if isinstance(time, datetime) else 0.0
            found.whole = mode in (INCREMENTAL, "init")
        case Opaque(tag=tag, value=dict()) if tag in (_CHANGES, _END):
            found.whole = True
            found.ended = tag == _END
        case _:
            raise DecodeError("neither an entry nor a mark")
    found.tags.append(item)


@lru_cache(maxsize=16384)
def _element(level: str) -> bytes:
    """Return the CBOR of one element; what has no meaning as a level is text."""
    try:
        return encode(from_level(level))
    except DecodeError:
        return encode(level)


def _when(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)
