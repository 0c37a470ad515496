"""The other servers: a connection to each, for calls and for what only they know."""

import asyncio
import logging
from collections.abc import Callable

from ..link.codec import Value
from ..link.connection import Connection
from ..link.direct import DirectLink, DirectStatus, Endpoint, endpoints
from ..link.errors import ConnectionLostError, DecodeError, EncodeError, LinkError, RefusedError
from ..link.meta import meta_of
from ..link.path import Path
from .store import levels_of
from .tree import Tree

_LOGGER = logging.getLogger(__name__)

_MOST = 32


class Peers:
    """Keeps up a connection to every server that has announced itself, and copies its tree once."""

    def __init__(self, name: str, tree: Tree, *, on_link: Callable[[str, bool], None]) -> None:
        """`on_link` is told which server can be reached."""
        self._name = name
        self._tree = tree
        self._on_link = on_link
        self._endpoints: dict[str, list[Endpoint]] = {}
        self._links: dict[str, DirectLink] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._copies: set[asyncio.Task[None]] = set()
        self.copied: dict[str, int] = {}
        """How many nodes each server had that we had not."""

    def announced(self, name: str, announcement: Value) -> None:
        """Take where a server is, or that it is gone."""
        if name == self._name:
            return
        found = endpoints(announcement, server=name)
        if not found:
            self._endpoints.pop(name, None)
            self._links.pop(name, None)
            if (task := self._tasks.pop(name, None)) is not None:
                task.cancel()
            return
        self._endpoints[name] = found
        if name in self._links:
            self._links[name].announced()
        elif len(self._links) < _MOST:
            link = self._links[name] = DirectLink(
                lambda: self._endpoints.get(name, []),
                name=lambda: self._name,
                on_status=lambda status: self._status(name, status),
            )
            self._tasks[name] = asyncio.get_running_loop().create_task(link.run())

    def connection(self, name: str) -> Connection:
        """Return the connection to a server. ConnectionLostError if there is none."""
        if name not in self._links:
            raise ConnectionLostError(f"Server link {name!r} down")
        return self._links[name].connection

    async def close(self) -> None:
        """End all connections."""
        tasks = [*self._tasks.values(), *self._copies]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _status(self, name: str, status: DirectStatus) -> None:
        self._on_link(name, status.connected)
        if status.connected:
            task = asyncio.get_running_loop().create_task(self._copy(name))
            self._copies.add(task)
            task.add_done_callback(self._copies.discard)

    async def _copy(self, name: str) -> None:
        """Take over what is newer there; deletions, too, from a server of our kind."""
        try:
            connection = self.connection(name)
            try:
                count = await self._walk(connection, {"deleted": True})
            except RefusedError:
                count = await self._walk(connection, {})
        except (LinkError, ConnectionLostError) as err:
            _LOGGER.warning("The data of server %s could not be copied: %s", name, err)
            return
        self.copied[name] = count
        _LOGGER.info("Server %s had %d nodes that are new here", name, count)

    async def _walk(self, connection: Connection, keywords: dict[str, Value]) -> int:
        count = 0
        before: list[str] = []
        async with connection.open_stream(("d", "walk"), (Path(),), keywords, timeout=30) as stream:
            async for item in stream:
                match item.arguments:
                    case (int(kept), Path() | list() as rest, value, *meta) if kept <= len(before):
                        before = before[:kept] + levels_of(Path.of(rest))
                        try:
                            known = meta_of([*meta, dict(item.keywords.items())])
                            count += self._tree.receive(before, value, known).stored
                        except (DecodeError, EncodeError) as err:
                            _LOGGER.debug("%s: %s", before, err)
                    case _:
                        raise DecodeError("not an item of a walk")
        return count
