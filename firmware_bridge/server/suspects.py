"""Which message it is that the broker hangs up on: it is not sent for ever. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_CHANCES: Final = 3  # times that the connection may end while one message is under way alone


class Suspects[Key]:
    """Whoever was under way when a connection ended goes alone the next time, until it is clear who it was."""

    def __init__(self) -> None:
        self._strikes: dict[Key, int] = {}
        self._under_way: Sequence[Key] = ()
        self._convicted: set[Key] = set()

    def choose(self, waiting: Iterable[Key]) -> Iterator[Key]:
        """Go through who may be sent together: all up to the next suspect, or that one alone."""
        for number, key in enumerate(waiting):
            suspect = key in self._strikes
            if not suspect or not number:
                yield key
            if suspect:
                return

    def sent(self, keys: Sequence[Key]) -> None:
        """Take who is under way."""
        self._under_way = keys

    def arrived(self) -> None:
        """Take that all who were under way have arrived."""
        for key in self._under_way:
            self._strikes.pop(key, None)
        self._under_way = ()

    def lost(self) -> Key | None:
        """Take that the connection has ended; return who is convicted now."""
        keys, self._under_way = self._under_way, ()
        for key in keys:
            self._strikes[key] = self._strikes.get(key, 0) + 1
        if len(keys) == 1 and self._strikes[keys[0]] >= _CHANCES:
            self._convicted.add(keys[0])
            return keys[0]
        return None

    def __contains__(self, key: Key) -> bool:
        """Whether this is never to be sent again."""
        return key in self._convicted
