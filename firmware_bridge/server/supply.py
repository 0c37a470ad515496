"""What the broker gets back: whatever it has lost, or holds in an older version; and word of that."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from ..link.errors import LinkError
from ..link.meta import Meta
from .broker import Broker
from .debts import Debts
from .store import PASSING
from .suspects import Suspects
from .tree import REPORTS, Tree
from .witness import TOPIC, Witness

_LOGGER = logging.getLogger(__name__)

_TURN: Final = 100  # messages published in one go, if the broker lacks many
_TURN_SIZE: Final = 256 << 10  # bytes
_PACE: Final = 0.05  # seconds between two turns, so that nobody who listens is drowned
_IDLE: Final = 0.5
_SLICE: Final = 2000  # nodes looked at in one go
_RENEWAL: Final = 60.0
_PATIENCE: Final = 0.5  # seconds for somebody else to correct what the broker holds
_PATIENCE_BEHIND: Final = 4.0  # for the main server to do so
_GOODBYE: Final = 2.0  # seconds for the last word, whatever the disk is busy with


class Supplier:
    """Publishes what is owed to the broker, and leaves word there that it has everything."""

    def __init__(
        self,
        name: str,
        tree: Tree,
        broker: Broker,
        debts: Debts,
        witness: Witness,
        *,
        first: Callable[[], bool],
    ) -> None:
        """`first` tells whether we are to be the first to correct what the broker holds."""
        self._name = name
        self._word = (TOPIC / name).topic.split("/")
        self._tree = tree
        self._broker = broker
        self._debts = debts
        self._witness = witness
        self._first = first
        self._suspects: Suspects[str] = Suspects()
        self._asked = asyncio.Event()
        self._vouched = 0
        self._vouching = asyncio.Lock()
        self.supplied = 0
        """How many nodes the broker has got from us because it lacked them."""

    @property
    def owed(self) -> int:
        """How many nodes are to be published as soon as possible."""
        return len(self._debts)

    async def run(self) -> None:
        """Publish what is owed to the broker, at a pace that others can bear; for ever."""
        while True:
            await self._pause()
            asked = self._asked.is_set()
            self._asked.clear()
            await self._remember()
            session = self._broker.session
            if session is None or session.closed:
                continue  # when there is another one, somebody asks again
            if asked:
                await self.supply()
                continue
            patience = _PATIENCE if self._first() else _PATIENCE_BEHIND
            self._debts.fall_due(self._tree.clock.monotonic() - patience)
            try:
                if self._debts:
                    self._pay()
                    await session.barrier()
                    self._suspects.arrived()
                elif self._tree.clock.time() - self._witness.time > _RENEWAL:
                    await self.vouch()
            except LinkError as err:
                _LOGGER.debug("The broker: %s", err)
                self._judge()

    def ask(self) -> None:
        """Have `supply` done soon."""
        self._asked.set()

    async def supply(self) -> None:
        """Have everything published that the broker is not known to retain, and should."""
        count, session = 0, self._broker.sessions
        for number, (levels, node) in enumerate(self._tree.store.nodes(), 1):
            if self._tree.lacking(node) and levels[:3] != REPORTS:
                topic = "/".join(levels)
                if self._tree.outlived(node) and topic not in self._debts:
                    self._tree.passed(levels, node)
                else:
                    self._debts.owe(topic)
                    count += 1
            if not number % _SLICE:
                await asyncio.sleep(0)
                if session != self._broker.sessions:
                    return  # what the next one retains has not been read yet
        self._debts.survey(done=True)
        if count:
            _LOGGER.info("The broker lacks %d nodes, which it gets now", count)

    async def vouch(self) -> None:
        """Leave word at the broker that it has everything up to now, if there is news. LinkError."""
        async with self._vouching:
            session, changes = self._broker.session, self._tree.changes
            now = self._tree.clock.time()
            if session is None or self._vouched == changes:
                return
            complete = now if self._debts.paid else self._tree.complete
            try:
                await asyncio.to_thread(self._tree.passing.save)
                said = await asyncio.to_thread(self._witness.renew, now, complete=complete)
                meta = Meta(self._name, self._tree.clock.time())
                session.publish_nowait(self._broker.packet(self._word, said, meta, retain=True))
                await session.barrier()
                self._vouched = changes
                await asyncio.to_thread(self._witness.confirm)
            except OSError as err:
                _LOGGER.debug("Not remembered: %s", err)

    async def take_leave(self) -> None:
        """Leave word for the last time, if that does not take long."""
        with contextlib.suppress(LinkError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self.vouch()

    async def _pause(self) -> None:
        """Let others have their turn, until something is to be done."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PACE if self._debts else _IDLE):
                await self._asked.wait()

    async def _remember(self) -> None:
        """Keep on disk what was said in passing, if there is news."""
        if self._tree.passing.due:
            try:
                async with self._vouching:
                    await asyncio.to_thread(self._tree.passing.save)
            except OSError as err:
                _LOGGER.debug("Not remembered: %s", err)

    def _judge(self) -> None:
        """Note that the session has ended, perhaps because of what was under way."""
        if (topic := self._suspects.lost()) is not None:
            _LOGGER.error("Not published any more, the broker hangs up on it: %s", topic)

    def _pay(self) -> None:
        """Publish some of what is owed."""
        size = 0
        paid: list[str] = []
        for topic in list(self._suspects.choose(self._debts.next(_TURN))):
            if size > _TURN_SIZE:
                break
            self._debts.pay(topic)
            if topic in self._suspects:
                continue
            paid.append(topic)
            self._suspects.sent(paid)
            levels = topic.split("/") if topic else []
            node = self._tree.store.find(levels)
            if node is None or node.record is None or node.kept == PASSING:
                continue
            size += len(node.record)
            self.supplied += self._tree.lacking(node)
            node.kept = self._tree.connection
            self._broker.tell(levels, *node.record.unpack())
