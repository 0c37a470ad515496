"""The commands below `d`: reading and writing nodes."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from ..link.codec import ABSENT, Key, Value, encode
from ..link.connection import Answer, Request
from ..link.elements import Element, from_level
from ..link.errors import DecodeError, EncodeError, OutOfDateError, RefusedError, RemoteError
from ..link.frames import Reply
from ..link.meta import Meta
from ..link.path import Path
from .arguments import (
    argument,
    meta_argument,
    number,
    only,
    optional,
    path_of,
    type_error,
    whole,
)
from .patterns import matches
from .records import Record, splice
from .savefile import encode_path
from .store import RUN, Levels, Node, Outcome, levels_of
from .tree import Tree

_ACCURACY: Final = 0.001
_TURN: Final = 64  # items of a walk sent in one go
_GLANCE: Final = 512  # nodes that are left out in one go
_NUMBERS: Final = tuple(encode(number) for number in range(256))


class DataCommands:
    """What clients can do with the tree; `caller` is the name of who writes."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._store = tree.store

    # Reading

    def get(self, caller: str, call: Reply) -> Answer:
        """Return a node: value, origin, time and so on."""
        return Reply((self._existing(path_of(argument(call, 0, "path"))),))

    def search(self, caller: str, call: Reply) -> Answer:
        """Return the most specific of the nodes whose patterns match a path."""
        path = path_of(argument(call, 0, "path"))
        for record in self._matching(Path(), path):
            return Reply((record,))
        raise self._missing(path)

    def collect(self, caller: str, call: Reply) -> Answer:
        """Return the maps of all nodes that match, put together; more specific ones win."""
        root = path_of(argument(call, 0, "root"))
        self._existing(root)
        found: dict[Key, Value] = {}
        for record in reversed(list(self._matching(root, path_of(argument(call, 1, "path"))))):
            if isinstance(value := record.value, dict):
                found = _combined(found, value)
        return Reply((), {key: item for key, item in found.items() if isinstance(key, str)})

    async def children(self, caller: str, request: Request) -> Answer:
        """Send the names of a node's children."""
        path = path_of(argument(_call(request), 0, "path"))
        request.accept()
        for level in self._store.names(levels_of(path)):
            await request.send(_plain(_element(level)))
        return None

    async def walk(self, caller: str, request: Request) -> Answer:
        """Send a subtree, parents first; nothing below `run`."""
        call = _call(request)
        levels = levels_of(path_of(argument(call, 0, "path")))
        since = number(call, 1, "timestamp")
        low, high = whole(call, 2, "min_depth"), whole(call, 3, "max_depth")
        deleted = call.keywords.get("deleted") is True
        request.accept()
        if levels[:1] == [RUN]:
            return None
        exchange = request.exchange
        looks = self._store.looks(levels, since=since, low=low or 0, high=high, deleted=deleted)
        for turn, found in enumerate(looks, 1):
            if found is None:
                if not turn % _GLANCE:
                    await request.connection.writer.rest()
                continue
            kept, added, record = found
            item = splice(record, _NUMBERS[kept], encode_path(added))
            if turn % _TURN and exchange.can_send:
                exchange.send((item,))
            else:
                await request.send(item)
        return None

    async def passing(self, caller: str, request: Request) -> Answer:
        """Send the paths of events: of nodes whose last message was not retained."""
        only(_call(request), 0)
        request.accept()
        for topic in self._tree.passing:
            with contextlib.suppress(DecodeError):
                await request.send(Path.from_topic(topic) if topic else Path())
        return None

    # Writing

    def put(self, caller: str, call: Reply) -> Answer:
        """Write a node: true, null (nothing to do) or false (not newer, or below `run`)."""
        only(call, 3, "path", "value", "meta", "t")
        path = path_of(argument(call, 0, "path"))
        levels = levels_of(path)
        value = argument(call, 1, "value")
        if levels[:1] == [RUN]:
            return False
        self._compare(path, levels, call.keywords.get("t"))
        meta = meta_argument(optional(call, 2, "meta"))
        outcome = self._write(caller, levels, value, meta)
        return None if outcome is Outcome.SAME else outcome.stored

    async def delete(self, caller: str, request: Request) -> Answer:
        """Delete a node, what is below (`sub`), or both (`rec`); return what it was."""
        call = _call(request)
        only(call, 2, "path", "meta", "t", "sub", "rec")
        path = path_of(argument(call, 0, "path"))
        levels = levels_of(path)
        if levels[:1] == [RUN]:
            return False
        meta = meta_argument(optional(call, 1, "meta"))
        self._compare(path, levels, call.keywords.get("t"), may_be_missing=True)
        node = self._store.find(levels)
        if node is None:
            return None
        result: Answer = None
        if not call.keywords.get("sub"):
            result = self._delete(caller, levels, node, meta)
        if call.keywords.get("sub") or call.keywords.get("rec"):
            await request.connection.writer.rest()
            await self._delete_below(caller, levels, meta)
        return result

    def refuse(self, caller: str, call: Reply) -> Answer:
        """Refuse what does harm in the original."""
        raise RefusedError("d.deltree is not carried out: use d.delete with rec")

    def shorthand(self, caller: str, path: Path, call: Reply) -> Answer:
        """Get a node's value, or set it if one is given."""
        keywords = dict(call.keywords)
        if "p" in keywords:
            path = Path(*path, *path_of(keywords.pop("p")))
        if not call.arguments:
            return self._existing(path).value
        return self.put(caller, Reply((path, *call.arguments), keywords))

    # Inside

    def _existing(self, path: Path) -> Record:
        node = self._store.find(levels_of(path))
        if node is None or node.record is None or node.record.deleted:
            raise self._missing(path)
        return node.record

    def _missing(self, path: Path) -> RemoteError:
        index = self._store.missing(levels_of(path))
        missing: Path | Element = path if index is None else path[index]
        return RemoteError("_EKyErr", (missing,))

    def _matching(self, root: Path, path: Path) -> Iterator[Record]:
        start = self._store.find(levels_of(root))
        if start is not None:
            for node in matches(start, levels_of(path)):
                if node.alive and node.record is not None:
                    yield node.record

    def _compare(
        self, path: Path, levels: Levels, expected: Value, *, may_be_missing: bool = False
    ) -> None:
        """Check the condition of a write, if there is one."""
        if expected is None or expected is ABSENT:
            return
        node = self._store.find(levels)
        alive = node is not None and node.alive
        match expected:
            case bool():
                if alive is not expected:
                    raise RemoteError("_EKyErr", (path,))
            case int() | float():
                if node is None or node.record is None:
                    if not may_be_missing:
                        raise RemoteError("_EMLClDt", (None,))
                elif abs(node.time - expected) > _ACCURACY:
                    raise OutOfDateError("changed", node.record.meta)
            case _:
                raise type_error("t is a time, true or false")

    def _delete(self, caller: str, levels: Levels, node: Node, meta: Meta | None) -> Answer:
        record = node.record
        if record is not None and record.deleted:
            return None
        outcome = self._write(caller, levels, ABSENT, meta)
        if record is None:
            return None
        return record.items() if outcome.stored else False

    async def _delete_below(self, caller: str, levels: Levels, meta: Meta | None) -> None:
        """Delete what is there now, but not what is written meanwhile: others have their turns."""
        path: list[str] = []
        there = list(self._store.walk(levels, low=1))
        for turn, (kept, added, record) in enumerate(there, 1):
            path = path[:kept] + added
            below = [*levels, *path]
            node = self._store.find(below)
            if node is not None and node.record is record:
                self._write(caller, below, ABSENT, meta)
            if not turn % _TURN:
                await asyncio.sleep(0)

    def _write(self, caller: str, levels: Levels, value: Value, meta: Meta | None) -> Outcome:
        """Write with the metadata given, or with our own, which always win."""
        try:
            return self._tree.write(levels, value, meta or Meta(caller, self._tree.stamp(levels)))
        except EncodeError as err:
            raise RemoteError("_ValErr", (str(err),)) from err


def _call(request: Request) -> Reply:
    return Reply(request.arguments, request.keywords)


def _element(level: str) -> Element:
    try:
        return from_level(level)
    except DecodeError:
        return level


def _plain(element: Element) -> Value:
    return [_plain(each) for each in element] if isinstance(element, tuple) else element


def _combined(one: dict[Key, Value], over: dict[Key, Value]) -> dict[Key, Value]:
    """Put two maps together, and the maps in them; `over` wins."""
    result = dict(one)
    for key, value in over.items():
        mine = result.get(key)
        if isinstance(mine, dict) and isinstance(value, dict):
            result[key] = _combined(mine, value)
        else:
            result[key] = value
    return result
