"""The clients that are connected: how they log in, what they may use up, how calls reach them."""

import asyncio
import contextlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from ..link.codec import FrameReader
from ..link.connection import Answer, Connection, Request
from ..link.errors import AuthenticationError, LinkError
from ..link.handshake import ServerLogin
from ..link.identity import fresh_name
from .commands import Commands
from .records import encode_spliced

_LOGGER = logging.getLogger(__name__)

_PROBE: Final = ("i", "乒")
_BEFORE_LOGIN: Final = 4096  # bytes in a frame of somebody unknown
_FAREWELLS: Final = 1000
_QUIET: Final = 60.0  # seconds between two lines about strangers: anybody can be refused, and often


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may use; times in seconds."""

    clients: int = 1000
    strangers: int = 500
    """Connections that are not logged in."""
    frame: int = 16 << 20
    exchanges: int = 4096
    buffer: int = 32 << 20
    login: float = 10.0
    probe: float = 30.0
    patience: float = 3.0


@dataclass(slots=True, kw_only=True)
class Tokens:
    """Who gets in: by one of the named tokens, by the one announced, or just so."""

    named: Mapping[str, str] = field(default_factory=dict, repr=False)
    announced: list[str] = field(default_factory=list, repr=False)
    anonymous: bool = True

    def check(self, token: str) -> bool:
        """Compare with every token, always for as long."""
        given = token.encode(errors="replace")
        found = False
        for known in (*self.named.values(), *self.announced):
            found |= hmac.compare_digest(known.encode(), given)
        return found


@dataclass(slots=True, eq=False)
class Client:
    """Somebody who is logged in."""

    connection: Connection
    assigned: str
    name: str
    known: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has said its last word of the handshake."""


class Clients:
    """All clients of all listeners."""

    def __init__(self, name: str, tokens: Tokens, limits: Limits) -> None:
        """Take the server's name; `commands` must be set before anybody comes."""
        self.commands: Commands
        self._name = name
        self._tokens = tokens
        self._limits = limits
        self._strangers: set[Connection] = set()
        self._clients: dict[str, Client] = {}
        self._farewells: OrderedDict[str, str] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._suffix = fresh_name(4)
        self._told = float("-inf")

    @property
    def names(self) -> list[str]:
        """The names of all clients."""
        return [client.name for client in dict.fromkeys(self._clients.values())]

    def find(self, name: object) -> Client | None:
        """Return a client by its own or its assigned name."""
        return self._clients.get(name) if isinstance(name, str) else None

    def farewell(self, name: str) -> str | None:
        """Return why the last connection of that name has ended."""
        return self._farewells.get(name)

    def factory(self, listener: str) -> Callable[[], Connection]:
        """Return what makes the connections of a listener."""

        def make() -> Connection:
            reader = FrameReader(_BEFORE_LOGIN)
            return Connection(
                source=reader,
                encode=encode_spliced,
                max_exchanges=self._limits.exchanges,
                max_buffer=self._limits.buffer,
                on_open=lambda connection: self._open(connection, reader, listener),
            )

        return make

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _open(self, connection: Connection, reader: FrameReader, listener: str) -> None:
        full = len(self._clients) >= 2 * self._limits.clients
        if full or len(self._strangers) >= self._limits.strangers:
            connection.abort("too many connections")
            return
        self._strangers.add(connection)
        task = asyncio.get_running_loop().create_task(self._serve(connection, reader, listener))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refused(self, listener: str, error: AuthenticationError) -> None:
        """Log that somebody was not let in, but not everybody."""
        now = asyncio.get_running_loop().time()
        level = logging.DEBUG
        if now - self._told >= _QUIET:
            self._told, level = now, logging.WARNING
        _LOGGER.log(level, "Refused a connection to %s: %s", listener, error)

    async def _serve(self, connection: Connection, reader: FrameReader, listener: str) -> None:
        assigned = f"{self._name}-{listener}_{next(self._numbers)}{self._suffix}"
        try:
            try:
                client = await self._log_in(connection, assigned)
            finally:
                self._strangers.discard(connection)
            reader.allow(self._limits.frame)
            try:
                await self._probe(connection)
            finally:
                self._forget(client)
        except AuthenticationError as err:
            self._refused(listener, err)
        except LinkError as err:
            _LOGGER.debug("%s: %s", assigned, err)
        finally:
            with contextlib.suppress(LinkError):
                await connection.close()

    async def _log_in(self, connection: Connection, assigned: str) -> Client:
        client = Client(connection, assigned, assigned)
        may_use_token = bool(self._tokens.named or self._tokens.announced)
        login = ServerLogin(
            name=self._name,
            assigned=assigned,
            handler=self._handler(client),
            check=self._tokens.check if may_use_token else None,
            anonymous=self._tokens.anonymous,
        )
        connection.handler = login.handle
        identity = await login.run(connection, timeout=self._limits.login)
        client.name = identity.name or assigned
        self._clients.setdefault(client.name, client)
        self._clients[assigned] = client
        client.known.set()
        connection.quick = self.commands.quick(client.name)
        return client

    def _handler(self, client: Client) -> Callable[[Request], Awaitable[Answer]]:
        async def handle(request: Request) -> Answer:
            if not client.known.is_set():
                await client.known.wait()
            return await self.commands.handle(client.name, request)

        return handle

    def _forget(self, client: Client) -> None:
        for name in (client.name, client.assigned):
            if self._clients.get(name) is client:
                del self._clients[name]
        reason = client.connection.closed
        self._farewells[client.name] = str(reason.result()) if reason.done() else "server stopped"
        if len(self._farewells) > _FAREWELLS:
            self._farewells.popitem(last=False)

    async def _probe(self, connection: Connection) -> None:
        """Make sure that somebody is there, until nobody is."""
        loop = asyncio.get_running_loop()
        while not connection.closed.done():
            await asyncio.wait([connection.closed], timeout=self._limits.probe)
            if connection.closed.done():
                return
            asked = loop.time()
            with contextlib.suppress(LinkError):
                await connection.request(_PROBE, timeout=self._limits.patience)
                continue
            if connection.last_heard < asked:
                await connection.close("no answer to a probe")
