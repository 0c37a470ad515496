"""Recorded bytes of the real software: `tests/vectors`, and what their JSON notation stands for."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from pathlib import Path as File
from typing import Any

from cbor2 import CBORTag, undefined

from firmware_bridge.link.codec import ABSENT, Opaque, RemoteObject
from firmware_bridge.link.path import ROOT, Path

FOLDER = File(__file__).parent.parent / "vectors"


def load(name: str) -> Any:
    """Return a vector file, e.g. `load("moat-link/topics")`, as the JSON it is."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def neutral(node: Any) -> Any:
    """Turn the notation into what plain cbor2 knows: `CBORTag`, `undefined`, tuples, bytes."""
    return _revive(node, CBORTag, undefined, finite=False)


def value(node: Any) -> Any:
    """Turn the notation into the value the link's decoder delivers for it."""
    return _revive(node, _tagged, ABSENT, finite=True)


def packets(node: Any) -> Iterator[dict[str, Any]]:
    """Walk through everything in a vector file that is a PUBLISH packet."""
    if isinstance(node, dict):
        if node.get("type") == "PUBLISH":
            yield node
        for item in node.values():
            yield from packets(item)
    elif isinstance(node, list):
        for item in node:
            yield from packets(item)


def _revive(node: Any, tagged: Any, absent: Any, *, finite: bool) -> Any:
    def again(item: Any) -> Any:
        return _revive(item, tagged, absent, finite=finite)

    match node:
        case list():
            return [again(item) for item in node]
        case {"$bytes": text}:
            return bytes.fromhex(text)
        case {"$float": text}:
            number = float(text)
            return number if abs(number) < float("inf") or not finite else None
        case {"$int": text}:
            return int(text)
        case {"$undefined": _}:
            return absent
        case {"$tuple": items}:
            return tuple(again(item) for item in items)
        case {"$indef": items}:
            return [again(item) for item in items]
        case {"$map": pairs}:
            return {_key(again(key)): again(item) for key, item in pairs}
        case {"$tag": number}:
            return tagged(number, again(node["$value"] if "$value" in node else node["value"]))
        case dict():
            return {key: again(item) for key, item in node.items()}
        case _:
            return node


def _key(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key


def _tagged(number: int, content: Any) -> Any:
    match number, content:
        case 1, _:
            return datetime.fromtimestamp(content, UTC)
        case ((2 | 3), bytes()):
            size = int.from_bytes(content)
            return size if number == 2 else -1 - size
        case 27, [name, *arguments]:
            keywords = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
            return RemoteObject(name, tuple(arguments), keywords)
        case 32769, "R":
            return ROOT
        case 39, [Opaque(), *_]:
            return Opaque(39, content)
        case 39, _:
            return Path.of(content)
        case 52, bytes():
            return IPv4Address(content)
        case 54, bytes():
            return IPv6Address(content)
        case 52, [int() as bits, bytes() as start]:
            return IPv4Network((start.ljust(4, b"\0"), bits))
        case 52, [bytes() as address, int() as bits]:
            return IPv4Interface((address, bits))
        case 258, _:
            return frozenset(content)
        case 55799, _:
            return content
        case _:
            return Opaque(number, content)
