"""The direct connection to a server: where to find one, and how to keep it."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self, override

from .clock import Backoff
from .connection import Connection, Handler, no_command
from .errors import (
    AuthenticationError,
    CannotConnectError,
    ConnectionLostError,
    DecodeError,
    LinkError,
    NoServerError,
    TlsError,
    TokenNeededError,
    system_reason,
)
from .handshake import ClientLogin, ServerIdentity, fresh_id
from .transport import head_start, tls_error

if TYPE_CHECKING:
    from .codec import Value

_LOGGER = logging.getLogger(__name__)

DEFAULT_PORT: Final = 27587
ENCRYPTED: Final = "tls://"
"""What stands before the address of a server that encrypts."""
_MOST_ENDPOINTS: Final = 16
_LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))
_BREATH: Final = 0.5  # seconds between attempts, however often the announcements change


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server listens: host and port (`tls`: encrypted), or the path of a Unix socket.

    One in this process has `dial`, which returns a socket that is connected with it, or OSError.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str | None = None
    tls: bool = False
    token: str | None = field(default=None, repr=False)
    server: str = ""
    dial: Callable[[], Awaitable[socket.socket]] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read HOST:PORT, tls://HOST:PORT or the path of a socket. DecodeError."""
        if text.startswith("/"):
            return cls(path=text)
        host, _, port = text.removeprefix(ENCRYPTED).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
            raise DecodeError(f"{text[:80]}: write HOST:PORT, {ENCRYPTED}HOST:PORT or /PATH")
        return cls(host=host, port=int(port), tls=text.startswith(ENCRYPTED))

    @override
    def __str__(self) -> str:
        """Name it as people do, here and there."""
        if self.dial is not None:
            return "this process"
        if self.path is not None:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{ENCRYPTED if self.tls else ''}{host}:{self.port}"


def endpoints(announcement: Value, *, server: str = "", encrypted: bool = False) -> list[Endpoint]:
    """Read where a server can be reached; what makes no sense is left out.

    `server` is the announcement's origin: the server's name. With `encrypted` those that are come
    first, else they are left out.
    """
    if not isinstance(announcement, dict):
        return []
    auth = announcement.get("auth")
    token = auth.get("token") if isinstance(auth, dict) else None
    found = [
        _endpoint(link, token if isinstance(token, str) else None, server, key == "tls")
        for key in (["tls", "link"] if encrypted else ["link"])
        for link in _several(announcement.get(key))
    ]
    return list(dict.fromkeys(filter(None, found)))[:_MOST_ENDPOINTS]


def with_token(
    announced: Sequence[Endpoint], token: str | None, trusted: Callable[[Endpoint], bool]
) -> list[Endpoint]:
    """Give a personal token to those end points that announce none and are trusted with it.

    Whoever may publish at the broker can announce what he likes. It is not for eavesdroppers, either:
    where a server encrypts, its plain end points get none, and are out.
    """
    if token is None:
        return list(announced)
    encrypting = {each.server for each in announced if each.tls}
    return [
        each if each.token or not trusted(each) else replace(each, token=token)
        for each in announced
        if each.token or each.tls or each.server not in encrypting
    ]


def same_machine(*hosts: str | None) -> Callable[[Endpoint], bool]:
    """Return what tells whether an end point is on a machine that one of these names means."""
    named = {host.lower() for host in hosts if host is not None}
    if named & _LOOPBACK:
        named |= _LOOPBACK
    return lambda endpoint: endpoint.host.lower() in named


def _several(links: Value) -> list[Value]:
    return links if isinstance(links, list) else [links]


def _endpoint(link: Value, token: str | None, server: str, tls: bool) -> Endpoint | None:
    if not isinstance(link, dict):
        return None
    host = link.get("host")
    port = link.get("port", DEFAULT_PORT)
    if type(host) is not str or not 0 < len(host) < 256:
        return None
    if type(port) is not int or not 0 < port < 65536:
        return None
    return Endpoint(host=host, port=port, tls=tls, token=token, server=server)


async def connect(
    endpoint: Endpoint,
    *,
    name: str,
    handler: Handler = no_command,
    timeout: float = 10,
    tls: ssl.SSLContext | None = None,
) -> tuple[Connection, ServerIdentity]:
    """Connect and log in; CannotConnectError, AuthenticationError or another LinkError.

    `tls` is what servers that encrypt are recognised by.
    """
    login = ClientLogin(name=name, token=endpoint.token, handler=handler)
    connection = await _open(endpoint, login.handle, timeout, tls)
    try:
        identity = await login.run(connection, timeout=timeout)
    except BaseException as err:
        await connection.close()
        if isinstance(err, TokenNeededError):
            raise TokenNeededError(f"{endpoint}: {err}") from err
        raise
    return connection, identity


async def greeting(endpoint: Endpoint, *, timeout: float, tls: ssl.SSLContext) -> str:
    """Return the name of the server at an end point, without logging in. LinkError."""
    login = ClientLogin(name=fresh_id())
    connection = await _open(endpoint, login.handle, timeout, tls)
    try:
        return await login.greeted(connection, timeout=timeout)
    finally:
        await connection.close()


