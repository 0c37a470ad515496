"""Values and frames in CBOR."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from types import MappingProxyType
from typing import NamedTuple

import cbor2
import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.codec import (
    ABSENT,
    MAX_PAYLOAD,
    FrameReader,
    Opaque,
    RemoteObject,
    decode,
    decode_payload,
    encode,
    encode_frame,
    encode_payload,
    keywords_of,
    sanitize,
)
from firmware_bridge.link.errors import DecodeError, EncodeError
from firmware_bridge.link.path import ROOT, Path
from tests.support import strategies, vectors

VALUES = [vector for vector in vectors.load("moat-link/cbor-values")["vectors"] if vector["mqtt"]]
UNREADABLE = {"dict-tuplekey"}  # the real software cannot read it either
UNWRITABLE = {"float-inf", "float-minf", "float-nan"}  # kills peers
FRAMES = vectors.load("moat-link/cbor-values-rpc")["vectors"]
MICRO = vectors.load("moat-micro/codec-cbor")


class Word(StrEnum):
    """Text that is more than text."""

    ON = "on"


class Number(IntEnum):
    """An integer that is more than one."""

    TWO = 2


class Size(float):
    """A number that is more than one."""


class Pair(NamedTuple):
    """A tuple that is more than one."""

    a: int
    b: int


def named(recorded):
    """Give each vector its name."""
    return [pytest.param(vector, id=vector["name"]) for vector in recorded]


def same(one, other):
    """Compare with types, signs of zero, and the order of maps, but not of sets."""
    return one == other and (repr(one) == repr(other) or "frozenset" in repr(one))


def wide(data):
    """Re-encode with every number in double precision, the way we send them."""
    return cbor2.dumps(cbor2.loads(data, semantic_decoders=KEEP, immutable=True))


KEEP = {
    tag: lambda content, immutable, tag=tag: cbor2.CBORTag(tag, content)
    for tag in (0, 1, 2, 3, 39, 52, 54, 258)
}


# The recorded bytes


@pytest.mark.parametrize("vector", named(v for v in VALUES if v["name"] not in UNREADABLE))
def test_reads_recorded_values(vector):
    """What the real software published."""
    payload = bytes.fromhex(vector["mqtt"]["payload_hex"])
    text = vector["mqtt"]["payload_format_indicator"] == 1
    assert same(decode_payload(payload, text), vectors.value(vector["decoded"]))


@pytest.mark.parametrize(
    "vector", named(v for v in VALUES if v["name"] not in UNREADABLE | UNWRITABLE | {"str-empty"})
)
def test_writes_recorded_values(vector):
    """The same bytes, but for the width of floating-point numbers."""
    recorded = bytes.fromhex(vector["mqtt"]["payload_hex"])
    payload, text = encode_payload(vectors.value(vector["decoded"]))
    assert text == (vector["mqtt"]["payload_format_indicator"] == 1)
    assert payload == (recorded if text else wide(recorded))


@pytest.mark.parametrize("vector", named(v for v in VALUES if v["name"] in UNWRITABLE))
def test_sends_no_number_that_kills_peers(vector):
    """Non-finite numbers are refused; the recorded ones are read as nothing."""
    with pytest.raises(EncodeError, match="not finite"):
        encode(float(vector["decoded"]["$float"]))
    assert decode(bytes.fromhex(vector["mqtt"]["payload_hex"])) is None


@pytest.mark.parametrize("vector", named(v for v in VALUES if v["name"] in UNREADABLE))
def test_refuses_array_keys(vector):
    """Like everybody else."""
    with pytest.raises(DecodeError, match="key is a container"):
        decode(bytes.fromhex(vector["mqtt"]["payload_hex"]))
    with pytest.raises(EncodeError, match=r"value\[tuple\]: a map's key is a tuple"):
        encode(vectors.value(vector["decoded"]))


@pytest.mark.parametrize("vector", named(FRAMES))
def test_reads_recorded_frames(vector):
    """At once and byte by byte."""
    data = bytes.fromhex(vector["frame_hex"])
    if vector["name"] in UNREADABLE:
        with pytest.raises(DecodeError):
            FrameReader().feed(data)
        return
    (frame,) = FrameReader().feed(data)
    assert frame[1] == ["d", "set"]
    assert frame[2] == Path("t", "rpc3", vector["name"])
    assert frame[4] == RemoteObject("_MM", ("vec", 1700000000.25))
    assert same(FrameReader().feed(encode_frame(frame)), [frame])
    if "{}])" not in vector["diag"] and vector["name"] not in UNWRITABLE:
        assert encode_frame(frame) == wide(data)
    reader = FrameReader()
    slowly = [frame for byte in data for frame in reader.feed(bytes([byte]))]
    assert repr(slowly) == repr([frame])


@pytest.mark.parametrize("vector", named(MICRO["encoded_by_cpython"]["values"]))
def test_reads_values_of_satellites(vector):
    """The same codec, in its other implementation."""
    data = bytes.fromhex(vector["hex"])
    value = decode(data)
    assert same(value, vectors.value(vector["cbor"]))
    if value is not None:
        assert encode(value) == wide(data)


@pytest.mark.parametrize("vector", named(MICRO["encoded_by_micropython"]["values"]))
def test_reads_what_satellites_write(vector):
    """Nothing of it is refused, and all of it can be sent on."""
    assert encode(decode(bytes.fromhex(vector["hex"]))) == wide(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize(
    "name", ["announcements", "errors", "watch", "bad-input", "host-cleanup", "mqtt-packets"]
)
def test_reads_recorded_messages(name):
    """Announcements, error reports, what a watcher sees."""
    seen = 0
    for packet in vectors.packets(vectors.load(f"moat-link/{name}")):
        if "payload_decoded" in packet:
            seen += 1
            value = decode_payload(bytes.fromhex(packet["payload"]), text=False)
            assert same(value, vectors.value(packet["payload_decoded"])), packet
    assert seen or name in ("host-cleanup", "mqtt-packets")


# Every value


@given(strategies.values)
def test_values_survive(value):
    """What can be sent comes back as it was; tuples as lists."""
    assert same(decode(encode(value)), value)


@given(strategies.values)
def test_payloads_survive(value):
    """On MQTT, too, where text and deletions are special."""
    payload, text = encode_payload(value)
    assert same(decode_payload(payload, text), value)
    assert payload or value is ABSENT


@given(st.lists(st.lists(strategies.values, max_size=3), min_size=1, max_size=5), st.data())
def test_frames_survive_any_cut(items, data):
    """However the stream is cut into pieces, the same frames come out."""
    frames = [[number * 4, *item] for number, item in enumerate(items)]
    stream = b"".join(map(encode_frame, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = FrameReader()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += reader.feed(stream[start:end])
    assert same(received, frames)


@given(strategies.values)
def test_sent_values_harm_nobody(value):
    """Nothing that is known to crash the real software's decoder leaves us."""
    assert b"\xf9" not in encode([0.5, math.pi, -0.0, 1e300])

    def check(item):
        assert not isinstance(item, float) or math.isfinite(item)
        if isinstance(item, dict):
            for key, inner in item.items():
                assert not isinstance(key, tuple)
                check(inner)
        elif isinstance(item, (list, tuple)):
            for inner in item:
                check(inner)
        elif isinstance(item, cbor2.CBORTag):
            check(item.value)

    check(cbor2.loads(encode(value), semantic_decoders=KEEP))


