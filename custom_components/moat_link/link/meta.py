"""Metadata of a message: who said it, when. The `MoaT` user property."""

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from .codec import ABSENT, Key, RemoteObject, Value, decode, encode, is_clean, keywords_of
from .errors import DecodeError, EncodeError


@dataclass(frozen=True, slots=True)
class Meta:
    """Origin (not empty), time (Unix seconds), and what else there may be."""

    origin: str
    time: float
    extra: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = field(default_factory=lambda: _NO_KEYWORDS)


_NO_KEYWORDS: Final[Mapping[str, Value]] = {}  # one for all: a garbage collection visits each dict


def decode_meta(text: str, now: float | None = None) -> Meta:
    """Read the user property; where the time is missing, it is `now`. Raise DecodeError."""
    if text[-13:-12] == "\\" and 0 < text.find("\\") == len(text) - 13 and "/" not in text:
        time = _usual_time(text[-12:])
        if time is not None:
            return Meta(text[:-13], time)
    separator = _SEPARATOR.search(text)
    end = separator.start() if separator else len(text)
    parts = _PART.findall(text, end)
    if len(parts) > _MAX_PARTS:
        raise DecodeError(f"metadata with {len(parts)} parts")
    return meta_of([text[:end], *map(_decode_part, parts)], now)


def encode_meta(meta: Meta) -> str:
    """Return the user property. Raise EncodeError for what does not fit into one."""
    if not fit_as_origin(meta.origin):
        raise EncodeError(f"not fit as an origin: {meta.origin[:80]!r}")
    _, time, *more = meta_items(meta)
    coded = base64.b85encode(_pack_time(_DOUBLE, time)).decode()
    text = "".join([meta.origin, "\\", coded, *map(_encode_part, more)])
    if len(text.encode()) > _MAX_TEXT:
        raise EncodeError(f"{len(text)} characters are too much for metadata")
    return text


def fit_as_origin(text: str) -> bool:
    """Whether a text can be published as an origin."""
    return bool(text) and is_clean(text) and not _SEPARATOR.search(text)


def meta_of(items: Sequence[Value], now: float | None = None) -> Meta:
    """Take metadata from a list [origin, time, …, {keywords}]. Raise DecodeError."""
    positional = list(items)
    keywords = keywords_of(positional[-1]) if positional else None
    if keywords is not None:
        positional.pop()
    origin, time, *extra = positional + [None] * (2 - len(positional))
    if not isinstance(origin, str) or not origin:
        raise DecodeError("metadata without an origin")
    if time is None or time is ABSENT:
        time = now
    if isinstance(time, bool) or not isinstance(time, (int, float)):
        raise DecodeError(f"metadata of {origin[:80]!r} without a time")
    return Meta(origin, float(time), tuple(extra), keywords or _NO_KEYWORDS)


def meta_in(items: Sequence[Value], keywords: Mapping[str, Value]) -> list[Value]:
    """Return metadata's list from the end of a frame: their keywords are not those of the frame."""
    return [*items, dict[Key, Value](keywords.items())] if keywords else list(items)


def meta_items(meta: Meta) -> list[Value]:
    """Return metadata as a list [origin, time, …, {keywords}]. Raise EncodeError."""
    if not isfinite(meta.time):
        raise EncodeError("metadata without a time")
    extra = list(meta.extra)
    while extra and extra[-1] is None:
        extra.pop()
    items: list[Value] = [meta.origin, float(meta.time), *extra]
    if meta.keywords or isinstance(items[-1], dict):
        items.append(dict[Key, Value](meta.keywords.items()))
    return items


def meta_object(meta: Meta) -> RemoteObject:
    """Return metadata as the object that stands for them in CBOR."""
    return RemoteObject("_MM", (meta.origin, meta.time, *meta.extra), dict(meta.keywords))


_MAX_TEXT: Final = 65_535
_MAX_PARTS: Final = 100
_SEPARATOR: Final = re.compile(r"[/\\]")
_PART: Final = re.compile(r"([/\\])([^/\\]*)")
_ALPHABET: Final = (
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
)
_NO_DIGIT: Final = 255
_DIGITS: Final = bytes(
    _ALPHABET.index(code) if code in _ALPHABET else _NO_DIGIT for code in range(256)
)
_PADDING: Final = 85**3 - 1
_DOUBLE: Final = 0xFB
_pack_time: Final = struct.Struct(">Bd").pack
_unpack_double: Final = struct.Struct(">d").unpack


def _usual_time(text: str) -> float | None:
    """Read 12 characters that are a double in base 85, in half the time; None if they are not."""
    digits = text.encode(errors="replace").translate(_DIGITS)
    if len(digits) != 12 or _NO_DIGIT in digits:
        return None
    a, b, c, d, e, f, g, h, i, j, k, m = digits
    first = (((a * 85 + b) * 85 + c) * 85 + d) * 85 + e
    second = (((f * 85 + g) * 85 + h) * 85 + i) * 85 + j
    third = (k * 85 + m) * 85**3 + _PADDING
    if first >> 24 != _DOUBLE or second >> 32 or third >> 32:
        return None
    number = ((first & 0xFFFFFF) << 40 | second << 8 | third >> 24).to_bytes(8)
    time: float = _unpack_double(number)[0]
    return time if isfinite(time) else None


def _decode_part(part: tuple[str, str]) -> Value:
    lead, text = part
    if lead == "/":
        return text or None
    if not text:
        return ""
    try:
        data = base64.b85decode(text)
    except ValueError as err:
        raise DecodeError(f"broken metadata: {text[:80]!r}") from err
    return decode(data)


def _encode_part(part: Value) -> str:
    if isinstance(part, str) and is_clean(part) and not _SEPARATOR.search(part):
        return f"/{part}" if part else "\\"
    return "\\" + base64.b85encode(encode(part)).decode()
