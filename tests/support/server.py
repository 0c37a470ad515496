"""A small MoaT-Link server in this process, on loopback, that can be told to misbehave."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Self, override

from firmware_bridge.link.codec import ABSENT, Value
from firmware_bridge.link.connection import Answer, Connection, Request
from firmware_bridge.link.direct import Endpoint
from firmware_bridge.link.errors import LinkError, OutOfDateError, RemoteError
from firmware_bridge.link.frames import Reply
from firmware_bridge.link.handshake import ServerLogin
from firmware_bridge.link.meta import Meta, meta_items
from firmware_bridge.link.path import Path
from firmware_bridge.link.remote import decode_meta_object, unknown_command

type Command = Callable[[Request], Awaitable[Answer]]
type Key = tuple[object, ...]


@dataclass(slots=True)
class Node:
    """A value and who set it when; ABSENT after a deletion."""

    value: Value
    meta: Meta


class Client:
    """A client of the fake server."""

    def __init__(self, connection: Wire, assigned: str) -> None:
        """Keep what the server knows about a connection."""
        self.connection = connection
        self.assigned = assigned
        self.name = ""


class Wire(Connection):
    """A connection that can be frozen, as if the machine behind it had gone."""

    transport: asyncio.Transport
    frozen = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport at hand."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        super().connection_made(transport)

    @override
    def buffer_updated(self, nbytes: int) -> None:
        """Hear nothing when frozen."""
        if not self.frozen:
            super().buffer_updated(nbytes)


class FakeServer:
    """Data commands over a dict, routing between clients, probes; use as a context manager.

    `commands` overrides or adds commands by their path; `calls` lists what was called;
    `greeting` replaces the handshake: `silent`, `garbage`, `close`, or `nonsense`. As long as it is
    at no broker, it has the identity records of its clients from nowhere.
    """

    def __init__(
        self,
        *,
        name: str = "srv1",
        tokens: Iterable[str] = (),
        anonymous: bool = True,
        legacy: bool = False,
        path: str | None = None,
        host: str = "127.0.0.1",
        probe_interval: float | None = None,
        probe_timeout: float = 3,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare a server; `path` makes it listen on a Unix socket."""
        self.name = name
        self.tokens = list(tokens)
        self.anonymous = anonymous
        self.legacy = legacy
        self.greeting = ""
        self.port = 0
        self.nodes: dict[Key, Node] = {}
        self.clients: list[Client] = []
        self.commands: dict[tuple[str, ...], Command] = {}
        self.calls: list[tuple[Key, tuple[Value, ...], dict[str, Value]]] = []
        self.on_write: Callable[[Path, Node], None] | None = None
        self.accepted = 0
        self.probed = 0
        self.unanswered = 0
        self.host = host
        self._path = path
        self._probe_interval = probe_interval
        self._probe_timeout = probe_timeout
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stamp = 0
        self._builtin: dict[tuple[str, ...], Command] = {
            ("i", "state"): self._state,
            ("i", "stamp"): self._make_stamp,
            ("i", "sync"): self._state,
            ("i", "checkid"): self._check_id,
            ("i", "count"): self._count,
            ("d", "get"): self._get,
            ("d", "set"): self._set,
            ("d", "delete"): self._delete,
            ("d", "list"): self._list,
            ("d", "walk"): self._walk,
            ("cl",): self._clients,
            ("e", "exc"): self._raise_error,
            ("e", "info"): self._raise_error,
            ("e", "ack"): self._acknowledge,
            ("e", "ok"): self._clear_error,
        }

    # For tests

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen: on the same port as before, if there was one."""
        loop = asyncio.get_running_loop()
        if self._path is not None:
            self._server = await loop.create_unix_server(self._make, self._path)
        else:
            self._server = await loop.create_server(self._make, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections, and listen no more."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    @property
    def endpoint(self) -> Endpoint:
        """Where to connect."""
        token = self.tokens[0] if self.tokens else None
        return Endpoint(
            host=self.host,
            port=self.port or 1,
            path=self._path,
            token=token,
            server=self.name,
        )

    @property
    def announcement(self) -> dict[str, Value]:
        """What the server would publish at `run.service.main.conn`."""
        token = self.tokens[0] if self.tokens else "none"
        return {
            "node": "test",
            "link": [{"host": self.host, "port": self.port}],
            "auth": {"token": token},
        }

    def put(
        self, path: Path, value: Value, *, time: float | None = None, origin: str = "test"
    ) -> None:
        """Set a node behind everybody's back."""
        self.nodes[tuple(path)] = Node(value, Meta(origin, self._clock() if time is None else time))

    def drop(self) -> None:
        """Cut all connections."""
        for client in list(self.clients):
            client.connection.abort("cut by the test")

    def freeze(self) -> None:
        """Let all connections hang: nothing is heard, nothing is said, the sockets stay open."""
        for client in self.clients:
            client.connection.frozen = True

    async def ask(self, path: Iterable[Value], *arguments: Value, **keywords: Value) -> Reply:
        """Call the newest client."""
        return await self.clients[-1].connection.request([*path], arguments, keywords)

    # A connection's course

    def _make(self) -> Connection:
        return Wire(on_open=self._open)

    def _open(self, connection: Connection) -> None:
        assert isinstance(connection, Wire)
        self.accepted += 1
        client = Client(connection, f"{self.name}-main_{self.accepted}")
        task = asyncio.get_running_loop().create_task(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Client) -> None:
        connection = client.connection
        try:
            if not self.greeting:
                await self._log_in(client)
                self.clients.append(client)
                await self._probe(connection)
            elif self.greeting == "garbage":
                connection.transport.write(b"\xa0\xff")
                await connection.closed
            elif self.greeting == "nonsense":
                await connection.call((None,), 1, "yes", timeout=1)
            elif self.greeting == "silent":
                await connection.closed
        except LinkError:
            pass
        finally:
            if client in self.clients:
                self.clients.remove(client)
            await connection.close()

    async def _log_in(self, client: Client) -> None:
        connection = client.connection
        if self.legacy:
            connection.handler = self._handler(client)
            await connection.call(
                ("i", "hello"), 0, True, self.name, client.assigned, "anon", timeout=5
            )
            return
        login = ServerLogin(
            name=self.name,
            assigned=client.assigned,
            handler=self._handler(client),
            check=self.tokens.__contains__ if self.tokens else None,
            anonymous=self.anonymous,
        )
        connection.handler = login.handle
        client.name = (await login.run(connection, timeout=5)).name

    async def _probe(self, connection: Connection) -> None:
        """Probe as the real server does, until the connection ends."""
        while not connection.closed.done():
            await asyncio.wait([connection.closed], timeout=self._probe_interval)
            if connection.closed.done():
                return
            self.probed += 1
            try:
                await connection.call(("i", "乒"), timeout=self._probe_timeout)
            except LinkError:
                self.unanswered += 1
                return

    def _handler(self, client: Client) -> Command:
        async def handle(request: Request) -> Answer:
            path = request.path
            self.calls.append((path, request.arguments, dict(request.keywords)))
            match path:
                case ("i", "hello") if self.legacy:
                    client.name = str(request.arguments[2])
                    return Reply(({"name": client.assigned},))
                case ("srv", self.name, "cl", name, *rest) | ("cl", name, *rest):
                    return await self._route(request, name, rest)
            for commands in (self.commands, self._builtin):
                for known, command in commands.items():
                    if path == known:
                        return await command(request)
            raise unknown_command(path)

        return handle

    async def _route(self, request: Request, name: Value, rest: list[Value]) -> Answer:
        for client in self.clients:
            if name in {client.name, client.assigned}:
                return await client.connection.request(rest, request.arguments, request.keywords)
        raise RemoteError("_EKyErr", (name,))

    # Commands

    async def _state(self, request: Request) -> Answer:
        return None

    async def _make_stamp(self, request: Request) -> Answer:
        self._stamp += 1
        return self._stamp

    async def _check_id(self, request: Request) -> Answer:
        return any(request.arguments[0] in {each.name, each.assigned} for each in self.clients)

    async def _clients(self, request: Request) -> Answer:
        if not request.stream:
            return len(self.clients)
        request.accept(len(self.clients))
        for client in self.clients:
            await request.send(client.name)
        return None

    async def _count(self, request: Request) -> Answer:
        match request.keywords:
            case {"s": int(start), "e": int(end)}:
                for number in range(start, end):
                    await request.send(number)
                return end
        return None

    async def _get(self, request: Request) -> Answer:
        key = _key(request)
        node = self.nodes.get(key)
        if node is None and self.on_write is None and key[:2] == ("run", "id"):
            node = Node({}, Meta(self.name, self._clock()))
        if node is None or node.value is ABSENT:
            known = {each[: len(key)] for each in self.nodes}
            missing = next(
                (
                    key[n]
                    for n in range(len(key))
                    if not any(k[: n + 1] == key[: n + 1] for k in known)
                ),
                None,
            )
            raise RemoteError("_EKyErr", (Path.of([*key]) if missing is None else missing,))
        return Reply((node.value, *meta_items(node.meta)))

    async def _set(self, request: Request) -> Answer:
        value, meta = request.arguments[1], self._meta(request, 2)
        return self._write(_key(request), value, meta, request)

    async def _delete(self, request: Request) -> Answer:
        key, meta = _key(request), self._meta(request, 1)
        old = self.nodes.get(key)
        if request.keywords.get("rec"):
            below = [each for each in self.nodes if each[: len(key)] == key and each != key]
            for each in below:
                self._write(each, ABSENT, meta, None)
        if old is None or old.value is ABSENT:
            return None
        self._write(key, ABSENT, meta, request)
        return [old.value, *meta_items(old.meta)]

    async def _list(self, request: Request) -> Answer:
        key = _key(request)
        request.accept()
        depth = len(key)
        for name in dict.fromkeys(
            each[depth] for each in self.nodes if each[:depth] == key and len(each) > depth
        ):
            await request.send(name if isinstance(name, str | int | float | bool) else None)
        return None

    async def _walk(self, request: Request) -> Answer:
        key = _key(request)
        since, low, high = (*request.arguments[1:], None, None, None)[:3]
        request.accept()
        before: Key = ()
        for each in sorted(self.nodes, key=lambda path: [str(element) for element in path]):
            below, node = each[len(key) :], self.nodes[each]
            gone = node.value is ABSENT and request.keywords.get("deleted") is not True
            if each[: len(key)] != key or gone:
                continue
            if isinstance(since, int | float) and node.meta.time < since:
                continue
            if (isinstance(low, int) and len(below) < low) or (
                isinstance(high, int) and len(below) > high
            ):
                continue
            depth = _common(before, below)
            before = below
            await request.send(depth, Path.of([*below[depth:]]), node.value, *meta_items(node.meta))
        return None

    async def _raise_error(self, request: Request) -> Answer:
        key = ("error", *_key(request))
        old = self.nodes.get(key)
        fields = dict(old.value) if old and isinstance(old.value, dict) else {}
        fields.update(request.keywords.items())
        self._write(key, fields, self._meta(request, 9), None)
        return Reply()

    async def _acknowledge(self, request: Request) -> Answer:
        key = ("error", *_key(request))
        if (old := self.nodes.get(key)) and isinstance(old.value, dict):
            fields = dict(old.value)
            fields.update([*request.keywords.items(), ("ack", True)])
            self._write(key, fields, self._meta(request, 9), None)
        return Reply()

    async def _clear_error(self, request: Request) -> Answer:
        key = ("error", *_key(request))
        if key in self.nodes:
            self._write(key, ABSENT, self._meta(request, 9), None)
        return Reply()

    # Data

    def _meta(self, request: Request, position: int) -> Meta:
        if len(request.arguments) > position:
            meta = decode_meta_object(request.arguments[position])
            assert meta is not None
            return meta
        return Meta("server", self._clock())

    def _compare(self, old: Node | None, expected: float) -> None:
        if old is None or abs(old.meta.time - expected) > 0.001:
            raise OutOfDateError("changed", old.meta if old else None)

    def _write(self, key: Key, value: Value, meta: Meta, request: Request | None) -> bool | None:
        old = self.nodes.get(key)
        exists = old is not None and old.value is not ABSENT
        expected = request.keywords.get("t") if request is not None else None
        if isinstance(expected, bool):
            if exists is not expected:
                raise RemoteError("_EKyErr", (Path.of([*key]),))
        elif isinstance(expected, int | float):
            self._compare(old if exists else None, expected)
        if old is not None and old.value == value and type(old.value) is type(value):
            return None
        if key[:1] == ("run",) or (old is not None and old.meta.time >= meta.time):
            return False
        self.nodes[key] = node = Node(value, meta)
        if self.on_write is not None:
            self.on_write(Path.of([*key]), node)
        return True


def _key(request: Request) -> Key:
    path = request.arguments[0]
    return tuple(path) if isinstance(path, Path | list) else ()


def _common(one: Key, other: Key) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