async def _open(
    endpoint: Endpoint, handler: Handler, timeout: float, tls: ssl.SSLContext | None
) -> Connection:
    if endpoint.tls and tls is None:
        raise TlsError(f"{endpoint}: no authority is known for servers")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            if endpoint.dial is not None:
                _, connection = await loop.create_connection(
                    lambda: Connection(handler), sock=await endpoint.dial()
                )
            elif endpoint.path is not None:
                _, connection = await loop.create_unix_connection(
                    lambda: Connection(handler), endpoint.path
                )
            else:
                _, connection = await loop.create_connection(
                    lambda: Connection(handler),
                    endpoint.host,
                    endpoint.port,
                    ssl=tls if endpoint.tls else None,
                    happy_eyeballs_delay=head_start(endpoint.host),
                )
    except ssl.SSLError as err:
        raise TlsError(f"{endpoint}: {tls_error(err, 'server')}") from err
    except TimeoutError:
        raise CannotConnectError(f"{endpoint} does not answer within {timeout} s") from None
    except (OSError, ValueError) as err:  # ValueError: a host name that cannot be encoded
        raise CannotConnectError(f"{endpoint}: {system_reason(err)}") from err
    return connection


def _weight(error: LinkError) -> int:
    """Return how much a reason matters: what the user must do something about counts most."""
    match error:
        case AuthenticationError():
            return 3
        case TlsError():
            return 2
        case NoServerError():
            return 0
    return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectStatus:
    """Whether the direct connection is up, with whom, or why not."""

    connected: bool
    identity: ServerIdentity | None = None
    endpoint: Endpoint | None = None
    error: LinkError | None = None


class DirectLink:
    """Keeps one direct connection up for as long as `run` runs."""

    def __init__(
        self,
        candidates: Callable[[], Sequence[Endpoint]],
        *,
        handler: Handler = no_command,
        on_status: Callable[[DirectStatus], None] | None = None,
        name: Callable[[], str] = fresh_id,
        backoff: Backoff | None = None,
        timeout: float = 10,
        tls: ssl.SSLContext | None = None,
        silence: float = 40,
        settled: float = 10,
    ) -> None:
        """Take where to look, in order, and the times in seconds.

        `timeout` is for each attempt; after `silence` the connection counts as dead; the back-off
        starts over once a connection has lasted for `settled`.
        """
        self._candidates = candidates
        self._handler = handler
        self._on_status = on_status
        self._name = name
        self._backoff = Backoff() if backoff is None else backoff
        self._timeout = timeout
        self._tls = tls
        self._silence = silence
        self._settled = settled
        self._connection: Connection | None = None
        self._tried: tuple[Endpoint, ...] = ()
        self._changed = asyncio.Event()
        self.status = DirectStatus(connected=False)

    @property
    def connection(self) -> Connection:
        """The connection for calls; ConnectionLostError while there is none."""
        if self._connection is None:
            raise ConnectionLostError("no server is connected")
        return self._connection

    def announced(self) -> None:
        """Look at the candidates again: if they are others than before, try them at once."""
        if tuple(self._candidates()) != self._tried:
            self._changed.set()

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                start = loop.time()
                self._changed.clear()
                self._tried = tuple(self._candidates())
                error = await self._try_all()
                self._report(DirectStatus(connected=False, error=error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._backoff.wait()):
                        await self._changed.wait()
                        await asyncio.sleep(start + _BREATH - loop.time())
        finally:
            self.status = DirectStatus(connected=False)

    async def _try_all(self) -> LinkError:
        """Use the first end point that works until it fails; return the reason why we are off."""
        error: LinkError = NoServerError("no server is known")
        for endpoint in self._tried:
            try:
                connection, identity = await connect(
                    endpoint,
                    name=self._name(),
                    handler=self._handler,
                    timeout=self._timeout,
                    tls=self._tls,
                )
            except LinkError as err:
                _LOGGER.debug("Server at %s: %s", endpoint, err)
                error = max(error, err, key=_weight)
            else:
                return await self._use(connection, identity, endpoint)
        return error

    async def _use(
        self, connection: Connection, identity: ServerIdentity, endpoint: Endpoint
    ) -> LinkError:
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            self._connection = connection
            self._report(DirectStatus(connected=True, identity=identity, endpoint=endpoint))
            await self._watch(connection)
        finally:
            self._connection = None
            await connection.close()
        if loop.time() - start >= self._settled:
            self._backoff.reset()
        return connection.closed.result()

    async def _watch(self, connection: Connection) -> None:
        """Wait for the end; ask whether anybody is there before the silence gets too long."""
        loop = asyncio.get_running_loop()
        patience = self._silence / 8
        while not connection.closed.done():
            quiet = loop.time() - connection.last_heard
            if quiet < self._silence - patience:
                await asyncio.wait([connection.closed], timeout=self._silence - patience - quiet)
                continue
            with contextlib.suppress(LinkError):
                await connection.request(("i", "ping"), timeout=patience)
            if loop.time() - connection.last_heard >= self._silence - patience:
                await connection.close(f"nothing heard for {self._silence} s")

    def _report(self, status: DirectStatus) -> None:
        """Tell about a change; the same trouble again is none."""
        before, self.status = self.status, status
        news = status.connected or before.connected or str(before.error) != str(status.error)
        if news and self._on_status is not None:
            self._on_status(status)