# Payloads


@pytest.mark.parametrize(
    "text", ["", "a\nb", "\t", "\0", "\x7f", "\x85", "\ufdd0", "\ufffe", "\U0010ffff"]
)
def test_unclean_text_travels_as_cbor(text):
    """The real software would drop it as plain text; empty text would delete."""
    payload, marked = encode_payload(text)
    assert not marked
    assert payload == cbor2.dumps(text)
    assert decode_payload(payload, text=False) == text


@pytest.mark.parametrize("text", ["a", '{"a": 1}', "42", "\xa0", "\u200b", "Grüße €😀", Word.ON])
def test_clean_text_travels_as_it_is(text):
    """With the indicator set, and never parsed."""
    assert encode_payload(text) == (text.encode(), True)
    assert decode_payload(text.encode(), text=True) == text


def test_deletions():
    """Nothing, and CBOR's undefined."""
    assert encode_payload(ABSENT) == (b"", False)
    assert decode_payload(b"", text=False) is ABSENT
    assert decode_payload(b"\xf7", text=False) is ABSENT
    assert decode_payload(b"", text=True) == ""
    assert not ABSENT
    assert repr(ABSENT) == "ABSENT"


def test_text_must_be_utf8():
    """Whatever the sender claims."""
    with pytest.raises(DecodeError, match="not UTF-8"):
        decode_payload(b"\xff", text=True)


