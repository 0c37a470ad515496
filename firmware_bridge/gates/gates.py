"""All gates of an installation that nobody else drives: one job for each entry below `gate`."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Final

from ..alongside import alongside
from ..link.alike import alike
from ..link.client import Link, LinkConfig, Watch
from ..link.clock import Clock, SystemClock
from ..link.codec import ABSENT, Value
from ..link.identity import PING
from ..link.message import Message
from ..link.path import Path
from ..owners import Owners
from ..refusals import Refusals
from .circles import Circles
from .entry import Entry, EntryError, is_ours, parse
from .job import PLACE, SERVICES, Job
from .limits import Limits
from .show import Show
from .topics import MAX_LENGTH, MAX_PREFIX

_LOGGER = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds between the end of a gate and its start with another entry."""
MOST_ENTRIES: Final = 1_000
"""Entries that are looked at: each that is wrong or refused is an error, and a device."""
_LOOK: Final = 60.0  # seconds between two looks at those that were left out
_GLANCE: Final = 100  # entries looked at in one go


class Gates:
    """Follows the entries, and keeps their jobs running."""

    def __init__(
        self,
        link: Link,
        clock: Clock | None = None,
        *,
        language: str = "en",
        limits: Limits | None = None,
    ) -> None:
        """Take a link that somebody runs; names are shown in this language."""
        self.jobs: dict[Path, Job] = {}
        self._link = link
        self._limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._owners = Owners(link, self._clock)
        self._show = Show(link, self._clock, language)
        self._entries: dict[Path, Message] = {}
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._wanted: dict[Path, Value] = {}
        """What is driven: the entries, each with the reason why it is not."""
        self._changed = asyncio.Event()
        self._announced: Watch | None = None
        self._was_connected = False
        self._crowded = False
        """Whether entries were left out because there are too many."""
        self._next_look = -inf

    async def run(self) -> None:
        """Work until cancelled."""
        unsubscribe = self._link.on_status(self._on_status)
        unheard = self._link.on_status(Refusals(self._link).look)
        pings = self._link.watch(PING, self._owners.listen, snapshot=False)
        announced = self._announced = self._link.watch(SERVICES, lambda _: None)
        entries = self._link.watch(PLACE, self._on_entry, on_mark=self._changed.set)
        self._on_status()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._show.run())
                while True:
                    await self._pause(entries)
                    if entries.complete:
                        await self._make_up(entries)
                        self._leave_out()
                        await self._arrange()
                        self._show.known(set(self._entries))
        finally:
            await asyncio.gather(*(self._end(name) for name in list(self._tasks)))
            unsubscribe()
            unheard()
            for watch in (pings, announced, entries):
                watch.close()

    def _on_status(self) -> None:
        connected = self._link.status.connected
        if connected and not self._was_connected:
            self._owners.begin()
        self._was_connected = connected

    def _is_free(self, service: Path) -> bool:
        """Whether nobody else who lives is announced there."""
        if self._announced is None or not self._announced.complete:
            return False
        message = self._announced.messages.get(service.topic)
        match None if message is None else message.value:
            case {"id": str(client)} if client != self._link.id:
                return self._owners.lives(client) is False
        return True

    def _on_entry(self, message: Message) -> None:
        name = message.path[len(PLACE) :]
        if message.value is ABSENT or not is_ours(message.value):
            self._entries.pop(name, None)
        elif not 0 < len(name) <= MAX_PREFIX or len(name.topic) > MAX_LENGTH:
            _LOGGER.warning("Not fit as a gate's name: %.80s", message.topic)
        else:
            self._entries[name] = message
            if len(self._entries) > 2 * MOST_ENTRIES:
                self._leave_out()
        self._changed.set()

    async def _pause(self, entries: Watch) -> None:
        """Wait until an entry changes, or those that were left out are to be looked at again."""
        delay = None
        if self._missed and entries.complete:
            delay = max(0.0, self._next_look - self._clock.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._changed.wait()
        self._changed.clear()

    @property
    def _missed(self) -> bool:
        """Whether there is room for entries that were left out."""
        return self._crowded and len(self._entries) < MOST_ENTRIES

    def _leave_out(self) -> None:
        """Forget the youngest entries if there are too many to look at."""
        if len(self._entries) <= MOST_ENTRIES:
            return
        self._entries = dict(sorted(self._entries.items(), key=_age)[:MOST_ENTRIES])
        if not self._crowded:
            self._crowded = True
            _LOGGER.warning("Below gate are more than %d entries: only so many count", MOST_ENTRIES)

    async def _make_up(self, entries: Watch) -> None:
        """Take what was left out, if there is room now; not too often, as there may be very many."""
        now = self._clock.monotonic()
        if not self._missed or now < self._next_look:
            return
        self._crowded = False
        self._next_look = now + _LOOK
        for number, topic in enumerate(list(entries.messages), 1):
            if (message := entries.messages.get(topic)) is not None:
                self._on_entry(message)
            if not number % _GLANCE:
                await asyncio.sleep(0)

    async def _arrange(self) -> None:
        """End what is not wanted any more, start what is, and start anew what has changed."""
        judged = self._judged()
        wanted: dict[Path, Value] = {
            name: [value, entry if isinstance(entry, str) else None]
            for name, (value, entry) in judged.items()
        }
        ended = {
            name
            for name in self._tasks
            if name not in wanted or not alike(self._wanted[name], wanted[name])
        }
        for name in ended:
            await self._end(name)
        self._wanted = wanted
        for name, (_, entry) in judged.items():
            if name not in self._tasks:
                self._start(name, entry, PAUSE if name in ended else 0.0)

    def _judged(self) -> dict[Path, tuple[Value, Entry | str]]:
        """Return the entries, and what they say or why they are not driven, the oldest first."""
        config, circles = self._link.config, Circles()
        judged: dict[Path, tuple[Value, Entry | str]] = {}
        for name, message in sorted(self._entries.items(), key=_age):
            said: Entry | str
            try:
                said = parse(name, message.value, config.root, config.broker)
                self._limits.check(said)
                said = circles.add(name, said) or said
            except EntryError as err:
                said = str(err)
            judged[name] = message.value, said
        return judged

    def _start(self, name: Path, entry: Entry | str, pause: float = 0.0) -> None:
        job = Job(
            name,
            entry,
            self._link,
            self._clock,
            is_free=self._is_free,
            on_state=self._show.changed,
        )
        self.jobs[name] = job

        async def run() -> None:
            await asyncio.sleep(pause)
            try:
                await job.run()
            except Exception:  # one's bug is not the others'
                _LOGGER.exception("Gate %s has a bug", name)

        self._tasks[name] = asyncio.ensure_future(run())

    async def _end(self, name: Path) -> None:
        task = self._tasks.pop(name)
        self._show.ended(self.jobs.pop(name))
        task.cancel()
        await asyncio.wait([task])


def _age(item: tuple[Path, Message]) -> tuple[float, str]:
    """Return what puts entries in order, the oldest first."""
    name, message = item
    return message.meta.time, name.topic


@asynccontextmanager
async def driving(
    config: LinkConfig, *, language: str = "en", limits: Limits | None = None
) -> AsyncIterator[Gates]:
    """Drive the installation's gates for as long as the context lasts.

    If that fails the context is cancelled, and the error raised.
    """
    link = Link(config)
    gates = Gates(link, language=language, limits=limits)
    async with alongside(link.run()), alongside(gates.run()):
        yield gates
