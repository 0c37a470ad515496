"""What is under way on a connection: calls, streams, requests of the other side."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Self, override

from .errors import LinkError
from .frames import Reply
from .rpc import Answered, Ended, Event, Exchange, Failed, Item, Opened, StreamEndedError
from .weigh import weigh

if TYPE_CHECKING:
    from .codec import Value
    from .connection import Connection

_TASK: Final = 2048
"""What a request takes while it is worked at, whatever it says."""
MOST_UNREAD: Final = 64 << 20
"""Bytes of items in memory that nobody has read; who sends more cares for no credit."""


class Pending:
    """A call under way; `future` gets the reply or the error."""

    __slots__ = ("_exchange", "future")

    def __init__(self, exchange: Exchange, future: asyncio.Future[Reply]) -> None:
        """Wait for the answer to an exchange."""
        self._exchange = exchange
        self.future = future
        exchange.owner = self

    def on_event(self, event: Event) -> None:
        """Take the answer."""
        if self.future.done():
            return
        if isinstance(event, Ended):
            self.future.set_result(event.reply)
        elif isinstance(event, Failed):
            self.future.set_exception(event.error)

    def discard(self) -> None:
        """Give up; nothing happens if the answer is there."""
        self._exchange.cancel()
        if self.future.done() and not self.future.cancelled():
            self.future.exception()
        self.future.cancel()


class Flow:
    """One end of an exchange that may carry items both ways."""

    __slots__ = (
        "_connection",
        "_ended",
        "_error",
        "_items",
        "_unread",
        "_waiters",
        "exchange",
        "kept",
    )

    def __init__(self, connection: Connection, exchange: Exchange) -> None:
        """Take charge of an exchange."""
        self._connection = connection
        self.exchange = exchange
        self.kept = 0
        """About how many bytes are kept for it, apart from items that wait."""
        self._unread = 0
        self._items: deque[tuple[int, Reply]] | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._ended: Reply | None = None
        self._error: LinkError | None = None
        exchange.owner = self

    def on_event(self, event: Event) -> None:
        """Take note of what the other side did."""
        if isinstance(event, Item):
            if self._items is None:
                self._items = deque()
            weight = weigh(event.reply)
            self._items.append((weight, event.reply))
            self._unread += weight
            if self._unread > MOST_UNREAD:
                self._connection.abort("too much at once")
        elif isinstance(event, Ended):
            self._ended = event.reply
        elif isinstance(event, Failed):
            self._error = event.error
        self._wake()

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""
        return self.kept + self._unread

    async def send(self, *arguments: Value, **keywords: Value) -> None:
        """Send an item as soon as the other side takes it; StreamEndedError if it never will."""
        while not await self._may_send():
            await self._wait()
        self.exchange.send(arguments, keywords)

    def __aiter__(self) -> Self:
        """Iterate over the items of the other side."""
        return self

    async def __anext__(self) -> Reply:
        """Return the next item; the error that ended the stream is raised after the last one."""
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._ended is not None:
                raise StopAsyncIteration
            await self._wait()
        self.exchange.consumed()
        weight, item = self._items.popleft()
        self._unread -= weight
        return item

    async def _may_send(self) -> bool:
        """Make sure that somebody listens, and that the transport takes more."""
        await self._connection.writer.breathe()
        if self._error is not None:
            raise self._error
        if self._ended is not None or self.exchange.done:
            raise StreamEndedError("the other side takes no more items")
        return self.exchange.can_send

    async def _wait(self) -> None:
        """Wait until something happens to the exchange."""
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()


class Stream(Flow):
    """A stream that we opened; iterate over it to receive."""

    __slots__ = ("opening",)

    def __init__(self, connection: Connection, exchange: Exchange) -> None:
        """Wait for the opening reply next."""
        super().__init__(connection, exchange)
        self.opening: Reply | None = None

    @override
    def on_event(self, event: Event) -> None:
        """Take the opening reply, too; a plain reply takes its place."""
        if isinstance(event, Answered):
            self.opening = event.reply
        elif isinstance(event, Ended | Failed):
            self._connection.settle(self.exchange)
            if self.opening is None and isinstance(event, Ended):
                self.opening = event.reply
        super().on_event(event)

    @property
    def result(self) -> Reply | None:
        """The other side's last word, once the iteration has ended."""
        return self._ended

    async def finish(self, *arguments: Value, **keywords: Value) -> Reply:
        """End our side; return the other side's last word, leaving out what it still sends."""
        if arguments or keywords:
            self.exchange.finish(arguments, keywords)
        else:
            self.exchange.finish()
        async for _ in self:
            pass
        assert self._ended is not None  # or the iteration would have raised
        return self._ended

    async def opened(self) -> None:
        """Wait for the opening reply."""
        while self.opening is None:
            if self._error is not None:
                raise self._error
            await self._wait()


class Request(Flow):
    """A command that the other side calls. What the handler returns is the result."""

    __slots__ = ("arguments", "keywords", "path", "stream", "task")

    def __init__(self, connection: Connection, event: Opened) -> None:
        """Take what the other side wants."""
        super().__init__(connection, event.exchange)
        self.path = event.path
        self.arguments = event.reply.arguments
        self.keywords = event.reply.keywords
        self.stream = event.stream
        self.kept = _TASK + weigh(event.reply)
        self.task: asyncio.Task[None] | None = None

    @property
    def connection(self) -> Connection:
        """Where the request came from."""
        return self._connection

    @override
    def on_event(self, event: Event) -> None:
        """Stop the work when the other side cancels it, or is gone."""
        super().on_event(event)
        if isinstance(event, Failed) and self.exchange.closed and self.task is not None:
            self.task.cancel()

    def accept(self, *arguments: Value, window: int = 20, **keywords: Value) -> None:
        """Answer with a stream; `window` items may wait for us to read them."""
        self.exchange.accept(arguments, keywords, window=window)

    @override
    async def send(self, *arguments: Value, **keywords: Value) -> None:
        """Send an item, opening the stream if need be."""
        if not self.exchange.answered and not self.exchange.done:
            self.accept()
        await super().send(*arguments, **keywords)

    @override
    async def __anext__(self) -> Reply:
        """Return the next item, opening the stream if need be."""
        if not self.exchange.answered and not self.exchange.done:
            self.accept()
        return await super().__anext__()

    async def left(self) -> None:
        """Wait until the caller of a stream has ended its side: it is no longer interested."""
        while self._ended is None and self._error is None:
            await self._wait()
