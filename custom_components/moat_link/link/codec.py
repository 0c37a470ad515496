"""Values and frames in CBOR, with guards in both directions. Every failure is one exception."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set as AbstractSet
from datetime import datetime
from functools import partial
from io import BytesIO
from math import isfinite
from typing import Any, Final

import cbor2

from .elements import MAX_BITS
from .errors import DecodeError, EncodeError
from .path import Path, Root
from .scan import Limits, Scanner
from .tags import untag
from .values import (
    ABSENT,
    ADDRESSES,
    Absent,
    Key,
    Opaque,
    RemoteObject,
    Value,
    is_member,
    keywords_of,
)

__all__ = [
    "ABSENT",
    "MAX_FRAME",
    "MAX_PAYLOAD",
    "Absent",
    "FrameReader",
    "Key",
    "Opaque",
    "RemoteObject",
    "Value",
    "clean",
    "decode",
    "decode_payload",
    "encode",
    "encode_frame",
    "encode_payload",
    "is_clean",
    "keywords_of",
    "open_decoder",
    "sanitize",
]

MAX_PAYLOAD: Final = 65_536
"""Bytes of a value."""
MAX_FRAME: Final = 16 * 1024 * 1024
"""Bytes of a frame on the direct link."""
_VALUE: Final = Limits(size=MAX_PAYLOAD, items=20_000, depth=16)
_FRAME: Final = Limits(size=MAX_FRAME, items=100_000, depth=32)


# Writing


def encode(value: object) -> bytes:
    """Return a value's CBOR. Raise EncodeError, naming the place, for what peers cannot read."""
    return _dump(value, _VALUE)


def encode_payload(value: object) -> tuple[bytes, bool]:
    """Return the MQTT payload, and whether it is text. ABSENT becomes the empty payload."""
    if value is ABSENT:
        return b"", False
    if isinstance(value, str) and value and is_clean(value):
        data = value.encode()
        if len(data) > MAX_PAYLOAD:
            raise EncodeError(f"{len(data)} bytes are too many")
        return data, True
    return encode(value), False


def encode_frame(frame: Sequence[object]) -> bytes:
    """Return a frame for the direct link: an array, led by an integer. Raise EncodeError."""
    if not frame or type(frame[0]) is not int:
        raise EncodeError("a frame is an array led by an integer")
    return _dump(frame, _FRAME)


def is_clean(text: str) -> bool:
    """Whether brokers and MoaT pass this text on: no control characters, no non-characters."""
    return text.isprintable() or not _UNCLEAN.search(text)


_UNCLEAN: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
    )
    + "]"
)


