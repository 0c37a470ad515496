"""One gate at work: MoaT data on one side, plain topics on the other."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from math import inf
from typing import Any, Final

from ..link.client import Link
from ..link.clock import Clock
from ..link.codec import ABSENT, Value
from ..link.errors import (
    ConnectionLostError,
    DecodeError,
    EncodeError,
    LinkError,
    NoAnswerError,
    RefusedError,
)
from ..link.message import Message
from ..link.meta import Meta, meta_object
from ..link.path import Path
from ..link.transport import BrokerConfig
from .codecs import Null
from .complaints import Complaints, shown
from .counters import Counters
from .decide import Decider
from .entry import Entry, address
from .flood import Flood
from .node import LIVE, Action, Fault, Heard, Send, Told, Write
from .outside import Outside
from .probe import is_same
from .table import One
from .topics import unfit
from .translation import Translation

MQTT_ERRORS: Final = Path("link", "mqtt")
"""Where errors about messages are reported, below `error`."""
_TURN: Final = 0.05
_TABLE_REST: Final = 0.001  # seconds until a table is read anew, for each of its rows
_PATIENCE: Final = 60.0
ECHO: Final = 20.0
"""Seconds after which something that we have sent should have come back."""


class Gate:
    """Translates both ways; what was agreed is remembered from one `run` to the next."""

    def __init__(self, entry: Entry, link: Link, clock: Clock, counters: Counters) -> None:
        """Take what the gate is to do."""
        self._entry = entry
        self._link = link
        self._clock = clock
        self._counters = counters
        self._complaints = Complaints(link)
        self._src = entry.src.topic
        self._flood = Flood(clock.monotonic())
        self._late: dict[tuple[type, str], Send | Write] = {}
        self._wake = asyncio.Event()
        self._outside: Outside | None = None
        self._translation: Translation | None = None
        self._new_table = False
        self._next_table = 0.0
        self._next_due = inf
        self._doubt: asyncio.TimerHandle | None = None
        self._denied = MQTT_ERRORS / "denied" / entry.dst
        rules = One(entry.codec) if not isinstance(entry.codec, Path) else One(Null())
        self._decider = Decider(entry.origin, rules, entry.retain, entry.speed)

    async def run(self, on_running: Callable[[], None]) -> None:
        """Translate until a side is lost: LinkError. `on_running`: both sides have been read."""
        self._decider.begin()
        self._late.clear()
        async with self._opened(await self._broker()) as outside:
            self._outside = outside
            working = asyncio.ensure_future(self._work(outside, on_running))
            reporting = asyncio.ensure_future(self._complaints.run())
            try:
                ends: list[asyncio.Future[Any]] = [working, outside.lost]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
                raise outside.lost.result()
            finally:
                self._outside = None
                if self._doubt is not None:
                    self._doubt.cancel()
                    self._doubt = None
                working.cancel()
                reporting.cancel()
                await asyncio.wait([working, reporting])

    async def _broker(self) -> BrokerConfig:
        """Return which broker it is, if it may be."""
        broker = self._entry.backend or self._link.config.broker
        if self._entry.encrypted:
            broker = replace(broker, tls=await asyncio.to_thread(ssl.create_default_context))
        if self._entry.broker and await is_same(self._link, broker):
            raise RefusedError(
                f"backend: {self._entry.broker} is the installation's own broker under another "
                f"address: write {address(self._link.config.broker)}"
            )
        return broker

    def _opened(self, broker: BrokerConfig) -> contextlib.AbstractAsyncContextManager[Outside]:
        return Outside.opened(
            broker,
            self._entry.dst,
            self._entry.origin,
            on_heard=self._heard,
            on_unfit=self._unfit,
        )

    async def _work(self, outside: Outside, on_running: Callable[[], None]) -> None:
        async with self._translated():
            await self._recall()
            marked = asyncio.Event()
            watch = self._link.watch(self._entry.src, self._told, on_mark=marked.set)
            try:
                await outside.read(self._entry.timeout)
                self._decider.outside_read()
                await _within(marked.wait(), f"{self._entry.src} could not be read")
                await self._read_deletions()
                self._decider.inside_read()
                await self._tend(on_running)
            finally:
                watch.close()

    @contextlib.asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Know the table, if there is one, for as long as the context lasts."""
        if not isinstance(self._entry.codec, Path):
            yield
            return
        translation = Translation(
            self._link, self._entry.codec, self._complaints, self._table_changed
        )
        with translation.followed() as known:
            await _within(known.wait(), f"conv.{self._entry.codec} could not be read")
            self._decider.use(translation.table())
            self._translation = translation
            try:
                yield
            finally:
                self._translation = None

    def _table_changed(self) -> None:
        self._new_table = True
        self._wake.set()

    async def _recall(self) -> None:
        """Remember the errors from before our start, to clear them when it is time."""
        place = Path("error") / MQTT_ERRORS / "codec" / self._entry.dst
        with contextlib.suppress(LinkError):
            topics = [
                message.path.relative_to(place).topic async for message in self._link.walk(place)
            ]
            for topic in topics:
                self._complaints.recall(self._error_at(topic))
            self._decider.blame(topics)

    async def _read_deletions(self) -> None:
        """Ask the server for deletions; not every server knows them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                for message in await self._link.deletions(self._entry.src):
                    self._told(message)

    async def _tend(self, on_running: Callable[[], None]) -> None:
        """Do what has to be done later, for ever."""
        running = False
        while True:
            self._wake.clear()
            if (
                self._new_table
                and self._translation is not None
                and self._clock.monotonic() >= self._next_table
            ):
                self._new_table = False
                self._next_table = self._clock.monotonic() + _TABLE_REST * self._translation.size
                self._decider.use(self._translation.table())
                self._counters.last_error = (
                    self._translation.last_problem or self._counters.last_error
                )
            now = self._clock.time()
            self._act(self._decider.settle(now))
            self._act(self._decider.due(now))
            for topic, heard in self._flood.take(self._clock.monotonic()):
                self._act(self._decider.hear(topic, heard, now))
            self._say_late()
            if self._decider.settled and not running:
                running = True
                on_running()
            await self._pause()

    async def _pause(self) -> None:
        if not self._decider.settled:
            await asyncio.sleep(0)
            return
        self._next_due = self._decider.next_due
        delay = None if self._next_due == inf else max(0.0, self._next_due - self._clock.time())
        if self._late or self._flood.waiting:
            delay = _TURN
        if self._new_table:
            rest = max(0.0, self._next_table - self._clock.monotonic())
            delay = rest if delay is None else min(delay, rest)
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._wake.wait()

    # What comes in

    def _told(self, message: Message) -> None:
        """Take a message from MoaT-Link."""
        if message.value is ABSENT and message.meta.origin == self._link.id:
            return  # not there any more; but nobody has deleted it
        topic = message.topic.removeprefix(self._src).removeprefix("/")
        if (problem := unfit(topic)) is not None:
            self._unfit(message.topic, problem)
            return
        told = Told(message.value, message.meta, message.retained)
        self._act(self._decider.tell(topic, told, self._clock.time()))
        self._look()

    def _heard(self, topic: str, heard: Heard) -> None:
        """Take a message from outside, now or, if there are too many, soon."""
        if heard.meta is not None and heard.meta.origin == self._entry.origin:
            self._believe()
        if self._decider.running and not self._flood.admit(topic, heard, self._clock.monotonic()):
            self._wake.set()
            return
        self._act(self._decider.hear(topic, heard, self._clock.time()))
        self._look()

    def _look(self) -> None:
        """Have `_tend` look when there is something to be done later."""
        if self._decider.next_due < self._next_due:
            self._wake.set()

    def _unfit(self, topic: str, problem: str) -> None:
        """Take note of a topic that no path can have."""
        self._counters.errors += 1
        self._counters.last_error = f"{topic[:100]}: {problem}"
        self._complaints.raised(MQTT_ERRORS / "topic", problem, val=topic[:1000])

    def _believe(self) -> None:
        """Take note that what we send comes back."""
        if self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None
        self._complaints.cleared(self._denied)

    def _nothing_comes_back(self) -> None:
        """Tell that what we send seems to be thrown away: brokers do that without a word."""
        problem = f"what is sent to {self._entry.dst} does not come back: is writing allowed there?"
        self._counters.last_error = problem
        self._complaints.raised(self._denied, problem)

    # What goes out

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Fault(topic, None):
                    self._complaints.cleared(self._error_at(topic))
                case Fault():
                    self._complain(action)
                case Send() | Write():
                    self._say(action)
        self._counters.nodes = self._decider.count
        self._counters.dropped = self._decider.dropped + self._flood.dropped

    def _say(self, action: Send | Write) -> None:
        key = (type(action), action.topic)
        if key in self._late:
            self._late[key] = action
            return
        try:
            self._say_now(action)
        except ConnectionLostError:
            self._late[key] = action  # the line is full; if it is down, all starts anew
            self._wake.set()
        except EncodeError as err:
            self._complain(Fault(action.topic, str(err)))
        except LinkError as err:
            self._complain(Fault(action.topic, f"not taken: {err}"))

    def _say_late(self) -> None:
        late, self._late = self._late, {}
        for action in late.values():
            self._say(action)

    def _say_now(self, action: Send | Write) -> None:
        if isinstance(action, Write):
            path = Path.from_topic(f"{self._src}/{action.topic}" if action.topic else self._src)
            self._link.publish(
                path,
                action.value,
                time=action.time,
                origin=self._entry.origin,
                keywords=self._keywords(action),
            )
            self._counters.received += 1
        elif self._outside is not None:
            self._outside.send(action)
            self._counters.sent += 1
            if self._doubt is None:
                loop = asyncio.get_running_loop()
                self._doubt = loop.call_later(ECHO, self._nothing_comes_back)

    def _keywords(self, action: Write) -> dict[str, Value]:
        """Tell in the metadata where a value has come from."""
        if action.inner:
            return {}
        outer = action.outer
        if outer is None:
            client = self._outside.id if self._outside is not None else self._entry.origin
            outer = Meta(f"via:{client}", self._clock.time())
        said: dict[str, Value] = {"gw": meta_object(outer)}
        return said | ({LIVE: True} if action.live else {})

    # What is wrong

    def _complain(self, fault: Fault) -> None:
        problem = fault.problem or ""
        self._counters.errors += 1
        self._counters.last_error = f"{self._entry.dst / Path.from_topic(fault.topic)}: {problem}"[
            :500
        ]
        fields: dict[str, Value] = {"codec": "gate", "topic": self._entry.dst}
        if fault.topic:
            fields["topic"] = self._entry.dst / Path.from_topic(fault.topic)
        if fault.payload:
            fields["val"] = shown(fault.payload)
        self._complaints.raised(self._error_at(fault.topic), problem, **fields)

    def _error_at(self, topic: str) -> Path:
        place = MQTT_ERRORS / "codec" / self._entry.dst
        with contextlib.suppress(DecodeError):
            return place / Path.from_topic(topic)
        return place


async def _within(work: Awaitable[object], problem: str) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await work
    except TimeoutError:
        raise NoAnswerError(f"{problem} within {_PATIENCE:g} s") from None
