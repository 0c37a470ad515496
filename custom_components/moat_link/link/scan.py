"""Where a CBOR item ends, and how much is in it, without decoding it."""

from typing import Final, NamedTuple

from .errors import DecodeError


class Limits(NamedTuple):
    """How large an item may be."""

    size: int
    """Bytes."""
    items: int
    """Items within it, at every level together."""
    depth: int
    """Containers and tags within each other."""


class Scanner:
    """Finds where an item ends; goes on where it stopped, so that pieces cost no more than a whole.

    Refuses what goes over the limits, and maps whose keys are containers or tagged: their hashes
    can be made to collide, which costs the decoder seconds.
    """

    __slots__ = ("_depth", "_items", "_maps", "_position", "_size", "_waiting")

    def __init__(self, limits: Limits) -> None:
        """Start before the first byte of an item."""
        self._size, self._items, self._depth = limits
        self._position = 0
        self._waiting: list[int] = []  # items that each open container waits for, or one of below
        self._maps: list[bool] = []  # whether that container is a map

    def scan(self, data: bytes | bytearray) -> int:
        """Return the item's length, 0 while bytes are missing. Raise DecodeError."""
        position, size = self._position, len(data)
        waiting, maps = self._waiting, self._maps
        while position < size:
            self._position = position
            kind = data[position] >> 5
            inner, position = _head(data, position)
            if position > self._size:
                raise DecodeError("too many bytes")
            if position > size:
                return 0
            self._items -= 1
            if inner > self._items or self._items < 0:
                raise DecodeError("too many items")
            if kind in _CONTAINERS and maps and maps[-1] and not waiting[-1] % 2:
                raise DecodeError("a map's key is a container")
            if inner == _BREAK:
                self._break()
            elif inner:
                waiting.append(inner)
                maps.append(kind == _MAP)
                if len(waiting) > self._depth:
                    raise DecodeError("nested too deeply")
                continue
            if self._is_whole():
                return position
        self._position = position
        return 0

    def _break(self) -> None:
        """End the innermost container."""
        if not self._waiting or self._waiting[-1] not in (_ENDLESS, _ENDLESS_MAP):
            raise DecodeError("a break where nothing is to end")
        self._waiting.pop()
        self._maps.pop()

    def _is_whole(self) -> bool:
        """Count one complete item; close the containers that it completes."""
        waiting, maps = self._waiting, self._maps
        while waiting:
            if waiting[-1] < 0:
                if maps[-1]:
                    waiting[-1] = _ENDLESS_MAP + _ENDLESS_MAP_VALUE - waiting[-1]
                return False
            waiting[-1] -= 1
            if waiting[-1]:
                return False
            waiting.pop()
            maps.pop()
        return True


_ENDLESS: Final = -1
_ENDLESS_MAP: Final = -2  # a key, or the end, comes next; even like what a map waits for then
_ENDLESS_MAP_VALUE: Final = -3
_BREAK: Final = -4
_MAP: Final = 5
_CONTAINERS: Final = (4, _MAP, 6)


def _head(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """Return how many items the one that starts here contains, and where its own bytes end."""
    kind, argument, end = data[start] >> 5, data[start] & 31, start + 1
    if argument > 23:
        if argument == 31:
            return _endless(kind), end
        if argument > 27:
            raise DecodeError("no item starts like this")
        end += 1 << (argument - 24)
        argument = int.from_bytes(data[start + 1 : end])
    match kind:
        case 2 | 3:
            return 0, end + argument
        case 4:
            return argument, end
        case 5:
            return 2 * argument, end
        case 6:
            return 1, end
    return 0, end


def _endless(kind: int) -> int:
    match kind:
        case 2 | 3 | 4:
            return _ENDLESS
        case 5:
            return _ENDLESS_MAP
        case 7:
            return _BREAK
    raise DecodeError("no item starts like this")
