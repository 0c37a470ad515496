"""The outer side of a gate: a session of its own with a broker, reading and writing below `dst`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Self

from ..link.codec import Value
from ..link.errors import DecodeError, LinkError
from ..link.identity import fresh_name
from ..link.meta import Meta, decode_meta, encode_meta
from ..link.path import Path
from ..link.session import BrokerConfig, Publish, Session
from .node import Heard, Send
from .topics import unfit

_SURE: Final = 1_000  # messages that a broker keeps for us, however busy we are
_READINGS: Final = 5
_LONG: Final = 1_000  # bytes of metadata
_LONGEST: Final = 10.0  # times the pause: some trees are never silent

type OnHeard = Callable[[str, Heard], None]
type OnUnfit = Callable[[str, str], None]


class Outside:
    """Reads and writes topics below `dst`; get one with `opened`."""

    def __init__(self, dst: Path, origin: str, on_heard: OnHeard, on_unfit: OnUnfit) -> None:
        """Tell `on_heard` (topic below `dst`, message), `on_unfit` (topic, why it is no path)."""
        self.id = f"gate_{fresh_name()}"
        self.lost: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        """Gets the reason when the connection ends."""
        self._dst = dst.topic
        self._below = f"{dst.topic}/"
        self._origin = origin
        self._on_heard = on_heard
        self._on_unfit = on_unfit
        self._heard = 0
        self._mentioned: set[str] | None = None
        self._session: Session | None = None

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        config: BrokerConfig,
        dst: Path,
        origin: str,
        *,
        on_heard: OnHeard,
        on_unfit: OnUnfit,
    ) -> AsyncIterator[Self]:
        """Connect for as long as the context lasts. LinkError."""
        outside = cls(dst, origin, on_heard, on_unfit)
        session = await Session.open(
            config,
            client_id=outside.id,
            on_publish=outside._received,
            on_closed=outside._closed,
        )
        outside._session = session
        try:
            yield outside
        finally:
            await session.close()

    async def read(self, pause: float) -> None:
        """Subscribe, and return when everything that is retained has come.

        That is: the broker says so, and for `pause` seconds nothing more has come. LinkError.
        """
        session = self._opened()
        self._mentioned = set()
        before = -1
        for _ in range(_READINGS):
            before = len(self._mentioned)
            await session.subscribe(f"{self._below}#")  # which is `dst` itself as well
            await session.barrier()
            if not _SURE < len(self._mentioned) > before:
                break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST * pause):
                heard = -1
                while heard != self._heard:
                    heard = self._heard
                    await asyncio.sleep(pause)
        self._mentioned = None

    def send(self, message: Send) -> None:
        """Publish a message and forget. LinkError."""
        topic = f"{self._below}{message.topic}" if message.topic else self._dst
        meta = encode_meta(Meta(self._origin, message.time))
        self._opened().publish_nowait(
            Publish(topic, message.payload, text=message.text, retain=message.retain, meta=meta)
        )

    def _opened(self) -> Session:
        assert self._session is not None
        return self._session

    def _closed(self, error: LinkError | None) -> None:
        if error is not None and not self.lost.done():
            self.lost.set_result(error)

    def _received(self, packet: Publish) -> None:
        topic = packet.topic
        if topic == self._dst:
            below = ""
        elif topic.startswith(self._below):
            below = topic[len(self._below) :]
        else:
            return
        self._heard += 1
        if self._mentioned is not None:
            self._mentioned.add(topic)
        if (problem := unfit(below)) is not None:
            self._on_unfit(topic, problem)
            return
        meta = _meta(packet.meta)
        heard = Heard.of(packet.payload, text=packet.text, meta=meta, retained=packet.retain)
        self._on_heard(below, heard)


def _meta(text: str | None) -> Meta | None:
    """Return the metadata, if they say when; broken ones are none.

    They are kept, and passed on: without what others have passed on, and not too much of them.
    """
    if text is None:
        return None
    try:
        meta = decode_meta(text)
    except DecodeError:
        return None
    if len(meta.origin) > _LONG:
        return None
    kept: dict[str, Value] = {key: it for key, it in meta.keywords.items() if key != "gw"}
    short = Meta(meta.origin, meta.time, meta.extra, kept)
    if not (meta.extra or kept) or len(encode_meta(short)) < _LONG:
        return short
    return Meta(meta.origin, meta.time)