# Reading


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("c074323032352d30312d30325430333a30343a30355a", datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (
            "c0781932303235 2d30312d30325430333a30343a30352b30313a3030",
            datetime(2025, 1, 2, 2, 4, 5, tzinfo=UTC),
        ),
        ("c11a65e00000", datetime(2024, 2, 29, 3, 54, 40, tzinfo=UTC)),
        ("c2420100", 256),
        ("c340", -1),
        ("d9d9f7 d9d9f8 01", 1),
        ("d9800161 52", ROOT),
        ("d827 82 d9800161 52 6161", Path(ROOT, "a")),
        ("d81b 81 d98001 6161", RemoteObject("a")),
        ("d81b 83 6161 a10102 a0", RemoteObject("a", ({1: 2},))),
        ("d81b 82 6161 a10102", RemoteObject("a", ({1: 2},))),
        ("d81b 82 6161 a1616201", RemoteObject("a", (), {"b": 1})),
        ("d81b 80", Opaque(27, [])),
        ("d81b 81 01", Opaque(27, [1])),
        ("d81b 01", Opaque(27, 1)),
        ("d836 82 1820 44 20010db8", IPv6Network("2001:db8::/32")),
        ("d836 50 fe800000000000000000000000000001", IPv6Address("fe80::1")),
        ("d836 82 50 fe800000000000000000000000000001 1840", IPv6Interface("fe80::1/64")),
        (
            "d836 83 50 fe800000000000000000000000000001 1840 62 6530",
            Opaque(54, [bytes.fromhex("fe800000000000000000000000000001"), 64, "e0"]),
        ),
        ("d90104 50 20010db8000000000000000000000001", IPv6Address("2001:db8::1")),
        ("d90104 46 0123456789ab", Opaque(260, bytes.fromhex("0123456789ab"))),
        ("d90105 a1 44 c0000200 1818", IPv4Network("192.0.2.0/24")),
        ("d90105 a1 50 20010db8000000000000000000000000 1820", IPv6Network("2001:db8::/32")),
        ("d90102 82 01 8101", Opaque(258, [1, [1]])),
        ("d90102 82 01 01", frozenset({1})),
        ("d90102 81 c2 49 010000000000000000", Opaque(258, [2**64])),
        ("d93039 a16161 f97e00", Opaque(12345, {"a": None})),
        ("5f 41 01 42 0203 ff", b"\x01\x02\x03"),
        ("7f 61 61 61 62 ff", "ab"),
        ("9f 01 02 ff", [1, 2]),
        ("bf 6161 01 ff", {"a": 1}),
        ("bf 01 9f ff 02 bf ff ff", {1: [], 2: {}}),
        ("a3 f6 01 f5 02 f93e00 03", {None: 1, True: 2, 1.5: 3}),
        ("82 f97e00 f9fc00", [None, None]),
        ("a1 6161 fb7ff0000000000000", {"a": None}),
        ("a1 6161 f7", {"a": ABSENT}),
    ],
)
def test_reads(data, value):
    """Every tag of the profile, long forms, and what is replaced."""
    assert same(decode(bytes.fromhex(data)), value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "premature end"),
        ("0102", "1 bytes after"),
        ("ff", "break"),
        ("1c", "starts like this|unknown"),
        ("62fffe", "text string"),
        ("f0", "CBORSimpleValue"),
        ("f8ff", "CBORSimpleValue"),
        ("a201020103", "Duplicate"),
        ("a2 61 61 01 61 61 02", "Duplicate"),
        ("a2 01 02 f5 03", "Duplicate"),
        ("a1 f97e00 01", "key is a float"),
        ("a1 f7 01", "key is a"),
        ("a1 f0 01", "key is a"),
        ("a1 80 01", "container"),
        ("a1 c24101 01", "container"),
        ("bf 01 02 80 01 ff", "container"),
        ("bf 01 ff", "break"),
        ("9f 01 82 ff", "break"),
        ("a101df", "starts like this"),
        ("a1 01 3f", "starts like this"),
        ("c0 01", "tag 0: a date is text"),
        ("c0 61 61", "tag 0"),
        ("c0 6a 323032352d30312d3032", "tag 0: no time zone"),
        ("c0 7819 303030312d30312d30315430303a30303a30302b30313a3030", "tag 0"),
        ("c1 f5", "tag 1: a time is a number"),
        ("c1 f97c00", "tag 1: a time is a number"),
        ("c1 fb7e37e43c8800759c", "tag 1"),
        ("c2 01", "tag 2: integer too large"),
        ("c2 5821" + "ff" * 33, "tag 2: integer too large"),
        ("c3 5821" + "ff" * 33, "tag 3: integer too large"),
        ("d827 01", "tag 39: a path is an array"),
        ("d827 81 a0", "path"),
        ("d827 82 01 f97e00", "not finite"),
        ("d827 81 82 01 f97e00", "not finite"),
        ("d834 45 0102030405", "tag 52"),
        ("d834 82 1828 44 01020304", "tag 52"),
        ("d90105 01", "tag 261"),
        ("d90105 a2 44 01020304 08 44 01020305 08", "tag 261"),
        ("d90105 a1 01 02", "tag 261"),
        ("d90102 01", "tag 258"),
    ],
)
def test_refuses(data, reason):
    """One exception, and a reason."""
    with pytest.raises(DecodeError, match=reason):
        decode(bytes.fromhex(data))


