"""What the broker is to get from us: at once, or if nobody else corrects it in time. Pure."""

from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Final

_MOST: Final = 200_000


class Debts:
    """Topics that are owed to the broker, and those of which it is in doubt; both limited."""

    def __init__(self) -> None:
        self._owed: dict[str, None] = {}
        self._doubts: dict[str, float] = {}
        self._complete = False
        """Whether all that the broker lacks is among them."""

    def __len__(self) -> int:
        """Return how many are owed."""
        return len(self._owed)

    def __contains__(self, topic: str) -> bool:
        """Tell whether one is owed, or in doubt."""
        return topic in self._owed or topic in self._doubts

    @property
    def paid(self) -> bool:
        """Whether the broker has everything."""
        return self._complete and not self._owed and not self._doubts

    def survey(self, *, done: bool) -> None:
        """Take note that somebody has (or not yet) looked at all that the broker may lack."""
        self._complete = done

    def owe(self, topic: str) -> None:
        """Add one, whose turn comes soon."""
        self._owed[topic] = None

    def note(self, topic: str) -> None:
        """Add one if there is room; else the next survey finds it."""
        if len(self._owed) < _MOST:
            self.owe(topic)
        else:
            self._complete = False

    def doubt(self, topic: str, now: float) -> None:
        """Add one that somebody else may correct."""
        if len(self._doubts) < _MOST:
            self._doubts.setdefault(topic, now)
        else:
            self._complete = False

    def trust(self, levels: Sequence[str]) -> None:
        """Take note that the broker was heard to have a node."""
        if self._doubts:
            self._doubts.pop("/".join(levels), None)

    def fall_due(self, until: float) -> None:
        """Owe what has been in doubt since then."""
        late = list(takewhile(lambda doubt: doubt[1] <= until, self._doubts.items()))
        for topic, _ in late:
            del self._doubts[topic]
            self._owed[topic] = None

    def next(self, most: int) -> list[str]:
        """Return which are next to be paid."""
        return list(islice(self._owed, most))

    def pay(self, topic: str) -> None:
        """Take note that one is published now."""
        self._owed.pop(topic, None)
