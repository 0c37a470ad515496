"""Where clients come in: TCP, TLS and Unix sockets, and how many at a time."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path as File
from typing import Final

from ..link.connection import Connection
from ..link.transport import tls_error
from .clients import INSIDE
from .config import Listener
from .seldom import Seldom

_LOGGER = logging.getLogger(__name__)

_BACKLOG: Final = 128
_REST: Final = 1.0  # seconds without accepting when the system has no more descriptors
_HANDSHAKE: Final = 10.0
_GOODBYE: Final = 2.0
_INSIDE: Final = Listener(name=INSIDE)
_NOWHERE: Final = {
    socket.AF_INET: ("192.0.2.1", 9),  # addresses for documentation; nothing is sent there
    socket.AF_INET6: ("2001:db8::1", 9),
}

type Admit = Callable[[str, str], Connection | None]
type Dismiss = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Address:
    """What is announced of a listener."""

    host: str
    port: int
    tls: bool


class Doors:
    """All listeners of a server."""

    def __init__(self, listeners: Sequence[Listener], admit: Admit, dismiss: Dismiss) -> None:
        """`admit` (listener, peer) makes connections; `dismiss` takes those back that fail early."""
        self._listeners = listeners
        self._admit = admit
        self._dismiss = dismiss
        self._open: list[tuple[Listener, socket.socket]] = []
        self._sockets: dict[str, tuple[int, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []
        self._seldom = Seldom(_LOGGER)
        self.addresses: list[Address] = []
        """Where clients of other machines connect."""

    async def open(self) -> None:
        """Listen, but accept nobody yet. OSError."""
        for listener in self._listeners:
            if listener.path is not None:
                self._open.append((listener, _open_socket(listener.path, listener.mode)))
                self._sockets[listener.path] = _identity(listener.path)
                continue
            for opened in await _open_ports(listener):
                self._open.append((listener, opened))
                host, port = opened.getsockname()[:2]
                if ip_address(host).is_unspecified:
                    host = _own_address(opened.family)
                host = listener.announce or host
                self.addresses.append(Address(host, port, listener.certificate is not None))

    async def run(self) -> None:
        """Let clients in, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._accepting = [
                tasks.create_task(self._accept(listener, opened)) for listener, opened in self._open
            ]

    async def close(self) -> None:
        """Listen no more; nobody waits at a socket that is closed, as its number may be used again."""
        tasks = [*self._accepting, *self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for _, opened in self._open:
            opened.close()
        self._open.clear()
        for path, identity in self._sockets.items():
            _remove_own(path, identity)
        self._sockets.clear()

    def dial(self) -> socket.socket:
        """Return a connection from within this process. OSError when nobody is let in."""
        connection = self._admit(INSIDE, "") if self._open else None
        if connection is None:
            raise ConnectionRefusedError("the server lets nobody in")
        ours, theirs = socket.socketpair()
        self._begin(_INSIDE, theirs, connection)
        return ours

    @property
    def places(self) -> list[str]:
        """Where it listens, for people."""
        found = []
        for listener, opened in self._open:
            if listener.path is not None:
                found.append(listener.path)
            else:
                host, port = opened.getsockname()[:2]
                place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                found.append(f"{place} (TLS)" if listener.certificate else place)
        return found

    async def _accept(self, listener: Listener, opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(opened)
            except OSError as err:
                if err.errno != errno.ECONNABORTED:
                    self._seldom.warn("Nobody is let in for a moment: %s", err)
                    await asyncio.sleep(_REST)
                continue
            connection = self._admit(listener.name, _peer(address))
            if connection is None:
                accepted.close()
            else:
                self._begin(listener, accepted, connection)
            await asyncio.sleep(0)  # more may be waiting, and accepting them waits for nobody

    def _begin(self, listener: Listener, accepted: socket.socket, connection: Connection) -> None:
        work = self._connect(listener, accepted, connection)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(
        self, listener: Listener, accepted: socket.socket, connection: Connection
    ) -> None:
        tls = listener.certificate.context if listener.certificate is not None else None
        peer = _peer_of(accepted)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE if tls else None,
                ssl_shutdown_timeout=_GOODBYE if tls else None,
            )
        except OSError as err:
            self._dismiss(connection)
            said = str(tls_error(err) if isinstance(err, ssl.SSLError) else err) or "it hung up"
            self._seldom.warn("Refused a connection to %s from %s: %s", listener.name, peer, said)
        except BaseException:
            self._dismiss(connection)
            raise


async def _open_ports(listener: Listener) -> list[socket.socket]:
    """Bind every address of a host. OSError if none can be, or one is taken."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    opened: list[socket.socket] = []
    problem: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            opened.append(_bound(socket.AddressFamily(family), address))
        except OSError as err:
            if err.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                for each in opened:
                    each.close()
                raise _at(err, f"{listener.host}:{listener.port}") from err
            problem = _at(err, f"{listener.host}:{listener.port}")
    if not opened and problem is not None:
        raise problem
    return opened


def _bound(family: socket.AddressFamily, address: object) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setblocking(False)
        opened.bind(address)  # type: ignore[arg-type]  # as getaddrinfo gives it
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _open_socket(path: str, mode: int) -> socket.socket:
    """Bind a Unix socket that only those can use who may; what a dead server has left goes."""
    _remove_stale(path)
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.setblocking(False)
        former = os.umask(0o777 & ~mode)
        try:
            opened.bind(path)
        finally:
            os.umask(former)
        opened.listen(_BACKLOG)
    except OSError as err:
        opened.close()
        raise _at(err, path) from err
    return opened


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens at. OSError if somebody does, or it is something else."""
    if not File(path).exists():
        return
    if not File(path).is_socket():
        raise OSError(errno.EEXIST, "there is something that is no socket", path)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            File(path).unlink()
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, "somebody else listens there", path)


def _remove_own(path: str, identity: tuple[int, int]) -> None:
    """Remove a socket, unless another one has taken its place."""
    with contextlib.suppress(OSError):
        if _identity(path) == identity:
            File(path).unlink()


def _identity(path: str) -> tuple[int, int]:
    """Return what tells a socket from another of the same name."""
    found = File(path).stat()
    return found.st_dev, found.st_ino


def _at(error: OSError, place: str) -> OSError:
    """Name the place that an error is about."""
    return OSError(error.errno, error.strerror or str(error), place)


def _peer_of(accepted: socket.socket) -> str:
    """Return who has connected, for people."""
    try:
        return _peer(accepted.getpeername()) or "this machine"
    except OSError:
        return "somebody who has gone"


def _peer(address: object) -> str:
    """Return whom to count a connection under; nobody for this machine.

    Whoever has one IPv6 address usually has 2^64 of them.
    """
    if not isinstance(address, tuple):
        return ""
    try:
        found = ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return ""
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return ""
    return str(found) if found.version == 4 else found.exploded[:19]


def _own_address(family: int) -> str:
    """Return the address that others reach this machine at; its name, if that is not known."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(_NOWHERE[socket.AddressFamily(family)])
        return str(probe.getsockname()[0])
    return socket.gethostname()