class _UnfitError(Exception):
    """Something that cannot be sent; gathers where it is, from the inside out."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.place: list[str] = []


def _dump(value: object, limits: Limits) -> bytes:
    try:
        data = cbor2.dumps(_fit(value, limits.depth))
        if len(data) > limits.items:
            Scanner(limits).scan(data)
    except _UnfitError as err:
        raise EncodeError(f"value{''.join(reversed(err.place))}: {err}") from None
    except DecodeError as err:
        raise EncodeError(f"value: {err}") from None
    return data


def _fit(value: Any, depth: int) -> Any:
    """Return the value in terms of cbor2, checked."""
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _fit_text(value)
    if kind is float:
        if isfinite(value):
            return value
        raise _UnfitError("not finite")
    if kind is int:
        if value.bit_length() <= MAX_BITS:
            return value
        raise _UnfitError("integer too large")
    if kind in _PLAIN:
        return value
    if depth <= 0:
        raise _UnfitError("nested too deeply")
    if kind is dict:
        return _fit_map(value, depth)
    if kind is list or kind is tuple:
        return _fit_items(value, depth)
    return _fit_other(value, depth)


def _fit_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _UnfitError("half a surrogate pair") from None
    return text


def _fit_map(value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    fit: dict[Any, Any] = {}
    for key, item in value.items():
        try:
            fit[key if type(key) is str and key.isascii() else _fit_key(key)] = _fit(
                item, depth - 1
            )
        except _UnfitError as err:
            err.place.append(f".{key}" if isinstance(key, str) else f"[{type(key).__name__}]")
            raise
    return fit


def _fit_items(value: Iterable[Any], depth: int) -> list[Any]:
    fit: list[Any] = []
    for item in value:
        try:
            fit.append(_fit(item, depth - 1))
        except _UnfitError as err:
            err.place.append(f"[{len(fit)}]")
            raise
    return fit


def _fit_key(key: object) -> object:
    match key:
        case str():
            return _fit_text(str.__str__(key))
        case None | bool() | bytes():
            return key
        case int() if -(2**64) <= key < 2**64:
            return int(key)
        case float() if isfinite(key):
            return float(key)
    raise _UnfitError(f"a map's key is a {type(key).__name__}")


def _fit_other(value: object, depth: int) -> Any:
    """Fit what is no plain value: our own types, and what is derived from plain ones."""
    match value:
        case Path():
            return cbor2.CBORTag(39, _fit(value.elements, depth - 1))
        case Root():
            return cbor2.CBORTag(32769, value.value)
        case Absent():
            return cbor2.undefined
        case RemoteObject():
            return cbor2.CBORTag(27, _fit(_object_items(value), depth - 1))
        case Opaque() if 0 <= value.tag < 2**64:
            return cbor2.CBORTag(value.tag, _fit(value.value, depth - 1))
        case datetime() if value.tzinfo is not None:
            return cbor2.CBORTag(1, value.timestamp())
        case frozenset() | set():
            return cbor2.CBORTag(258, _fit_members(value, depth - 1))
        case _ if isinstance(value, ADDRESSES):
            return value
        case str() | int() | float():
            return _fit(_stripped(value), 0)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case Mapping():
            return _fit_map(value, depth)
        case list() | tuple():
            return _fit_items(value, depth)
    raise _UnfitError(f"a {type(value).__name__} cannot be sent")


def _fit_members(value: AbstractSet[Any], depth: int) -> list[Any]:
    if not all(is_member(item) for item in value):
        raise _UnfitError("a set of containers or large integers")
    return _fit_items(value, depth)


def _stripped(value: str | float) -> str | int | float:
    """Take enumerations and the like for what they are derived from."""
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)


def _object_items(value: RemoteObject) -> list[Any]:
    """Return class reference and arguments; the keywords if there are any, or if they are missed."""
    needed = value.keywords or (value.arguments and isinstance(value.arguments[-1], dict))
    return [value.name, *value.arguments, *([value.keywords] if needed else [])]


def sanitize(value: object) -> Value:
    """Replace what `encode` would refuse, by None or text: for reports, which must get through."""
    sane = _sane(value, _VALUE.depth)
    try:
        encode(sane)
    except EncodeError as err:
        return f"{type(value).__name__} left out: {err}"[:200]
    return sane


def _sane(value: Any, depth: int) -> Value:
    match value:
        case str():
            return _sane_text(value)
        case float() if not isfinite(value):
            return None
        case Mapping() if depth > 0:
            return {_sane_text(key): _sane(item, depth - 1) for key, item in value.items()}
        case list() | tuple() if depth > 0:
            return [_sane(item, depth - 1) for item in value]
        case Mapping() | list() | tuple():
            return "…"
    try:
        _fit(value, depth)
    except _UnfitError:
        return _sane_text(value)
    sane: Value = value
    return sane


def _sane_text(value: object) -> str:
    """Return readable text for anything; Python refuses to spell very large integers."""
    large = isinstance(value, int) and value.bit_length() > MAX_BITS
    text = f"{value:#x}"[:1000] if large else f"{value}"
    return text.encode(errors="replace").decode()


# Reading


def decode(data: bytes) -> Value:
    """Read one CBOR item; non-finite numbers become None. Raise DecodeError."""
    return _load(data, _VALUE)


def decode_payload(payload: bytes, text: bool) -> Value:
    """Read an MQTT payload; `text` is its format indicator. ABSENT if it is a deletion."""
    if not text:
        return decode(payload) if payload else ABSENT
    if len(payload) > MAX_PAYLOAD:
        raise DecodeError(f"{len(payload)} bytes are too many")
    try:
        return payload.decode()
    except UnicodeDecodeError as err:
        raise DecodeError(f"not UTF-8: {payload[:40]!r}") from err


class FrameReader:
    """Cuts the direct link's byte stream into frames: CBOR arrays, each led by an integer."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        """Refuse frames of more than `max_frame` bytes."""
        self._limits = _FRAME._replace(size=max_frame)
        self._waiting: Scanner | None = None
        self._buffer = bytearray()

    def allow(self, max_frame: int) -> None:
        """Refuse frames of more than `max_frame` bytes from now on."""
        self._limits = self._limits._replace(size=max_frame)

    def feed(self, data: bytes) -> list[list[Value]]:
        """Return the frames that these bytes complete. Raise DecodeError; then hang up."""
        frames: list[list[Value]] = []
        for start in range(0, len(data), _PIECE):
            self._take(data[start : start + _PIECE], frames)
        return frames

    def _take(self, piece: bytes, frames: list[list[Value]]) -> None:
        if self._waiting is not None:
            self._buffer += piece
            end = self._waiting.scan(self._buffer)
            if not end:
                return
            frames.append(_frame(_load(bytes(self._buffer[:end]), self._limits)))
            piece = bytes(self._buffer[end:])
            self._waiting = None
            self._buffer.clear()
        self._cut(piece, frames)

    def _cut(self, piece: bytes, frames: list[list[Value]]) -> None:
        """Decode frames straight from the piece; what is incomplete, or odd, takes the long way."""
        source = BytesIO(piece)
        decoder = open_decoder(source, self._limits.depth)
        end = 0
        while (start := end) < len(piece):
            if piece[start] >> 5 != _ARRAY:
                raise DecodeError(f"no frame starts like this: {piece[start : start + 20].hex()}")
            try:
                item = decoder.decode()
            except cbor2.CBORDecodeError:
                self._waiting = Scanner(self._limits)
                self._take(piece[start:], frames)
                return
            if (end := source.tell()) - start > self._limits.size:
                raise DecodeError("too many bytes")
            frames.append(_frame(clean(item)))


