"""The commands below `e`: who reports an error, acknowledges it, or says that it is over."""

import asyncio
from collections.abc import Iterable
from typing import Final

from ..link.codec import ABSENT, Key, RemoteObject, Value
from ..link.connection import Answer, Request
from ..link.errors import EncodeError, LinkError, RemoteError
from ..link.frames import Reply
from ..link.meta import Meta
from ..link.path import Path
from ..link.remote import encode_error, original
from ..link.weigh import weigh
from .arguments import argument, path_of
from .store import Node, levels_of
from .tree import Tree

EXPIRY: Final = 30 * 86400.0
"""Seconds after which an error that somebody has acknowledged is forgotten."""
_ERROR: Final = "error"
_LOG: Final = 10  # entries kept of a monitored action
_HEAD, _TAIL = 4, 5
_HEAVY: Final = 16 << 10  # bytes of an entry in memory; a record takes 64 KiB on the wire

type Fields = dict[Key, Value]


class FaultCommands:
    """One record for each error, at `error.<path>`; each event at `run.error.<path>`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.stopped = False
        """Whether the server stops: what is followed goes on, and has not failed."""

    def raise_(self, caller: str, call: Reply) -> Answer:
        """Report an error, new or known."""
        path = _path(call)
        self._raise(caller, path, _fields(call, 2))
        return Reply()

    def acknowledge(self, caller: str, call: Reply) -> Answer:
        """Note that somebody takes care."""
        path = _path(call)
        fields = self._known(path)[1] | _fields(call, 2)
        fields["ack"] = True
        self._put(caller, path, fields, fields)
        return Reply()

    def clear(self, caller: str, call: Reply) -> Answer:
        """Note that an error is over; it does not matter if there was none."""
        path = _path(call)
        self._clear(caller, path, _fields(call, 1))
        return Reply()

    async def monitor(self, caller: str, request: Request) -> Answer:
        """Follow an action: its failure raises the error, its success clears it."""
        call = Reply(request.arguments, request.keywords)
        path = _path(call)
        fields = _fields(call, 2)
        fields["start"] = self._tree.clock.time()
        log: list[Value] = []
        request.accept()
        kept = request.kept
        try:
            async for item in request:
                _note(log, item)
                request.kept = kept + weigh(Reply((log,)))
        except LinkError as err:
            self._raise(caller, path, fields | {"log": log, "exc": _exception(err)})
        except asyncio.CancelledError:
            if not self.stopped:
                self._raise(caller, path, fields | {"log": log, "exc": _end(request)})
            raise
        else:
            self._clear(caller, path, fields | {"log": log})
        return None

    def expire(self, origin: str, lifetime: float = EXPIRY) -> None:
        """Clear what was acknowledged long ago, and has not come back since."""
        limit = self._tree.clock.time() - lifetime
        path: list[str] = []
        for kept, added, record in list(self._tree.store.walk([_ERROR])):
            path = path[:kept] + added
            value, meta = record.unpack()
            if meta.time < limit and isinstance(value, dict) and value.get("ack") is True:
                self._tree.report([_ERROR, *path], ABSENT, origin)

    def _raise(self, caller: str, path: Path, fields: Fields) -> None:
        node, known = self._known(path)
        if node is not None:
            count = known.get("n")
            fields["n"] = count + 1 if isinstance(count, int) else 2
            if "first" not in known:
                fields["first"] = node.time
            known.pop("ok", None)
            if _worse(known.get("level"), fields.get("level")):
                known.pop("ack", None)  # whoever takes care does not know yet
        everything = known | fields
        self._put(caller, path, everything, everything)

    def _clear(self, caller: str, path: Path, fields: Fields) -> None:
        node, known = self._known(path)
        if node is not None:
            self._put(caller, path, known | fields | {"ok": True}, ABSENT)

    def _known(self, path: Path) -> tuple[Node | None, Fields]:
        node = self._tree.store.find([_ERROR, *levels_of(path)])
        if node is None or not node.alive or node.record is None:
            return None, {}
        value = node.record.value
        return node, dict(value.items()) if isinstance(value, dict) else {"data": value}

    def _put(self, caller: str, path: Path, event: Fields, state: Fields | Value | None) -> None:
        """Publish the event, then the state: without the back-trace, or nothing any more."""
        levels = levels_of(path)
        meta = Meta(caller, self._tree.stamp([_ERROR, *levels]))
        if isinstance(state, dict):
            state = {key: value for key, value in state.items() if key != "bt"}
        try:
            self._tree.reach.check([_ERROR, *levels], meta)
            self._tree.tell(["run", _ERROR, *levels], event, meta)
            self._tree.write([_ERROR, *levels], state, meta)
        except EncodeError as err:
            raise RemoteError("_ValErr", (str(err),)) from err


def _path(call: Reply) -> Path:
    path = path_of(argument(call, 0, "path"), strict=True)
    if not path or path[0] == _ERROR:
        raise RemoteError("_ValErr", (f"Messed-up error path: {path}",))
    return path


def _fields(call: Reply, first: int) -> Fields:
    """Return the keywords, and as `args` what follows the known arguments."""
    fields: Fields = {key: value for key, value in call.keywords.items() if key != "path"}
    if more := list(call.arguments[first:]):
        fields["args"] = more
    return fields


def _worse(before: Value, now: Value) -> bool:
    """Whether one level is above another, as far as both are levels."""
    return isinstance(before, int) and isinstance(now, int) and now > before


def _note(log: list[Value], item: Reply) -> None:
    """Add an entry; of many, only the first and the last few are kept."""
    entry: list[Value] = list(item.arguments)
    if weigh(item) > _HEAVY:
        entry = ["… (too much to keep)"]
    elif item.keywords:
        entry.append(dict(item.keywords.items()))
    if not entry and log and log[-1] == []:
        return
    log.append(entry)
    if len(log) > _LOG:
        log[:] = [*log[:_HEAD], "…", *log[-_TAIL:]]


def _end(request: Request) -> str:
    """Say why a caller is not there any more."""
    closed = request.connection.closed
    return str(closed.result()) if closed.done() else "cancelled"


def _exception(error: LinkError) -> Value:
    """Return an error that came over the wire as it came."""
    items: Iterable[Value] = encode_error(original(error))
    for item in items:
        if isinstance(item, RemoteObject):
            return item
    return str(error)
