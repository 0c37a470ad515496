"""The link: one installation, through its broker and (if there is one) its server.

Paths are relative to the installation's root. Nothing is queued: without a connection every method
raises ConnectionLostError at once. Whatever is written comes back by the watches, like everything.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Unpack

from .clock import Backoff, Clock, Stamps, SystemClock
from .codec import Value
from .config import Changes, LinkConfig, LinkStatus, Statistics
from .errors import AuthenticationError, ConnectionLostError, LinkError, NoAnswerError
from .identity import HOSTS
from .message import Message
from .online import Online, Shared
from .path import Element, Path
from .rpc import Reply
from .server import Sample
from .services import Command, OnStop, Service, Services
from .watch import MessageCallback, Watch, Watches

__all__ = ["Link", "LinkConfig", "LinkStatus", "Reply", "Service", "Statistics", "Watch"]

_LOGGER = logging.getLogger(__name__)

REFUSED_PATIENCE: Final = 60.0  # seconds between attempts with credentials that were refused
SETTLED: Final = 1.0  # seconds after which a session counts as a success

type Unsubscribe = Callable[[], None]


class Link:
    """Takes part in an installation for as long as `run` runs."""

    def __init__(self, config: LinkConfig, *, clock: Clock | None = None) -> None:
        """Prepare; watches and services may be set up before `run`, and stay through outages."""
        self.config = config
        self.root = config.root
        self.status = LinkStatus()
        self.statistics = Statistics()
        self._clock = clock or SystemClock()
        self._watches = Watches()
        self._services = Services()
        self._online: Online | None = None
        self._running = False
        self._connected_before = False
        self._arrival = 0.0
        self._log_return = False
        self._former: set[str] = set()
        self._status_callbacks: list[Callable[[], None]] = []
        self._terminate_callbacks: list[Callable[[], None]] = []
        self._shared = Shared(
            config=config,
            clock=self._clock,
            stamps=Stamps(self._clock),
            watches=self._watches,
            services=self._services,
            statistics=self.statistics,
            tell=self._tell,
            terminate=lambda: _call_all(self._terminate_callbacks),
        )

    @property
    def id(self) -> str:
        """Who we are on this connection, and the origin of what we write; empty without one."""
        return self._online.presence.id if self._online is not None else ""

    @property
    def origin(self) -> str:
        """The origin of what we write."""
        return self.id

    # Life

    async def run(self) -> None:
        """Connect, and connect again, until cancelled; then take leave within two seconds."""
        if self._running:
            raise RuntimeError("the link runs already")
        self._running = True
        backoff = Backoff()
        try:
            while True:
                try:
                    await self._connect(backoff)
                except AuthenticationError as err:
                    self._lost(err)
                    await asyncio.sleep(REFUSED_PATIENCE)
                except LinkError as err:
                    self._lost(err)
                    await asyncio.sleep(backoff.wait())
        finally:
            self._running = False
            self._online = None
            self._tell(connected=False, server=None, server_error=None, ready=False, skew=None)

    async def wait_ready(self, timeout: float = 30) -> None:
        """Wait until the first snapshot is complete; raise why there is no connection."""
        changed = asyncio.Event()
        unsubscribe = self.on_status(changed.set)
        try:
            async with asyncio.timeout(timeout):
                while not self.status.ready:
                    if not self.status.connected and self.status.error is not None:
                        raise self.status.error
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise NoAnswerError(f"not ready within {timeout:g} s") from None
        finally:
            unsubscribe()

    def on_status(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back on every change of `status`."""
        return _subscribe(self._status_callbacks, callback)

    def on_terminate(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back when somebody orders this client to end (an empty ping)."""
        return _subscribe(self._terminate_callbacks, callback)

    # Reading

    def watch(
        self,
        prefix: Path,
        callback: MessageCallback,
        *,
        on_mark: Callable[[], None] | None = None,
        snapshot: bool = True,
    ) -> Watch:
        """Follow a subtree: what there is, then `on_mark`, then changes; deletions are ABSENT.

        After every reconnect comes what has changed meanwhile, and another mark.
        """
        watch = Watch(
            prefix.resolve(), callback, on_mark, snapshot=snapshot, on_close=self._unwatch
        )
        self._watches.add(watch)
        if self._online is not None:
            self._online.follow(watch)
        return watch

    async def get(self, path: Path) -> Message:
        """Return what is at a node, or raise NotFoundError."""
        return await self._here().data.get(path.resolve())

    def walk(
        self, path: Path, *, min_depth: int = 0, max_depth: int | None = None
    ) -> AsyncIterator[Message]:
        """Go through a subtree, parents first; `run` is only in it when asked for by name."""
        return self._here().data.walk(path.resolve(), min_depth, max_depth)

    async def deletions(self, path: Path) -> list[Message]:
        """Return the deletions in a subtree that the server remembers; none if it does not tell."""
        return await self._here().data.deletions(path.resolve())

    async def list(self, path: Path) -> list[Element]:
        """Return the names of a node's children."""
        return await self._here().data.children(path.resolve())

    def history(
        self,
        path: Path,
        start: float | None = None,
        end: float | None = None,
        *,
        newest: int | None = None,
    ) -> AsyncIterator[Message]:
        """Return what a node was, oldest first, beginning with what held at `start`.

        NoHistoryError where no server of ours remembers it.
        """
        return self._here().data.history(path.resolve(), start, end, newest)

    def samples(
        self,
        path: Path,
        step: float,
        start: float | None = None,
        end: float | None = None,
        *,
        newest: int | None = None,
        item: Sequence[str | int] = (),
    ) -> AsyncIterator[Sample]:
        """Return what a number was in intervals of `step` seconds; `item` is where in the value it is.

        NoHistoryError where no server of ours remembers it.
        """
        return self._here().data.samples(path.resolve(), step, start, end, newest, item)

    # Writing

    def publish(
        self,
        path: Path,
        value: Value,
        *,
        retain: bool = True,
        time: float | None = None,
        origin: str | None = None,
        keywords: Mapping[str, Value] | None = None,
    ) -> Message:
        """Write a node and forget; `time` is when its source took the value.

        Written again with the same time and value, the message is the same again. With an `origin`
        (and `keywords` of the metadata) it is somebody else that we write for.
        """
        presence = self._here().presence
        path = path.resolve()
        seen = self._watches.seen(path.topic)
        message, packet = presence.compose(
            path, value, retain=retain, seen=seen, source=time, origin=origin, keywords=keywords
        )
        presence.send(packet)
        return message

    async def set(
        self,
        path: Path,
        value: Value,
        *,
        retain: bool = True,
        expected_time: float | bool | None = None,
        confirm: bool = True,
    ) -> Message:
        """Write a node, newer than anything seen there; return what was written.

        Confirmed means: the broker has it. With `expected_time` the server writes, and only if that
        is the node's time now (True: if the node exists, False: if not); else OutOfDateError.
        """
        return await self._here().data.set(
            path.resolve(), value, retain=retain, expected_time=expected_time, confirm=confirm
        )

    async def delete(
        self, path: Path, *, expected_time: float | bool | None = None, recursive: bool = False
    ) -> None:
        """Delete a node; `recursive`: with everything below it."""
        await self._here().data.delete(
            path.resolve(), expected_time=expected_time, recursive=recursive
        )

    # Services

    def serve(
        self,
        name: Path,
        commands: Mapping[str, Command],
        *,
        value: Value = None,
        on_stop: OnStop | None = None,
        host: str | None = None,
        up: bool = True,
    ) -> Service:
        """Offer a service at `run.host.<our host>.<name>` until it is closed.

        A command takes positional and keyword arguments; it refuses with RefusedError. `on_stop` is
        told when somebody wants the service to end, or takes its place. `host` stands for our host
        where a service has a place for the whole installation; `up` tells that it is ready.
        """
        path = HOSTS / (host or self.config.host) / name
        service = Service(path, commands, value, on_stop, self._service_changed, up=up)
        self._services.add(service)
        self._service_changed(service)
        return service

    async def call(
        self,
        service: Path,
        command: Sequence[Value],
        *arguments: Value,
        timeout: float = 5,
        **keywords: Value,
    ) -> Reply:
        """Call a command of the service announced at a path, and return its reply.

        NotFoundError: there is none; RefusedError: it said no; NoAnswerError: nothing is known.
        """
        calls = self._here().calls
        try:
            async with asyncio.timeout(timeout):
                return await calls.call(service.resolve(), command, arguments, keywords)
        except TimeoutError:
            raise NoAnswerError(f"{service}: no answer within {timeout:g} s") from None

    # Errors of the installation

    async def report_error(
        self, path: Path, message: str, *, level: int = 3, **fields: Value
    ) -> None:
        """Raise an error, or count it once more; levels go from 0 (debug) to 4 (fatal)."""
        await self._here().faults.report(path.resolve(), message, level, fields)

    async def ack_error(self, path: Path) -> None:
        """Note that somebody takes care of an error."""
        await self._here().faults.acknowledge(path.resolve())

    async def clear_error(self, path: Path) -> None:
        """Note that an error is over."""
        await self._here().faults.clear(path.resolve())

    # Inside

    async def _connect(self, backoff: Backoff) -> None:
        """Take part for one session; raise why it ended."""
        online = Online(self._shared, lambda: self._arrived(online))
        try:
            await online.live(self._former)
        finally:
            if self._online is not None and self._clock.monotonic() - self._arrival > SETTLED:
                backoff.reset()
            self._online = None
            for watch in self._watches:
                watch.complete = False

    def _arrived(self, online: Online) -> None:
        self._online = online
        self._arrival = self._clock.monotonic()
        if self._connected_before:
            self.statistics.reconnects += 1
        self._connected_before = True
        if self._log_return:
            self._log_return = False
            _LOGGER.info("Connected to the broker again")

    def _lost(self, error: LinkError) -> None:
        if not self._log_return:
            self._log_return = True
            _LOGGER.info("No connection to the broker: %s", error)
        self._tell(
            connected=False, server=None, server_error=None, ready=False, skew=None, error=error
        )

    def _here(self) -> Online:
        if self._online is None:
            raise ConnectionLostError("not connected to the broker")
        return self._online

    def _unwatch(self, watch: Watch) -> None:
        self._watches.remove(watch)
        if self._online is not None:
            self._online.unfollow(watch)

    def _service_changed(self, service: Service) -> None:
        if self._online is not None:
            self._online.announcer.changed(service)
        elif service.stopped is not None:
            self._services.remove(service)

    def _tell(self, **changes: Unpack[Changes]) -> None:
        status = replace(self.status, **changes)
        if status != self.status:
            self.status = status
            _call_all(self._status_callbacks)


def _subscribe(callbacks: list[Callable[[], None]], callback: Callable[[], None]) -> Unsubscribe:
    callbacks.append(callback)

    def unsubscribe() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return unsubscribe


def _call_all(callbacks: list[Callable[[], None]]) -> None:
    for callback in tuple(callbacks):
        try:
            callback()
        except Exception:
            # Somebody else's code: its failure must not stop the link.
            _LOGGER.exception("A callback of the link failed")
