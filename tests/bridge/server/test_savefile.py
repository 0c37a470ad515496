"""The file format: recorded files of the real server read, and written again byte for byte."""

from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, Opaque, Value, encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.sequence import SequenceReader
from firmware_bridge.server.records import Record, pack
from firmware_bridge.server.savefile import (
    Contents,
    Encoder,
    Reader,
    encode_changes,
    encode_end,
    encode_header,
    read,
)
from firmware_bridge.server.tree import Tree
from tests.support.installation import ROOT
from tests.support.vectors import load, value as revive

from .clock import StoppedClock

LOG = load("moat-link/savefile-log")
SNAPSHOT = load("moat-link/savefile")


def collect(data: bytes) -> tuple[Contents, list[tuple[list[str], Value, Meta]]]:
    found: list[tuple[list[str], Value, Meta]] = []
    contents = read(data, lambda levels, value, meta: found.append((levels, value, meta)))
    return contents, found


def plain(item: Any) -> Any:
    """Make an item comparable: times as numbers, no padding."""
    match item:
        case Opaque():
            return item.tag, plain(item.value)
        case list():
            return [plain(each) for each in item]
        case dict():
            return {key: plain(each) for key, each in item.items()}
        case str():
            return item.rstrip()
        case _:
            return getattr(item, "timestamp", lambda: item)()


@pytest.mark.parametrize("file", LOG["files"], ids=lambda each: each["name"])
def test_real_log(file: dict[str, Any]) -> None:
    """A file of the real server is understood; from what was understood it is written again."""
    data = b"".join(bytes.fromhex(item["hex"]) for item in file["items"])
    contents, found = collect(data)
    decoded = [revive(item["decoded"]) for item in file["items"]]
    about = decoded[0].value[1] if decoded[0].tag == 1299145044 else decoded[0].value.value[1]
    assert contents.damage is None
    assert not contents.torn
    assert (contents.mode, contents.prev) == (about["mode"], about["prev"])
    assert contents.whole
    assert contents.ended
    assert contents.complete is (contents.mode == "full")
    encoder = Encoder()
    written = [encoder.entry(levels, pack(encode(value), meta)) for levels, value, meta in found]
    entries = [item["decoded"] for item in file["items"] if isinstance(item["decoded"], list)]
    assert [SequenceReader(item).read() for item in written] == [revive(item) for item in entries]
    header = SequenceReader(
        encode_header(about["name"], contents.time, mode=contents.mode, prev=contents.prev)
    ).read()
    assert plain(header) == plain(SequenceReader(data).read())


def test_real_snapshot() -> None:
    """The snapshot file, and its bytes as we would write them."""
    data = bytes.fromhex(SNAPSHOT["file_hex"])
    contents, found = collect(data)
    assert contents.complete
    assert contents.good == len(data)
    assert [levels for levels, _, _ in found] == [
        ["a"],
        ["a", "b"],
        ["a", "b", "c"],
        ["a", "d"],
        ["e"],
        ["e", ":1"],
        ["nm"],
        ["q"],
        ["ds"],
    ]
    assert [value for _, value, _ in found if value is ABSENT] == [ABSENT] * 4
    time = contents.time
    assert encode_header("snapshot.moat", time, mode="full", prev=None)[:3] == data[:3]


def test_minimal_file() -> None:
    """The smallest file that the real server takes is enough for us, too."""
    contents, found = collect(bytes.fromhex(LOG["minimal_file_hex"]))
    assert contents.complete
    assert [(levels, value) for levels, value, _ in found] == [
        (["t", "new"], 42),
        (["t", "new2"], 43),
    ]


def whole_file() -> bytes:
    encoder = Encoder()
    record = pack(encode({"a": 1}), Meta("me", 1.5, (), {"k": 1}))
    return b"".join(
        (
            encode_header("x.moat", 5.0, mode="full", prev=None),
            encoder.entry(["a", "b"], record),
            encode_changes(6.0),
            encoder.entry(["a"], record),
            encoder.entry([], record),
            encode_end(7.0, reason="Shutdown"),
        )
    )


