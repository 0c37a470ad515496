"""The other servers: a connection to each, for calls, and to agree with it about the data."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

from ..link.clock import Backoff
from ..link.codec import ABSENT, Value
from ..link.connection import Connection
from ..link.direct import DirectLink, DirectStatus, Endpoint, endpoints, same_machine, with_token
from ..link.errors import AuthenticationError, ConnectionLostError, LinkError, TlsError
from .ballot import fit_as_name
from .pace import Pace, Rounds
from .store import Levels
from .sync import Agreement, agree
from .tree import Tree

_LOGGER = logging.getLogger(__name__)

_MOST: Final = 32
_MOST_WAITING: Final = 1000
_TURN: Final = 2.0  # seconds until those who cannot be reached make room for others
_LONGEST: Final = 15.0  # seconds between attempts to connect
_REST: Final = 0.5
"""Seconds until we agree with the same server again, however often it is announced."""
_WAIT: Final = 20.0  # seconds until we agree with a server while we are at it with another one
_SHARE: Final = 4.0  # or so many times as long as it took
_LONGEST_REST: Final = 10.0
_SILENCE: Final = 8.0
"""Seconds after which a server that does not answer is gone: clients need another main server."""


class Peers:
    """Keeps up a connection to every server that has announced itself, and agrees with it."""

    def __init__(
        self,
        name: str,
        tree: Tree,
        *,
        on_link: Callable[[str, bool], None],
        on_agreed: Callable[[str, Agreement], None],
        learned: Callable[[Levels], None],
        tls: ssl.SSLContext | None = None,
        token: Callable[[], str | None] = lambda: None,
        broker: str = "localhost",
        rounds: Rounds | None = None,
    ) -> None:
        """`on_link` is told which server can be reached, `learned` which nodes come from there.

        `tls` is what servers that encrypt are recognised by. `token` is for those that announce none,
        if they are recognised, or on the machine of the `broker`. `rounds` are those of the clients.
        """
        self._name = name
        self._tree = tree
        self._on_link = on_link
        self._on_agreed = on_agreed
        self._learned = learned
        self._tls = tls
        self._token = token
        nearby = same_machine(broker)
        self._trusted: Callable[[Endpoint], bool] = lambda it: it.tls or nearby(it)
        self._told: set[str] = set()
        """Servers that we have complained about."""
        self._endpoints: dict[str, list[Endpoint]] = {}
        self._links: dict[str, DirectLink] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._syncs: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._rested: dict[str, float] = {}
        self._turn = asyncio.Lock()
        self._rounds = Rounds() if rounds is None else rounds
        self._waiting: dict[str, list[Endpoint]] = {}
        """Servers for which there is no room."""
        self._turns: asyncio.Task[None] | None = None
        self.agreed: dict[str, Agreement] = {}
        """What came of it when we last agreed with a server."""

    def announced(self, name: str, announcement: Value) -> None:
        """Take where a server is, or that it is gone; what was said before is said to newcomers.

        So we may have missed more than that: the broker was away, or brokers were apart.
        """
        if name == self._name or not fit_as_name(name):
            return
        found = endpoints(announcement, server=name, encrypted=self._tls is not None)
        if not found:
            self._forget(name)
            if announcement is ABSENT:
                self._told.discard(name)
            else:
                self._complain(name, "it does not say where it can be reached")
            return
        self._waiting.pop(name, None)
        if name not in self._links and not self._make_room():
            self._wait(name, found)
            return
        known, self._endpoints[name] = self._endpoints.get(name), found
        if name in self._links:
            self._links[name].announced()
            if known == found and self._links[name].status.connected:
                self._sync(name)
        else:
            self._begin(name)

    def connection(self, name: str) -> Connection:
        """Return the connection to a server. ConnectionLostError if there is none."""
        if name not in self._links:
            raise ConnectionLostError(f"Server link {name!r} down")
        return self._links[name].connection

    def connected(self, name: str) -> bool:
        """Whether a server can be reached."""
        return name in self._links and self._links[name].status.connected

    async def close(self) -> None:
        """End all connections."""
        tasks = [*self._tasks.values(), *self._syncs.values()]
        if self._turns is not None:
            tasks.append(self._turns)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, name: str) -> None:
        link = self._links[name] = DirectLink(
            lambda: self._candidates(name),
            name=lambda: self._name,
            on_status=lambda status: self._status(name, status),
            backoff=Backoff(1.0, _LONGEST),
            tls=self._tls,
            silence=_SILENCE,
        )
        self._tasks[name] = asyncio.get_running_loop().create_task(link.run())

    def _make_room(self, *, tried: bool = False) -> bool:
        """See to it that there is room for a server: one that cannot be reached makes it.

        With `tried` only if that has been tried at least once.
        """
        if len(self._links) < _MOST:
            return True
        out = [name for name, link in self._links.items() if not link.status.connected]
        failed = [name for name in out if self._links[name].status.error is not None]
        for name in failed or ([] if tried else out):
            found = self._endpoints.get(name, [])
            self._forget(name)
            self._wait(name, found)
            return True
        return False

    def _wait(self, name: str, found: list[Endpoint]) -> None:
        """Have a server wait for its turn; of too many, the first is forgotten."""
        self._waiting[name] = found
        if len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        if self._turns is None or self._turns.done():
            self._turns = asyncio.get_running_loop().create_task(self._take_turns())

    async def _take_turns(self) -> None:
        """Try those who wait, while others cannot be reached."""
        while self._waiting:
            await asyncio.sleep(_TURN)
            for name in list(self._waiting)[:_MOST]:
                if name in self._waiting and self._make_room(tried=True):
                    self._endpoints[name] = self._waiting.pop(name)
                    self._begin(name)

    def _forget(self, name: str) -> None:
        self._waiting.pop(name, None)
        self._endpoints.pop(name, None)
        self._links.pop(name, None)
        self.agreed.pop(name, None)
        self._rested.pop(name, None)
        self._again.discard(name)
        for tasks in (self._tasks, self._syncs):
            if (task := tasks.pop(name, None)) is not None:
                task.cancel()

    def _candidates(self, name: str) -> Sequence[Endpoint]:
        """Return where a server is, with a token if there is one for it."""
        return with_token(self._endpoints.get(name, []), self._token(), self._trusted)

    def _status(self, name: str, status: DirectStatus) -> None:
        if isinstance(status.error, AuthenticationError | TlsError):
            self._complain(name, str(status.error))  # it is there: nobody needs to take its place
            return
        self._on_link(name, status.connected)
        if status.connected:
            self._told.discard(name)
            self._links[name].connection.pace = Pace(self._rounds, perf_counter())
            self._sync(name)

    def _complain(self, name: str, why: str) -> None:
        """Say once that there is a server that we cannot agree with, until that changes."""
        if name not in self._told and len(self._told) < _MOST:
            self._told.add(name)
            _LOGGER.warning("Server %s is there, but nothing can be copied: %s", name, why)

    def _sync(self, name: str) -> None:
        """Agree with a server; once more after that, if we are at it."""
        if name in self._syncs:
            self._again.add(name)
            return
        task = asyncio.get_running_loop().create_task(self._agree(name))
        self._syncs[name] = task
        task.add_done_callback(lambda done: self._synced(name, done))

    def _synced(self, name: str, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _LOGGER.error("Agreeing with server %s has failed", name, exc_info=error)
        if self._syncs.get(name) is not task:
            return
        del self._syncs[name]
        if name in self._again:
            self._again.discard(name)
            if self.connected(name):
                self._sync(name)

    async def _agree(self, name: str) -> None:
        """Exchange what is newer, with one server at a time: the next may have it by then."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rested.get(name, 0.0) - loop.time())
        async with self._our_turn():
            self._again.discard(name)
            start = loop.time()
            try:
                result = await agree(self.connection(name), self._tree, self._name, self._learned)
            except LinkError as err:
                _LOGGER.warning("The data of server %s could not be copied: %s", name, err)
                return
            finally:
                if name in self._links:
                    self._rested[name] = loop.time() + _rest(loop.time() - start)
        self.agreed[name] = result
        self._on_agreed(name, result)
        if result.refused:
            _LOGGER.warning(
                "%d nodes of server %s are left out, the first: %s",
                *(result.refused, name, result.refusal),
            )
        _LOGGER.info(
            "Server %s had %d nodes that are new here, got %d, and had deleted %d",
            *(name, result.taken, result.given, result.deleted),
        )

    @asynccontextmanager
    async def _our_turn(self) -> AsyncIterator[None]:
        """Let others come first, but not for ever: one of them may be slow on purpose."""
        try:
            async with asyncio.timeout(_WAIT):
                await self._turn.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self._turn.release()


def _rest(effort: float) -> float:
    return min(max(_REST, _SHARE * effort), _LONGEST_REST)
