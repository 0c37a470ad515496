"""The last message of every node, packed. Pure.

Tens of thousands of messages may be known. Kept as objects, each would be visited by every full
garbage collection, and so many new ones at once would cause one: with Home Assistant around it, that
stops everything for a fifth of a second. A tuple of bytes, texts and numbers is left alone. And an
empty map, which is one byte on the wire, takes seventy as an object: so maps and lists stay CBOR.
"""

from collections.abc import Iterator, Mapping
from typing import Final, override

from .codec import ABSENT, Value, decode, encode
from .errors import EncodeError
from .message import Message
from .meta import Meta

type Packed = tuple[Value, bool]
"""A value, and whether that is its CBOR."""
type _Packed = tuple[Value, bool, str, float, bool, bytes] | Message
"""Packed value, origin, time, retained, CBOR of other metadata; or what does not fit into that."""

_PLAIN: Final = frozenset({str, int, float, bool, type(None), bytes})


def packed(value: Value, coded: bytes | None = None) -> Packed | None:
    """Return a value (which may be there as CBOR, too) as what takes little memory, if it can be."""
    if type(value) in _PLAIN or value is ABSENT:
        return value, False
    try:
        return encode(value) if coded is None else coded, True
    except EncodeError:
        return None


def unpacked(kept: Packed) -> Value:
    """Return the value that was packed."""
    value, coded = kept
    if not coded:
        return value
    assert isinstance(value, bytes)
    return decode(value)


class Mirror(Mapping[str, Message]):
    """Messages by relative topic; looking one up makes it anew."""

    __slots__ = ("_packed",)

    def __init__(self) -> None:
        """Start without any."""
        self._packed: dict[str, _Packed] = {}

    def put(self, message: Message) -> None:
        """Keep a message in place of the one before."""
        self._packed[message.topic] = _pack(message)

    def drop(self, topic: str) -> None:
        """Forget the message of a node, if there is one."""
        self._packed.pop(topic, None)

    def topics(self, *, retained_only: bool) -> Iterator[str]:
        """Go through the nodes; `retained_only`: whose message was published to stay."""
        for topic, packed in self._packed.items():
            if not retained_only or (packed.retained if isinstance(packed, Message) else packed[4]):
                yield topic

    @override
    def __getitem__(self, topic: str) -> Message:
        packed = self._packed[topic]
        if isinstance(packed, Message):
            return packed
        value, coded, origin, time, retained, more = packed
        return Message(topic, unpacked((value, coded)), _meta(origin, time, more), retained)

    @override
    def __contains__(self, topic: object) -> bool:
        return topic in self._packed

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    @override
    def __len__(self) -> int:
        return len(self._packed)


def _pack(message: Message) -> _Packed:
    meta, more = message.meta, b""
    kept = packed(message.value, message.coded)
    if kept is None:
        return message
    if meta.extra or meta.keywords:
        try:
            more = encode([[*meta.extra], dict(meta.keywords.items())])
        except EncodeError:
            return message
    return *kept, meta.origin, meta.time, message.retained, more


def _meta(origin: str, time: float, more: bytes) -> Meta:
    match decode(more) if more else None:
        case [list() as extra, dict() as keywords]:
            return Meta(origin, time, tuple(extra), {str(key): it for key, it in keywords.items()})
    return Meta(origin, time)