class _Tagged:
    """A tag as it came; unhashable, so that it can neither be a map's key nor a set's member."""

    __slots__ = ("content", "tag")
    __hash__ = None  # type: ignore[assignment]  # the documented way

    def __init__(self, tag: int, content: object, _immutable: bool) -> None:
        self.tag = tag
        self.content = content


class _KeepTags(dict[int, Callable[[Any, bool], _Tagged]]):
    """Has cbor2 interpret no tag whatever: neither those it knows, nor future ones."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], _Tagged]:
        return partial(_Tagged, tag)


_PIECE: Final = 65_536
_ARRAY: Final = 4
_PATH: Final = 39
_KEEP_TAGS: Final = _KeepTags()
_PLAIN: Final = frozenset({str, int, bool, type(None), bytes})


def open_decoder(source: BytesIO, depth: int, *, text_keys: bool = True) -> cbor2.CBORDecoder:
    """Return what decodes one item after the other; each must go through `clean`."""
    return cbor2.CBORDecoder(
        source,
        semantic_decoders=_KEEP_TAGS,
        max_depth=depth,
        allow_duplicate_keys=False,
        strict_hashable_types=text_keys,
    )


def _load(data: bytes, limits: Limits) -> Value:
    """Decode exactly these bytes; whatever is not usual is scanned before."""
    if len(data) > limits.size:
        raise DecodeError(f"{len(data)} bytes are too many")
    source = BytesIO(data)
    try:
        if len(data) > limits.items:
            Scanner(limits).scan(data)
        item = open_decoder(source, limits.depth).decode()
    except cbor2.CBORDecodeError:
        item = _load_odd(source, limits)
    if rest := len(data) - source.tell():
        raise DecodeError(f"{rest} bytes after the value")
    return clean(item)


def _load_odd(source: BytesIO, limits: Limits) -> object:
    """Decode what has keys that are not text, if they can do no harm."""
    Scanner(limits).scan(source.getvalue())
    source.seek(0)
    try:
        return open_decoder(source, limits.depth, text_keys=False).decode()
    except cbor2.CBORError as err:
        raise DecodeError(str(err)[:200]) from err


def _frame(item: Value) -> list[Value]:
    if isinstance(item, list) and item and type(item[0]) is int:
        return item
    raise DecodeError("a frame is an array led by an integer")


def clean(item: Any) -> Value:
    """Check what cbor2 delivered, and turn it in place into what may be handed on."""
    kind = type(item)
    value: Value = item
    if kind is dict:
        for key, inner in item.items():
            if type(key) is not str:
                _check_key(key)
            kind = type(inner)
            if kind in _PLAIN or (kind is float and isfinite(inner)):
                continue
            item[key] = clean(inner)
    elif kind is list:
        for index, inner in enumerate(item):
            kind = type(inner)
            if kind in _PLAIN or (kind is float and isfinite(inner)):
                continue
            item[index] = clean(inner)
    elif kind is float:
        value = item if isfinite(item) else None
    elif kind is _Tagged:
        if item.tag == _PATH:
            _check_path(item.content)
        value = untag(item.tag, clean(item.content))
    elif item is cbor2.undefined:
        value = ABSENT
    elif kind not in _PLAIN:
        raise DecodeError(f"neither a value nor a tag: {kind.__name__}")
    return value


def _check_path(content: object) -> None:
    """Refuse what would become None, which is an element like any other."""
    if isinstance(content, list):
        for inner in content:
            _check_path(inner)
    elif isinstance(content, float) and not isfinite(content):
        raise DecodeError("a path's element is not finite")


def _check_key(key: object) -> None:
    if type(key) not in _PLAIN and not (isinstance(key, float) and isfinite(key)):
        raise DecodeError(f"a map's key is a {type(key).__name__}")
