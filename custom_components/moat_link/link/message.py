"""A message: what the broker or a server said about one node."""

from dataclasses import dataclass, field
from typing import Final

from .codec import ABSENT, Value, decode_payload
from .errors import DecodeError
from .meta import Meta, decode_meta
from .path import MAX_LEVELS, Path

MAX_LENGTH: Final = 8_000
"""Characters in a topic that is read: it fits even if every one of them must be escaped."""


@dataclass(slots=True)
class Message:
    """A node's value and its metadata; treat as immutable. ABSENT: the node was deleted."""

    topic: str
    """Relative to the root, as published: the key of all look-ups."""
    value: Value
    meta: Meta
    retained: bool
    """Whether it was published to stay."""
    coded: bytes | None = field(default=None, repr=False, compare=False)
    """The value as it came, if it came as CBOR in a message of its own."""
    _path: Path | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """The topic's elements, or its bare levels where they have no meaning."""
        if self._path is None:
            try:
                self._path = Path.from_topic(self.topic)
            except DecodeError:
                self._path = Path.of(self.topic.split("/"))
        return self._path

    @property
    def time(self) -> float:
        """When the value was true, in Unix seconds."""
        return self.meta.time

    def item(self, steps: tuple[str | int, ...]) -> Value:
        """Step into the value's maps and lists; ABSENT if there is nothing."""
        value = self.value
        for step in steps:
            if isinstance(value, dict):
                value = value.get(step, ABSENT)
            elif isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
                value = value[step]
            else:
                return ABSENT
        return value


def decode_message(
    topic: str, payload: bytes, *, text: bool, meta: str | None, retained: bool, now: float, me: str
) -> Message:
    """Decode what the broker delivered; without metadata it comes `via:` me. Raise DecodeError."""
    if len(topic) > MAX_LENGTH or topic.count("/") >= MAX_LEVELS:
        raise DecodeError(f"topic too long: {topic[:40]}…")
    return Message(
        topic,
        decode_payload(payload, text),
        Meta(f"via:{me}", now) if meta is None else decode_meta(meta, now),
        retained,
        None if text else payload,
    )
