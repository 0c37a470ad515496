"""The clients that are connected: how they log in, what they may use up, how calls reach them."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Final

from ..link.codec import FrameReader
from ..link.connection import Answer, Connection, Request
from ..link.errors import AuthenticationError, LinkError
from ..link.handshake import ServerLogin
from ..link.identity import fresh_name
from .commands import Commands
from .pace import Pace, Rounds
from .records import encode_spliced
from .seldom import Seldom
from .tokens import Tokens

_LOGGER = logging.getLogger(__name__)

INSIDE: Final = "inside"
"""What stands for a listener where this process itself comes in, without a token."""
_PROBE: Final = ("i", "乒")
_BEFORE_LOGIN: Final = 4096  # bytes in a frame of somebody unknown
_WORDS: Final = 32  # frames that somebody unknown may send
_UNREAD: Final = 64 << 10  # bytes that may wait until somebody unknown reads
_FAREWELLS: Final = 1000
_LOOK: Final = 0.5  # seconds between two looks at what is used up


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may use; times in seconds, sizes in bytes."""

    clients: int = 1000
    strangers: int = 500
    """Connections that are not logged in."""
    strangers_of_one: int = 50
    """The same, from one other machine."""
    frame: int = 16 << 20
    exchanges: int = 4096
    all_exchanges: int = 50_000
    """Of all clients together; a few are always possible."""
    buffer: int = 32 << 20
    memory: int = 256 << 20
    """What is kept for all clients together; above it, the one that needs most is dropped."""
    login: float = 10.0
    probe: float = 30.0
    patience: float = 3.0
    stall: float = 60.0
    """How long a frame may take, or a client may read nothing of what waits for it."""


