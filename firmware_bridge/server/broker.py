"""The server's side of the broker: everything below the root comes in, what commands write goes out."""

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ..link.clock import Backoff
from ..link.codec import ABSENT, Key, Value, encode_payload
from ..link.errors import (
    ConnectionLostError,
    DecodeError,
    EncodeError,
    LinkError,
    RefusedError,
)
from ..link.identity import MAIN
from ..link.message import Message, decode_message
from ..link.meta import Meta, encode_meta
from ..link.path import Path
from ..link.session import BrokerConfig, Publish, Session
from .records import Record
from .store import RUN, Levels, Outcome
from .tree import Tree

_LOGGER = logging.getLogger(__name__)

_KEEP_ALIVE: Final = 6  # seconds: when one and a half times that is over, others can take our place
_TURN: Final = 200  # messages between two looks at whether the broker keeps up
_COMPLAINTS: Final = 1000
_ECHOES: Final = 100  # messages of our own that we know again
_PASSING: Final = ["error", "link", "mqtt"]
"""Where everybody reports what it cannot understand, for those who listen, not to stay."""
_MOST_UNSENT: Final = 200_000
_PATIENCE: Final = 0.5  # seconds for somebody else to correct what the broker holds
_PATIENCE_BEHIND: Final = 4.0  # for the main server to do so

type Listen = Callable[[str, Message | None, Publish], None]


