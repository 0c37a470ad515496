"""Completes watches: what there is now, before and besides what changes; and what is gone.

The server's tree is the source if there is one: it knows more than the broker. It leaves out `run`,
so that comes from the broker's retained messages, as does everything while there is no server.

What was known and is not mentioned is asked for once more before it counts as gone: of a server
after a moment, as it may have just started and be reading itself; of the broker after a period of
grace, as it may have forgotten everything, and the owners are about to say it again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from .clock import Clock
from .errors import ConnectionLostError, LinkError, NoAnswerError, RefusedError
from .path import Path
from .presence import Presence
from .server import Server
from .subscriptions import Interest
from .watch import Watch, Watches

_LOGGER = logging.getLogger(__name__)

RUN: Final = Path("run")
PATIENCE: Final = 1.0  # seconds before the broker is asked again
WALK_PATIENCE: Final = 8.0  # seconds for the server to send another node of a snapshot
WALK_LIMIT: Final = 10.0  # seconds for a whole walk: a server may also go on answering for ever
SURE: Final = (
    1_000  # messages that a broker keeps for us, however busy we are (mosquitto's default)
)
READINGS: Final = 5  # at most so many, of more than that
DOUBT: Final = 2.0  # seconds before a server that does not know a node is asked again


class Synchronizer:
    """Keeps all watches complete for the life of one session."""

    def __init__(
        self,
        presence: Presence,
        watches: Watches,
        server: Callable[[], Server | None],
        clock: Clock,
        *,
        grace: float,
        on_ready: Callable[[], None],
        on_refused: Callable[[RefusedError], None],
    ) -> None:
        """`grace`: seconds before something the broker no longer has counts as gone."""
        self._subscriptions = presence.subscriptions
        self._origin = presence.id
        self._watches = watches
        self._server = server
        self._silent: Server | None = None
        self._clock = clock
        self._grace = grace
        self._on_ready = on_ready
        self._wake = asyncio.Event()
        self._due: dict[Watch, None] = dict.fromkeys(watches)
        self._followed: set[Watch] = set()
        self._burials: dict[Watch, float] = {}
        self._on_refused = on_refused

    def add(self, watch: Watch) -> None:
        """Complete a new watch."""
        self._due[watch] = None
        self._wake.set()

    def remove(self, watch: Watch) -> None:
        """Unsubscribe from what only this watch wanted."""
        self._due.pop(watch, None)
        self._burials.pop(watch, None)
        self._wake.set()

    def renew(self) -> None:
        """Complete all watches again: there is another server."""
        self._due.update(dict.fromkeys(self._watches))
        self._wake.set()

    async def complete(self, watch: Watch) -> None:
        """Subscribe to what a watch follows, and bring it up to date."""
        server = self._server_for(watch)
        walked = False
        watch.begin()
        if server is not None and watch.snapshot:
            await self._follow(watch, retained=False)
            walked = await self._walk(watch, server)
        if not walked:
            await self._follow(watch, retained=watch.snapshot)
        elif not watch.prefix:
            await self._subscriptions.read(Interest(RUN))
        self._settle(watch, walked)

    async def run(self) -> None:
        """Work until cancelled; return when the session is lost."""
        try:
            while True:
                self._wake.clear()
                await self._work()
                self._on_ready()
                await self._rest()
        except ConnectionLostError:
            _LOGGER.debug("The session ended during a snapshot")

    async def _work(self) -> None:
        for watch in self._followed - set(self._watches):
            self._followed.discard(watch)
            await self._try(watch, self._subscriptions.drop(watch.interest))
        for watch in [watch for watch, due in self._burials.items() if due <= self._now()]:
            del self._burials[watch]
            if watch.doomed:
                await self._try(watch, self._bury(watch))
        while self._due:
            watch = next(iter(self._due))
            del self._due[watch]
            await self._try(watch, self.complete(watch))

    async def _try(self, watch: Watch, work: Awaitable[None]) -> None:
        """Do something about a watch; what is denied stays so, what is not answered is repeated."""
        try:
            await work
        except RefusedError as err:
            watch.abort()
            self._on_refused(err)
        except NoAnswerError as err:
            watch.abort()
            _LOGGER.debug("The broker is slow: %s", err)
            await asyncio.sleep(PATIENCE)
            if watch in set(self._watches):
                self._due[watch] = None

    async def _bury(self, watch: Watch) -> None:
        """Look once more, and delete what is still not there."""
        server = self._server_for(watch)
        walked = server is not None and await self._walk(watch, server)
        if not walked:
            await self._subscriptions.read(watch.interest)
        elif not watch.prefix:
            await self._subscriptions.read(Interest(RUN))
        watch.bury(self._origin, self._clock.time())

    async def _rest(self) -> None:
        """Wait for news, or for the next grace period to end."""
        next_burial = min(self._burials.values(), default=None)
        delay = None if next_burial is None else max(0.0, next_burial - self._now())
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _follow(self, watch: Watch, *, retained: bool) -> None:
        if watch not in self._followed:
            await self._subscriptions.want(watch.interest, retained=retained)
            self._followed.add(watch)
        elif retained:
            await self._subscriptions.read(watch.interest)
        if retained:
            await self._make_sure(watch)

    async def _make_sure(self, watch: Watch) -> None:
        """Read what is a lot again until nothing is new: a broker may drop some, and say nothing."""
        before = 0
        for _ in range(1, READINGS):
            if not SURE < watch.mentioned > before:
                break
            before = watch.mentioned
            await self._subscriptions.read(watch.interest)

    async def _walk(self, watch: Watch, server: Server) -> bool:
        try:
            async with asyncio.timeout(WALK_LIMIT), asyncio.timeout(WALK_PATIENCE) as limit:
                await server.settle()
                async for message in server.walk(watch.prefix):
                    watch.deliver(message, self._clock.time())
                    limit.reschedule(asyncio.get_running_loop().time() + WALK_PATIENCE)
        except TimeoutError:
            self._silent = server
            _LOGGER.debug("Server %s comes to no end; asking the broker from now on", server.name)
            return False
        except LinkError as err:
            _LOGGER.debug("No snapshot of %s from the server: %s", watch.prefix, err)
            return False
        return True

    def _settle(self, watch: Watch, walked: bool) -> None:
        """Doubt what the snapshot did not mention, and mark its end."""
        missing = watch.end(retained_only=not walked) if watch.snapshot else watch.abort()
        if missing:
            at_the_broker = not walked or any(topic.startswith("run/") for topic in missing)
            watch.doom(missing)
            self._burials[watch] = self._now() + (self._grace if at_the_broker else DOUBT)
        watch.mark()

    def _server_for(self, watch: Watch) -> Server | None:
        """Return the server, unless it does not know what is watched, or does not answer."""
        server = None if watch.prefix.starts_with(RUN) else self._server()
        return None if server is self._silent else server

    def _now(self) -> float:
        return self._clock.monotonic()
