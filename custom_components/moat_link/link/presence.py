"""An open session, and who we are on it: encodes what we say, and says hello and goodbye."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self

from .clock import Stamps
from .codec import ABSENT, Value, encode_payload
from .config import LinkConfig, Statistics
from .errors import ConnectionLostError, EncodeError, LinkError
from .identity import IDS, PING, PING_INTERVAL, fresh_id, ping, record
from .message import Message
from .meta import Meta, encode_meta
from .mqtt_packets import Publish
from .path import Path
from .session import Session
from .subscriptions import Subscriptions

_LOGGER = logging.getLogger(__name__)

GOODBYE: Final = 1.0  # seconds that taking leave may take, and hanging up again


class Presence:
    """One session from hello to goodbye, with an id of its own."""

    def __init__(
        self,
        client_id: str,
        session: Session,
        config: LinkConfig,
        stamps: Stamps,
        statistics: Statistics,
    ) -> None:
        """Take an open session; `open` makes one."""
        self.id = client_id
        self.session = session
        self.root = config.root
        self.subscriptions = Subscriptions(session, config.root)
        self._statistics = statistics
        self._host = config.host
        self._stamps = stamps
        self.writes = 0

    @classmethod
    async def open(
        cls,
        config: LinkConfig,
        stamps: Stamps,
        statistics: Statistics,
        *,
        on_publish: Callable[[Publish], None],
        on_closed: Callable[[LinkError | None], None],
    ) -> Self:
        """Connect under a fresh id; the broker says goodbye for us if we cannot."""
        client_id = fresh_id()
        payload, _ = encode_payload(ping("will"))
        will = Publish((config.root / PING / client_id).topic, payload, qos=1)
        session = await Session.open(
            config.broker,
            client_id=client_id,
            will=will,
            on_publish=on_publish,
            on_closed=on_closed,
        )
        return cls(client_id, session, config, stamps, statistics)

    def compose(
        self,
        path: Path,
        value: Value,
        *,
        retain: bool = True,
        seen: float | None = None,
        source: float | None = None,
        origin: str | None = None,
        keywords: Mapping[str, Value] | None = None,
    ) -> tuple[Message, Publish]:
        """Return a new message for a node and its packet; EncodeError names the path.

        `seen` is the newest time known of the node; `source` when the value was taken, if not now;
        `origin` and `keywords` are for the metadata, if it is not us who says it.
        """
        payload, text = _encode(path, value)
        content = hash((payload, text))
        time = self._stamps.stamp(path.topic, seen=seen, source=source, content=content)
        meta = Meta(origin or self.id, time, keywords=keywords or {})
        message = Message(path.topic, value, meta, retain)
        return message, self._packet(path, payload, text, message.meta, retain)

    def event(self, path: Path, value: Value, time: float) -> Publish:
        """Return a packet that is no node's state, with exactly this time."""
        payload, text = _encode(path, value)
        return self._packet(path, payload, text, Meta(self.id, time), retain=False)

    def _packet(self, path: Path, payload: bytes, text: bool, meta: Meta, retain: bool) -> Publish:
        topic = self.root.topic
        if path:
            topic = f"{topic}/{path.topic}"
        return Publish(topic, payload, text=text, retain=retain, meta=encode_meta(meta))

    def send(self, packet: Publish) -> None:
        """Send without confirmation."""
        self.session.publish_nowait(packet)
        self.writes += 1
        self._statistics.sent += 1

    async def confirm(
        self, packet: Publish, *, expiry: int | None = None, timeout: float = 5
    ) -> bool:
        """Send and wait until the broker has it; False if nobody is subscribed there."""
        heard = await self.session.publish(packet, expiry=expiry, timeout=timeout)
        self.writes += 1
        self._statistics.sent += 1
        return heard

    async def hello(self, former: Iterable[str]) -> None:
        """Say that we are here, and that our former selves are not."""
        self._ping("init")
        await self.identify(None)
        for gone in former:
            await self.confirm(self.compose(IDS / gone, ABSENT)[1])

    async def identify(self, server: str | None) -> Message:
        """Publish the identity record, and return it; `server` routes calls to us."""
        message, packet = self.compose(IDS / self.id, record(self._host, server))
        await self.confirm(packet)
        return message

    async def stay(self) -> None:
        """Give signs of life until the session ends."""
        while not self.session.closed:
            with contextlib.suppress(ConnectionLostError):  # the line may just be full
                self._ping("auto")
            await asyncio.sleep(PING_INTERVAL)

    async def goodbye(self, withdrawn: Iterable[Path]) -> None:
        """Take back what says that we are here, and disconnect; in bounded time."""
        try:
            async with asyncio.timeout(GOODBYE):
                self._ping("closed")
                for path in withdrawn:
                    self.send(self.compose(path, ABSENT)[1])
                await self.confirm(self.compose(IDS / self.id, ABSENT)[1])
        except LinkError, TimeoutError:
            _LOGGER.debug("No orderly goodbye: the connection is not there")
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self.session.close()

    def _ping(self, state: str) -> None:
        payload, _ = encode_payload(ping(state))
        self.session.publish_nowait(Publish((self.root / PING / self.id).topic, payload))


def _encode(path: Path, value: Value) -> tuple[bytes, bool]:
    try:
        return encode_payload(value)
    except EncodeError as err:
        raise EncodeError(f"{path}: {err}") from err
