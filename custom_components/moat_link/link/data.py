"""Reading and writing nodes: through the server if there is one, else at the broker."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from .codec import ABSENT, Value
from .errors import (
    ConnectionLostError,
    NoHistoryError,
    NotFoundError,
    OutOfDateError,
    RefusedError,
    ServerNeededError,
)
from .message import Message
from .path import Element, Path
from .presence import Presence
from .server import Sample, Server
from .subscriptions import Interest
from .watch import Watch, Watches

RUN = Path("run")


class Data:
    """The nodes of the installation, for the life of one session."""

    def __init__(
        self, presence: Presence, watches: Watches, server: Callable[[], Server | None]
    ) -> None:
        """`server` returns the server that is connected just now."""
        self._presence = presence
        self._watches = watches
        self._server = server

    async def get(self, path: Path) -> Message:
        """Return what is at a node, or raise NotFoundError."""
        if (server := self._server()) is not None:
            server.doubt()
            with contextlib.suppress(ConnectionLostError):
                return await server.get(path)
        for message in await self.retained(path, subtree=False):
            return message
        raise NotFoundError(f"nothing at {path}")

    async def walk(
        self, path: Path, min_depth: int = 0, max_depth: int | None = None
    ) -> AsyncIterator[Message]:
        """Go through a subtree, parents first."""
        if (server := self._server_for(path)) is not None:
            server.doubt()
            async for message in server.walk(path, min_depth=min_depth, max_depth=max_depth):
                yield message
            return
        for message in await self.retained(path):
            depth = len(message.path) - len(path)
            if min_depth <= depth and (max_depth is None or depth <= max_depth):
                yield message

    def history(
        self, path: Path, start: float | None, end: float | None, newest: int | None
    ) -> AsyncIterator[Message]:
        """Return what a node was."""
        return self._remembering(path).history(path, start, end, newest)

    def samples(
        self,
        path: Path,
        step: float,
        start: float | None,
        end: float | None,
        newest: int | None,
        item: Sequence[str | int],
    ) -> AsyncIterator[Sample]:
        """Return what a number was, in intervals."""
        return self._remembering(path).samples(path, step, start, end, newest, item)

    async def deletions(self, path: Path) -> list[Message]:
        """Return the deletions in a subtree that the server remembers."""
        if (server := self._server_for(path)) is None:
            return []
        try:
            walk = server.walk(path, deleted=True)
            return [message async for message in walk if message.value is ABSENT]
        except RefusedError:  # the real servers do not know the keyword
            return []

    async def children(self, path: Path) -> list[Element]:
        """Return the names of a node's children."""
        if (server := self._server_for(path)) is not None:
            server.doubt()
            return await self._living(server, path)
        depth = len(path)
        below = [message.path for message in await self.retained(path)]
        return list(dict.fromkeys(each[depth] for each in below if len(each) > depth))

    async def set(
        self,
        path: Path,
        value: Value,
        *,
        retain: bool = True,
        expected_time: float | bool | None = None,
        confirm: bool = True,
    ) -> Message:
        """Write a node; see `Link.set`."""
        seen = self._watches.seen(path.topic)
        message, packet = self._presence.compose(path, value, retain=retain, seen=seen)
        if expected_time is not None:
            if not await self._comparing(path).set(message, expected_time):
                raise OutOfDateError(f"{path}: what is there is newer")
        elif confirm:
            await self._presence.confirm(packet)
        else:
            self._presence.send(packet)
        return message

    async def delete(
        self, path: Path, *, expected_time: float | bool | None = None, recursive: bool = False
    ) -> None:
        """Delete a node; see `Link.delete`."""
        if not recursive:
            await self.set(path, ABSENT, expected_time=expected_time)
            return
        if expected_time is not None and not isinstance(expected_time, bool):
            await self.get(path)  # NotFoundError: without a time, servers compare nothing
        if expected_time is not None or self._server_for(path) is not None:
            seen = self._watches.seen(path.topic)
            message, _ = self._presence.compose(path, ABSENT, seen=seen)
            await self._comparing(path).delete(message, expected_time)
        # without a server, everything; with one, what it has not seen yet, or is of a clock ahead
        for message in [message async for message in self.walk(path)]:
            _, packet = self._presence.compose(message.path, ABSENT, seen=message.time)
            await self._presence.confirm(packet)

    async def retained(self, path: Path, *, subtree: bool = True) -> list[Message]:
        """Return what the broker holds, parents first."""
        watch = Watch(path, lambda _: None, subtree=subtree)
        interest = Interest(path, subtree)
        subscriptions = self._presence.subscriptions
        self._watches.add(watch)
        try:
            await subscriptions.want(interest, retained=True)
            found = dict(watch.messages)
        finally:
            self._watches.remove(watch)
        await subscriptions.drop(interest)
        return [found[topic] for topic in sorted(found, key=lambda topic: topic.split("/"))]

    async def _living(self, server: Server, path: Path) -> list[Element]:
        """Return the names that lead to something; servers know those of what was deleted, too."""
        below = [Path(*path.elements, name) for name in await server.children(path)]
        alive = {item.topic async for item in server.walk(path, min_depth=1, max_depth=1)}
        return [each[-1] for each in below if each.topic in alive or await _leads_on(server, each)]

    def _server_for(self, path: Path) -> Server | None:
        """Return the server, unless the path is one that servers do not walk."""
        return None if path.starts_with(RUN) else self._server()

    def _remembering(self, path: Path) -> Server:
        if (server := self._server()) is None:
            raise NoHistoryError(f"the history of {path} needs a server, and there is none")
        server.doubt()
        return server

    def _comparing(self, path: Path) -> Server:
        if path.starts_with(RUN):
            raise RefusedError(f"{path}: below run, servers compare nothing")
        if (server := self._server()) is None:
            raise ServerNeededError("comparing before writing needs a server, and there is none")
        return server


async def _leads_on(server: Server, path: Path) -> bool:
    """Tell whether there is anything below a node."""
    async with contextlib.aclosing(server.walk(path, min_depth=1)) as items:
        async for _ in items:
            return True
    return False
