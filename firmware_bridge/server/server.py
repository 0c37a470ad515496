"""The server: tree, journal, clients, broker and the other servers, put together."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from ..alongside import alongside
from ..link.clock import Clock, SystemClock
from ..link.codec import ABSENT, Key, Value
from ..link.connection import Answer, Request
from ..link.direct import Endpoint
from ..link.identity import MAIN, STAMPS
from ..link.message import Message
from ..link.mqtt_packets import Publish
from ..link.path import Path
from .broker import Broker
from .caretaker import Caretaker
from .clients import Clients
from .commands import Commands
from .config import ServerConfig
from .debts import Debts
from .doors import Doors
from .election import Election
from .history import History
from .journal import Journal
from .keys import Keys
from .namesake import Namesake
from .office import Office
from .passing import Passing
from .peers import Peers
from .room import Room
from .routes import Routes
from .stamps import Stamps
from .supply import Supplier
from .sync import Agreement
from .tokens import Tokens
from .tree import Tree
from .witness import Witness

_LOGGER = logging.getLogger(__name__)

_START: Final = 10.0  # seconds to wait for the broker before serving without it
_START_FROM_FILES: Final = 1.0
_TIDY: Final = 0.5  # seconds between two looks for what dead clients have left
_BREATH: Final = 0.1  # seconds for who comes back at once to say so, before it is cleared away
_EXPIRY: Final = 900.0  # seconds between two looks for errors to forget
_MAIN: Final = f"{MAIN.topic}/"


class Server:
    """One server, for the life of `run`."""

    def __init__(self, config: ServerConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.name = config.name
        self.clock = clock or SystemClock()
        file = config.journal.directory / "passing.json" if config.journal else None
        self.tree = Tree(
            self.clock, config.root, most=config.most_data, passing=Passing(self.clock, file)
        )
        self.serving = asyncio.Event()
        """Set when clients can connect."""
        self._tokens = Tokens(anonymous=config.anonymous)
        self.clients = Clients(config.name, self._tokens, config.limits)
        self.clients.commands = Commands(self.tree, self)
        self.doors = Doors(config.listeners, self.clients.admit, self.clients.dismiss)
        self.keys = Keys(config, self._tokens, revoked=self.clients.revoke, report=self._about_keys)
        self._witness = Witness(
            config.journal.directory / "broker.json" if config.journal else None
        )
        self._debts = Debts()
        self.broker = self._new_broker()
        self.supplier = Supplier(
            config.name,
            self.tree,
            self.broker,
            self._debts,
            self._witness,
            first=lambda: self.election.main,
        )
        self.caretaker = Caretaker(config.name, self.tree, self.broker)
        self.peers = Peers(
            config.name,
            self.tree,
            on_link=self._linked,
            on_agreed=self._agreed,
            learned=self.broker.learned,
            tls=config.peer_tls,
            token=lambda: self._tokens.named.get(config.peer_token or ""),
            broker=config.broker.host,
            rounds=self.clients.rounds,
        )
        self.office = Office(
            config,
            self.clock,
            self.tree,
            self.broker,
            self.peers,
            self._tokens,
            on_main=self.supplier.ask,
        )
        self.tree.tell = self.broker.tell
        self.journal: Journal | None = None
        self.history = self._new_history()
        self._room = Room(self.tree, self._error_at("data"), config.name)
        self._stop = asyncio.Event()
        self._patience = _START
        self._stamps = Stamps()
        self._stamp_topic = (STAMPS / config.name).topic
        self._routes = Routes(config.name, self.clients, self.peers)

    @property
    def election(self) -> Election:
        """Who is the main server."""
        return self.office.election

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where clients can connect."""
        return [(each.host, each.port) for each in self.doors.addresses]

    def _new_broker(self) -> Broker:
        config = self.config
        return Broker(
            config.broker,
            config.root,
            config.name,
            self.tree,
            special=self._special,
            on_connected=self._connected,
            debts=self._debts,
            witness=self._witness,
            namesake=Namesake(
                config.broker,
                config.root,
                config.name,
                ours=self._is_ours,
                addresses=lambda: self.addresses,
            ),
        )

    def _new_history(self) -> History | None:
        if self.config.history is None:
            return None
        history = History(
            self.config.history, self.clock, snapshot=self.tree.snapshot, report=self._forgotten
        )
        self.clients.commands.past.history = history
        self.tree.remember = history.append
        return history

    @property
    def endpoint(self) -> Endpoint:
        """How this process itself connects, whatever the listeners: without a token."""
        return Endpoint(dial=self._dial, server=self.name)

    async def _dial(self) -> socket.socket:
        await self.serving.wait()
        return self.doors.dial()

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
        return self.clients.find(client_id) is not None or self.caretaker.knows(client_id)

    def new_stamp(self) -> int:
        """Return the next number for somebody to publish."""
        return self._stamps.new()

    async def stamped(self, stamp: int) -> None:
        """Wait until this number, or a later one, has come back from the broker."""
        await self._stamps.wait(stamp)

    async def forward(self, route: tuple[Value, ...], request: Request) -> Answer:
        """Have another client or server carry a command out."""
        return await self._routes.forward(route, request)

    # Its life

    async def run(self) -> None:
        """Serve until `stop`; OSError when it cannot listen or use its directory."""
        failure: OSError | None = None
        try:
            await self.keys.read()
            await self._load()
            if self._stop.is_set():
                return
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(work)
                    for work in (
                        self.broker.run(),
                        self.supplier.run(),
                        self.tree.run(),
                        *([self.journal.run()] if self.journal else []),
                        *([self.history.run()] if self.history else []),
                    )
                ]
                await _either(self.broker.ready, self._stop, timeout=self._patience)
                try:
                    await self._listen()
                except OSError as err:
                    for task in background:
                        task.cancel()
                    failure = err
                    return
                works = self.doors.run(), self.keys.run(), self.clients.watch(), self._keep_tidy()
                background += map(tasks.create_task, works)
                announcing = tasks.create_task(self.office.run())
                await self._stop.wait()
                await self._take_leave(announcing)
                for task in background:  # at once, or we would come back to the broker
                    task.cancel()
        finally:
            await self._clean_up()
            if failure is not None:
                raise failure

    def stop(self) -> None:
        """End in order."""
        if not self._stop.is_set():
            _LOGGER.info("Server %s ends in order", self.name)
        self._stop.set()

    def reload(self) -> None:
        """Read tokens and certificates again."""
        self.keys.ask()

    async def _load(self) -> None:
        """Read the files, but let others have their turn; until we are to stop."""
        if self.config.journal is None:
            return
        self.journal = Journal(
            self.config.journal, self.clock, snapshot=self.tree.snapshot, report=self._disk
        )
        for _ in self.journal.loading(self.tree.restore):
            await asyncio.sleep(0)
            if self._stop.is_set():
                return
        self._witness.load()
        self.tree.recall()
        loaded = self.journal.loaded
        if loaded.complete and loaded.entries:
            self._patience = _START_FROM_FILES  # who wants to know more can wait for a stamp
        _LOGGER.info("Read %d entries; %d nodes", loaded.entries, self.tree.store.count)
        self.tree.log = self.journal.append
        self.journal.start()
        if loaded.problem is not None:
            fields: dict[Key, Value] = {"msg": loaded.problem, "level": 3}
            self.tree.report(self._error_at("journal"), fields, self.name)

    def _error_at(self, what: str) -> list[str]:
        return Path("error", "link", "server", self.name, what).topic.split("/")

    def _disk(self, problem: str | None) -> None:
        """Report that the disk is full, or that it is well again."""
        said: Value = ABSENT if problem is None else {"msg": problem, "level": 4}
        self.tree.report(self._error_at("disk"), said, self.name)

    def _forget_disk_errors(self) -> None:
        """Take back what an earlier run of ours has reported, if all is well."""
        past = [*self._error_at("history"), "disk"]
        for keeper, levels in ((self.journal, self._error_at("disk")), (self.history, past)):
            node = self.tree.store.find(levels)
            if keeper is not None and keeper.problem is None and node and node.alive:
                self.tree.report(levels, ABSENT, self.name)

    def _about_keys(self, what: str, problem: str | None) -> None:
        """Report that tokens or a certificate cannot be read, or can again."""
        levels = self._error_at(what)
        node = self.tree.store.find(levels)
        if problem is not None:
            _LOGGER.warning("%s", problem)
            self.tree.report(levels, {"msg": problem, "level": 3}, self.name)
        elif node is not None and node.alive:
            self.tree.report(levels, ABSENT, self.name)

    def _forgotten(self, kind: str, problem: str | None) -> None:
        """Report what is wrong with the history: its `disk`, or `damage` to its file."""
        said: Value = ABSENT if problem is None else {"msg": problem, "level": 3}
        self.tree.report([*self._error_at("history"), kind], said, self.name)

    async def _listen(self) -> None:
        await self.doors.open()
        self.office.addresses = self.doors.addresses
        _LOGGER.info("Server %s listens at %s", self.name, ", ".join(self.doors.places))
        self.serving.set()

    async def _keep_tidy(self) -> None:
        """As the main server, clear away what is not needed any more; for ever."""
        expired = self.clock.monotonic()
        while True:
            self.caretaker.tidy(main=self.election.main)
            self._forget_disk_errors()
            self._room.look()
            if self.clock.monotonic() - expired > _EXPIRY:
                expired = self.clock.monotonic()
                if self.election.main:
                    self.clients.commands.faults.expire(self.name, self.config.forget_errors)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.caretaker.urgent.wait(), _TIDY)
                await asyncio.sleep(_BREATH)

    async def _take_leave(self, announcing: asyncio.Task[None]) -> None:
        """Let nobody in any more, and say so; what is `announcing` us is not to object."""
        await self.doors.close()
        announcing.cancel()
        await asyncio.wait([announcing])
        await self.supplier.take_leave()
        await self.broker.close(alone=self.office.alone)

    async def _clean_up(self) -> None:
        await self.doors.close()
        await self.peers.close()
        self.clients.commands.faults.stopped = True
        await self.clients.close()
        if self.journal is not None:
            self.journal.close("Shutdown")
            with contextlib.suppress(OSError):
                self.tree.passing.save()
        if self.history is not None:
            await self.history.close()

    # What is heard

    def _connected(self) -> None:
        """Start over with a broker that may have forgotten everything."""
        self.caretaker.restart()
        self.office.connected()

    def _special(self, topic: str, message: Message | None, packet: Publish) -> None:
        if message is None:
            return
        if topic == self._stamp_topic:
            if isinstance(message.value, int):
                self._stamps.heard(message.value)
        elif topic.startswith(_MAIN):
            self.office.hear(topic.removeprefix(_MAIN), message)
        else:
            self.caretaker.hear(
                topic, message.value, retained=packet.retain, origin=message.meta.origin
            )

    def _is_ours(self, announcement: Value) -> bool:
        return self.office.is_ours(announcement)

    def _agreed(self, name: str, result: Agreement) -> None:
        self.office.agreed(name, result)

    def _linked(self, name: str, up: bool) -> None:
        self.office.linked(name, up=up)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """Have a server serve for as long as the context lasts. OSError when it cannot.

    If it fails the context is cancelled, and its error raised.
    """
    async with alongside(server.run(), server.stop):
        await server.serving.wait()
        yield server


async def _either(*events: asyncio.Event, timeout: float) -> None:
    """Wait for one of several events, at most so many seconds."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
