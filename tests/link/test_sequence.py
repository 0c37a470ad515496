"""Items one after the other, as in a file."""

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.errors import DecodeError
from firmware_bridge.link.path import Path
from firmware_bridge.link.sequence import EndOfDataError, SequenceReader

ITEMS = [1, {"a": [1.5]}, {1: "x", None: 2}, Path("a", 1), ABSENT, "é", b"\x00", {2: {3: 4}}, 5]


def test_items_and_positions() -> None:
    """Every item, also those with keys that are not text; the position is always an item's start."""
    data = b"".join(map(encode, ITEMS))
    reader = SequenceReader(data)
    positions = []
    for item in ITEMS:
        positions.append(reader.position)
        assert reader.read() == item
    assert reader.position == len(data)
    for item, position in zip(ITEMS, positions, strict=True):
        reader.seek(position)
        assert reader.read() == item
        assert SequenceReader(data, position).read() == item
    with pytest.raises(EndOfDataError):
        reader.seek(len(data))
        reader.read()


@pytest.mark.parametrize("item", [{"a": [1, "text"]}, {1: "x"}, "long" * 100])
def test_ends_too_early(item: object) -> None:
    data = encode(item)
    for end in range(1, len(data)):
        reader = SequenceReader(data[:end])
        with pytest.raises(EndOfDataError):
            reader.read()
        assert reader.position == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"\xa1\x80\x01",
        b"\x1c",
        encode("x" * 60_000).replace(b"\x79\xea\x60", b"\x7a\x00\x0f\x42\x40") + b"x" * 950_000,
        b"\xa1\xf9\x7e\x00\x01",
        b"\xa2\x01\x01\x01\x01",
    ],
)
def test_no_items(data: bytes) -> None:
    """Rubbish, and what is too large."""
    with pytest.raises(DecodeError):
        SequenceReader(data).read()
