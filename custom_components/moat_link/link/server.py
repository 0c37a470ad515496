"""The server's commands, as functions: data, errors, and calls to others."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .clock import Clock
from .codec import ABSENT, Value
from .connection import Connection, Stream
from .errors import (
    DecodeError,
    EncodeError,
    NoAnswerError,
    NoHistoryError,
    NotFoundError,
    RefusedError,
    RemoteError,
)
from .identity import STAMPS
from .message import Message
from .meta import meta_in, meta_object, meta_of
from .path import MAX_LEVELS, Element, Path
from .presence import Presence
from .rpc import Reply

_LOGGER = logging.getLogger(__name__)

_DEEPEST: Final = 5 * MAX_LEVELS  # nobody means that
PATIENCE: Final = 5.0  # seconds for the server to see what it should have seen by now
PAUSE: Final = 0.02  # seconds until it is asked again whether it has


@dataclass(frozen=True, slots=True)
class Sample:
    """What a number was in an interval: how many values came, for how long there was one.

    The mean weighs values by how long they held.
    """

    start: float
    mean: float
    low: float
    high: float
    count: int
    seconds: float


class Server:
    """A server that we are connected to: RefusedError, NoAnswerError or ConnectionLostError."""

    def __init__(self, name: str, connection: Connection, presence: Presence, clock: Clock) -> None:
        """Take a connection that is logged in, and the session through which we write."""
        self.name = name
        self._connection = connection
        self._presence = presence
        self._clock = clock
        self._doubts = 0
        self._seen: tuple[int, int, int] | None = None
        self._settled: tuple[int, int, int] | None = None
        self._tells = True

    def doubt(self) -> None:
        """Have it catch up before it is asked the next time: others may have written something."""
        self._doubts += 1

    async def catch_up(self) -> None:
        """Wait until the server has seen what the broker had before we last wrote or subscribed.

        A server may be slower than we are, and one that has just started may still be reading the
        broker's retained messages. What was published before we subscribed, only it can tell us.
        """
        before = self._presence.subscriptions.changes, self._doubts
        if self._seen == (self._presence.writes, *before) or not self._tells:
            return
        try:
            stamp = (await self._connection.request(("i", "stamp"))).value
            packet = self._presence.event(STAMPS / self.name, stamp, self._clock.time())
            self._presence.send(packet)
            sent = self._presence.writes
            await self._connection.request(("i", "sync"), (stamp,), timeout=PATIENCE)
            self._seen = sent, *before
        except (RefusedError, NoAnswerError, EncodeError) as err:
            self._tells = False
            _LOGGER.debug("Server %s does not say how far it is: %s", self.name, err)

    async def settle(self) -> None:
        """Wait until the server knows what the broker had before we last wrote or subscribed.

        Stricter than `catch_up`: a real server that says so may still have the last of it in a queue,
        and what was published before we subscribed comes only once. In the same queue, our identity
        record comes last. Where we may not publish that, nothing is waited for.
        """
        writes = self._presence.writes
        before = self._presence.subscriptions.changes, self._doubts
        if self._settled == (writes, *before):
            return
        try:
            record = await self._presence.identify(self.name)
        except RefusedError:
            return
        await self._learns(record)
        self._seen = self._settled = writes + 1, *before

    async def get(self, path: Path) -> Message:
        """Return what the server holds for a node."""
        await self.catch_up()
        reply = await self._connection.request(("d", "get"), (path,))
        value, *meta = reply.arguments or (reply.value,)
        if value is ABSENT:
            raise NotFoundError(f"{path}: no value")
        return self._message(path, value, meta, reply.keywords)

    async def set(self, message: Message, expected_time: float | bool | None) -> bool:
        """Store a message (ABSENT deletes); False when it is not newer than what is there."""
        keywords: dict[str, Value] = {} if expected_time is None else {"t": expected_time}
        meta = meta_object(message.meta)
        reply = await self._connection.request(
            ("d", "set"), (message.path, message.value, meta), keywords
        )
        return reply.value is not False

    async def delete(self, message: Message, expected_time: float | bool | None) -> None:
        """Delete a node and everything below it."""
        keywords: dict[str, Value] = {"rec": True}
        if expected_time is not None:
            keywords["t"] = expected_time
        meta = meta_object(message.meta)
        await self._connection.request(("d", "delete"), (message.path, meta), keywords)

    async def walk(
        self,
        path: Path,
        *,
        min_depth: int = 0,
        max_depth: int | None = None,
        deleted: bool = False,
    ) -> AsyncGenerator[Message]:
        """Go through a subtree, parents first; `run` is not in it.

        `deleted` asks for deletions as well: servers of ours tell them, others may refuse.
        """
        await self.catch_up()
        arguments: list[Value] = [path]
        if min_depth or max_depth is not None:
            arguments += [None, min_depth, max_depth]
        below: tuple[Element, ...] = ()
        keywords: dict[str, Value] = {"deleted": True} if deleted else {}
        async with self._connection.open_stream(("d", "walk"), arguments, keywords) as stream:
            async for item in stream:
                match item.arguments:
                    case (int(depth), Path() | [*_] as rest, value, *meta):
                        below = (*below[:depth], *Path.of(rest))
                        if len(below) > _DEEPEST:
                            raise DecodeError(f"walk of {path}: {len(below)} levels")
                        try:
                            here = Path(*path, *below)
                        except EncodeError as err:
                            _LOGGER.debug("Left out: %s", err)
                            continue
                        yield self._message(here, value, meta, item.keywords)
                    case _:
                        raise DecodeError(f"walk of {path}: not an item")

    async def history(
        self, path: Path, start: float | None, end: float | None, newest: int | None
    ) -> AsyncIterator[Message]:
        """Go through what a node was, oldest first (a command of our own servers)."""
        async with self._remembered(path, start, end, newest) as stream:
            async for item in _at_most(newest, stream):
                value, *meta = item.arguments or (None,)
                yield self._message(path, value, meta, item.keywords)

    async def samples(
        self,
        path: Path,
        step: float,
        start: float | None,
        end: float | None,
        newest: int | None,
        item: Sequence[str | int],
    ) -> AsyncIterator[Sample]:
        """Go through what a number was in intervals (a command of our own servers)."""
        async with self._remembered(path, start, end, newest, step, item=[*item]) as stream:
            async for each in _at_most(newest, stream):
                match each.arguments:
                    case [begin, mean, low, high, int(count), seconds]:
                        begin, mean, low, high, seconds = map(
                            _number, (begin, mean, low, high, seconds)
                        )
                        yield Sample(begin, mean, low, high, count, seconds)
                    case _:
                        raise DecodeError(f"history of {path}: not a sample")

    @contextlib.asynccontextmanager
    async def _remembered(
        self, path: Path, *arguments: Value, **keywords: Value
    ) -> AsyncIterator[Stream]:
        """Ask for the past; NoHistoryError if there is none."""
        await self.catch_up()
        command = ("d", "hist")
        try:
            async with self._connection.open_stream(
                command, (path, *arguments), keywords
            ) as stream:
                yield stream
        except NotFoundError as err:
            raise NoHistoryError(f"the server {self.name} keeps no history", self.name) from err
        except RemoteError as err:
            match err.name, err.arguments:
                case "_ValErr", [str(reason)]:
                    raise NoHistoryError(reason, self.name) from err
                case "_rErr", ["TypeError", str(reason)]:
                    raise RefusedError(f"{path}: {reason}") from err
            raise

    async def children(self, path: Path) -> list[Element]:
        """Return the names of a node's children, including those that lead to nothing."""
        await self.catch_up()
        async with self._connection.stream(("d", "list"), path) as stream:
            return [Path.of([item.value])[0] async for item in stream]

    async def alive(self, client_id: str) -> bool:
        """Tell whether a client with this id is there."""
        return (await self._connection.request(("i", "checkid"), (client_id,))).value is True

    async def error(self, command: str, path: Path, **keywords: Value) -> None:
        """Report, acknowledge or clear an error: `info`, `ack`, `ok`."""
        arguments = (path, keywords["msg"]) if command == "info" else (path,)
        await self._connection.request(("e", command), arguments, keywords)

    async def call(
        self,
        server: str,
        client_id: str,
        route: Sequence[Value],
        arguments: Iterable[Value],
        keywords: Mapping[str, Value],
    ) -> Reply:
        """Call a command of another client, through the server that it is connected to."""
        path = ("srv", server, "cl", client_id, *route)
        return await self._connection.request(path, arguments, keywords, timeout=None)

    async def _learns(self, message: Message) -> None:
        """Return as soon as the server holds this, or something newer."""
        while True:
            with contextlib.suppress(NotFoundError):
                reply = await self._connection.request(("d", "get"), (message.path,))
                value, *meta = reply.arguments or (reply.value,)
                known = self._message(message.path, value, meta, reply.keywords)
                if known.time >= message.time:
                    return
            await asyncio.sleep(PAUSE)

    def _message(
        self, path: Path, value: Value, meta: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Message:
        """Put a message together from a reply, where the metadata follow the value."""
        found = meta_of(meta_in(meta, keywords), self._clock.time())
        return Message(path.topic, value, found, retained=True)


async def _at_most(newest: int | None, stream: Stream) -> AsyncIterator[Reply]:
    """Go through a stream of the newest few, and what held before. DecodeError if there are more."""
    count = 0
    async for item in stream:
        count += 1
        if newest is not None and count > newest + 1:
            raise DecodeError(f"the server sends more than the {newest} values it was asked for")
        yield item


def _number(value: Value) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise DecodeError("not a number")