def overlong_file() -> bytes:
    """A full file with three entries that nobody can take, one of them with too long a path alone."""
    meta: list[Value] = [1, "me", 1.5]
    record = pack(encode(1), Meta("me", 1.5))
    alone = [f"l{number}" for number in range(201)]
    path = b"\xd8\x27\x98\xc9" + b"".join(map(encode, alone))
    entries = [
        encode([0, Path("before"), *meta]),
        b"\x85\x00" + path + record[1:],
        encode([2, Path("x"), 1, "me", 1e15]),
        encode([2, Path(*"y" * 199), *meta]),
        encode([0, Path("z_after"), *meta]),
    ]
    header = encode_header("1.moat", 5.0, mode="full", prev=None)
    return b"".join((header, *entries, encode_changes(6.0), encode_end(7.0)))


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_what_nobody_can_take(size: int) -> None:
    """It is left out, counted, and the first one is told; all others are read, from where they are."""
    tree = Tree(StoppedClock(), ROOT)
    reader = Reader(tree.restore)
    data = overlong_file()
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    contents = reader.finish()
    assert (contents.damage, contents.ended, contents.good) == (None, True, len(data))
    assert (contents.entries, contents.refused) == (5, 3)
    assert contents.refusal.startswith("path too long: 201 levels")
    assert [levels for levels, _ in tree.snapshot()] == [["before"], ["z_after"]]


def test_torn_anywhere() -> None:
    """Wherever a file ends, what stands before is read, and nothing is called damaged."""
    data = whole_file()
    mark = data.index(b"Mchg") + len(encode_changes(6.0)) - 1
    ends = [contents.good for end in range(len(data) + 1) if (contents := collect(data[:end])[0])]
    for end in range(len(data)):
        contents, found = collect(data[:end])
        assert contents.damage is None or contents.damage == "no header"
        assert contents.torn is (contents.good != end)
        assert contents.complete is (end >= mark)
        assert len(found) == contents.entries
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    "rubbish",
    [
        bytes(64) + b"\x01",
        b"\xff" * 8,
        encode([9, Path("a"), 1, "me", 1.0]),
        encode([0, Path("a"), 1]),
        encode("x"),
        encode([0, "a", 1, "me", 1.0]),
    ],
)
def test_damaged(rubbish: bytes) -> None:
    """Rubbish is found; what stands before counts."""
    data = whole_file()
    contents, found = collect(data + rubbish)
    assert contents.damage is not None
    assert contents.complete
    assert contents.good == len(data)
    assert len(found) == 3


@pytest.mark.parametrize("size", [1, 64, 5000])
def test_blank_end(size: int) -> None:
    """Zeros at the end are what a power failure leaves: cut off like a torn item."""
    reader = Reader(lambda *_: None)
    for piece in (whole_file(), bytes(size), bytes(size)):
        reader.feed(piece)
    contents = reader.finish()
    assert (contents.torn, contents.damage) == (True, None)
    assert contents.good == len(whole_file())


def test_read_in_pieces() -> None:
    """However a file is cut, the same is found."""
    data = whole_file()
    for size in range(1, 40):
        found: list[Any] = []
        reader = Reader(
            lambda levels, value, meta, found=found: found.append((levels, value, meta))
        )
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        contents = reader.finish()
        assert (contents.good, contents.ended, contents.torn) == (len(data), True, False)
        assert found == collect(data)[1]


def test_wrong_length_is_no_torn_end() -> None:
    """An item that claims more than there is, and has whole ones in it, is damage: nothing is cut."""
    data = bytearray(whole_file())
    data[data.index(b"\xd8\x27") + 2] = 0x97  # a path of 23 elements
    contents, _ = collect(bytes(data))
    assert contents.damage is not None
    assert not contents.torn


def test_levels_without_meaning() -> None:
    """A topic that is no path is kept as text."""
    entry = Encoder().entry([":nonsense", "a"], Record(pack(encode(1), Meta("me", 1.0))))
    assert SequenceReader(entry).read() == [0, Path(":nonsense", "a"), 1, "me", 1.0]


def test_long_paths() -> None:
    """More elements than fit into one byte's head."""
    levels = [str(number) for number in range(30)]
    entry = Encoder().entry(levels, Record(pack(encode(1), Meta("me", 1.0))))
    assert SequenceReader(entry).read()[1] == Path(*levels)
