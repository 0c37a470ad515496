"""What is stored of a node: its value and metadata as one CBOR array, ready to be sent or saved."""

import struct
from functools import lru_cache
from typing import Final

from ..link.alike import alike
from ..link.codec import Value, decode, encode, encode_frame
from ..link.errors import EncodeError
from ..link.frames import Frame
from ..link.meta import Meta, meta_items, meta_of
from ..link.sequence import SequenceReader

MAX_ITEMS: Final = 18
"""Items in a record, so that its array's head is one byte, in a frame as well."""
_ARRAY: Final = 0x80
_USUAL: Final = b"\x83"  # value, origin, time
_pack_time: Final = struct.Struct(">Bd").pack
_unpack_double: Final = struct.Struct(">Bd").unpack_from
_DOUBLE: Final = 0xFB
_DELETED: Final = 0xF7
_CONTAINERS: Final = range(0x80, 0xE0)  # arrays, maps, tags


class Record(bytes):
    """A CBOR array [value, origin, time, …, {keywords}].

    As the last item of a frame, its items stand in the frame, not the array (see `encode_spliced`).
    """

    __slots__ = ()

    @property
    def deleted(self) -> bool:
        """Whether the value is `ABSENT`."""
        return self[1] == _DELETED

    @property
    def value(self) -> Value:
        """The value."""
        return SequenceReader(self, 1).read()

    @property
    def value_size(self) -> int:
        """The bytes of the value."""
        reader = SequenceReader(self, 1)
        reader.read()
        return reader.position - 1

    @property
    def number(self) -> float | None:
        """The value if it is a float of eight bytes, as most readings are."""
        if self[1] != _DOUBLE:
            return None
        number: float = _unpack_double(self, 1)[1]
        return number

    @property
    def time(self) -> float:
        """The time in the metadata."""
        if self[0] == _USUAL[0]:
            time: float = _unpack_double(self, len(self) - 9)[1]
            return time
        return self.meta.time

    @property
    def meta(self) -> Meta:
        """The metadata."""
        return self.unpack()[1]

    def unpack(self) -> tuple[Value, Meta]:
        """Return value and metadata."""
        value, *meta = self.items()
        return value, meta_of(meta)

    def items(self) -> list[Value]:
        """Return what is in the array."""
        reader = SequenceReader(self, 1)
        return [reader.read() for _ in range(self[0] - _ARRAY)]

    def holds(self, value: bytes) -> bool:
        """Whether the value is this one, type-strictly; maps may be in another order."""
        if self.startswith(value, 1):
            return True
        if value[0] != self[1] or value[0] not in _CONTAINERS:
            return False
        reader = SequenceReader(self, 1)
        mine = reader.read()
        return reader.position == len(value) + 1 and alike(mine, decode(value))


def restored(data: bytes) -> Record:
    """Return a record that was kept as bytes."""
    record = Record(data)
    if data[0] == _USUAL[0]:
        return record
    last = record.items()[-1]
    return Annotated(data) if isinstance(last, dict) and last else record


class Annotated(Record):
    """A record that ends with keywords; within a frame they are followed by an empty map."""

    __slots__ = ()


def pack(value: bytes, meta: Meta) -> Record:
    """Put a record together from an encoded value and metadata. Raise EncodeError."""
    if not meta.extra and not meta.keywords:
        return Record(b"".join((_USUAL, value, _text(meta.origin), _pack_time(_DOUBLE, meta.time))))
    items = meta_items(meta)
    if len(items) >= MAX_ITEMS:
        raise EncodeError(f"metadata with {len(items)} items")
    kind = Annotated if meta.keywords else Record
    return kind(b"".join((bytes((_ARRAY + 1 + len(items),)), value, *map(encode, items))))


def splice(record: Record, *items: bytes) -> Record:
    """Return a record with some encoded items before it."""
    head = bytes((record[0] + len(items),))
    return type(record)(b"".join((head, *items, record[1:])))


def encode_spliced(frame: Frame) -> bytes:
    """Encode a frame; the items of a record at its end become items of the frame."""
    last = frame[-1]
    if not isinstance(last, Record):
        return encode_frame(frame)
    count = last[0] + len(frame) - 1
    head = encode(frame[0]) if len(frame) == 2 else b"".join(map(encode, frame[:-1]))
    if type(last) is Record:
        return b"".join((bytes((count,)), head, memoryview(last)[1:]))
    return b"".join((bytes((count + 1,)), head, memoryview(last)[1:], b"\xa0"))


@lru_cache(maxsize=4096)
def _text(text: str) -> bytes:
    return encode(text)