@dataclass(slots=True, eq=False)
class Client:
    """Somebody who is logged in."""

    connection: Connection
    assigned: str
    name: str
    key: str | None = None
    """The name of the token that has let it in."""
    known: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has said its last word of the handshake."""
    read: int = 0
    """Bytes that it had taken at a look."""
    read_at: float = 0.0
    """When it last took some, or there were none to take."""


class Clients:
    """All clients of all listeners."""

    def __init__(self, name: str, tokens: Tokens, limits: Limits) -> None:
        """Take the server's name; `commands` must be set before anybody comes."""
        self.commands: Commands
        self._name = name
        self._tokens = tokens
        self._limits = limits
        self._strangers: dict[Connection, str] = {}
        self._clients: dict[str, Client] = {}
        self._arriving: set[Client] = set()
        self._present: dict[Client, None] = {}  # in the order in which they came
        self._farewells: OrderedDict[str, str] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._suffix = fresh_name(4)
        self._seldom = Seldom(_LOGGER)
        self.rounds = Rounds()
        self._unknown = Pace(self.rounds, perf_counter())
        """All strangers have one share of the time."""

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

    def admit(self, listener: str, peer: str = "") -> Connection | None:
        """Return what serves a new connection; None if there are too many. `peer`: "" if it is here."""
        limits = self._limits
        if len(self._present) >= limits.clients or len(self._strangers) >= limits.strangers:
            self._seldom.warn("Too many connections to %s", listener)
            return None
        if peer and list(self._strangers.values()).count(peer) >= limits.strangers_of_one:
            self._seldom.warn("Too many connections to %s from %s", listener, peer)
            return None
        reader = FrameReader(_BEFORE_LOGIN)
        connection = Connection(
            source=reader,
            encode=encode_spliced,
            max_exchanges=limits.exchanges,
            may_open=self._may_open,
            max_buffer=_UNREAD,
            on_open=lambda connection: self._open(connection, reader, listener),
        )
        connection.allowance = _WORDS
        connection.pace = self._unknown
        self._strangers[connection] = peer
        return connection

    def dismiss(self, connection: Connection) -> None:
        """Forget a connection that has not come about."""
        self._strangers.pop(connection, None)

    def revoke(self, names: set[str]) -> None:
        """Drop those who came in by tokens that are not good any more."""
        for client in [each for each in {*self._present, *self._arriving} if each.key in names]:
            _LOGGER.info("Dropped %s: the token %s is not good any more", client.name, client.key)
            client.connection.abort("the token is not good any more")

    async def watch(self) -> None:
        """See to it that clients keep to their limits, for ever."""
        while True:
            await asyncio.sleep(_LOOK)
            self.look(asyncio.get_running_loop().time())

    def look(self, now: float) -> None:
        """Drop who takes too long, and while all need too much memory, who needs most."""
        burdens: dict[Client, int] = {}
        for client in self._present:
            connection = client.connection
            if not connection.writer.unsent or connection.writer.sent > client.read:
                client.read, client.read_at = connection.writer.sent, now
            begun = connection.unfinished
            if begun is not None and now - begun > self._limits.stall:
                self._drop(client, "a frame without an end")
            elif now - client.read_at > self._limits.stall:
                self._drop(client, "it does not read")
            else:
                burdens[client] = connection.burden
        total = sum(burdens.values()) + sum(each.burden for each in self._strangers)
        for client in sorted(burdens, key=lambda each: burdens[each], reverse=True):
            if total <= self._limits.memory:
                return
            total -= burdens[client]
            self._drop(client, f"it takes {burdens[client] >> 20} MiB of our memory")

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _drop(self, client: Client, reason: str) -> None:
        self._seldom.warn("Dropped %s: %s", client.name, reason)
        client.connection.abort(reason)

    def _may_open(self, count: int) -> bool:
        """Whether somebody who has that many exchanges may have one more."""
        there = sum(each.connection.exchanges for each in self._present)
        return there < self._limits.all_exchanges

    def _open(self, connection: Connection, reader: FrameReader, listener: str) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(connection, reader, listener))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection, reader: FrameReader, listener: str) -> None:
        assigned = f"{self._name}-{listener}_{next(self._numbers)}{self._suffix}"
        peer = self._strangers.get(connection) or "this machine"
        client = Client(connection, assigned, assigned)
        try:
            try:
                await self._log_in(client, listener)
            finally:
                self.dismiss(connection)
                self._arriving.discard(client)
            reader.allow(self._limits.frame)
            connection.pace = Pace(self.rounds, perf_counter())
            connection.writer.max_buffer = self._limits.buffer
            connection.allowance = None
            await self._probe(connection)
        except AuthenticationError as err:
            self._seldom.warn("Refused a connection to %s from %s: %s", listener, peer, err)
        except LinkError as err:
            _LOGGER.debug("%s: %s", assigned, err)
        finally:
            self._forget(client)
            with contextlib.suppress(LinkError):
                await connection.close()

    async def _log_in(self, client: Client, listener: str) -> None:
        def check(token: str) -> bool:
            key = self._tokens.find(token)
            if not login.settled:
                client.key = key
            return key is not None

        login = ServerLogin(
            name=self._name,
            assigned=client.assigned,
            handler=self._handler(client),
            check=check if self._tokens.needed else None,
            anonymous=self._tokens.anonymous or listener == INSIDE,
        )
        client.connection.handler = login.handle
        self._arriving.add(client)
        identity = await login.run(client.connection, timeout=self._limits.login)
        if len(self._present) >= self._limits.clients:
            raise AuthenticationError("too many clients, who were quicker")
        client.read_at = asyncio.get_running_loop().time()
        client.name = identity.name or client.assigned
        self._present[client] = None
        self._clients.setdefault(client.name, client)
        self._clients[client.assigned] = client
        client.known.set()
        client.connection.handler = self._handler(client)  # nobody logs in twice
        client.connection.quick = self.commands.quick(client.name)
        way = "anonymously" if client.key is None else f"with the token {client.key}"
        _LOGGER.debug("%s has come in %s, as %s", client.name, way, client.assigned)

    def _handler(self, client: Client) -> Callable[[Request], Awaitable[Answer]]:
        async def handle(request: Request) -> Answer:
            if not client.known.is_set():
                await client.known.wait()
            return await self.commands.handle(client.name, request)

        return handle

    def _forget(self, client: Client) -> None:
        self._present.pop(client, None)
        if not client.known.is_set():
            return
        self._clients.pop(client.assigned, None)
        if self._clients.get(client.name) is client:
            del self._clients[client.name]
            for other in self._present:
                if other.name == client.name:  # it goes by the same name, and came next
                    self._clients[client.name] = other
                    break
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
            asked, sent = loop.time(), connection.writer.sent
            with contextlib.suppress(LinkError):
                await connection.request(_PROBE, timeout=self._limits.patience)
                continue
            writer = connection.writer
            busy = writer.backlog and writer.sent > sent  # it has not come to the probe yet
            if connection.last_heard < asked and not busy:
                await connection.close("no answer to a probe")
