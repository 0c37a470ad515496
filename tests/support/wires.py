"""Two ends of a connection within this process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from firmware_bridge.link.codec import FrameReader, Value, encode_frame
from firmware_bridge.link.connection import Connection
from firmware_bridge.link.frames import Frame


async def attach(connection: Connection, end: socket.socket) -> None:
    """Let a connection use a socket."""
    end.setblocking(False)
    await asyncio.get_running_loop().create_connection(lambda: connection, sock=end)


@asynccontextmanager
async def connected(one: Connection, other: Connection) -> AsyncIterator[None]:
    """Connect two connections with each other, and close both in the end."""
    left, right = socket.socketpair()
    await attach(one, left)
    await attach(other, right)
    try:
        yield
    finally:
        await one.close()
        await other.close()


class Raw:
    """The other end of a connection, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use the streams of a socket."""
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._waiting: list[Frame] = []

    @classmethod
    @asynccontextmanager
    async def facing(cls, connection: Connection) -> AsyncIterator[Self]:
        """Face a connection."""
        left, right = socket.socketpair()
        await attach(connection, left)
        right.setblocking(False)
        raw = cls(*await asyncio.open_connection(sock=right))
        try:
            yield raw
        finally:
            await connection.close()
            raw._writer.close()
            with contextlib.suppress(ConnectionError):
                await raw._writer.wait_closed()

    def send(self, *frame: Value) -> None:
        """Send a frame."""
        self._writer.write(encode_frame([*frame]))

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        self._writer.write(data)

    def end(self) -> None:
        """Hang up."""
        self._writer.close()

    async def receive(self) -> Frame:
        """Return the next frame; an empty one at the end."""
        async with asyncio.timeout(5):
            while not self._waiting:
                data = await self._reader.read(65536)
                if not data:
                    return []
                self._waiting += self._frames.feed(data)
        return self._waiting.pop(0)
