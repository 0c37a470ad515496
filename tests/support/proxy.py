"""A TCP proxy in front of a broker: slow, frozen (half-open), cut, or closed to newcomers."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

STEP = 0.02
CHUNK = 1 << 16
BUFFER = 4096


class Proxy:
    """Passes bytes both ways; a context manager.

    `rate` limits each direction to that many bytes a second, a token bucket of one STEP (None: no
    limit). While `frozen` nothing passes, and nobody is told: the line is half open.
    """

    host = "127.0.0.1"

    def __init__(self, port: int, *, rate: float | None = None) -> None:
        """Stand in front of this port."""
        self.target = port
        self.port = 0
        self.rate = rate
        self.frozen = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close for good."""
        await self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self) -> None:
        """Let clients in: on the same port as before, if there was one."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=BUFFER)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut all lines, and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Cut all lines."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(self.host, self.target, limit=BUFFER)
        except OSError:
            writer.transport.abort()
        else:
            self._writers.add(back)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back, writer))
                group.create_task(self._pump(there, writer, back))
            self._writers.discard(back)
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
    ) -> None:
        """Pass one direction on; when it ends, so does the other."""
        with contextlib.suppress(OSError):
            while True:
                rate = self.rate
                data = await reader.read(CHUNK if rate is None else max(1, int(rate * STEP)))
                while self.frozen:
                    await asyncio.sleep(STEP)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
                if rate is not None:
                    await asyncio.sleep(len(data) / rate)
        writer.close()
        other.close()
