"""A TCP peer that says exactly what its script says: for brokers that misbehave on the wire."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

ACCEPTED = bytes.fromhex("2003000000")
PINGRESP = bytes.fromhex("d000")

type Script = Callable[[Peer], Awaitable[None]]


class Peer:
    """The broker's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk over these streams."""
        self.reader = reader
        self.writer = writer

    async def packet(self) -> tuple[int, bytes]:
        """Return first byte and body of the client's next packet."""
        head = (await self.reader.readexactly(1))[0]
        size = shift = 0
        byte = 0x80
        while byte & 0x80:
            byte = (await self.reader.readexactly(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
        return head, await self.reader.readexactly(size)

    async def until(self, head: int) -> bytes:
        """Answer pings until a packet with this first byte comes, and return its body.

        The client's good-bye ends the script.
        """
        while True:
            found, body = await self.packet()
            if found == head:
                return body
            if found == 0xE0:
                raise ConnectionAbortedError
            assert found == 0xC0, f"0x{found:02x} instead of 0x{head:02x}"
            self.send(PINGRESP)

    async def accept(self, answer: bytes = ACCEPTED) -> bytes:
        """Take CONNECT and answer; return its body."""
        body = await self.until(0x10)
        self.send(answer)
        return body

    def send(self, *data: bytes) -> None:
        """Send raw bytes."""
        self.writer.write(b"".join(data))

    async def listen(self) -> bytes:
        """Return everything the client still says until it hangs up."""
        return await self.reader.read()

    async def stay(self) -> None:
        """Answer pings and ignore the rest until the client hangs up."""
        while True:
            head, _ = await self.packet()
            if head == 0xC0:
                self.send(PINGRESP)

    async def silence(self) -> None:
        """Keep the connection open and do nothing at all."""
        await asyncio.Event().wait()


class FakeBroker:
    """Plays its script with everyone who connects; a failed assertion in it fails the test."""

    host = "127.0.0.1"

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        """Play `script`; a connection ends with it."""
        self.port = 0
        self.connections = 0
        self._script = script
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []

    async def __aenter__(self) -> Self:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up on everyone."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._errors and error is None:
            raise ExceptionGroup("in the broker's script", self._errors)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await self._script(Peer(reader, writer))
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - shown at the end of the test
            self._errors.append(error)
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def packet(head: int, body: bytes = b"") -> bytes:
    """Build a packet from its first byte and its body."""
    size = len(body)
    length = bytearray()
    while size > 127:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes((head,)) + bytes(length) + body


def text(value: str | bytes) -> bytes:
    """Build an MQTT string."""
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2) + data


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    *,
    flags: int = 0,
    packet_id: int = 0,
    props: bytes = b"",
) -> bytes:
    """Build a PUBLISH packet; `props` without their length, below 128 bytes."""
    identifier = packet_id.to_bytes(2) if flags & 6 else b""
    return packet(0x30 | flags, text(topic) + identifier + bytes((len(props),)) + props + payload)
