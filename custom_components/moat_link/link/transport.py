"""The bytes under a session: TCP, TLS or Unix socket; who fails, and how it is called."""

import asyncio
import contextlib
import mmap
import socket
import ssl
import struct
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from time import monotonic
from typing import Final, override

from .errors import CannotConnectError, TlsError, system_reason

READ_BUFFER: Final = 1 << 22  # mosquitto drops what a slow reader leaves in its socket
READ_USUAL: Final = 1 << 16
WRITE_BUFFER: Final = 1 << 16
CLOSE_PATIENCE: Final = 2.0
PROBE_PATIENCE: Final = 2.0
HEAD_START: Final = 0.25
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)  # Linux


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """Where the broker is and who we are there; `unix_path` goes before host and port."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keep_alive: int = 15
    unix_path: str | None = None


class Wire(asyncio.BufferedProtocol):
    """One connection: bytes in by callback, bytes out through a queue that can be cut."""

    def __init__(
        self,
        on_data: Callable[[bytes], None],
        on_lost: Callable[[Exception | None], None],
    ) -> None:
        """Report what arrives, and once that the connection is gone."""
        self.sent = monotonic()
        self.queued = 0
        self._on_data = on_data
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket
        self._quick: int | None = None
        self._gone = self._loop.create_future()
        self._queue: deque[bytes] = deque()
        self._buffer = _read_buffer()
        self._flooded = False
        self._paused = False
        self._scheduled = False

    @property
    def connected(self) -> bool:
        """Whether bytes can be sent."""
        return self._transport is not None

    @property
    def peer(self) -> str | None:
        """The address of the other side's machine, if it is known."""
        if self._transport is None:
            return None
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else None

    def send(self, data: bytes) -> None:
        """Queue bytes; all of one turn of the loop leave together."""
        self._queue.append(data)
        self.queued += len(data)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def withdraw(self, data: bytes) -> bool:
        """Take back what has not been handed to the system yet; False when it is too late."""
        try:
            self._queue.remove(data)
        except ValueError:
            return False
        self.queued -= len(data)
        return True

    def pause_reading(self) -> None:
        """Let the other side wait."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self, farewell: bytes = b"") -> None:
        """Hang up at once after a last word; what is under way is thrown away on both sides."""
        self._queue.clear()
        if self._transport is not None:
            if farewell:
                self._transport.write(farewell)
            with contextlib.suppress(OSError):
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            self._transport.abort()

    async def close(self) -> None:
        """Send what is queued and hang up; not longer than CLOSE_PATIENCE."""
        if self._transport is None:
            return
        self._transport.write(b"".join(self._queue))
        self._queue.clear()
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await asyncio.shield(self._gone)
        except TimeoutError:
            pass
        finally:
            self.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._transport = transport
        self._socket = transport.get_extra_info("socket")
        self._quick = _QUICK_ACK if self._socket.family != socket.AF_UNIX else None

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        if self._quick is not None:
            # A broker with Nagle's algorithm (mosquitto's default) holds its next packet back
            # until this one is acknowledged, which Linux delays by 40 ms unless told each time.
            self._socket.setsockopt(socket.IPPROTO_TCP, self._quick, 1)
        data = bytes(self._buffer[:nbytes])
        if nbytes > READ_USUAL:
            self._flooded = True
        elif self._flooded:
            self._buffer, self._flooded = _read_buffer(), False
        self._on_data(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._gone.set_result(None)
        self._on_lost(exc)

    @override
    def pause_writing(self) -> None:
        self._paused = True

    @override
    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def _flush(self) -> None:
        self._scheduled = False
        while self._queue and self._transport is not None and not self._paused:
            batch: list[bytes] = []
            size = 0
            while self._queue and size < WRITE_BUFFER:
                batch.append(self._queue.popleft())
                size += len(batch[-1])
            self.queued -= size
            self.sent = monotonic()
            self._transport.write(b"".join(batch))


async def dial(config: BrokerConfig, wire: Wire) -> None:
    """Connect the wire; CannotConnectError or its child TlsError says what went wrong."""
    loop = asyncio.get_running_loop()
    try:
        if config.unix_path is not None:
            await loop.create_unix_connection(lambda: wire, config.unix_path)
        elif config.tls is None:
            await loop.create_connection(
                lambda: wire,
                config.host,
                config.port,
                happy_eyeballs_delay=head_start(config.host),
            )
        else:
            await loop.create_connection(
                lambda: wire,
                config.host,
                config.port,
                ssl=config.tls,
                ssl_shutdown_timeout=CLOSE_PATIENCE,
                happy_eyeballs_delay=head_start(config.host),
            )
    except ssl.SSLError as error:
        raise tls_error(error) from error
    except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError) as error:
        raise TlsError(
            "the other side hung up during the TLS handshake: does this port speak TLS?"
        ) from error
    except socket.gaierror as error:
        raise CannotConnectError(f"host name not found: {config.host}") from error
    except (OSError, ValueError, OverflowError) as error:
        raise CannotConnectError(system_reason(error)) from error


async def speaks_tls(config: BrokerConfig) -> bool:
    """Find out whether a port that hung up on us expects TLS; nothing is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PROBE_PATIENCE):
            transport, _ = await loop.create_connection(
                asyncio.Protocol, config.host, config.port, ssl=context
            )
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
    transport.abort()
    return True


def head_start(host: str) -> float | None:
    """Return how long the first address of a name goes ahead of the next (s); None: no race.

    A race that is cancelled loses a socket that has just connected (CPython 3.14): never for nothing.
    """
    with contextlib.suppress(ValueError):
        ip_address(host)
        return None
    return HEAD_START


def tls_error(error: ssl.SSLError, whose: str = "broker") -> TlsError:
    """Say in words what TLS did not like."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(f"the {whose}'s certificate is not accepted: {error.verify_message}")
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return TlsError("the other side does not speak TLS")
    return TlsError(f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}")


def tls_context(
    ca: str | None, certificate: str | None = None, key: str | None = None, verify: bool = True
) -> ssl.SSLContext:
    """Build a client's context from PEM text; blocks on files: call it in an executor.

    Without `ca` the system's authorities count. `verify=False` accepts any certificate.
    TlsError tells which of the texts is not usable.
    """
    try:
        context = ssl.create_default_context(cadata=ca)
    except ssl.SSLError, ValueError, TypeError:
        raise TlsError("the CA certificate is not usable") from None
    if ca is not None:
        # Home-made authorities often lack the extensions that strict checking wants.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        with tempfile.NamedTemporaryFile("w", prefix="moat-", suffix=".pem") as file:  # mode 0600
            file.write(f"{certificate}\n{key or ''}\n")
            file.flush()
            try:
                context.load_cert_chain(file.name, password="")
            except ssl.SSLError, ValueError:
                raise TlsError("the client certificate and its key are not usable") from None
    return context


def _read_buffer() -> memoryview:
    """Return a large buffer that takes memory only as far as it is used."""
    return memoryview(mmap.mmap(-1, READ_BUFFER))
