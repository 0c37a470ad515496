"""The server: tree, journal, clients, broker and the other servers, put together."""

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Final

from ..link.clock import Clock, SystemClock
from ..link.codec import ABSENT, Key, Value
from ..link.connection import Answer, Request
from ..link.errors import ConnectionLostError, LinkError, RemoteError
from ..link.identity import CONNECTION, SERVERS, fresh_name
from ..link.message import Message
from ..link.meta import Meta
from ..link.mqtt_packets import Publish
from ..link.path import Path
from .broker import Broker
from .cleanup import HOST, ID, Cleanup
from .clients import Clients, Tokens
from .commands import Commands
from .config import Listener, ServerConfig
from .election import Election
from .history import History
from .journal import Journal
from .peers import Peers
from .relay import relay
from .store import RUN
from .tree import Tree

_LOGGER = logging.getLogger(__name__)

_TOKEN_LIFE: Final = 900.0
_TOKEN_GRACE: Final = 30.0
_START: Final = 10.0  # seconds to wait for the broker before serving without it
_START_FROM_FILES: Final = 1.0
_MAIN: Final = "run/service/main/"
_SERVER: Final = "run/service/main/server/"
_PING: Final = "run/ping/id/"


class Server:
    """One server, for the life of `run`."""

    def __init__(self, config: ServerConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.name = config.name
        self.clock = clock or SystemClock()
        self.tree = Tree(self.clock)
        self.serving = asyncio.Event()
        """Set when clients can connect."""
        self.addresses: list[tuple[str, int]] = []
        self._tokens = Tokens(named=config.tokens, anonymous=config.anonymous)
        self.clients = Clients(config.name, self._tokens, config.limits)
        self.clients.commands = Commands(self.tree, self)
        self.peers = Peers(config.name, self.tree, on_link=self._linked)
        self.cleanup = Cleanup()
        self.election = Election(config.name, self.clock.monotonic())
        self.broker = Broker(
            config.broker,
            config.root,
            config.name,
            self.tree,
            special=self._special,
            on_connected=self._connected,
        )
        self.tree.tell = self.broker.tell
        self.journal: Journal | None = None
        self.history: History | None = None
        if config.history is not None:
            self.history = self.clients.commands.data.past = History(config.history, self.clock)
            self.tree.remember = self.history.append
        self._stop = asyncio.Event()
        self._patience = _START
        self._stamp = 0
        self._stamped = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._notices: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._listeners: list[asyncio.Server] = []
        self._silent: set[str] = set()

    # What commands need

    @property
    def about(self) -> Mapping[str, Value]:
        """What may be told of the broker: no credentials."""
        broker = self.config.broker
        return {
            "driver": "mqtt",
            "codec": "std-cbor",
            "host": broker.host,
            "port": broker.port,
        }

    def client_names(self) -> list[str]:
        """Return the names of all clients."""
        return self.clients.names

    def farewell(self, name: str) -> str | None:
        """Return why a former connection has ended."""
        return self.clients.farewell(name)

    def knows(self, client_id: str) -> bool:
        """Whether a client is connected, or has an identity at the broker."""
        if self.clients.find(client_id) is not None:
            return True
        node = self.tree.store.find(["run", "id", client_id])
        return node is not None and node.alive and client_id not in self._silent

    def new_stamp(self) -> int:
        """Return the next number for somebody to publish."""
        self._stamp += 1
        return self._stamp

    async def stamped(self, stamp: int) -> None:
        """Wait until this number, or a later one, has come back from the broker."""
        if self._stamped < stamp:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((stamp, waiter))
            await waiter

    async def forward(self, route: tuple[Value, ...], request: Request) -> Answer:
        """Have another client or server carry a command out."""
        match route:
            case ("cl", name, *rest):
                client = self.clients.find(name)
                if client is None:
                    raise RemoteError("_EKyErr", (name,))
                return await relay(request, client.connection, rest)
            case ("srv", self.name, "cl"):
                return len(self.clients.names)
            case ("srv", self.name, "cl", *rest):
                return await self.forward(("cl", *rest), request)
            case ("srv", self.name, name, *_):
                raise RemoteError("_KyErr", (name, "Server", list(route), []))
            case ("srv", str(other), *rest) if rest:
                try:
                    connection = self.peers.connection(other)
                except ConnectionLostError:
                    down = f"Server link {other!r} down"
                    raise RemoteError("_rErr", ("RuntimeError", down)) from None
                return await relay(request, connection, rest)
            case ("srv",):
                raise RemoteError("_IdxErr", ("pop from empty list",))
        raise RemoteError("_SCmdErr", (list(route),))

    # Its life

    async def run(self) -> None:
        """Serve until `stop`; OSError when it cannot listen or use its directory."""
        self._load()
        failure: OSError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(work)
                    for work in (
                        self.broker.run(),
                        self.broker.repair(),
                        self.tree.run(),
                        *([self.journal.run()] if self.journal else []),
                        *([self.history.run()] if self.history else []),
                    )
                ]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience):
                        await self.broker.ready.wait()
                try:
                    await self._listen()
                except OSError as err:
                    for task in background:
                        task.cancel()
                    failure = err
                    return
                background.append(tasks.create_task(self._rule()))
                await self._stop.wait()
                await self._end()
                for task in background:
                    task.cancel()
        finally:
            await self._clean_up()
            if failure is not None:
                raise failure

    def stop(self) -> None:
        """End in order."""
        self._stop.set()

    def _load(self) -> None:
        if self.config.journal is None:
            return
        self.journal = Journal(
            self.config.journal, self.clock, snapshot=self.tree.snapshot, report=self._disk
        )
        loaded = self.journal.load(self.tree.restore)
        if loaded.complete and loaded.entries:
            self._patience = _START_FROM_FILES  # who wants to know more can wait for a stamp
        _LOGGER.info("Read %d entries; %d nodes", loaded.entries, self.tree.store.count)
        self.tree.log = self.journal.append
        self.journal.start()
        for name, problem in loaded.damaged.items():
            fields: dict[Key, Value] = {"msg": f"{name}: {problem}", "level": 3}
            self.tree.report(self._error_at("journal"), fields, self.name)

    def _error_at(self, what: str) -> list[str]:
        return Path("error", "link", "server", self.name, what).topic.split("/")

    def _disk(self, problem: str | None) -> None:
        """Report that the disk is full, or that it is well again."""
        said: Value = ABSENT if problem is None else {"msg": problem, "level": 4}
        self.tree.report(self._error_at("disk"), said, self.name)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        if self.config.announce_token:
            self._tokens.announced = [fresh_name(20)]
        for listener in self.config.listeners:
            factory = self.clients.factory(listener.name)
            if listener.path is not None:
                server = await loop.create_unix_server(factory, sock=_open_socket(listener))
            else:
                server = await loop.create_server(
                    factory, listener.host, listener.port, ssl=listener.tls
                )
                address = server.sockets[0].getsockname()
                self.addresses.append((listener.announce or address[0], address[1]))
            self._listeners.append(server)
        _LOGGER.info("Server %s listens at %s", self.name, ", ".join(map(str, self._places())))
        self.serving.set()
        self._news.set()

    def _places(self) -> list[str]:
        sockets = [each.path for each in self.config.listeners if each.path is not None]
        return [f"{host}:{port}" for host, port in self.addresses] + sockets

    async def _rule(self) -> None:
        """Say where we are, and as the main server say so again and again."""
        renewed = self.clock.monotonic()
        await self._announce()
        while True:
            if self.clock.monotonic() - renewed > _TOKEN_LIFE:
                renewed = self.clock.monotonic()
                await self._renew()
            if self._news.is_set():
                self._news.clear()
                await self._announce()
            was_main = self.election.main
            if self.broker.connected and self.election.due(self.clock.monotonic()):
                await self._claim()
            self.broker.repairs = self.election.main
            self._tidy()
            if self.election.main and not was_main:
                _LOGGER.info("Server %s is the main server now", self.name)
                self._notice(self.broker.supply())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._news.wait()

    async def _announce(self) -> None:
        with contextlib.suppress(LinkError):
            await self.broker.confirm(SERVERS / self.name, self._announcement())

    async def _claim(self) -> None:
        levels = CONNECTION.topic.split("/")
        with contextlib.suppress(LinkError):
            meta = Meta(self.name, self.tree.stamp(levels))
            self.broker.send(levels, self._announcement(), meta, retain=True)
            self.tree.receive(levels, self._announcement(), meta)

    def _announcement(self) -> Value:
        links: list[Value] = [{"host": host, "port": port} for host, port in self.addresses]
        said: dict[Key, Value] = {"node": socket.gethostname(), "link": links}
        if self._tokens.announced:
            said["auth"] = {"token": self._tokens.announced[0]}
        return said

    async def _renew(self) -> None:
        """Do what is due every quarter of an hour: another token, no more forgotten errors."""
        if self.election.main:
            self.clients.commands.faults.expire(self.name)
        if self.config.announce_token:
            self._renew_token()
            await self._announce()

    def _renew_token(self) -> None:
        former = self._tokens.announced[:1]
        self._tokens.announced = [fresh_name(20), *former]

        def expire() -> None:
            self._tokens.announced = self._tokens.announced[:1]

        asyncio.get_running_loop().call_later(_TOKEN_GRACE, expire)

    async def _end(self) -> None:
        for server in self._listeners:
            server.close()
        alone = self.election.main and not self.election.others
        await self.broker.close(alone=alone)
        await self.clients.close()

    async def _clean_up(self) -> None:
        for server in self._listeners:
            server.close()
        for task in self._notices:
            task.cancel()
        await self.peers.close()
        await self.clients.close()
        for listener in self.config.listeners:
            if listener.path is not None and self.serving.is_set():
                _remove_socket(listener.path)
        if self.journal is not None:
            self.journal.close("Shutdown")
        if self.history is not None:
            await self.history.close()

    # What is heard

    def _connected(self) -> None:
        """Say again who we are, to a broker that may have forgotten everything."""
        self._news.set()
        self.cleanup.restart(self.clock.monotonic())
        if self.election.main:
            self.election.renew(self.clock.monotonic())
            self._notice(self.broker.supply())

    def _special(self, topic: str, message: Message | None, packet: Publish) -> None:
        now = self.clock.monotonic()
        if message is None:
            return
        if topic.startswith(_PING):
            name = topic.removeprefix(_PING)
            match message.value:
                case {"up": bool(up)}:
                    self.cleanup.ping(name, up=up, now=now)
                    if up:
                        self._silent.discard(name)
                    elif self.tree.store.find(["run", "id", name]) is not None:
                        self._silent.add(name)
        elif topic.startswith(ID) and packet.retain:
            there = message.value is not ABSENT
            self.cleanup.identity(topic.removeprefix(ID), there=there, now=now)
        elif topic.startswith(HOST) and packet.retain:
            self.cleanup.service(topic, message.value, now)
        elif topic.startswith(_MAIN):
            self._hear(topic.removeprefix(_MAIN), message)

    def _tidy(self) -> None:
        """As the main server, remove what the dead have left, unless somebody else does."""
        actions = list(self.cleanup.due(self.clock.monotonic()))
        other = self.tree.store.find(["run", "host"])
        if not self.election.main or not self.broker.connected or (other and other.alive):
            return
        for topic, value in actions:
            levels = topic.split("/")
            node = self.tree.store.find(levels)
            if value is ABSENT and (node is None or not node.alive):
                continue
            meta = Meta(self.name, self.tree.stamp(levels))
            with contextlib.suppress(LinkError):
                if levels[0] == RUN:
                    self.tree.receive(levels, value, meta)
                    self.broker.send(levels, value, meta, retain=True)
                else:
                    self.tree.write(levels, value, meta)

    def _hear(self, channel: str, message: Message) -> None:
        """Listen to what servers tell each other."""
        now = self.clock.monotonic()
        match channel.split("/"), message.value:
            case ["stamp", self.name], int(stamp):
                self._take_stamp(stamp)
            case ["server", self.name], value:
                if value is ABSENT and self.serving.is_set():
                    self._news.set()
            case ["server", _], value:
                name = str(message.path[-1])
                self.election.announced(name, there=value is not ABSENT, now=now)
                self.peers.announced(name, value)
            case ["conn"], dict():
                self.election.claimed(message.meta.origin, now)
            case ["down"], str(name):
                self.election.down(name, now)
                self.peers.announced(name, ABSENT)
            case ["ping"], {"node": str(name)} | {"history": [str(name), *_]}:
                self.election.pinged(name, now)

    def _take_stamp(self, stamp: int) -> None:
        self._stamped = max(self._stamped, min(stamp, self._stamp))
        waiting, self._waiters = self._waiters, []
        for wanted, waiter in waiting:
            if waiter.done():
                continue
            if wanted <= self._stamped:
                waiter.set_result(None)
            else:
                self._waiters.append((wanted, waiter))

    def _linked(self, name: str, up: bool) -> None:
        self.election.linked(name, up=up)

    def _notice(self, work: Coroutine[None, None, None]) -> None:
        """Do something in the background; failures are for the log."""

        async def supervise() -> None:
            try:
                await work
            except LinkError as err:
                _LOGGER.log(logging.DEBUG if self._stop.is_set() else logging.WARNING, "%s", err)

        task = asyncio.get_running_loop().create_task(supervise())
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)


@asynccontextmanager
async def serving(config: ServerConfig) -> AsyncIterator[Server]:
    """Have a server run for as long as the context lasts. OSError when it cannot."""
    server = Server(config)
    task = asyncio.get_running_loop().create_task(server.run())
    ready = asyncio.get_running_loop().create_task(server.serving.wait())
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield server
    finally:
        ready.cancel()
        server.stop()
        if not task.done():
            await task


def _open_socket(listener: Listener) -> socket.socket:
    """Bind a Unix socket that only those can use who may; what an earlier server has left goes."""
    assert listener.path is not None
    _remove_socket(listener.path)
    opened = socket.socket(socket.AF_UNIX)
    try:
        former = os.umask(0o777 & ~listener.mode)
        try:
            opened.bind(listener.path)
        finally:
            os.umask(former)
    except OSError:
        opened.close()
        raise
    return opened


def _remove_socket(path: str) -> None:
    """Remove what an earlier server has left, if it is a socket."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            os.unlink(path)  # noqa: PTH108
