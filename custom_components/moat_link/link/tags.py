"""CBOR tags and what they stand for."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Final

from .elements import MAX_BITS
from .errors import DecodeError
from .path import ROOT, Path
from .values import Opaque, RemoteObject, Value, is_member, keywords_of


def untag(tag: int, content: Value) -> Value:
    """Give a tag its meaning; unknown ones, and those that could do harm, stay as they are."""
    reader = _READERS.get(tag)
    if reader is None:
        return Opaque(tag, content)
    try:
        return reader(content)
    except (ValueError, TypeError, OverflowError, OSError) as err:
        raise DecodeError(f"content of tag {tag}: {str(err)[:200]}") from err


def _read_date(content: Value) -> Value:
    if not isinstance(content, str):
        raise TypeError("a date is text")
    time = datetime.fromisoformat(content)
    if time.tzinfo is None:
        raise ValueError("no time zone")
    return time.astimezone(UTC)


def _read_timestamp(content: Value) -> Value:
    if isinstance(content, bool) or not isinstance(content, (int, float)):
        raise TypeError("a time is a number")
    return datetime.fromtimestamp(content, UTC)


def _read_integer(content: Value) -> int:
    if not isinstance(content, bytes) or len(content) > MAX_BITS // 8:
        raise ValueError("integer too large")
    return int.from_bytes(content)


def _read_object(content: Value) -> Value:
    match content:
        case [str() | Opaque(32769, str()) as reference, *arguments]:
            name = reference.value if isinstance(reference, Opaque) else reference
            keywords = keywords_of(arguments[-1]) if arguments else None
            if keywords is not None:
                arguments.pop()
            return RemoteObject(str(name), tuple(arguments), keywords or {})
    return Opaque(27, content)


def _read_path(content: Value) -> Value:
    if not isinstance(content, list):
        raise TypeError("a path is an array")
    if content and isinstance(content[0], Opaque):
        return Opaque(39, content)  # a root of the application's own
    return Path.of(content)


def _read_address[A, N, I](
    size: int,
    address: Callable[[bytes], A],
    network: Callable[[tuple[bytes, int]], N],
    interface: Callable[[tuple[bytes, int]], I],
    content: Value,
) -> A | N | I | Opaque:
    match content:
        case bytes():
            return address(content.ljust(size, b"\0"))
        case [int() as bits, bytes() as start]:
            return network((start.ljust(size, b"\0"), bits))
        case [bytes() as start, int() as bits]:
            return interface((start.ljust(size, b"\0"), bits))
    return Opaque(52 if size == 4 else 54, content)  # with a zone


_read_v4: Final = partial(_read_address, 4, IPv4Address, IPv4Network, IPv4Interface)
_read_v6: Final = partial(_read_address, 16, IPv6Address, IPv6Network, IPv6Interface)


def _read_set(content: Value) -> Value:
    if not isinstance(content, list):
        raise TypeError("a set is an array")
    if all(is_member(item) for item in content):
        return frozenset(content)
    return Opaque(258, content)


def _read_old_address(content: Value) -> Value:
    if not isinstance(content, bytes) or len(content) not in (4, 16):
        return Opaque(260, content)  # a hardware address
    return IPv4Address(content) if len(content) == 4 else IPv6Address(content)


def _read_old_network(content: Value) -> Value:
    match content:
        case dict() if len(content) == 1:
            ((start, bits),) = content.items()
            if isinstance(start, bytes) and isinstance(bits, int):
                short = len(start) <= 4
                return IPv4Network((start, bits)) if short else IPv6Network((start, bits))
    raise ValueError("not one network")


def _read_reference(content: Value) -> Value:
    return ROOT if content == ROOT.value else Opaque(32769, content)


def _transparent(content: Value) -> Value:
    return content


_READERS: Final[dict[int, Callable[[Value], Value]]] = {
    0: _read_date,
    1: _read_timestamp,
    2: _read_integer,
    3: lambda content: -1 - _read_integer(content),
    27: _read_object,
    39: _read_path,
    52: _read_v4,
    54: _read_v6,
    258: _read_set,
    260: _read_old_address,
    261: _read_old_network,
    32769: _read_reference,
    55799: _transparent,
    55800: _transparent,
}
