"""Find the installations on a broker: whoever uses MoaT-Link leaves retained traces below its root."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .codec import decode_payload
from .direct import Endpoint, endpoints
from .errors import DecodeError, NotAuthorizedError
from .identity import fresh_id
from .meta import decode_meta
from .mqtt_packets import Publish
from .path import Path
from .session import Session
from .transport import BrokerConfig

DEPTHS: Final = range(1, 6)  # a root has one to five elements
LIMIT: Final = 20_000  # messages looked at

_SERVER: Final = "run/service/main/conn"
_SERVERS: Final = "run/service/main/server/"
_DEVICE: Final = "device/"


@dataclass(slots=True)
class FoundRoot:
    """A root that something was found under."""

    root: Path
    server: bool = False
    devices: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Announced:
    """Where servers say that they are, and the address of the broker's machine, if it is known."""

    endpoints: list[Endpoint]
    peer: str | None


async def find_roots(broker: BrokerConfig) -> list[FoundRoot]:
    """Connect and return the roots that servers or described devices can be seen under.

    The most promising come first. Raises what `Session.open` raises.
    """
    found: dict[str, FoundRoot] = {}
    filters = [
        "+/" * depth + trace
        for depth in DEPTHS
        for trace in (_SERVER, f"{_SERVERS}+", f"{_DEVICE}+")
    ]
    messages, _ = await _retained(broker, filters)
    for message in messages:
        _note(found, message)
    return sorted(
        found.values(), key=lambda each: (not each.server, -len(each.devices), each.root.topic)
    )


async def is_root(broker: BrokerConfig, root: Path, *, besides: str = "") -> bool:
    """Connect and tell whether anything of MoaT-Link can be seen under this root.

    The client with the id `besides` does not count. Raises what `Session.open` raises, and
    NotAuthorizedError when the account may not read there.
    """
    prefix = f"{root.topic}/"
    seen, _ = await _retained(
        broker,
        [
            prefix + trace
            for trace in (_SERVER, f"{_SERVERS}+", "run/id/+", "run/host/#", f"{_DEVICE}+")
        ],
        strict=True,
    )
    return any(message.topic != f"{prefix}run/id/{besides}" for message in seen)


async def announced_servers(broker: BrokerConfig, root: Path) -> Announced:
    """Connect and return where the servers of an installation say they are, the main one first.

    Raises what `Session.open` raises.
    """
    prefix = f"{root.topic}/"
    messages, peer = await _retained(broker, [prefix + _SERVER, f"{prefix}{_SERVERS}+"])
    found: list[Endpoint] = []
    for message in messages:
        try:
            value = decode_payload(message.payload, message.text)
            server = decode_meta(message.meta).origin if message.meta is not None else ""
        except DecodeError:
            continue
        found += endpoints(value, server=server, encrypted=True)
    return Announced(found, peer)


async def _retained(
    broker: BrokerConfig, filters: Iterable[str], *, strict: bool = False
) -> tuple[list[Publish], str | None]:
    """Return the retained messages that match, and the broker's address.

    A refused filter matches nothing unless `strict`.
    """
    messages: list[Publish] = []

    def collect(message: Publish) -> None:
        if len(messages) < LIMIT:
            messages.append(message)

    session = await Session.open(
        broker,
        client_id=fresh_id(),
        will=None,
        on_publish=collect,
        on_closed=lambda _: None,
    )
    try:
        for each in filters:
            try:
                await session.subscribe(each)
            except NotAuthorizedError:
                if strict:
                    raise
        await session.barrier()
        peer = session.peer
    finally:
        await session.close()
    return [message for message in messages if message.retain and message.payload], peer


def _note(found: dict[str, FoundRoot], message: Publish) -> None:
    """Add what a retained message tells about a root."""
    for trace in (_SERVER, _SERVERS, _DEVICE):
        head, separator, tail = message.topic.rpartition(f"/{trace}")
        if not separator:
            continue
        try:
            path = Path.from_topic(head)
            value = decode_payload(message.payload, message.text)
        except DecodeError:
            return
        if not isinstance(value, dict):
            return
        if trace is _DEVICE:
            if "v" in value and "points" in value:
                found.setdefault(head, FoundRoot(path)).devices.add(tail)
        else:
            found.setdefault(head, FoundRoot(path)).server = True
        return
