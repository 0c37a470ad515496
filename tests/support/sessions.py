"""Opening sessions in tests, and keeping what they report."""

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from firmware_bridge.link.errors import LinkError
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.session import Session
from firmware_bridge.link.transport import BrokerConfig
from tests.support.fake_broker import FakeBroker, Peer
from tests.support.wait import until

_NAMES = itertools.count(1)


class Address(Protocol):
    """Where a broker of the tests listens."""

    @property
    def host(self) -> str:
        """The address."""

    @property
    def port(self) -> int:
        """The port."""


@dataclass
class Record:
    """A session and what it has reported so far."""

    messages: list[Publish] = field(default_factory=list)
    ends: list[LinkError | None] = field(default_factory=list)
    session: Session = field(init=False)

    @property
    def payloads(self) -> list[bytes]:
        """The payloads of all messages."""
        return [message.payload for message in self.messages]

    @property
    def end(self) -> LinkError | None:
        """The one report of the session's end."""
        [end] = self.ends
        return end


async def connect(
    broker: Address,
    *,
    client_id: str | None = None,
    will: Publish | None = None,
    username: str | None = None,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
    keep_alive: int = 15,
    unix_path: str | None = None,
    timeout: float = 10,
    on_publish: Callable[[Publish], None] | None = None,
) -> Record:
    """Open a session that the caller closes."""
    record = Record()
    config = BrokerConfig(
        host=broker.host,
        port=broker.port,
        username=username,
        password=password,
        tls=tls,
        keep_alive=keep_alive,
        unix_path=unix_path,
    )
    record.session = await Session.open(
        config,
        client_id=client_id or f"test-{next(_NAMES)}",
        will=will,
        on_publish=on_publish or record.messages.append,
        on_closed=record.ends.append,
        timeout=timeout,
    )
    return record


@asynccontextmanager
async def opened(
    broker: Address,
    *,
    client_id: str | None = None,
    will: Publish | None = None,
    keep_alive: int = 15,
    on_publish: Callable[[Publish], None] | None = None,
) -> AsyncIterator[Record]:
    """Open a session and close it at the end."""
    record = await connect(
        broker, client_id=client_id, will=will, keep_alive=keep_alive, on_publish=on_publish
    )
    try:
        yield record
    finally:
        await record.session.close()


@asynccontextmanager
async def playing(
    script: Callable[[Peer], Awaitable[None]],
    *,
    keep_alive: int = 15,
    on_publish: Callable[[Publish], None] | None = None,
) -> AsyncIterator[Record]:
    """Open a session with a broker that accepts it and then plays the script."""

    async def play(peer: Peer) -> None:
        await peer.accept()
        assert await peer.packet() == (0x30, b"\x00\x02go\x00")
        await script(peer)

    async with FakeBroker(play) as broker:
        async with opened(broker, keep_alive=keep_alive, on_publish=on_publish) as it:
            it.session.publish_nowait(Publish("go", b""))
            yield it


async def ended(record: Record) -> LinkError | None:
    """Wait for the end of a session and return its reason."""
    await until(lambda: record.ends, what="the end of the session")
    return record.end


def started[T](coroutine: asyncio._CoroutineLike[T]) -> asyncio.Task[T]:
    """Start a coroutine now, up to its first wait."""
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
