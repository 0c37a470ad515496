"""Which command does what, for one client; who is who is in `Clients`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol

from ..link.codec import Key, Value
from ..link.connection import Answer, Quick, Request
from ..link.errors import DecodeError, RefusedError, RemoteError
from ..link.frames import Reply
from ..link.path import Path
from ..link.rpc import StreamEndedError
from . import trials
from .arguments import argument, number, only, text, type_error
from .data import DataCommands
from .faults import FaultCommands
from .past import Past
from .tree import Tree

_PATIENCE: Final = 60.0  # longest time that a caller may have us wait

type Simple = Callable[[str, Reply], Answer]
type Streaming = Callable[[str, Request], Awaitable[Answer]]


class Surroundings(Protocol):
    """What commands need to know of the server around them."""

    name: str

    @property
    def about(self) -> Mapping[str, Value]:
        """What may be told of the broker."""

    def client_names(self) -> list[str]:
        """Return the names of all clients."""

    def farewell(self, name: str) -> str | None:
        """Return why a former connection has ended."""

    def knows(self, client_id: str) -> bool:
        """Whether a client has said that it is there."""

    def new_stamp(self) -> int:
        """Return the next number for somebody to publish."""

    async def stamped(self, stamp: int) -> None:
        """Wait until this number has come back from the broker."""

    async def forward(self, route: tuple[Value, ...], request: Request) -> Answer:
        """Have another client or server carry a command out; the route begins with `cl` or `srv`."""


class Commands:
    """All commands of the server."""

    def __init__(self, tree: Tree, around: Surroundings) -> None:
        self._around = around
        self.data = data = DataCommands(tree)
        self.faults = faults = FaultCommands(tree)
        self.past = past = Past(tree.clock)
        self._simple: dict[tuple[str, ...], Simple] = {
            ("d", "get"): data.get,
            ("d", "set"): data.put,
            ("d", "search"): data.search,
            ("d", "collect"): data.collect,
            ("d", "deltree"): data.refuse,
            ("e", "exc"): faults.raise_,
            ("e", "info"): faults.raise_,
            ("e", "ack"): faults.acknowledge,
            ("e", "ok"): faults.clear,
            ("i", "state"): self._state,
            ("i", "backend"): self._backend,
            ("i", "error"): self._error,
            ("i", "stamp"): self._stamp,
            ("s", "save"): _refuse_files,
            ("s", "load"): _refuse_files,
            ("s", "log"): _refuse_files,
            ("dir_",): self._directory,
        }
        self._streaming: dict[tuple[str, ...], Streaming] = {
            ("d", "delete"): data.delete,
            ("d", "list"): data.children,
            ("d", "walk"): data.walk,
            ("d", "hist"): past.answer,
            ("d", "passing"): data.passing,
            ("e", "mon"): faults.monitor,
            ("i", "count"): trials.count,
            ("i", "echo"): trials.echo,
            ("i", "sink"): trials.sink,
            ("i", "sync"): self._sync,
            ("i", "checkid"): self._check_id,
            ("cl",): self._clients,
        }

    def quick(self, caller: str) -> Mapping[tuple[Value, ...], Quick]:
        """Return what can be answered at once."""
        return {
            path: partial(command, caller)
            for path, command in self._simple.items()
            if path not in _SLOW
        }

    async def handle(self, caller: str, request: Request) -> Answer:
        """Carry out a request. RefusedError and its kin."""
        path = request.path
        if (simple := _look_up(self._simple, path)) is not None:
            if request.stream and path not in _STREAMS_TOO:
                raise self._unknown(path)
            if request.stream and path == ("d", "search"):
                raise RefusedError("d.search does not stream")
            if path in _SLOW:
                await request.connection.writer.rest()
            return simple(caller, Reply(request.arguments, request.keywords))
        if (streaming := _look_up(self._streaming, path)) is not None:
            if request.stream and path in _WAITING:
                raise self._unknown(path)
            return await _told_when_left(streaming(caller, request))
        match path:
            case ("cl", _, *_) | ("srv", *_):
                return await _told_when_left(self._around.forward(path, request))
            case ("d_", *rest):
                try:
                    below = Path.of(rest)
                except DecodeError as err:
                    raise type_error(str(err)) from err
                call = Reply(request.arguments, request.keywords)
                return self.data.shorthand(caller, below, call)
            case (*_, "doc_" | "dir_"):
                return self._describe(path)
        raise self._unknown(path)

    def _state(self, caller: str, call: Reply) -> Answer:
        """Answer, which is all there is to say."""
        only(call, 0)
        return Reply()

    def _backend(self, caller: str, call: Reply) -> Answer:
        """Tell which broker this is, but nobody's credentials."""
        only(call, 0)
        return Reply((), self._around.about)

    def _stamp(self, caller: str, call: Reply) -> Answer:
        """Return a number; as soon as it has come back from the broker, so has all that was before."""
        only(call, 0)
        return self._around.new_stamp()

    def _error(self, caller: str, call: Reply) -> Answer:
        """Tell why a connection has ended."""
        only(call, 1, "name")
        name = text(call, 0, "name") if call.arguments else caller
        return self._around.farewell(name)

    async def _sync(self, caller: str, request: Request) -> Answer:
        """Wait for a stamp to come back."""
        call = Reply(request.arguments, request.keywords)
        only(call, 1, "stamp")
        stamp = argument(call, 0, "stamp")
        if not isinstance(stamp, int):
            raise type_error("a stamp is a number")
        await self._around.stamped(stamp)
        return None

    async def _check_id(self, caller: str, request: Request) -> Answer:
        """Tell whether a client is there, waiting a little for it."""
        call = Reply(request.arguments, request.keywords)
        only(call, 2, "id", "t")
        client_id, patience = text(call, 0, "id"), number(call, 1, "t")
        for wait in (0.1, min(0.1 if patience is None else patience, _PATIENCE)):
            if self._around.knows(client_id):
                return True
            await asyncio.sleep(wait)
        return self._around.knows(client_id)

    async def _clients(self, caller: str, request: Request) -> Answer:
        """Tell how many clients there are, and as a stream which."""
        names = self._around.client_names()
        if not request.stream:
            return len(names)
        request.accept(len(names))
        for name in names:
            await request.send(name)
        return None

    def _directory(self, caller: str, call: Reply) -> Answer:
        groups: dict[Key, Value] = {"cl": "ServerClient"}
        groups |= {name: f"_Sub_{name}" for name in ("d", "e", "i", "s")}
        groups["srv"] = "ServerClient"
        return Reply((), {"S": True, "s": ["cl"], "d": groups})

    def _describe(self, path: tuple[Value, ...]) -> Answer:
        """Say what a command does, or which ones there are."""
        *above, what = path
        if what == "dir_":
            below = [each for each in self._all() if list(each[:-1]) == above]
            if not below:
                raise self._unknown(path)
            streams = {each for each in below if each in self._streaming or each in _STREAMS_TOO}
            streams -= _WAITING
            if above == ["i"]:
                streams |= _PROBES
            kinds = {"c": set(below) - streams, "s": streams}
            said: dict[str, Value] = {}
            for kind, there in kinds.items():
                if there:
                    said[kind] = [*sorted(name for *_, name in there)]
            return Reply((), said)
        known: Simple | Streaming | None = _look_up(self._simple, tuple(above))
        known = known or _look_up(self._streaming, tuple(above))
        if known is None and not any(above and list(each[:-1]) == above for each in self._all()):
            raise self._unknown(path)
        about: dict[Key, Value] = {"_d": (known.__doc__ or "") if known else "Commands"}
        return Reply((about,))

    def _all(self) -> list[tuple[str, ...]]:
        return [*self._simple, *self._streaming]

    def _unknown(self, path: tuple[Value, ...]) -> RemoteError:
        match path:
            case ("d" | "e" | "i" | "s",):
                return RemoteError("_SCmdErr", (list(path),))
            case ("d" | "e" | "i" | "s" as group, name, *_):
                return RemoteError("_KyErr", (name, f"_Sub_{group}", list(path), []))
            case (first, *_):
                return RemoteError("_KyErr", (first, "ServerClient", list(path), []))
        return RemoteError("_IdxErr", ("list index out of range",))


