"""What leaves a connection: together in each turn of the loop, and as fast as the other side reads."""

import asyncio
from collections.abc import Callable
from typing import Final

from .frames import Frame

_MUCH: Final = 32 * 1024  # bytes; who sends more in one turn of the loop lets others have one
_MOST: Final = 64 * 1024  # bytes that wait for the end of the turn


class Writer:
    """Frames on their way to the other side."""

    __slots__ = (
        "_encode",
        "_loop",
        "_overrun",
        "_pending",
        "_size",
        "_transport",
        "_turns",
        "_writable",
        "_written",
        "due",
        "max_buffer",
    )

    def __init__(
        self, encode: Callable[[Frame], bytes], max_buffer: int, overrun: Callable[[str], None]
    ) -> None:
        """`overrun` is told when more than `max_buffer` bytes wait for the other side to read."""
        self.max_buffer = max_buffer
        self.due = False
        """Whether `flush` is called in this turn anyway."""
        self._loop = asyncio.get_running_loop()
        self._encode = encode
        self._overrun = overrun
        self._transport: asyncio.Transport | None = None
        self._pending: list[bytes] = []
        self._size = 0
        self._written = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._turns = asyncio.Lock()

    def open(self, transport: asyncio.Transport) -> None:
        """Take where to write."""
        self._transport = transport
        transport.set_write_buffer_limits(high=4 * _MOST)

    def send(self, *frames: Frame) -> None:
        """Send frames, together with others of the same turn of the loop. EncodeError: none is sent."""
        chunks = [self._encode(frame) for frame in frames]
        self._pending += chunks
        self._size += sum(map(len, chunks))
        if self._size > _MOST:
            self.flush()
        elif not self.due:
            self.due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand over what waits for the end of the turn."""
        self.due = False
        if not self._pending or self._transport is None:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > self.max_buffer:
            self._overrun("the other side does not read")
        else:
            self._written += len(data)
            self._transport.write(data)

    def drop(self) -> None:
        """Forget what has not been handed over, and hold nobody up: the connection is gone."""
        self._pending.clear()
        self._size = 0
        self._writable.set()

    def pause(self) -> None:
        """Hold back calls and items: the other side is slow."""
        self._writable.clear()

    def resume(self) -> None:
        """Let calls and items pass again."""
        self._writable.set()

    @property
    def free(self) -> bool:
        """Whether the other side reads what it is sent."""
        return self._writable.is_set()

    async def breathe(self) -> None:
        """Wait until the transport takes more, and let others have a turn now and then."""
        while self._size > _MUCH or not self._writable.is_set():
            async with self._turns:  # many streams of one connection go on one by one
                if self._writable.is_set():
                    await asyncio.sleep(0)
                else:
                    await self._writable.wait()

    async def rest(self) -> None:
        """Let others have a turn; what is under way on one connection goes on one by one."""
        async with self._turns:
            await asyncio.sleep(0)

    @property
    def backlog(self) -> int:
        """How many bytes wait for the other side to read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def unsent(self) -> int:
        """The same, with those that are sent in this turn of the loop."""
        return self._size + self.backlog

    @property
    def sent(self) -> int:
        """How many bytes have left this process."""
        return self._written - self.backlog
