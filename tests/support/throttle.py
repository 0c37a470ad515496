"""A slow line to a broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

STEP = 0.05


@dataclass(frozen=True)
class Line:
    """Where the slow line begins."""

    host: str
    port: int


@asynccontextmanager
async def throttled(host: str, port: int, rate: int = 2000) -> AsyncIterator[Line]:
    """Pass bytes on to host and port, `rate` of them a second; answers come back at full speed."""

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int, pause: float
    ) -> None:
        try:
            while data := await reader.read(size):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause)
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        await asyncio.gather(
            pump(reader, back, int(rate * STEP), STEP),
            pump(there, writer, 1 << 16, 0),
            return_exceptions=True,
        )
        for end in (writer, back):
            with contextlib.suppress(OSError):
                await end.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    try:
        yield Line("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        server.abort_clients()
        await server.wait_closed()