_STREAMS_TOO: Final = frozenset(
    {("d", "get"), ("d", "collect"), ("d", "search"), ("d", "deltree")}
    | {("e", name) for name in ("exc", "info", "ack", "ok")}
)
"""What may be called as a stream, though its answer is a plain one."""
_SLOW: Final = frozenset({("d", "search"), ("d", "collect")})
"""What may look at many nodes: one call of a client at a time."""
_PROBES: Final = frozenset({("i", "ping"), ("i", "乒")})
"""What every connection answers by itself."""
_WAITING: Final = frozenset({("i", "sync"), ("i", "checkid"), ("d", "delete")})
"""What takes time, but is no stream."""


def _look_up[T](commands: Mapping[tuple[str, ...], T], path: tuple[Value, ...]) -> T | None:
    if all(isinstance(each, str) for each in path):
        return commands.get(path)  # type: ignore[arg-type]  # all text
    return None


async def _told_when_left(work: Awaitable[Answer]) -> Answer:
    """Tell a reader who has ended its side what the reference tells."""
    try:
        return await work
    except StreamEndedError as err:
        raise RemoteError("_CNsErr", ({"_init": True},)) from err


def _refuse_files(caller: str, call: Reply) -> Answer:
    raise RefusedError("files on the server are not for clients")
