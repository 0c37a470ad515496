"""The file format that MoaT's servers keep their data in: a sequence of CBOR items."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import batched
from typing import Final

from ..link.codec import Key, Opaque, Value, encode
from ..link.elements import from_level
from ..link.errors import DecodeError, EncodeError
from ..link.meta import Meta, meta_of
from ..link.path import MAX_LEVELS, Path
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
_ENDING: Final = b"\xda\x4d\x65\x6f\x46"
_BEGINNING: Final = re.compile(rb"[\x83-\x98][\x00-\x17]\xd8\x27[\x80-\x97]")  # of an entry

_OVERLONG: Final = re.compile(
    rb"(?P<head>[\x84-\x97])(?:[\x00-\x17]|\x18.)\xd8\x27(?=[\x98\x99])", re.DOTALL
)
"""An entry with a path of more than 23 elements, up to the path."""

_NUMBERS: Final = tuple(encode(number) for number in range(MAX_LEVELS + 1))

type Apply = Callable[[list[str], Value, Meta], None]
"""Takes an entry; EncodeError if it cannot."""


@dataclass(slots=True, kw_only=True)
class Contents:
    """What was found in a file."""

    mode: str = ""
    prev: str | None = None
    time: float = 0.0
    entries: int = 0
    refused: int = 0
    """Entries that nobody could take."""
    refusal: str = ""
    """Why, of the first one."""
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
        return b"".join((head, _NUMBERS[kept], encode_path(levels[kept:]), record[1:]))


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


class Reader:
    """Reads a file piece by piece; what is wrong with it is told by `found` in the end."""

    def __init__(self, apply: Apply) -> None:
        """Hand every entry on."""
        self.found = Contents()
        self._apply = apply
        self._before: list[str] = []
        self._rest = b""
        self._problem: str | None = None
        self._blank = True  # whether all from the problem on is zero

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._problem is not None:
            self._blank = self._blank and not any(data)
            return
        self._rest += data
        reader = SequenceReader(self._rest)
        good = self.found.good
        try:
            while reader.position < len(self._rest):
                self._take(self._next(reader))
                self.found.good = good + reader.position
        except EndOfDataError:
            pass
        except DecodeError as err:
            self._problem = f"at byte {self.found.good}: {err}"
        self._rest = self._rest[self.found.good - good :]
        if self._problem is not None:
            self._blank = not any(self._rest)

    def finish(self) -> Contents:
        """Say that this was all."""
        found = self.found
        if self._problem is not None:
            # what a file system has not written before the power failed is zero
            found.torn, found.damage = self._blank, None if self._blank else self._problem
        elif self._rest and (_BEGINNING.search(self._rest, 1) or _ENDING in self._rest[1:]):
            found.damage = f"at byte {found.good}: an item that does not end"
        elif self._rest:
            found.torn = True
        elif not found.mode:
            found.damage = "no header"
        return found

    def _next(self, reader: SequenceReader) -> Value:
        """Return the next item; an entry whose path alone is too long has its levels in a list."""
        start = reader.position
        try:
            return reader.read()
        except EndOfDataError:
            raise
        except DecodeError:
            if (entry := _OVERLONG.match(self._rest, start)) is None:
                raise
        reader.seek(entry.end("head"))
        kept = reader.read()
        reader.seek(entry.end())
        rest = [reader.read() for _ in range(entry["head"][0] - 0x81)]
        return [kept, *rest]

    def _take(self, item: Value) -> None:
        found = self.found
        if not isinstance(item, list):
            _mark(item, found)
            return
        self._before, value, meta = _entry(item, self._before)
        found.entries += 1
        try:
            self._apply(self._before, value, meta)
        except EncodeError as err:
            found.refused += 1
            found.refusal = found.refusal or str(err)


def read(data: bytes, apply: Apply) -> Contents:
    """Read a file's content, entry by entry; what is wrong is told in the result."""
    reader = Reader(apply)
    reader.feed(data)
    return reader.finish()


def read_header(data: bytes) -> Contents:
    """Read what a file's first bytes say about it; without a mode, it is none of ours."""
    found = Contents()
    try:
        _mark(SequenceReader(data).read(), found)
    except EndOfDataError:
        found.torn = True
    except DecodeError as err:
        found.torn, found.damage = not any(data), f"no header: {err}"
    return found


def _entry(item: list[Value], before: list[str]) -> tuple[list[str], Value, Meta]:
    match item:
        case [int(kept), Path() as path, value, *meta] if 0 <= kept <= len(before):
            return before[:kept] + levels_of(path.resolve()), value, meta_of(meta)
        case [int(kept), list() as path, value, *meta] if (
            0 <= kept <= len(before) and len(path) > MAX_LEVELS
        ):
            parts = batched(path, MAX_LEVELS, strict=False)
            added = [level for part in parts for level in levels_of(Path.of(part).resolve())]
            return before[:kept] + added, value, meta_of(meta)
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