# Writing


@pytest.mark.parametrize(
    ("value", "back"),
    [
        ((1, (2,)), [1, [2]]),
        (Pair(1, 2), [1, 2]),
        (Word.ON, "on"),
        (Number.TWO, 2),
        (Size(1.5), 1.5),
        ({Word.ON: 1, Number.TWO: 2, Size(1.5): 3}, {"on": 1, 2: 2, 1.5: 3}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        ({1, 2}, frozenset({1, 2})),
        (
            datetime(2025, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            datetime(2025, 1, 1, tzinfo=UTC),
        ),
        (RemoteObject("E", ({"a": 1},)), RemoteObject("E", ({"a": 1},))),
        (RemoteObject("E", ("x",), {"a": 1}), RemoteObject("E", ("x",), {"a": 1})),
        (2**256 - 1, 2**256 - 1),
        (Opaque(258, [[1]]), Opaque(258, [[1]])),
    ],
)
def test_writes(value, back):
    """What is derived from plain values, and our own types."""
    assert same(decode(encode(value)), back)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (math.nan, "value: not finite"),
        (Size("inf"), "value: not finite"),
        ({"cells": [1, 2, 3, {"u": math.inf}]}, r"value\.cells\[3\]\.u: not finite"),
        ({"a": {1: math.nan}}, r"value\.a\[int\]: not finite"),
        ({"a": "\ud800"}, r"value\.a: half a surrogate pair"),
        ({"\ud800": 1}, "half a surrogate pair"),
        ([2**256], r"value\[0\]: integer too large"),
        ({2**64: 1}, "a map's key is a int"),
        ({(1, 2): 1}, "a map's key is a tuple"),
        ({math.nan: 1}, "a map's key is a float"),
        (datetime(2025, 1, 1), "value: a datetime cannot be sent"),
        (datetime(2025, 1, 1).date(), "value: a date cannot be sent"),
        (timedelta(1), "value: a timedelta cannot be sent"),
        (Decimal(1), "value: a Decimal cannot be sent"),
        (object(), "value: a object cannot be sent"),
        (ValueError("x"), "value: a ValueError cannot be sent"),
        (Opaque(-1, 1), "value: a Opaque cannot be sent"),
        (Opaque(1000, [math.nan]), r"value\[0\]: not finite"),
        (RemoteObject("E", (math.nan,)), r"value\[1\]: not finite"),
        ({(1, 2)}, "value: a set of containers"),
        ({frozenset()}, "value: a set of containers"),
        ({2**64}, "value: a set of containers or large integers"),
        ("x" * (MAX_PAYLOAD + 1), "too many"),
        ([0] * 20_001, "too many items"),
    ],
)
def test_refuses_to_write(value, place):
    """With the place where the trouble is."""
    with pytest.raises(EncodeError, match=place):
        encode_payload([value][0])


def test_refuses_to_nest_deeply():
    """As deeply as can be read, no deeper; what contains itself is too deep."""
    deep = []
    for _ in range(15):
        deep = [deep]
    assert decode(encode(deep)) == deep
    with pytest.raises(EncodeError, match="nested too deeply"):
        encode([deep])
    deep.append(deep)
    with pytest.raises(EncodeError, match="nested too deeply"):
        encode(deep)


def test_writes_as_much_as_it_reads():
    """Up to the limits, both ways."""
    text = "x" * MAX_PAYLOAD
    assert decode_payload(*encode_payload(text)) == text
    many = [0] * 19_998
    assert decode(encode(many)) == many
    with pytest.raises(DecodeError, match="too many"):
        decode_payload(b"x" * (MAX_PAYLOAD + 1), text=True)
    with pytest.raises(EncodeError, match="too many bytes"):
        encode(b"x" * MAX_PAYLOAD)


# Frames


