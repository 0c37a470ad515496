"""How much memory values take: an empty map is one byte on the wire, and seventy here."""

from collections.abc import Iterable, Mapping
from sys import getsizeof
from typing import TYPE_CHECKING, Final

from .values import Opaque, RemoteObject

if TYPE_CHECKING:
    from .frames import Reply

_SLOT: Final = 8
_PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})


def weigh(reply: Reply) -> int:
    """Return about how many bytes a reply takes; too many if values occur more than once."""
    weight = _SLOT + _items(reply.arguments)
    return weight + _map(reply.keywords) if reply.keywords else weight


def _items(items: Iterable[object]) -> int:
    weight = 0
    for item in items:
        weight += _SLOT + getsizeof(item)
        if type(item) not in _PLAIN:
            weight += _within(item)
    return weight


def _map(items: Mapping[str, object]) -> int:
    return _items(items) + _items(items.values())


def _within(item: object) -> int:
    """Weigh what is in something, without itself."""
    match item:
        case dict():
            return _map(item) if item else 0
        case list() | tuple() | frozenset():
            return _items(item) if item else 0
        case Opaque():
            return _items((item.value,))
        case RemoteObject():
            return _items((item.arguments, item.keywords))
    return _OTHER


_OTHER: Final = 300
"""A path, an address, a time."""
