"""What one session is subscribed to: as few filters as cover everything wanted.

Brokers deliver a message once for every subscription it matches. The state of a node survives that,
as equal times are dropped; events would arrive twice. So a filter inside another one is not
subscribed to, except for the moment it takes to read its retained messages.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from .errors import RefusedError
from .path import Path

FROM_NOW: Final = 2  # retain handling: updates only
WITH_RETAINED: Final = 0  # retain handling: what the broker holds, then updates


class Subscriber(Protocol):
    """The part of a session that this needs."""

    async def subscribe(
        self, *filters: str, qos: int = 0, retain_handling: int = 0, no_local: bool = False
    ) -> None:
        """Subscribe to filters."""

    async def unsubscribe(self, *filters: str) -> None:
        """Unsubscribe from filters."""

    async def barrier(self) -> None:
        """Return when everything the broker has sent so far has been delivered."""


@dataclass(frozen=True, slots=True)
class Interest:
    """A node, or a node and everything below it; the path is relative to the root."""

    path: Path
    subtree: bool = True


class Subscriptions:
    """Keeps the subscriptions of one session at the smallest set that covers all interests."""

    def __init__(self, session: Subscriber, root: Path) -> None:
        """Start without any."""
        self._session = session
        self._root = root
        self._wanted: Counter[Interest] = Counter()
        self._active: set[Interest] = set()
        self._lock = asyncio.Lock()
        self.replaying = 0  # how many reads of retained messages are going on
        self.changes = 0  # how often something was subscribed to

    async def want(self, *interests: Interest, retained: bool = False, qos: int = 0) -> None:
        """Follow these; with `retained`, return when everything the broker holds has arrived.

        When the broker denies one of them, none is followed.
        """
        self._wanted.update(interests)
        try:
            async with self._lock:
                await self._follow(interests, retained, qos)
        except BaseException:
            self._forget(interests)
            raise

    async def read(self, interest: Interest) -> None:
        """Return when everything the broker holds there has been delivered (again)."""
        async with self._lock:
            self.replaying += 1
            try:
                await self._replay([interest])
            finally:
                self.replaying -= 1

    async def drop(self, *interests: Interest) -> None:
        """Stop following these, as far as nobody else wants them."""
        self._forget(interests)
        async with self._lock:
            await self._narrow()

    def _forget(self, interests: Iterable[Interest]) -> None:
        self._wanted.subtract(interests)
        self._wanted = +self._wanted

    async def _follow(self, interests: Sequence[Interest], retained: bool, qos: int) -> None:
        new = [one for one in interests if not _covered(one, self._active)]
        self.replaying += retained
        try:
            if new:
                await self._activate(new, qos, WITH_RETAINED if retained else FROM_NOW)
                await self._narrow()
            if retained:
                await self._replay([one for one in interests if one not in new])
        finally:
            self.replaying -= retained

    async def _replay(self, interests: Sequence[Interest]) -> None:
        """Have retained messages sent again, and wait until all that are on the way are here."""
        if interests:
            await self._activate(interests, 0, WITH_RETAINED)
        await self._session.barrier()
        await self._narrow()

    async def _activate(self, interests: Sequence[Interest], qos: int, retained: int) -> None:
        # Noted first: when this is cancelled half-way, the next change puts it right.
        before = self._active.copy()
        self._active.update(interests)
        self.changes += 1
        try:
            await self._subscribe(interests, qos=qos, retain_handling=retained)
        except RefusedError:
            self._active = before
            raise

    async def _narrow(self) -> None:
        """Go from the active filters to the fewest that are needed, without a gap."""
        subtrees = _subtrees(self._wanted)
        needed = {one for one in self._wanted if not _inside(one, subtrees)}
        if missing := needed - self._active:
            await self._activate([*missing], 0, FROM_NOW)
        if surplus := self._active - needed:
            await self._unsubscribe(surplus)
            self._active -= surplus

    async def _subscribe(
        self, interests: Iterable[Interest], *, qos: int = 0, retain_handling: int
    ) -> None:
        filters = [self._filter(one) for one in interests]
        await self._session.subscribe(*filters, qos=qos, retain_handling=retain_handling)

    async def _unsubscribe(self, interests: Iterable[Interest]) -> None:
        await self._session.unsubscribe(*[self._filter(one) for one in interests])

    def _filter(self, interest: Interest) -> str:
        topic = (self._root / interest.path).topic
        return f"{topic}/#" if interest.subtree else topic


def _covered(interest: Interest, others: Collection[Interest]) -> bool:
    """Tell whether whoever follows these receives everything of this one."""
    return interest in others or _inside(interest, _subtrees(others))


def _subtrees(interests: Iterable[Interest]) -> set[str]:
    return {one.path.topic for one in interests if one.subtree}


def _inside(interest: Interest, subtrees: Container[str]) -> bool:
    """Tell whether this is a part of a larger subtree; what it costs depends on its depth only."""
    topic = interest.path.topic
    if not interest.subtree and topic in subtrees:
        return True
    while topic:
        topic = topic[: max(0, topic.rfind("/"))]
        if topic in subtrees:
            return True
    return False
