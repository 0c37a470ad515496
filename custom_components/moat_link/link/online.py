"""Everything that lives as long as one session: from connecting to the last goodbye."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

from .announcer import Announcer, PacketHandler
from .calls import Calls
from .candidates import candidates
from .clock import Clock, Skew, Stamps
from .codec import Value
from .config import LinkConfig, Statistics, Tell
from .connection import Request
from .data import Data
from .direct import DirectLink, DirectStatus, Endpoint, endpoints
from .errors import (
    ConnectionLostError,
    DecodeError,
    LinkError,
    NotAuthorizedError,
    RefusedError,
)
from .faults import Faults
from .identity import CONNECTION, MAIN, PING, SERVERS
from .message import Message, decode_message
from .mqtt_packets import Publish
from .presence import Presence
from .requests import Requester, Responder
from .rpc import Reply
from .server import Server
from .services import Services
from .snapshot import Synchronizer
from .subscriptions import Interest
from .watch import Watch, Watches

_LOGGER = logging.getLogger(__name__)

SERVER_PATIENCE: Final = 3.0  # seconds that a snapshot waits for the server
LOSS_PATIENCE: Final = 5.0  # seconds without a server before that is worth a line in the log
BROKEN: Final = 1_000  # topics whose first undecodable message is logged
MOST_SERVERS: Final = 32  # whose announcements are remembered

_CONNECTION: Final = CONNECTION.topic
_SERVERS: Final = f"{SERVERS.topic}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What outlives the sessions."""

    config: LinkConfig
    clock: Clock
    stamps: Stamps
    watches: Watches
    services: Services
    statistics: Statistics
    tell: Tell
    terminate: Callable[[], None]


