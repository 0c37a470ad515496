"""A raw client of the direct connection: logs in, calls, walks, answers probes. No code of ours."""

import asyncio
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Self, override

import cbor2

PATIENCE: Final = 60.0  # seconds
PROBE: Final = ["i", "乒"]
ANSWER: Final = "乓"

type Items = list[Any]


class CallError(Exception):
    """The server refuses, or the connection is gone."""


def path(*elements: str) -> cbor2.CBORTag:
    """Return a path below the root."""
    return cbor2.CBORTag(39, list(elements))


class Caller(asyncio.Protocol):
    """One connection; use `connect`."""

    def __init__(self, name: str) -> None:
        """Prepare a client of that name."""
        self.name = name
        self.server = ""
        self.probed = 0
        self.lost = asyncio.get_running_loop().create_future()
        self._number = 0
        self._rest = b""
        self._calls: dict[int, asyncio.Future[Items]] = {}
        self._walks: dict[int, Callable[[Items], None]] = {}
        self._greeted: asyncio.Future[Items] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport

    @classmethod
    async def connect(cls, socket: Path) -> Self:
        """Log in as an anonymous client. OSError, CallError, TimeoutError."""
        loop = asyncio.get_running_loop()
        name = f"_{os.urandom(6).hex()}"
        _, caller = await loop.create_unix_connection(lambda: cls(name), str(socket))
        async with asyncio.timeout(5):
            await caller.log_in()
        return caller

    async def log_in(self) -> None:
        """Shake hands as an anonymous client. CallError."""
        hello = self.call([None], 1, False, self.name, ["anon"], {"moat.link": {"version": 0}})
        self.server = (await self._greeted)[2]
        await self.call([None, "anon"])
        self._send([-4, "anon"])
        await hello

    def call(self, command: Items, *arguments: Any) -> asyncio.Future[Items]:
        """Call a plain command; the future holds the items of its result. CallError."""
        number = self._number
        self._number += 1
        future = self._calls[number] = asyncio.get_running_loop().create_future()
        frame = [4 * number, command, *arguments]
        if isinstance(frame[-1], dict) and command[0] is not None:
            frame.append({})  # else the map would be taken for keywords
        self._send(frame)
        return future

    async def walk(self, at: cbor2.CBORTag, on_item: Callable[[Items], None]) -> None:
        """Walk through a subtree without any limit of speed. CallError."""
        number = self._number
        self._number += 1
        done = self._calls[number] = asyncio.get_running_loop().create_future()
        self._walks[number] = on_item
        self._send([4 * number + 1, ["d", "walk"], at])
        await done
        self._send([4 * number, None])

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait."""
        self.lost.set_result(None)
        for future in [*self._calls.values(), self._greeted]:
            if not future.done():
                future.set_exception(CallError("connection lost"))
                future.exception()

    @override
    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        data = self._rest + data
        stream = BytesIO(data)
        done = 0
        while done < len(data):
            try:
                frame = cbor2.load(stream)
            except cbor2.CBORDecodeEOF:
                break
            done = stream.tell()
            self._take(frame)
        self._rest = data[done:]

    def _send(self, frame: Items) -> None:
        self._transport.write(cbor2.dumps(frame))

    def _take(self, frame: Items) -> None:
        word, *items = frame
        number, kind = word >> 2, word & 3
        if number >= 0:
            if kind < 2:
                self._asked(number, items)
        elif kind == 1:
            if (on_item := self._walks.get(-number - 1)) is not None and items:
                on_item(items)
        elif kind != 3 and (future := self._calls.pop(-number - 1, None)) is not None:
            self._walks.pop(-number - 1, None)
            if future.done():
                return
            if kind == 2:
                future.set_exception(CallError(str(items)))
            else:
                future.set_result(items)

    def _asked(self, number: int, items: Items) -> None:
        match items:
            case [[None], *greeting]:
                self._greeted.set_result(greeting)
            case [["i", _], *arguments]:
                self.probed += 1
                self._send([-4 * number - 4, ANSWER, *arguments])


async def connected(socket: Path, patience: float = PATIENCE) -> Caller:
    """Connect as soon as somebody listens. TimeoutError."""
    async with asyncio.timeout(patience):
        while True:
            try:
                return await Caller.connect(socket)
            except OSError, CallError, TimeoutError:
                await asyncio.sleep(0.01)
