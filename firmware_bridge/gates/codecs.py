"""Codecs: what the payload of a plain MQTT topic means. Pure; every failure is a CodecError.

Named by a text (`json`), or by a map with `kind` and options (`{kind: bool, true: AN, false: AUS}`).
Nothing is guessed: a payload is what its codec says, or it is refused.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, override

import msgpack

from ..link.codec import Key, Value, decode, encode, is_clean
from ..link.errors import DecodeError, EncodeError
from .plain import CodecError, as_text, checked, load_json, plain, refuse_extension, shown

MAX_PAYLOAD: Final = 262_144
"""Bytes of a payload that are looked at."""
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A payload, and whether it is text."""

    payload: bytes
    text: bool = False


class Codec(Protocol):
    """One meaning of payloads; deletions never get here."""

    name: str

    def decode(self, payload: bytes) -> Value:
        """Return the value. CodecError."""

    def encode(self, value: Value) -> Encoded:
        """Return the payload, never an empty one: that would be a deletion. CodecError."""


class Null(Codec):
    """Marks nodes that are left out, in both directions."""

    name = "null"

    @override
    def decode(self, payload: bytes) -> Value:
        raise CodecError("left out")

    @override
    def encode(self, value: Value) -> Encoded:
        raise CodecError("left out")


class Json(Codec):
    """JSON; with `item` one item of a map, which is also what is sent."""

    name = "json"

    def __init__(self, item: str | None = None) -> None:
        """Take the key of the item, if it is about one."""
        self._item = item

    @override
    def decode(self, payload: bytes) -> Value:
        value = checked(load_json(as_text(payload)))
        if self._item is None:
            return value
        if not isinstance(value, dict) or self._item not in value:
            raise CodecError(f"no {self._item!r} in it")
        return value[self._item]

    @override
    def encode(self, value: Value) -> Encoded:
        item = plain(value)
        if self._item is not None:
            item = {self._item: item}
        text = json.dumps(item, ensure_ascii=False, allow_nan=False)
        try:
            return Encoded(text.encode(), text=is_clean(text))
        except UnicodeEncodeError as err:
            raise CodecError("half a character (a surrogate)") from err


class Bool(Codec):
    """Two words; without words of its own `on`, `off`, `true` and `false` in any case."""

    name = "bool"

    def __init__(self, true: str | None = None, false: str | None = None) -> None:
        """Take the words, both or neither."""
        if (true is None) is not (false is None):
            raise CodecError("bool needs both words, true and false, or neither")
        self._own = true is not None
        self._true, self._false = true or "ON", false or "OFF"
        if self._true == self._false:
            raise CodecError("bool needs two different words")
        self._words = {self._true: True, self._false: False}
        if not self._own:
            self._words = {"on": True, "off": False, "true": True, "false": False}

    @override
    def decode(self, payload: bytes) -> Value:
        text = as_text(payload).strip(_SPACE)
        value = self._words.get(text if self._own else text.lower())
        if value is None:
            known = f"{self._true} or {self._false}" + ("" if self._own else ", true or false")
            raise CodecError(f"{text[:40]!r} is not {known}")
        return value

    @override
    def encode(self, value: Value) -> Encoded:
        if not isinstance(value, bool):
            raise CodecError(f"{shown(value)} is not true or false")
        return Encoded((self._true if value else self._false).encode(), text=True)


class Number(Codec):
    """A number in decimal; `int` demands whole ones, `precision` limits decimals when sending."""

    name = "number"

    def __init__(self, *, whole: bool = False, precision: int | None = None) -> None:
        """Take what is demanded of the numbers."""
        self._whole = whole
        self._precision = precision

    @override
    def decode(self, payload: bytes) -> Value:
        text = as_text(payload).strip(_SPACE)
        if len(text) > 100 or not _NUMBER.fullmatch(text):
            raise CodecError(f"{text[:40]!r} is not a number")
        value: Value = checked(int(text) if _INTEGER.fullmatch(text) else float(text))
        return self._made_whole(value) if self._whole else value

    @override
    def encode(self, value: Value) -> Encoded:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CodecError(f"{shown(value)} is not a number")
        if not math.isfinite(value):
            raise CodecError("not finite")
        if self._whole:
            value = self._made_whole(value)
        elif self._precision is not None:
            value = round(value, self._precision)
            if not self._precision:
                value = int(value)
        return Encoded(str(value).encode(), text=True)

    def _made_whole(self, value: Value) -> int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, int):
            raise CodecError(f"{shown(value)} is not a whole number")
        return value


class Text(Codec):
    """Text in UTF-8 (or another encoding)."""

    name = "text"

    def __init__(self, encoding: str = "utf-8") -> None:
        """Take the name of the encoding."""
        if encoding.lower() not in _ENCODINGS:
            raise CodecError(f"encoding {encoding!r} is not one of {', '.join(_ENCODINGS)}")
        self._encoding = encoding.lower()

    @override
    def decode(self, payload: bytes) -> Value:
        return as_text(payload, self._encoding)

    @override
    def encode(self, value: Value) -> Encoded:
        if not isinstance(value, str):
            raise CodecError(f"{shown(value)} is not text")
        try:
            payload = value.encode(self._encoding)
        except UnicodeEncodeError as err:
            raise CodecError(f"{shown(value)} does not fit into {self._encoding}") from err
        return Encoded(payload, text=self._encoding == "utf-8" and is_clean(value))


