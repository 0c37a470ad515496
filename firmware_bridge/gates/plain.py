"""Plain values: what may come from outside, and what may go there. Pure; failures are CodecErrors."""

import json
import math
import re
from typing import Any, Final

import msgpack

from ..link.codec import ABSENT, Value

_DEPTH: Final = 16
_LARGEST: Final = 2**64


class CodecError(ValueError):
    """This payload, value or codec is not usable; the text says what is wrong with it."""


def as_text(payload: bytes, encoding: str = "utf-8") -> str:
    """Return a payload as text. CodecError."""
    try:
        return payload.decode(encoding)
    except UnicodeDecodeError as err:
        raise CodecError(f"not {encoding.upper()}: {payload[:40]!r}") from err


def load_json(text: str) -> Any:
    """Read JSON, without what is not JSON though Python reads it. CodecError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError as err:
        raise CodecError("nested too deeply") from err
    except json.JSONDecodeError as err:
        raise CodecError(f"not JSON: {err}") from err


def _refuse_constant(name: str) -> None:
    raise CodecError(f"{name} is not a number")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise CodecError(f"{digits[:20]}… is too large")
    return int(digits)


def refuse_extension(code: int, _: bytes) -> None:
    """Refuse an extension type of MessagePack. CodecError."""
    raise CodecError(f"extension type {code} means nothing here")


def checked(value: Any, depth: int = _DEPTH) -> Value:
    """Check that MoaT can read a value that has come from outside."""
    if depth < 0:
        raise CodecError("nested too deeply")
    match value:
        case bool() | None | bytes():
            return value
        case int():
            if not -_LARGEST <= value < _LARGEST:
                raise CodecError(f"{str(value)[:20]}… is too large")
        case float():
            if not math.isfinite(value):
                raise CodecError("a number that is not finite")
        case str():
            if _SURROGATE.search(value):
                raise CodecError("half a character (a surrogate)")
        case list():
            for item in value:
                checked(item, depth - 1)
        case dict():
            for key, item in value.items():
                if isinstance(key, tuple | list):
                    raise CodecError("a map with an array as key")
                checked(key)
                checked(item, depth - 1)
        case msgpack.Timestamp() | tuple():
            raise CodecError("a time is not translated")
    found: Value = value
    return found


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def plain(value: Value, *, more: bool = False, depth: int = _DEPTH) -> Any:
    """Check that a value is plain: what JSON knows, or with `more` what MessagePack knows."""
    if depth < 0:
        raise CodecError("nested too deeply")
    match value:
        case bool() | None | str():
            return value
        case int():
            if more and not -(2**63) <= value < _LARGEST:
                raise CodecError(f"{shown(value)} is too large")
            return value
        case float():
            if not math.isfinite(value):
                raise CodecError("not finite")
            return value
        case bytes() if more:
            return value
        case list():
            return [plain(item, more=more, depth=depth - 1) for item in value]
        case dict():
            for key in value:
                if not isinstance(key, str) and not more:
                    raise CodecError(f"{shown(key)} as a key is not text")
            return {key: plain(item, more=more, depth=depth - 1) for key, item in value.items()}
    raise CodecError(f"{shown(value)} has no equivalent")


def shown(value: Value) -> str:
    """Return a value for a sentence about it."""
    return "nothing" if value is ABSENT else f"{value!r:.40}"
