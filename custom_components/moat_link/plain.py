"""What came over the wire as JSON and as Markdown: nothing is lost silently, nothing is Python's."""

import re
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Final

from homeassistant.util.json import JsonObjectType, JsonValueType

from .link.codec import Absent, Key, Opaque, RemoteObject, Value
from .link.elements import Element, Root
from .link.path import Path

INTEGERS: Final = range(-(2**63), 2**64)
"""What JSON readers take for whole numbers; others become text."""


def to_json(value: Value) -> JsonValueType:
    """Return times as ISO text, bytes as hex digits, paths dotted, sets as sorted lists."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if value in INTEGERS else str(value)
        case float():
            return value if isfinite(value) else None
        case Absent():
            return None
        case bytes():
            return value.hex()
        case datetime():
            return value.isoformat()
        case Root():
            return ":R"
        case list():
            return [to_json(item) for item in value]
        case frozenset():
            return sorted(map(to_json, value), key=_rank)
        case dict():
            return _map(value)
        case RemoteObject():
            return {
                "name": value.name,
                "arguments": [to_json(item) for item in value.arguments],
                "keywords": _map(value.keywords),
            }
        case Opaque():
            return {"tag": to_json(value.tag), "value": to_json(value.value)}
    return str(value)  # a path, an address


def element_to_json(element: Element) -> JsonValueType:
    """Return one element of a path."""
    if isinstance(element, tuple):
        return [element_to_json(item) for item in element]
    return to_json(element)


def to_markdown(text: str) -> str:
    """Return Markdown that shows just this text, in one line: no picture, no link, no emphasis."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


_MARKUP: Final = re.compile(r"[\\`*_\[\]<>#!|~&]")


def _map(items: Mapping[Key, Value] | Mapping[str, Value]) -> JsonObjectType:
    """Return a map with text as keys; one that is taken already is spelled as in a path."""
    result: JsonObjectType = {
        key: to_json(item) for key, item in items.items() if isinstance(key, str)
    }
    for key, item in items.items():
        if not isinstance(key, str):
            text = _key(key)
            result[text if text not in result else str(Path(key))] = to_json(item)
    return result


def _key(key: Key) -> str:
    match key:
        case None:
            return "null"
        case bool():
            return str(key).lower()
        case bytes():
            return key.hex()
    return str(key)


def _rank(item: JsonValueType) -> tuple[bool, float, str]:
    """Sort numbers by value, before everything else by its text."""
    if isinstance(item, int | float):
        return False, item, ""
    return True, 0, str(item)
