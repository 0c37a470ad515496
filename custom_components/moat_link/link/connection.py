"""A connection: owns an engine and its transport, makes calls, answers requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol, override

from .codec import FrameReader, encode_frame
from .errors import ConnectionLostError, DecodeError, EncodeError, LinkError, NoAnswerError
from .flow import Flow, Pending, Request, Stream
from .frames import CommandPath, Frame, Reply
from .remote import encode_error, unknown_command
from .rpc import NOBODY, Engine, Exchange, Failed, Opened
from .writer import Writer

if TYPE_CHECKING:
    from .codec import Value

__all__ = [
    "Answer",
    "Connection",
    "FrameSource",
    "Handler",
    "Pace",
    "Quick",
    "Reply",
    "Request",
    "Stream",
    "no_command",
]

_LOGGER = logging.getLogger(__name__)

_PROBE: Final = ("i", "乒")  # the server drops who does not answer within 3 s
_PING: Final = ("i", "ping")
_PONG: Final = "乓"

_READ_SIZE: Final = 32 * 1024  # one turn of the loop handles at most this much
_LINGER: Final = 1.5  # seconds for the other side to end a stream that we left

type Answer = Reply | Value
type Handler = Callable[[Request], Awaitable[Answer]]
type Quick = Callable[[Reply], Answer]


class Pace(Protocol):
    """Says how much to read at a time, and when to stop reading for a while."""

    piece: int

    def used(self, size: int, begin: float, end: float) -> float:
        """Take how many bytes took from when to when; return for how long not to read."""


class FrameSource(Protocol):
    """Turns bytes into frames."""

    def feed(self, data: bytes, /) -> Sequence[Frame]:
        """Return the frames that these bytes complete; DecodeError ends the connection."""


class Connection(asyncio.BufferedProtocol):
    """An asyncio protocol with an engine; for either side of a link.

    Probes are answered right here. Commands in `quick` are answered at once, as long as the other
    side reads. Other requests go to `handler`, each in a task that this connection owns.
    """

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        source: FrameSource | None = None,
        encode: Callable[[Frame], bytes] = encode_frame,
        max_exchanges: int = 4096,
        may_open: Callable[[int], bool] | None = None,
        max_buffer: int = 32 * 1024 * 1024,
        linger: float = _LINGER,
        on_open: Callable[[Connection], None] | None = None,
    ) -> None:
        """Take who answers requests, how bytes become frames and back, and the limits."""
        self._loop = asyncio.get_running_loop()
        self.handler: Handler = no_command if handler is None else handler
        self.quick: Mapping[tuple[Value, ...], Quick] = {}
        self.pace: Pace | None = None
        self.allowance: int | None = None
        """How many more frames may come before the other side is hung up on; None: any number."""
        self.closed: asyncio.Future[ConnectionLostError] = self._loop.create_future()
        self.last_heard = self._loop.time()
        self.writer = Writer(encode, max_buffer, self.abort)
        self._source = FrameReader() if source is None else source
        self._engine = Engine(self.writer.send, max_exchanges=max_exchanges, may_open=may_open)
        self._linger_time = linger
        self._on_open = on_open
        self._fed = 0
        self._begun = 0.0
        self._buffer = bytearray(_READ_SIZE)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lingering: dict[Exchange, asyncio.TimerHandle] = {}

    # What users call

    async def call(
        self, path: CommandPath, /, *arguments: Value, timeout: float | None = 10, **keywords: Value
    ) -> Reply:
        """Call a command; `request` is the same for any keyword."""
        return await self.request(path, arguments, keywords, timeout=timeout)

    async def request(
        self,
        path: CommandPath,
        arguments: Iterable[Value] = (),
        keywords: Mapping[str, Value] | None = None,
        *,
        timeout: float | None = 10,
    ) -> Reply:
        """Call a command. RefusedError and its kin, NoAnswerError, ConnectionLostError."""
        pending = None
        try:
            async with asyncio.timeout(timeout):
                await self.writer.breathe()
                pending = self.begin(path, arguments, keywords)
                return await pending.future
        except TimeoutError:
            raise NoAnswerError(f"no answer to {_dotted(path)} within {timeout} s") from None
        finally:
            if pending is not None:
                pending.discard()
                pending = None  # or the error and this frame would keep each other alive

    def begin(
        self,
        path: CommandPath,
        arguments: Iterable[Value] = (),
        keywords: Mapping[str, Value] | None = None,
    ) -> Pending:
        """Call a command without waiting; the caller must await or discard what it gets."""
        self._check()
        exchange = self._engine.open(path, arguments, keywords)
        return Pending(exchange, self._loop.create_future())

    def stream(
        self,
        path: CommandPath,
        /,
        *arguments: Value,
        window: int = 256,
        timeout: float | None = 10,
        **keywords: Value,
    ) -> AbstractAsyncContextManager[Stream]:
        """Call a command as a stream; `open_stream` is the same for any keyword."""
        return self.open_stream(path, arguments, keywords, window=window, timeout=timeout)

    @asynccontextmanager
    async def open_stream(
        self,
        path: CommandPath,
        arguments: Iterable[Value] = (),
        keywords: Mapping[str, Value] | None = None,
        *,
        window: int = 256,
        timeout: float | None = 10,
    ) -> AsyncIterator[Stream]:
        """Call a command as a stream; `timeout` is for the opening reply.

        Leaving the context ends our side; an exception tells the other side, too.
        """
        self._check()
        exchange = self._engine.open(path, arguments, keywords, stream=True, window=window)
        stream = Stream(self, exchange)
        try:
            try:
                async with asyncio.timeout(timeout):
                    await stream.opened()
            except TimeoutError:
                exchange.cancel()
                raise NoAnswerError(f"no answer to {_dotted(path)} within {timeout} s") from None
            yield stream
        except Exception as err:
            exchange.leave(encode_error(err))
            raise
        except BaseException:
            exchange.cancel()
            raise
        else:
            exchange.leave()
        finally:
            if not exchange.closed:
                self._lingering[exchange] = self._loop.call_later(
                    self._linger_time, self._linger, exchange
                )

    async def close(self, reason: str = "closed") -> None:
        """Say what is left to say, then end everything; `reason` is for those who wait."""
        if self._transport is not None:
            self.writer.flush()
            if not self._transport.is_closing():  # a second time, TLS forgets what it needs later
                self._transport.close()
        self.abort(reason)
        if tasks := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(tasks)
        if self._transport is not None:
            await asyncio.wait([self._gone], timeout=1)
            self._transport.abort()

    def abort(self, reason: str = "closed") -> None:
        """End everything at once, saying nothing more; only the first reason counts."""
        if self.closed.done():
            return
        self.closed.set_result(ConnectionLostError(reason))
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
        for handle in self._lingering.values():
            handle.cancel()
        self._lingering.clear()
        self.writer.drop()
        for exchange in self._engine.close():
            exchange.owner.on_event(Failed(exchange, ConnectionLostError(reason)))
            exchange.owner = NOBODY
        for task in self._tasks:
            task.cancel()

    def settle(self, exchange: Exchange) -> None:
        """Stop waiting for the other side to end a stream that we left; for streams."""
        if handle := self._lingering.pop(exchange, None):
            handle.cancel()

    def feed(self, data: bytes) -> None:
        """Take bytes from the other side."""
        self.last_heard = self._loop.time()
        self.writer.due = True
        try:
            frames = self._source.feed(data)
            if frames:
                self._fed = 0
                self._count(len(frames))
            else:
                if not self._fed:
                    self._begun = self.last_heard
                self._fed += len(data)
            for frame in frames:
                if self.closed.done():
                    break
                event = self._engine.receive(frame)
                if isinstance(event, Opened):
                    self._serve(event)
        except DecodeError as err:
            self.abort(f"not understood: {err}")
        finally:
            self.writer.flush()

    @property
    def exchanges(self) -> int:
        """How many exchanges are open."""
        return len(self._engine)

    @property
    def room(self) -> int:
        """How many more calls can be made from this side."""
        return self._engine.room

    @property
    def unfinished(self) -> float | None:
        """Since when (the loop's time) a frame has been on its way; None if there is none."""
        return self._begun if self._fed else None

    @property
    def burden(self) -> int:
        """How many bytes are kept for this connection: what waits to be sent, read or answered."""
        flows = (exchange.owner for exchange in self._engine)
        kept = sum(flow.weight for flow in flows if isinstance(flow, Flow))
        return self._fed + self.writer.unsent + kept

    # What the transport calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.writer.open(transport)
        if self._on_open is not None:
            self._on_open(self)

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer for the next read."""
        return self._view if self.pace is None else self._view[: self.pace.piece]

    @override
    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        data = bytes(self._view[:nbytes])
        if (pace := self.pace) is None:
            self.feed(data)
            return
        begin = perf_counter()
        self.feed(data)
        if (rest := pace.used(nbytes, begin, perf_counter())) and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_later(rest, self._transport.resume_reading)

    @override
    def pause_writing(self) -> None:
        """Hold back calls and items: the other side is slow."""
        self.writer.pause()

    @override
    def resume_writing(self) -> None:
        """Let calls and items pass again."""
        self.writer.resume()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self.abort(str(exc) if exc else "closed by the other side")
        self._gone.set_result(None)

    # Inside

    def _check(self) -> None:
        if self.closed.done():
            raise ConnectionLostError(str(self.closed.result()))
        if self._transport is None:
            raise ConnectionLostError("not connected")

    def _count(self, frames: int) -> None:
        if self.allowance is not None:
            self.allowance -= frames
            if self.allowance < 0:
                self.abort("too much was said before the login")

    def _serve(self, event: Opened) -> None:
        if event.path in (_PROBE, _PING):
            reply = event.reply
            self._finish(event.exchange, Reply((_PONG, *reply.arguments), reply.keywords))
            return
        if not event.stream and (quick := self._quick_command(event.path)) is not None:
            self._answer_quickly(event, quick)
            return
        request = Request(self, event)
        task = asyncio.Task(self._answer(request), loop=self._loop, eager_start=True)
        if not task.done():
            request.task = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _quick_command(self, path: tuple[Value, ...]) -> Quick | None:
        if not self.quick or not self.writer.free:
            return None
        try:
            return self.quick.get(path)
        except TypeError:  # not hashable
            return None

    def _answer_quickly(self, event: Opened, quick: Quick) -> None:
        try:
            self._finish(event.exchange, quick(event.reply))
        except LinkError as err:
            event.exchange.fail(encode_error(err))
        except Exception as err:
            _LOGGER.exception("Command %s failed", _dotted(event.path))
            event.exchange.fail(encode_error(err))

    async def _answer(self, request: Request) -> None:
        """Have a request handled, and answer it; the supervisor of all handlers."""
        exchange = request.exchange
        try:
            answer = await self.handler(request)
            await self.writer.breathe()
            self._finish(exchange, answer)
        except asyncio.CancelledError:
            exchange.cancel()
            raise
        except LinkError as err:
            exchange.fail(encode_error(err))
        except Exception as err:
            _LOGGER.exception("Command %s failed", _dotted(request.path))
            exchange.fail(encode_error(err))

    def _finish(self, exchange: Exchange, answer: Answer) -> None:
        try:
            if isinstance(answer, Reply):
                exchange.finish(answer.arguments, answer.keywords)
            else:
                exchange.finish((answer,))
        except EncodeError as err:
            exchange.fail(encode_error(err))

    def _linger(self, exchange: Exchange) -> None:
        del self._lingering[exchange]
        exchange.cancel()


async def no_command(request: Request) -> Answer:
    """Handle requests by refusing them all."""
    raise unknown_command(request.path)


def _dotted(path: CommandPath) -> str:
    """Name a command in messages for people."""
    return ".".join(map(str, path))