class Broker:
    """Keeps a session with the broker, and survives the loss of it.

    `special` gets what concerns the server itself, below `run`: (topic below the root, message, or None
    if it cannot be understood, packet).
    """

    def __init__(
        self,
        config: BrokerConfig,
        root: Path,
        name: str,
        tree: Tree,
        *,
        special: Listen,
        on_connected: Callable[[], None],
        backoff: Backoff | None = None,
    ) -> None:
        keep_alive = min(config.keep_alive or _KEEP_ALIVE, _KEEP_ALIVE)
        self._config = replace(config, keep_alive=keep_alive)
        self._root = root.topic
        self._prefix = f"{root.topic}/"
        self._name = name
        self._tree = tree
        self._special = special
        self._on_connected = on_connected
        self._backoff = backoff or Backoff(0.5, 15.0)
        self._session: Session | None = None
        self._seen: dict[str, float] | None = None
        self._stale: dict[str, float] = {}
        self._learned: dict[str, float] = {}
        self._own: deque[float] = deque(maxlen=_ECHOES)
        self._unsent: set[str] = set()
        self._complaints: set[tuple[str, bytes]] = set()
        self.sessions = 0
        """How many sessions there have been."""
        self.ready = asyncio.Event()
        """Whether everything that the broker retains has been read once."""
        self.error: LinkError | None = None
        self.repairs = False
        """Whether to be the first to correct what the broker holds in an older version."""
        self.supplied = 0
        """How many nodes the broker had lost."""

    @property
    def connected(self) -> bool:
        """Whether there is a session."""
        return self._session is not None and not self._session.closed

    @property
    def supplying(self) -> bool:
        """Whether what the broker retains is read again."""
        return self._seen is not None

    async def run(self) -> None:
        """Connect, and connect again, for ever."""
        while True:
            try:
                await self._connect_once()
            except LinkError as err:
                if str(err) != str(self.error):
                    _LOGGER.warning("The broker: %s", err)
                self.error = err
            finally:
                self._session = None
            await asyncio.sleep(self._backoff.wait())

    def tell(self, levels: Levels, value: Value, meta: Meta) -> None:
        """Publish a change: retained, unless it is below `run`; as soon as there is a session."""
        retain = levels[:1] != [RUN]
        try:
            self.send(levels, value, meta, retain=retain)
        except ConnectionLostError:
            if retain and len(self._unsent) < _MOST_UNSENT:
                self._unsent.add("/".join(levels))
        except LinkError as err:
            _LOGGER.warning("Not published: %s: %s", "/".join(levels), err)

    def send(self, levels: Levels, value: Value, meta: Meta, *, retain: bool) -> None:
        """Publish at QoS 0. EncodeError, ConnectionLostError, RefusedError."""
        if self._session is None:
            raise ConnectionLostError("not connected to the broker")
        self._session.publish_nowait(self._packet(levels, value, meta, retain))

    async def confirm(self, path: Path, value: Value, *, retain: bool = True) -> None:
        """Publish something of our own at QoS 1. Raise LinkError."""
        if self._session is None:
            raise ConnectionLostError("not connected to the broker")
        levels = path.topic.split("/")
        meta = Meta(self._name, self._tree.stamp(levels))
        self._own.append(meta.time)
        await self._session.publish(self._packet(levels, value, meta, retain))
        if retain:
            self._tree.receive(levels, value, meta)

    def is_own(self, meta: Meta) -> bool:
        """Whether this belongs to something that was confirmed lately: brokers may echo it."""
        return meta.origin == self._name and meta.time in self._own

    async def supply(self) -> None:
        """Compare what the broker retains with the tree, and publish what it lacks. LinkError."""
        session = self._session
        if session is None or self._seen is not None:
            return
        self._seen = {}
        try:
            await session.subscribe(f"{self._root}/#")  # what we have published, too
            await session.barrier()
            seen = self._seen
            await session.subscribe(f"{self._root}/#", no_local=True, retain_handling=2)
        finally:
            self._seen = None
        missing = [
            (levels, record)
            for levels, record in self._tree.snapshot()
            if _lacks(seen, levels, record)
        ]
        for number, (levels, record) in enumerate(missing, 1):
            value, meta = record.unpack()
            with contextlib.suppress(EncodeError, RefusedError):
                session.publish_nowait(self._packet(levels, value, meta, retain=True))
            if not number % _TURN:
                await session.barrier()
        self.supplied += len(missing)
        if missing:
            _LOGGER.info("The broker lacked %d nodes, which it has got now", len(missing))

    def learned(self, levels: Levels) -> None:
        """Take note of something newer that did not come from the broker: it may lack it."""
        if len(self._learned) < _MOST_UNSENT and levels[:3] != _PASSING:
            self._learned["/".join(levels)] = self._tree.clock.monotonic()

    async def repair(self) -> None:
        """Publish every second what could not be, or was overwritten by something older; for ever."""
        while True:
            await asyncio.sleep(1)
            session = self._session
            if session is None or session.closed:
                continue
            topics, self._unsent = self._unsent | self._doubtful(), set()
            for number, topic in enumerate(topics, 1):
                levels = _levels(topic)
                node = self._tree.store.find(levels)
                if node is not None and node.record is not None:
                    self.tell(levels, *node.record.unpack())
                if not number % _TURN:
                    with contextlib.suppress(LinkError):
                        await session.barrier()

    def _doubtful(self) -> set[str]:
        """Take what nobody has corrected in time: first it is the turn of the main server."""
        until = self._tree.clock.monotonic() - (_PATIENCE if self.repairs else _PATIENCE_BEHIND)
        found: set[str] = set()
        for doubts in (self._stale, self._learned):
            late = [topic for topic, since in doubts.items() if since <= until]
            found.update(late)
            for topic in late:
                del doubts[topic]
        return found

    async def close(self, *, alone: bool) -> None:
        """Say goodbye: that we go down, and that we are not there; nor is anybody if alone."""
        session = self._session
        if session is None:
            return
        with contextlib.suppress(LinkError, TimeoutError):
            async with asyncio.timeout(2):
                self.send(_levels((MAIN / "down").topic), self._name, self._meta(), retain=False)
                if alone:
                    await self.confirm(MAIN / "conn", ABSENT)
                await self.confirm(MAIN / "server" / self._name, ABSENT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await session.close()

    def _meta(self) -> Meta:
        return Meta(self._name, self._tree.clock.time())

    async def _connect_once(self) -> None:
        closed: asyncio.Future[LinkError | None] = asyncio.get_running_loop().create_future()
        will = Publish(
            f"{self._prefix}{(MAIN / 'server' / self._name).topic}", b"", retain=True, qos=1
        )
        self.sessions += 1
        self._stale.clear()
        session = await Session.open(
            self._config,
            client_id=self._name,
            will=will,
            on_publish=self._received,
            on_closed=lambda error: None if closed.done() else closed.set_result(error),
        )
        try:
            await session.subscribe(f"{self._root}/#")
            await session.barrier()
            # our own changes are in the tree already: their echo would only cost time
            await session.subscribe(f"{self._root}/#", no_local=True, retain_handling=2)
            self._session = session
            if self.error is not None:
                _LOGGER.info("The broker is back")
            self.error = None
            self._backoff.reset()
            self.ready.set()
            self._on_connected()
            if (error := await closed) is not None:
                raise error
        finally:
            if not session.closed:
                await session.close()

    def _packet(self, levels: Levels, value: Value, meta: Meta, retain: bool) -> Publish:
        payload, text = encode_payload(value)
        topic = self._prefix + "/".join(levels) if levels else self._root
        return Publish(topic, payload, text=text, retain=retain, meta=encode_meta(meta))

    def _received(self, packet: Publish) -> None:
        if packet.topic == self._root:
            topic = ""
        elif packet.topic.startswith(self._prefix):
            topic = packet.topic[len(self._prefix) :]
        else:
            return
        message = self._decoded(topic, packet)
        if topic.startswith("run/"):
            self._special(topic, message, packet)
            if not packet.retain:
                return
        if message is None:
            return
        levels = _levels(topic)
        try:
            outcome = self._tree.receive(levels, message.value, message.meta)
        except EncodeError as err:
            self._complain(topic, packet, err)
            return
        if packet.retain and not topic.startswith("run/"):
            self._judge(levels, outcome, message.time)
        if self._seen is not None and packet.retain:
            self._seen["/".join(levels)] = message.time

    def _judge(self, levels: Levels, outcome: Outcome, time: float) -> None:
        """Take note of whether the broker holds something older than the tree."""
        if outcome is Outcome.STALE:
            node = self._tree.store.find(levels)
            if node is not None and time < node.time and len(self._stale) < _MOST_UNSENT:
                self._stale.setdefault("/".join(levels), self._tree.clock.monotonic())
        elif self._stale or self._learned:
            topic = "/".join(levels)
            self._stale.pop(topic, None)
            self._learned.pop(topic, None)

    def _decoded(self, topic: str, packet: Publish) -> Message | None:
        try:
            message = decode_message(
                topic,
                packet.payload,
                text=packet.text,
                meta=packet.meta,
                retained=packet.retain,
                now=self._tree.clock.time(),
                me=self._name,
            )
        except DecodeError as err:
            self._complain(topic, packet, err)
            return None
        return message if math.isfinite(message.time) else None

    def _complain(self, topic: str, packet: Publish, problem: LinkError) -> None:
        """Report once what cannot be understood."""
        key = (topic, packet.payload[:1000])
        if key in self._complaints or len(self._complaints) > _COMPLAINTS:
            return
        self._complaints.add(key)
        _LOGGER.warning("Not understood: %s: %s", topic, problem)
        report: dict[Key, Value] = {"codec": "std-cbor", "topic": packet.topic}
        report |= {"val": packet.payload[:1000], "msg": str(problem)}
        if not topic.startswith("error/"):
            levels = ["error", "link", "mqtt", "codec", *_levels(topic)]
            with contextlib.suppress(LinkError):
                self.send(levels, report, self._meta(), retain=False)


def _lacks(seen: Mapping[str, float], levels: Levels, record: Record) -> bool:
    """Tell whether a broker that retains this has something older than a record."""
    if levels[:3] == _PASSING:
        return False
    there = seen.get("/".join(levels))
    return not record.deleted if there is None else there < record.meta.time


def _levels(topic: str) -> list[str]:
    """Return a topic's levels, each spelled as we spell it."""
    if ":" in topic:
        with contextlib.suppress(DecodeError):
            return Path.from_topic(topic).topic.split("/")
    return topic.split("/") if topic else []
