"""The server's side of the broker: everything below the root comes in, what commands write goes out."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ..link.clock import Backoff
from ..link.codec import ABSENT, Key, Value, encode, encode_payload
from ..link.errors import (
    ConnectionLostError,
    DecodeError,
    EncodeError,
    LinkError,
)
from ..link.identity import MAIN
from ..link.message import Message, decode_message
from ..link.meta import Meta, decode_meta, encode_meta
from ..link.path import Path
from ..link.session import BrokerConfig, Publish, Session
from .debts import Debts
from .namesake import Namesake
from .reach import check_time_told
from .store import RUN, Levels
from .tree import REPORTS, Tree
from .witness import TOPIC, Standing, Witness

_LOGGER = logging.getLogger(__name__)

_KEEP_ALIVE: Final = 6  # seconds: when one and a half times that is over, others can take our place
_COMPLAINTS: Final = 1000
_GOODBYE: Final = 2.0  # seconds for each step of leaving, whatever disk and broker are busy with
_SETTLED: Final = 10.0  # seconds after which a session is no accident
_ECHOES: Final = 100  # messages of our own that we know again

type Listen = Callable[[str, Message | None, Publish], None]


class Broker:
    """Keeps a session with the broker, and survives the loss of it.

    `special` gets what concerns the server itself, below `run`: (topic below the root as we spell it,
    message, or None if it cannot be understood, packet).
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
        namesake: Namesake,
        debts: Debts,
        witness: Witness,
    ) -> None:
        keep_alive = min(config.keep_alive or _KEEP_ALIVE, _KEEP_ALIVE)
        self._config = replace(config, keep_alive=keep_alive)
        self._root = root.topic
        self._prefix = f"{root.topic}/"
        self._name = name
        self._tree = tree
        self._special = special
        self._on_connected = on_connected
        self._namesake = namesake
        self._backoff = Backoff(0.5, 15.0)
        self._debts = debts
        self._witness = witness
        self._witness_topic = (TOPIC / name).topic
        self._testimony: Value = ABSENT
        self._own: deque[float] = deque(maxlen=_ECHOES)
        self._complaints: set[tuple[str, bytes]] = set()
        self.session: Session | None = None
        """The session, as soon as all that the broker retains has been read."""
        self.sessions = 0
        """How many sessions there have been."""
        self.ready = asyncio.Event()
        """Whether everything that the broker retains has been read once."""
        self.error: LinkError | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a session."""
        return self.session is not None and not self.session.closed

    async def run(self) -> None:
        """Connect, and connect again, for ever."""
        while True:
            try:
                await self._namesake.free()
                await self._connect_once()
            except LinkError as err:
                if str(err) != str(self.error):
                    place = f"{self._config.host}:{self._config.port}"
                    _LOGGER.warning("The broker at %s: %s", place, err)
                self.error = err
            finally:
                self.session = None
            await asyncio.sleep(self._backoff.wait())

    def tell(self, levels: Levels, value: Value, meta: Meta) -> None:
        """Publish a change: retained, unless it is below `run`; as soon as there is a session."""
        retain = levels[:1] != [RUN]
        try:
            self.send(levels, value, meta, retain=retain)
        except ConnectionLostError:
            if retain:
                self._debts.note("/".join(levels))
        except LinkError as err:
            _LOGGER.warning("Not published: %s: %s", "/".join(levels), err)

    def learned(self, levels: Levels) -> None:
        """Take note of something newer that did not come from the broker: it may lack it."""
        if levels[:3] != REPORTS:
            self._debts.doubt("/".join(levels), self._tree.clock.monotonic())

    def send(self, levels: Levels, value: Value, meta: Meta, *, retain: bool) -> None:
        """Publish at QoS 0. EncodeError, ConnectionLostError, RefusedError."""
        if self.session is None:
            raise ConnectionLostError("not connected to the broker")
        self.session.publish_nowait(self.packet(levels, value, meta, retain))

    async def confirm(self, path: Path, value: Value, *, retain: bool = True) -> None:
        """Publish something of our own at QoS 1. Raise LinkError."""
        if self.session is None:
            raise ConnectionLostError("not connected to the broker")
        levels = path.topic.split("/")
        meta = Meta(self._name, self._tree.stamp(levels))
        self._own.append(meta.time)
        await self.session.publish(self.packet(levels, value, meta, retain))
        if retain:
            self._tree.receive(levels, value, meta)

    def is_own(self, meta: Meta) -> bool:
        """Whether this belongs to something that was confirmed lately: brokers may echo it."""
        return meta.origin == self._name and meta.time in self._own

    async def close(self, *, alone: bool) -> None:
        """Say goodbye: that we go down, and that we are not there; nor is anybody if alone."""
        session = self.session
        if session is None:
            return
        with contextlib.suppress(LinkError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                self.send(_levels((MAIN / "down").topic), self._name, self._meta(), retain=False)
                if alone:
                    await self.confirm(MAIN / "conn", ABSENT)
                await self.confirm(MAIN / "server" / self._name, ABSENT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await session.close()

    def _meta(self) -> Meta:
        return Meta(self._name, self._tree.clock.time())

    async def _connect_once(self) -> None:
        closed: asyncio.Future[LinkError | None] = asyncio.get_running_loop().create_future()
        will = Publish(
            f"{self._prefix}{(MAIN / 'server' / self._name).topic}", b"", retain=True, qos=1
        )
        self.sessions += 1
        self._tree.connection = self.sessions
        session = await Session.open(
            self._config,
            client_id=self._name,
            will=will,
            on_publish=self._received,
            on_closed=lambda error: None if closed.done() else closed.set_result(error),
        )
        try:
            await session.subscribe(f"{self._prefix}{self._witness_topic}")
            await session.barrier()
            self._testimony, found = ABSENT, self._testimony
            if self._witness.judge(found) in (Standing.EMPTY, Standing.OLDER):
                _LOGGER.warning("The broker has lost what it retained, or some of it")
            self._tree.complete = self._witness.complete
            self._debts.survey(done=False)
            await session.subscribe(f"{self._root}/#")
            await session.barrier()
            # Our own changes are in the tree already: their echo would only cost time. Some brokers do
            # not change the options of a subscription that there is, so others take its place.
            everything = (self._root, f"{self._root}/+/#")
            await session.subscribe(*everything, no_local=True, retain_handling=2)
            await session.unsubscribe(f"{self._root}/#")
            self.session = session
            if self.error is not None:
                _LOGGER.info("The broker is back")
            self.error = None
            self._namesake.settled(self._tree.clock.time())
            self.ready.set()
            self._on_connected()
            since = self._tree.clock.monotonic()
            error = await closed
            if self._tree.clock.monotonic() - since >= _SETTLED:
                self._backoff.reset()  # else somebody may have our name, and come back as well
            if error is not None:
                raise error
        finally:
            if not session.closed:
                await session.close()

    def packet(self, levels: Levels, value: Value, meta: Meta, retain: bool) -> Publish:
        """Return what says something below the root. EncodeError."""
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
            if topic == self._witness_topic and message is not None:
                self._testimony = message.value
            self._special("/".join(_levels(topic)), message, packet)
            if not packet.retain:
                return
        levels = _levels(topic) if topic or packet.topic == self._root else [""]
        if message is None:
            self._garbled(levels, packet)
            return
        try:
            meta = message.meta
            if packet.meta is None:
                if self._outweighed(levels, message, packet):
                    return
                meta = Meta(meta.origin, self._tree.stamp(levels))
            older = self._tree.hear(levels, message.value, meta, retained=packet.retain)
        except EncodeError as err:
            self._complain(topic, packet, err)
            return
        if topic.startswith("run/"):
            return
        if older:
            self.learned(levels)
        elif packet.retain:
            self._debts.trust(levels)

    def _outweighed(self, levels: Levels, message: Message, packet: Publish) -> bool:
        """Whether what comes without a time, and may be old, counts for less than what is there."""
        if self.session is not None or not packet.retain:
            return False
        node = self._tree.store.find(levels)
        if node is None or node.record is None:
            return False
        same = node.record.holds(encode(message.value))
        if not same and self._witness.loses(node.record, node.time):
            return False
        if same:
            self._tree.retained(levels, node)
        elif self._tree.differs(node):
            self.learned(levels)
        return True

    def _garbled(self, levels: Levels, packet: Publish) -> None:
        """Take note that the broker retains what nobody can understand."""
        node = self._tree.store.find(levels)
        if packet.retain and node is not None and node.record is not None:
            self._tree.differs(node)

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
            check_time_told(message.time)
        except (DecodeError, EncodeError) as err:
            self._complain(topic, packet, err)
            return None
        return message

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
            place = self._tree.reach.cut(_levels(topic))  # the report has the whole topic
            levels = [*REPORTS, _kind(packet), *place]
            with contextlib.suppress(LinkError):
                self.send(levels, report, self._meta(), retain=False)


def _kind(packet: Publish) -> str:
    """Return which part of a message cannot be understood."""
    try:
        check_time_told(decode_meta(packet.meta or "-", 0.0).time)
    except DecodeError, EncodeError:
        return "meta"
    return "codec"


def _levels(topic: str) -> list[str]:
    """Return a topic's levels, each spelled as we spell it."""
    if ":" in topic:
        with contextlib.suppress(DecodeError):
            return Path.from_topic(topic).topic.split("/")
    return topic.split("/") if topic else []