class Binary(Codec):
    """Bytes, as they are."""

    name = "binary"

    @override
    def decode(self, payload: bytes) -> Value:
        return payload

    @override
    def encode(self, value: Value) -> Encoded:
        if not isinstance(value, bytes):
            raise CodecError(f"{shown(value)} is not bytes")
        return Encoded(value)


class Cbor(Codec):
    """CBOR, with everything that MoaT-Link knows."""

    name = "cbor"

    @override
    def decode(self, payload: bytes) -> Value:
        try:
            return checked(decode(payload))
        except DecodeError as err:
            raise CodecError(str(err)) from err

    @override
    def encode(self, value: Value) -> Encoded:
        try:
            return Encoded(encode(value))
        except EncodeError as err:
            raise CodecError(str(err)) from err


class Msgpack(Codec):
    """MessagePack: what JSON knows, bytes, and maps with other keys; no extension types."""

    name = "msgpack"

    @override
    def decode(self, payload: bytes) -> Value:
        try:
            found = msgpack.unpackb(
                payload,
                raw=False,
                strict_map_key=False,
                ext_hook=refuse_extension,
            )
        except CodecError:
            raise
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError) as err:
            raise CodecError(f"not MessagePack: {str(err)[:100] or type(err).__name__}") from err
        return checked(found)

    @override
    def encode(self, value: Value) -> Encoded:
        packed: bytes = msgpack.packb(plain(value, more=True), use_bin_type=True)
        return Encoded(packed)


def make(spec: Value) -> Codec:
    """Return the codec that is named by a text, or described by a map with `kind`. CodecError."""
    options: dict[str, Value] = {}
    kind = spec
    if isinstance(spec, dict):
        kind = spec.get("kind")
        options = {_option(key): value for key, value in spec.items() if key != "kind"}
    if not isinstance(kind, str):
        raise CodecError(f"{shown(spec)} is not a codec: neither a name nor a map with a kind")
    if kind not in _KINDS:
        raise CodecError(f"codec {kind[:40]!r} is not one of {', '.join(NAMES)}")
    maker, known = _KINDS[kind]
    for key, value in options.items():
        if key not in known:
            raise CodecError(f"codec {kind} has no option {key[:40]!r}")
        if not known[key](value):
            raise CodecError(f"codec {kind}: {shown(value)} does not fit as {key}")
    return maker(options)


def translated(codec: Codec, payload: bytes) -> Value:
    """Decode something that can be kept on MoaT-Link. CodecError."""
    if len(payload) > MAX_PAYLOAD:
        raise CodecError(f"{len(payload)} bytes are too many")
    value = codec.decode(payload)
    try:
        encode(value)
    except EncodeError as err:
        raise CodecError(str(err)) from err
    return value


def written(codec: Codec, value: Value) -> Encoded:
    """Encode a value as something that is not a deletion. CodecError."""
    encoded = codec.encode(value)
    if not encoded.payload:
        raise CodecError("an empty payload would be a deletion")
    return encoded


_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ENCODINGS: Final = ("utf-8", "latin-1", "ascii", "cp1252")

type _Fits = Callable[[Value], bool]


def _is_word(value: Value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value == value.strip(_SPACE)


def _is_text(value: Value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255


def _is_flag(value: Value) -> bool:
    return isinstance(value, bool)


def _is_count(value: Value) -> bool:
    return type(value) is int and 0 <= value <= 15


_KINDS: Final[Mapping[str, tuple[Callable[[dict[str, Any]], Codec], Mapping[str, _Fits]]]] = {
    "json": (lambda it: Json(**it), {"item": _is_text}),
    "bool": (lambda it: Bool(**it), {"true": _is_word, "false": _is_word}),
    "number": (
        lambda it: Number(whole=it.get("int", False), precision=it.get("precision")),
        {"int": _is_flag, "precision": _is_count},
    ),
    "text": (lambda it: Text(**it), {"encoding": _is_text}),
    "cbor": (lambda _: Cbor(), {}),
    "msgpack": (lambda _: Msgpack(), {}),
    "binary": (lambda _: Binary(), {}),
    "null": (lambda _: Null(), {}),
    # what the real gate calls them
    "utf8": (lambda _: Text(), {}),
    "noop": (lambda _: Binary(), {}),
    "std-cbor": (lambda _: Cbor(), {}),
    "std-msgpack": (lambda _: Msgpack(), {}),
}
NAMES: Final = tuple(_KINDS)


def _option(key: Key) -> str:
    """Return an option's name; YAML makes booleans of the words true and false."""
    return str(key).lower() if isinstance(key, bool) else str(key)