def test_frames_are_led_by_an_integer():
    """Both ways, and nothing else is accepted even for a moment."""
    for data in (
        b"GET / HTTP/1.1",
        b"\x80",
        b"\x81\x61a",
        b"\x81\xf5",
        b"\xa0",
        b"\xd9\xd9\xf7\x81\0",
    ):
        with pytest.raises(DecodeError):
            FrameReader().feed(data)
    for frame in ([], ["a"], [True]):
        with pytest.raises(EncodeError):
            encode_frame(frame)


def test_broken_frames():
    """As soon as it is certain that they are."""
    for data in ("8201", "82018201ff", "82016140", "8201a1800102", "82 00 a2 6161 01 6161 02"):
        reader = FrameReader()
        with pytest.raises(DecodeError):
            reader.feed(bytes.fromhex(data) + b"\xff")


def test_frames_may_be_large():
    """Larger and deeper than values, but bounded, too."""
    large = [0, b"x" * 1_000_000, [0] * 90_000]
    stream = encode_frame(large) * 2
    assert FrameReader().feed(stream) == [large, large]
    with pytest.raises(DecodeError, match="too many bytes"):
        FrameReader(max_frame=1_000).feed(b"\x82\0\x59\x10\0")
    with pytest.raises(DecodeError, match="too many bytes"):
        FrameReader(max_frame=1_000).feed(encode_frame([0, "x" * 2_000]))
    with pytest.raises(DecodeError, match="too many items"):
        FrameReader().feed(b"\x82\0\x9a\xff\xff\xff\xff")
    with pytest.raises(EncodeError, match="too many items"):
        encode_frame([0] * 100_001)
    with pytest.raises(EncodeError, match="too many bytes"):
        encode_frame([0, b"x" * (16 * 1024 * 1024)])


def test_frames_with_unusual_keys():
    """Whole, cut, and followed by another one."""
    frames = [[0, {1: {2: 3}, None: 4}], [4, "x"]]
    stream = b"".join(map(encode_frame, frames))
    assert FrameReader().feed(stream) == frames
    reader = FrameReader()
    assert [frame for byte in stream for frame in reader.feed(bytes([byte]))] == frames


def test_endless_containers_within_frames():
    """Cut anywhere."""
    data = bytes.fromhex("9f 00 bf 01 9f 5f 41 61 ff ff 02 7f ff ff ff 81 04")
    for cut in range(len(data)):
        reader = FrameReader()
        frames = reader.feed(data[:cut]) + reader.feed(data[cut:])
        assert frames == [[0, {1: [b"a"], 2: ""}], [4]]


# Reports


@pytest.mark.parametrize(
    ("value", "sane"),
    [
        (math.nan, None),
        ({1: [math.inf, "\ud800"], (2,): object}, {"1": [None, "?"], "(2,)": "<class 'object'>"}),
        (2**300, hex(2**300)),
        (ValueError("x"), "x"),
        (datetime(2025, 1, 1), "2025-01-01 00:00:00"),
        (Path("a", 1), Path("a", 1)),
        ({"a": b"x", "t": (1, True, None)}, {"a": b"x", "t": [1, True, None]}),
        (frozenset({1}), frozenset({1})),
        ({(1,)}, "{(1,)}"),
        (RemoteObject("E", (math.nan,)), "RemoteObject(name='E', arguments=(nan,), keywords={})"),
        (Word.ON, "on"),
    ],
)
def test_sanitizes(value, sane):
    """A report gets through, whatever is in it."""
    assert same(sanitize(value), sane)


def test_sanitizes_integers_that_python_does_not_spell():
    """There is a limit of 4300 digits."""
    large = 10**5000
    assert sanitize([large, {large: 1}]) == [hex(large)[:1000], {hex(large)[:1000]: 1}]


def test_sanitizes_what_is_too_much():
    """By leaving it out."""
    endless = []
    endless.append(endless)
    deep = sanitize(endless)
    assert "…" in repr(deep)
    assert decode(encode(deep)) == deep
    assert sanitize("x" * 100_000).startswith("str left out: value: too many")
    assert sanitize([0] * 30_000) == "list left out: value: too many items"


@given(st.recursive(st.floats() | strategies.leaves | st.text(), strategies.st.lists))
def test_sanitized_is_sendable(value):
    """Always."""
    encode(sanitize(value))


def test_keywords_are_named():
    """A map with other keys is an argument."""
    assert keywords_of({"a": 1}) == {"a": 1}
    assert keywords_of({"a": 1, 2: 3}) is None
    assert keywords_of([]) is None
