"""The tree and who is told of its changes: the journal, and for commands the broker, too."""

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from typing import Final

from ..link.clock import STEP, Clock
from ..link.codec import Value, encode
from ..link.errors import EncodeError
from ..link.meta import Meta
from ..link.path import Path
from .passing import Passing
from .reach import COMPLAINT, Reach
from .records import Record
from .store import LIFETIME, PASSING, RUN, FullError, Levels, Node, Outcome, Store

_LOGGER = logging.getLogger(__name__)

REPORTS: Final = list(COMPLAINT)
"""Where everybody reports what it cannot understand, for those who listen, not to stay."""
_PRUNING: Final = LIFETIME / 20
_SLICE: Final = 2000  # nodes looked at in one go

type Log = Callable[[Levels, Record], None]
type Remember = Callable[[Levels, Record, float], None]
type Tell = Callable[[Levels, Value, Meta], None]


class Tree:
    """The one door through which the store is changed."""

    def __init__(
        self,
        clock: Clock,
        root: Path = Path(),  # noqa: B008  immutable
        *,
        most: float = math.inf,
        passing: Passing | None = None,
    ) -> None:
        """Take the installation's root, and how many bytes there may be.

        What does not fit is refused, whoever brings it, but not what files say, nor reports of our own.
        """
        self.most = most
        self.turned_away = 0
        """How many writes had no room."""
        self.reach = Reach(root)
        self.store = Store()
        self.clock = clock
        self.passing = passing or Passing(clock)
        """Events: topics whose last message was not to be retained."""
        self.log: Log = _nobody
        self.tell: Tell = _nobody_told
        self.remember: Remember = _nobody_remembers
        self.connection = 0
        """Which connection with the broker this is; counted from 1."""
        self.complete = 0.0
        """Up to which time the broker had everything, and has kept it; 0 if that is not known."""
        self.changes = 0

    def write(self, levels: Levels, value: Value, meta: Meta) -> Outcome:
        """Carry out a command's write: kept on disk and published if it is newer. EncodeError."""
        return self._write(levels, value, meta, self.most)

    def receive(
        self, levels: Levels, value: Value, meta: Meta, *, passing: bool = False
    ) -> Outcome:
        """Take what another server says (`passing`: an event): kept on disk if newer. EncodeError."""
        most = math.inf if levels[:1] == [RUN] else self.most  # others say nothing of that
        outcome, node = self._place(levels, encode(value), meta, most)
        if outcome.stored and levels[:1] != [RUN]:
            if passing:
                self.passed(levels, node)
            elif node.kept != PASSING:
                node.kept = -abs(node.kept)
        return outcome

    def hear(self, levels: Levels, value: Value, meta: Meta, *, retained: bool) -> bool:
        """Take what the broker says: kept on disk if it is newer; whether it retains something older.

        EncodeError.
        """
        outcome, node = self._place(levels, encode(value), meta, self.most)
        if not retained:
            if outcome.stored:
                self.passed(levels, node)
            return False
        if meta.time < node.time:
            return self.differs(node)
        self.retained(levels, node)
        return False

    def retained(self, levels: Levels, node: Node) -> None:
        """Take note that the broker retains what a node is, or will in a moment."""
        if node.kept in (0, PASSING):
            self.passing.discard("/".join(levels))
        node.kept = self.connection

    def differs(self, node: Node) -> bool:
        """Take note that the broker retains something else; whether that is to be corrected."""
        if node.kept == PASSING:
            return False
        node.kept = -self.connection
        return True

    def passed(self, levels: Levels, node: Node) -> None:
        """Take note that what a node is was said in passing: an event, which is never retained."""
        if node.kept != PASSING:
            node.kept = PASSING
            if levels[:3] != REPORTS:
                self.passing.add("/".join(levels))

    def lacking(self, node: Node) -> bool:
        """Whether the broker is not known to retain what a node is, and should."""
        if node.record is None or node.kept in (PASSING, self.connection):
            return False
        return node.kept == -self.connection or not node.record.deleted

    def outlived(self, node: Node) -> bool:
        """Whether a node from a file was not retained by the broker when it last had everything."""
        return not node.kept and node.time <= self.complete > 0

    def recall(self) -> None:
        """Know again which of the nodes from the files were said in passing."""
        self.passing.load()
        for topic in self.passing:
            node = self.store.find(topic.split("/") if topic else [])
            if node is None or node.record is None:
                self.passing.discard(topic)
            else:
                node.kept = PASSING

    def restore(self, levels: Levels, value: Value, meta: Meta) -> None:
        """Take what a file says. EncodeError."""
        self.reach.check(levels, meta)
        if levels[:1] != [RUN]:
            self.store.merge(levels, encode(value), meta)

    def snapshot(self) -> Iterator[tuple[Levels, Record]]:
        """Go through all nodes, deleted ones too, but not below `run`."""
        path: list[str] = []
        for kept, added, record in self.store.walk([], deleted=True):
            path = path[:kept] + added
            yield path, record

    def stamp(self, levels: Levels) -> float:
        """Return a time for a write of our own, or without one: now, or just after what is there."""
        node = self.store.find(levels)
        now = self.clock.time()
        if node is None or node.record is None:
            return now
        return max(now, node.time + STEP, math.nextafter(node.time, math.inf))

    def report(self, levels: Levels, message: Value, origin: str) -> None:
        """Write a node of our own; what cannot be written is not worth an exception."""
        try:
            self._write(levels, message, Meta(origin, self.stamp(levels)), math.inf)
        except EncodeError as err:
            _LOGGER.debug("Not reported: %s", err)

    async def run(self) -> None:
        """Forget old deletions now and then, for ever."""
        while True:
            await asyncio.sleep(_PRUNING)
            for number, _ in enumerate(self.store.prune(self.clock.time()), 1):
                if not number % _SLICE:
                    await asyncio.sleep(0)

    def _write(self, levels: Levels, value: Value, meta: Meta, most: float) -> Outcome:
        outcome, node = self._place(levels, encode(value), meta, most)
        if outcome.stored:
            self.retained(levels, node)
            self.tell(levels, value, meta)
        return outcome

    def _place(self, levels: Levels, value: bytes, meta: Meta, most: float) -> tuple[Outcome, Node]:
        self.reach.check(levels, meta)
        try:
            outcome, node = self.store.place(levels, value, meta, most=most)
        except FullError:
            self.turned_away += 1
            raise
        if outcome.stored and levels[:1] != [RUN]:
            assert node.record is not None
            self.changes += 1
            self.log(levels, node.record)
            self.remember(levels, node.record, meta.time)
        return outcome, node


def _nobody(levels: Levels, record: Record) -> None:
    """Log nothing."""


def _nobody_told(levels: Levels, value: Value, meta: Meta) -> None:
    """Tell nobody."""


def _nobody_remembers(levels: Levels, record: Record, time: float) -> None:
    """Keep no history."""
