"""One installation: its link and its model, and the only door for commands."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.event import async_track_time_interval

from .connection import NAME
from .const import CONF_ALLOW_WRITE, CONF_READ_ONLY, DOMAIN
from .devices import Devices
from .feed import Feed
from .issues import Issues, plain
from .link.client import Link, LinkConfig, Reply
from .link.clock import SystemClock
from .link.codec import Value
from .link.describe import DescriptionError
from .link.errors import (
    AuthenticationError,
    CommandError,
    CommandFailure,
    ConnectionLostError,
    DecodeError,
    EncodeError,
    LinkError,
    RefusedError,
)
from .link.identity import ERRORS
from .link.message import Message
from .link.path import Path
from .model import Call, Point, PointValue, Publication, Unsubscribe, confirms, prepare
from .model.listeners import Listeners
from .problem import Problems
from .values import value_description, value_subentries

_LOGGER = logging.getLogger(__name__)

READY_WITHIN: Final = 15.0
ANSWER_WITHIN: Final = 5.0
TICK: Final = timedelta(seconds=1)
RESERVED: Final = frozenset({"command", "self", "service", "timeout"})
"""Keywords that cannot be passed on in a call."""

type MoatConfigEntry = ConfigEntry[Hub]


class Hub:
    """Owns the link and the model of one config entry."""

    def __init__(self, hass: HomeAssistant, entry: MoatConfigEntry, config: LinkConfig) -> None:
        """Prepare everything; nothing connects before `start`."""
        self.hass = hass
        self.entry = entry
        self._clock = SystemClock()
        self.link = Link(config, clock=self._clock)
        self.problems = Problems()
        self.feed = Feed(self.link, self._clock, self.problems)
        self.site = self.feed.site
        self.devices = Devices(hass, entry, self)
        self.issues = Issues(hass, entry, self)
        self.connected = False
        allowed = entry.options.get(CONF_ALLOW_WRITE, ())
        self._allowed = [Path.parse(text).resolve() for text in allowed]
        self._read_only: bool = entry.options.get(CONF_READ_ONLY, False)
        self._status_listeners = Listeners[[]]()
        self._settings = _settings(entry)
        self._picked: set[str] = set()
        self._reauth_asked = False
        self._stops: list[Callable[[], None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, and return when everything that is there is shown; LinkError if it fails."""
        self._stops += [
            self.site.on_device_added(self.devices.changed),
            self.site.on_device_changed(self.devices.changed),
            self.site.on_device_removed(self.devices.changed),
        ]
        self.sync_picked_values()
        self.feed.start()
        self._start_task(self._run_link(), "link")
        await self.link.wait_ready(READY_WITHIN)
        self._stops += [
            self.link.on_status(self._follow_status),
            self.link.on_terminate(lambda: self._on_stop("an empty ping")),
            async_track_time_interval(self.hass, self._tick, TICK, cancel_on_shutdown=True),
        ]
        self._follow_status()
        self.link.serve(Path(NAME), {"entities": self._entities}, on_stop=self._on_stop)
        await self.devices.settle()
        self._start_task(self.devices.run(), "devices")

    async def stop(self) -> None:
        """Say goodbye and disconnect; everything becomes unavailable."""
        while self._stops:
            self._stops.pop()()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
            self._tasks.clear()
        self.feed.stop()
        self._set_connected(False)
        self.issues.close()

    def on_status(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back when the link's status has changed, after everything else knows."""
        return self._status_listeners.add(callback)

    async def write(self, point: Point, value: PointValue = None, *, reason: str = "") -> None:
        """Have a point changed, and return when it is; CommandError says why it is not."""
        if not self.connected or point.device.alive is False:
            raise CommandError(CommandFailure.OFFLINE)
        command = prepare(point.description, value, now=self._clock.time(), reason=reason)
        target = command.service if isinstance(command, Call) else command.path
        with self._sending(target):
            if isinstance(command, Call):
                await self._call(command)
            else:
                async with asyncio.timeout(ANSWER_WITHIN):
                    await self._publish(point, value, command)

    async def set(
        self,
        path: Path,
        value: Value,
        *,
        retain: bool = True,
        expected_time: float | bool | None = None,
    ) -> Message:
        """Write any path, and return what was written; CommandError says why not."""
        with self._sending(path):
            return await self.link.set(path, value, retain=retain, expected_time=expected_time)

    async def delete(
        self, path: Path, *, expected_time: float | bool | None = None, recursive: bool = False
    ) -> None:
        """Delete any path; CommandError says why not."""
        with self._sending(path):
            await self.link.delete(path, expected_time=expected_time, recursive=recursive)

    async def call(
        self,
        service: Path,
        command: Sequence[Value],
        arguments: Sequence[Value] = (),
        keywords: Mapping[str, Value] | None = None,
        *,
        timeout: float = ANSWER_WITHIN,
    ) -> Reply:
        """Call any service, and return its reply; CommandError says why there is none."""
        keywords = keywords or {}
        with self._sending(service):
            if reserved := sorted(RESERVED & keywords.keys()):
                raise EncodeError(f"the keyword {reserved[0]} cannot be passed on")
            return await self.link.call(service, command, *arguments, timeout=timeout, **keywords)

    async def acknowledge_error(self, path: Path) -> None:
        """Note that somebody takes care of an error; CommandError says why not."""
        with self._sending(ERRORS / path.resolve()):
            await self.link.ack_error(path)

    async def clear_error(self, path: Path) -> None:
        """Note that an error is over; CommandError says why not."""
        with self._sending(ERRORS / path.resolve()):
            await self.link.clear_error(path)

    def has_settings_of(self, entry: MoatConfigEntry) -> bool:
        """Whether we run with what the entry says now, apart from the values that were picked."""
        return self._settings == _settings(entry)

    def sync_picked_values(self) -> None:
        """Show the values that the user has picked from paths, and only those."""
        picked = value_subentries(self.entry)
        for device_id in self._picked - picked.keys():
            self.site.remove(device_id)
        self._picked = set()
        for device_id, subentry in picked.items():
            try:
                about, issues = value_description(
                    subentry.title, subentry.subentry_id, subentry.data
                )
            except (DescriptionError, DecodeError) as err:
                _LOGGER.warning("%s (%s) cannot be shown: %s", subentry.title, device_id, err)
            else:
                self._picked.add(device_id)
                self.site.put(about, issues)

    def may_write(self, path: Path) -> bool:
        """Whether the options let something be written: if they name paths, only below those."""
        if self._read_only:
            return False
        path = path.resolve()
        return not self._allowed or any(path.starts_with(prefix) for prefix in self._allowed)

    @contextmanager
    def _sending(self, target: Path) -> Iterator[None]:
        """Check whether anything may be sent to this target, and say what its failure means."""
        if not self.connected:
            raise CommandError(CommandFailure.OFFLINE)
        if not self.may_write(target):
            raise CommandError(CommandFailure.NOT_ALLOWED, str(target))
        try:
            yield
        except TimeoutError as err:
            raise CommandError(CommandFailure.UNCONFIRMED) from err
        except EncodeError as err:
            raise CommandError(CommandFailure.INVALID, plain(str(err))) from err
        except (RefusedError, AuthenticationError) as err:  # the latter are the owner's words, too
            raise CommandError(CommandFailure.REFUSED, plain(str(err))) from err
        except LinkError as err:  # it may have been done: nobody can say
            raise CommandError(CommandFailure.TIMEOUT, plain(str(err))) from err

    async def _call(self, command: Call) -> None:
        """Have the owner do it; it answers when it is done."""
        await self.link.call(
            command.service,
            command.command,
            *command.arguments,
            timeout=ANSWER_WITHIN,
            **command.keywords,
        )

    async def _publish(self, point: Point, wish: PointValue, command: Publication) -> None:
        """Publish a command, and wait until the state shows it, if there is a state."""
        settled = asyncio.Event()

        def look() -> None:
            if not self.connected or confirms(point.description, wish, point.value):
                settled.set()

        stop_looking = point.subscribe(look)
        try:
            await self.link.set(command.path, command.value, retain=command.retain)
            if point.description.readable:
                look()
                await settled.wait()
        finally:
            stop_looking()
        if not self.connected:
            raise ConnectionLostError("lost before the state could show the change")

    @callback
    def _follow_status(self) -> None:
        """Pass on whether everything is known; ask for credentials when they are refused."""
        status = self.link.status
        self._set_connected(status.connected and status.ready)
        self.issues.look(self._clock.monotonic())
        if not isinstance(status.error, AuthenticationError):
            self._reauth_asked = False
        elif not self._reauth_asked:
            self._reauth_asked = True
            self.entry.async_start_reauth(self.hass)
        self._status_listeners()

    def _set_connected(self, connected: bool) -> None:
        if connected is not self.connected:
            self.connected = connected
            self.site.set_connected(connected)
            self._status_listeners()

    @callback
    def _tick(self, _now: datetime) -> None:
        self.feed.tick()
        self.issues.tick(self._clock.monotonic())

    def _start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(
            self.entry.async_create_background_task(
                self.hass, work, f"{DOMAIN} {name} {self.entry.title}"
            )
        )

    async def _run_link(self) -> None:
        """Run the link; should it ever fail by a mistake of ours, start all over."""
        try:
            await self.link.run()
        except Exception:
            _LOGGER.exception("The link of %s failed; the entry is reloaded", self.entry.title)
            self.hass.config_entries.async_schedule_reload(self.entry.entry_id)

    @callback
    def _on_stop(self, reason: str) -> None:
        """Obey somebody who wants us to leave the installation, and tell the user."""
        _LOGGER.warning("%s: asked to stop (%s)", self.entry.title, plain(reason))
        self.issues.stopped(reason)
        self.entry.async_create_task(self.hass, self.stop(), f"{DOMAIN} stop")

    async def _entities(self) -> Value:
        """Answer the command `entities`: the entities of this entry with their states."""
        registry = er.async_get(self.hass)
        entries = er.async_entries_for_config_entry(registry, self.entry.entry_id)
        states = (self.hass.states.get(entry.entity_id) for entry in entries)
        return {state.entity_id: state.state for state in states if state is not None}


def _settings(entry: MoatConfigEntry) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return what a running hub depends on."""
    return dict(entry.data), dict(entry.options), entry.title