class Online:
    """One session with all that depends on it."""

    presence: Presence
    data: Data
    calls: Calls
    faults: Faults

    def __init__(self, shared: Shared, arrived: Callable[[], None]) -> None:
        """Prepare; `live` connects, and calls `arrived` when everything can be used."""
        self._shared = shared
        self._arrived = arrived
        self._clock = shared.clock
        self._statistics = shared.statistics
        self._watches = shared.watches
        self._cut = len(shared.config.root.topic) + 1
        self._handlers: dict[str, PacketHandler] = {}
        self._lost: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._decided = asyncio.Event()
        self._discovery = Watch(MAIN, self._on_main)
        self._announcements: dict[str, list[Endpoint]] = {}
        self._skew = Skew()
        self._offset = 0.0
        self._loss_logged = False
        self._ending = False
        self.server: Server | None = None

    async def live(self, former: set[str]) -> None:
        """Connect, take part until the session is lost, and raise why it was.

        When cancelled, say goodbye. `former` holds the ids that were never taken leave of.
        """
        shared = self._shared
        self.presence = presence = await Presence.open(
            shared.config,
            shared.stamps,
            shared.statistics,
            on_publish=self._receive,
            on_closed=self._on_closed,
        )
        self._assemble()
        former_ids = sorted(former)
        former.add(presence.id)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    reason = await self._serve(former_ids)
                finally:
                    self._ending = True
                former.difference_update(former_ids)
                for task in self._tasks:
                    task.cancel()
        finally:
            self._handlers.clear()
            self._watches.remove(self._discovery)
            if not presence.session.closed:
                await presence.goodbye(each.path for each in shared.services.announced)
                former.discard(presence.id)
        raise reason

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Start a task that ends with the session at the latest."""
        if self._ending or self._lost.done():
            work.close()
            return
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def follow(self, watch: Watch) -> None:
        """Complete a new watch."""
        self._synchronizer.add(watch)

    def unfollow(self, watch: Watch) -> None:
        """Forget a closed watch."""
        self._synchronizer.remove(watch)

    # The course of a session

    def _assemble(self) -> None:
        shared, presence = self._shared, self.presence
        self.data = Data(presence, shared.watches, lambda: self.server)
        requester = Requester(presence, shared.clock)
        responder = Responder(presence, shared.clock, shared.services.execute, self.spawn)
        self.calls = Calls(self.data, shared.watches, lambda: self.server, requester)
        self.faults = Faults(self.data, lambda: self.server)
        self._ping_path = PING / presence.id
        self._handlers[self._ping_path.topic] = self._on_ping
        self._handlers[requester.path.topic] = requester.on_reply
        self._handlers[responder.path.topic] = responder.on_request
        self._own = [self._ping_path, requester.path, responder.path]
        self.announcer = Announcer(
            presence,
            shared.services,
            shared.watches,
            self.data,
            lambda: self.server,
            self._handlers,
            self.spawn,
        )
        self._synchronizer = Synchronizer(
            presence,
            shared.watches,
            lambda: self.server,
            shared.clock,
            grace=shared.config.grace,
            on_ready=self._on_ready,
            on_refused=self._on_refused,
        )
        self._direct = DirectLink(
            self._endpoints,
            handler=self._on_call,
            on_status=self._on_direct,
            name=lambda: presence.id,
            tls=shared.config.server_tls,
        )

    async def _serve(self, former: Sequence[str]) -> LinkError:
        """Do what has to be done at the start, then wait for the end; return its reason."""
        self._arrived()
        self._shared.tell(connected=True, error=None)
        try:
            for path in self._own:
                interest = Interest(path, subtree=False)
                await self._allowed(self.presence.subscriptions.want(interest, qos=1))
            await self._allowed(self.presence.hello(former))
            self.spawn(self.presence.stay())
            await self.announcer.begin()
            if self._shared.config.use_server:
                await self._discover()
            self.spawn(self._synchronizer.run())
        except LinkError as err:
            return self._lost.result() if self._lost.done() else err
        return await asyncio.shield(self._lost)

    async def _discover(self) -> None:
        """Look for a server, and give it a moment to become the source of the snapshot."""
        self._watches.add(self._discovery)
        await self._allowed(self._synchronizer.complete(self._discovery))
        self.spawn(self._direct.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SERVER_PATIENCE):
                await self._decided.wait()

    async def _allowed(self, work: Awaitable[object]) -> None:
        """Do something; go on, and say so in the status, if the broker denies it."""
        try:
            await work
        except RefusedError as err:
            self._on_refused(err)

    async def _quietly(self, work: Awaitable[object]) -> None:
        """Do something that may fail, as it does when the session ends."""
        try:
            await self._allowed(work)
        except LinkError as err:
            _LOGGER.debug("Not done: %s", err)

    # What the broker and the server say

    def _receive(self, packet: Publish) -> None:
        """Take a message: decode it once, and pass it to whom it concerns."""
        statistics = self._statistics
        statistics.received += 1
        topic = packet.topic[self._cut :]
        if (handler := self._handlers.get(topic)) is not None:
            handler(packet)
        watches = self._watches.concerned(topic)
        if not watches:
            return
        now = self._clock.time() + self._offset
        try:
            message = decode_message(
                topic,
                packet.payload,
                text=packet.text,
                meta=packet.meta,
                retained=packet.retain,
                now=now,
                me=self.presence.id,
            )
        except DecodeError as err:
            self._undecodable(topic, watches, err)
            return
        replayed = packet.meta is None and self.presence.subscriptions.replaying
        for watch in watches:
            if replayed and watch.repeats(message):
                watch.mention(topic)  # it only looks new, for want of a time
            elif not watch.deliver(message, now):
                statistics.dropped_old += 1

    def _undecodable(self, topic: str, watches: Sequence[Watch], error: DecodeError) -> None:
        statistics = self._statistics
        statistics.undecodable += 1
        for watch in watches:
            watch.mention(topic)
        if topic not in statistics.broken and len(statistics.broken) < BROKEN:
            statistics.broken[topic] = str(error)
            _LOGGER.warning("Undecodable message at %s (logged once): %s", topic, error)

    def _on_closed(self, error: LinkError | None) -> None:
        if not self._lost.done():
            self._lost.set_result(error or ConnectionLostError("the session was closed"))

    def _on_ready(self) -> None:
        self._shared.tell(ready=True)

    def _on_refused(self, error: RefusedError) -> None:
        """Show what the broker denies us, and log it once."""
        self._shared.tell(error=error)
        topic = error.topic if isinstance(error, NotAuthorizedError) else ""
        topic = topic.replace(self.presence.id, "+")
        if topic not in self._statistics.denied and len(self._statistics.denied) < BROKEN:
            self._statistics.denied[topic] = str(error)
            _LOGGER.warning("The broker denies us %s (logged once)", error)

    def _on_ping(self, packet: Publish) -> None:
        """Our own signs of life come by; an empty one is an order to terminate."""
        if not packet.payload:
            self._shared.terminate()

    def _on_main(self, message: Message) -> None:
        """Take what servers say about themselves."""
        origin = message.meta.origin
        if message.topic == _CONNECTION or message.topic.startswith(_SERVERS):
            found = endpoints(message.value, server=origin, encrypted=True)
            self._announcements.pop(message.topic, None)
            elected = message.topic == _CONNECTION
            if found and (elected or len(self._announcements) < MOST_SERVERS):
                self._announcements[message.topic] = found
            self._direct.announced()
        if self._discovery.complete and self.server is not None and origin == self.server.name:
            # It has just been said: what differs is the clocks, and how long it took.
            self._offset = self._skew.add(message.time - self._clock.time())
            self._shared.tell(skew=round(self._offset, 2))

    def _endpoints(self) -> list[Endpoint]:
        """Where servers may be: the configured one, the elected one, any other."""
        announced = [*self._announcements.get(_CONNECTION, ())]
        for topic, others in self._announcements.items():
            if topic != _CONNECTION:
                announced += others
        return candidates(self._shared.config, announced, self.presence.session.peer)

    def _on_direct(self, status: DirectStatus) -> None:
        """Take a server as the source of truth, or do without."""
        before = self.server
        if status.identity is not None:
            name = status.identity.name
            self.server = Server(name, self._direct.connection, self.presence, self._clock)
            self._synchronizer.renew()
            if self._loss_logged:
                self._loss_logged = False
                _LOGGER.info("Connected to server %s again", name)
        else:
            name = None
            self.server = None
            self._skew = Skew()
            if before is not None:
                self.spawn(self._mourn(before.name))
        self._decided.set()
        self._shared.tell(server=name, skew=None, server_error=status.error)
        if name is not None or before is not None:
            self.spawn(self._quietly(self.presence.identify(name)))

    async def _mourn(self, name: str) -> None:
        """Log the loss of a server, if it lasts and the session does, too."""
        await asyncio.sleep(LOSS_PATIENCE)
        if self.server is None and not self._loss_logged:
            self._loss_logged = True
            _LOGGER.info("Server %s is gone; going on without", name)

    async def _on_call(self, request: Request) -> Value | Reply:
        """Carry out what others call through the server."""
        return await self._shared.services.execute(
            request.path, request.arguments, request.keywords
        )
