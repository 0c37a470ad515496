"""A client that sends recorded frames and notes what comes back."""

import asyncio
import contextlib
from typing import Any

from firmware_bridge.link.codec import FrameReader, encode_frame
from firmware_bridge.server.server import Server


class Caller:
    """One connection, logged in by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames = FrameReader()
        self.heard: list[list[Any]] = []
        self.number = 1000

    @classmethod
    async def connect(
        cls, server: Server, name: str = "_Q5G49yrpcY4Q", token: str | None = None
    ) -> Caller:
        (path,) = [each.path for each in server.config.listeners if each.path]
        caller = cls(*await asyncio.open_unix_connection(path))
        await caller.log_in(name, token)
        return caller

    async def log_in(self, name: str, token: str | None = None) -> None:
        methods = ["anon"] if token is None else ["token"]
        self.send([0, [None], 1, False, name, methods, {"moat.link": {"version": 0}}])
        self.send([4, [None, *methods], *([] if token is None else [token])])
        self.send([-4, *methods])
        await self.until(lambda frame: frame[0] in (-4, -2))

    def send(self, frame: list[Any]) -> None:
        self.writer.write(encode_frame(frame))

    async def hear(self) -> list[Any]:
        while not self.heard:
            data = await asyncio.wait_for(self.reader.read(65536), 5)
            if not data:
                raise ConnectionError("closed")
            self.heard += self.frames.feed(data)
        return self.heard.pop(0)

    async def until(self, last: Any) -> list[list[Any]]:
        found = []
        while True:
            frame = await self.hear()
            found.append(frame)
            if last(frame):
                return found

    async def call(self, path: list[Any], *arguments: Any) -> list[Any]:
        """Call a command; return the reply's items, or the error after a None."""
        self.number += 1
        number = self.number
        self.send([4 * number, path, *arguments])
        frames = await self.end_of(number)
        last = frames[-1]
        return last[1:] if last[0] & 3 == 0 else [None, *last[1:]]

    async def stream(self, path: list[Any], *arguments: Any) -> list[list[Any]]:
        """Call a command as a stream; return its items."""
        self.number += 1
        number = self.number
        self.send([4 * number + 1, path, *arguments])
        frames = await self.end_of(number)
        self.send([4 * number, None])
        return [frame[1:] for frame in frames if frame[0] == -4 * number - 3][1:]

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def end_of(self, number: int) -> list[list[Any]]:
        """Hear everything up to the end of an exchange."""
        return await self.until(lambda frame: frame[0] in (-4 * number - 4, -4 * number - 2))
