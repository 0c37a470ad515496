"""Where a CBOR item ends, and how much is in it, without decoding it."""

from typing import Final

from .errors import DecodeError


class Scanner:
    """Finds where an item ends without decoding it; goes on where it stopped, counts, limits."""

    __slots__ = ("_depth", "_items", "_limit", "_open", "_position")

    def __init__(self, items: int, depth: int, limit: int) -> None:
        self._items = items
        self._depth = depth
        self._limit = limit
        self._position = 0
        self._open: list[int] = []  # items still to come in each open container; -1: until a break

    def scan(self, data: bytes | bytearray) -> int:
        """Return the item's length, 0 if bytes are missing. Raise DecodeError."""
        position, size, waiting = self._position, len(data), self._open
        while position < size:
            self._position = position
            inner, position = _head(data, position)
            if position > self._limit:
                raise DecodeError("too many bytes")
            if position > size:
                return 0
            self._items -= 1
            if inner > self._items or self._items < 0:
                raise DecodeError("too many items")
            if inner == _BREAK:
                if not waiting or waiting.pop() != _UNTIL_BREAK:
                    raise DecodeError("a break without a beginning")
            elif inner:
                waiting.append(inner)
                if len(waiting) > self._depth:
                    raise DecodeError("nested too deeply")
                continue
            if _all_closed(waiting):
                return position
        self._position = position
        return 0


_UNTIL_BREAK: Final = -1
_BREAK: Final = -2


def _head(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """Return how many items the one that starts here contains, and where its own bytes end."""
    major, argument, end = data[start] >> 5, data[start] & 31, start + 1
    if argument > 23:
        if argument == 31 and major == 7:
            return _BREAK, end
        if argument == 31 and 2 <= major <= 5:
            return _UNTIL_BREAK, end
        if argument > 27:
            raise DecodeError(f"malformed item: {data[start : start + 20].hex()}")
        end += 1 << (argument - 24)
        argument = int.from_bytes(data[start + 1 : end])
    match major:
        case 2 | 3:
            return 0, end + argument
        case 4 | 5:
            return argument * (major - 3), end
        case 6:
            return 1, end
    return 0, end


def _all_closed(waiting: list[int]) -> bool:
    """Count one complete item; close the containers that it completes."""
    while waiting:
        if waiting[-1] == _UNTIL_BREAK:
            return False
        waiting[-1] -= 1
        if waiting[-1]:
            return False
        waiting.pop()
    return True
