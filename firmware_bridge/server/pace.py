"""How fast a client is listened to, so that one that floods does not keep the others waiting. Pure."""

from typing import Final

LARGEST: Final = 32 * 1024
SMALLEST: Final = 256
_FIRST: Final = 4096
_SLOW: Final = 0.004  # seconds that one turn may take
_QUICK: Final = 0.001
_SHARE: Final = 0.5  # of the server's time, for one client while others want something
_BURST: Final = 1.0  # seconds of it that may be used at once
_LATELY: Final = 1.0
_LONGEST: Final = 0.5


class Rounds:
    """Whose turn it was last; shared by all clients."""

    __slots__ = ("before", "last", "who")

    def __init__(self) -> None:
        self.who: Pace | None = None
        self.last = self.before = float("-inf")

    def turn(self, who: Pace, now: float) -> None:
        """Note that somebody was listened to."""
        if self.who is not who:
            self.who = who
            self.before = self.last
        self.last = now


class Pace:
    """One client's share: how much to read at a time, and when to look the other way for a while.

    Who is alone may use all of the time; beside others, half of it. Nobody is ever cut off for that.
    """

    __slots__ = ("_credit", "_rounds", "_since", "piece")

    def __init__(self, rounds: Rounds, now: float) -> None:
        self._rounds = rounds
        self._credit = _BURST
        self._since = now
        self.piece = _FIRST
        """Bytes to read in one turn."""

    def used(self, size: int, begin: float, end: float) -> float:
        """Note a turn: bytes, times in seconds. Return how long to listen to others only."""
        used = end - begin
        if used > _SLOW and size > SMALLEST:
            self.piece = max(SMALLEST, int(min(self.piece, size) * _SLOW / used))
        elif used < _QUICK and size >= self.piece < LARGEST:
            self.piece = min(LARGEST, 2 * self.piece)
        earned = (end - self._since) * _SHARE
        self._since = end
        self._credit = min(_BURST, self._credit + earned - used)
        rounds = self._rounds
        rounds.turn(self, end)
        if self._credit >= 0:
            return 0.0
        if end - rounds.before > _LATELY:
            self._credit = 0.0  # nobody else wants anything
            return 0.0
        return min(-self._credit / _SHARE, _LONGEST)
