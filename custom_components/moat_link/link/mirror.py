"""The last message of every node, packed. Pure.

Tens of thousands of messages may be known. Kept as objects, each would be visited by every full
garbage collection, and so many new ones at once would cause one: with Home Assistant around it, that
stops everything for a fifth of a second. A tuple of bytes, texts and numbers is left alone.
"""

from collections.abc import Iterator, Mapping
from typing import Final, override

from .codec import Value, decode
from .message import Message
from .meta import Meta

type _Packed = tuple[Value, bool, str, float, bool] | Message
"""Value, whether that is still CBOR, origin, time, retained; or what does not fit into that."""

_PLAIN: Final = frozenset({str, int, float, bool, type(None), bytes})


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
        value, coded, origin, time, retained = packed
        if coded:
            assert isinstance(value, bytes)
            value = decode(value)
        return Message(topic, value, Meta(origin, time), retained)

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
    meta = message.meta
    if not (meta.extra or meta.keywords):
        if type(message.value) in _PLAIN:
            return message.value, False, meta.origin, meta.time, message.retained
        if message.coded is not None:
            return message.coded, True, meta.origin, meta.time, message.retained
    return message
