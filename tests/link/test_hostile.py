"""Input that is meant to do harm: no escaping exceptions, bounded time and memory."""

import random
import struct
import time
import tracemalloc

import cbor2
import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.codec import FrameReader, decode, decode_payload, encode, encode_frame
from firmware_bridge.link.errors import DecodeError
from firmware_bridge.link.meta import decode_meta
from firmware_bridge.link.path import Path
from tests.support import vectors

MERSENNE = (1 << 61) - 1  # Python hashes integers modulo this
SECONDS = 0.05
BYTES = 20_000_000


def colliding_tuples(number):
    """Return pairs of integers with the same hash."""
    first, second, start, size = (
        11400714785074694791,
        14029467366897019727,
        2870177450012600261,
        1 << 64,
    )
    found = []
    seed = 0
    while len(found) < number:
        seed += 1
        state = (start + seed * second) % size
        state = ((state << 31 | state >> 33) * first) % size
        other = (12345 - state) * pow(second, -1, size) % size
        if other < MERSENNE:
            found.append((seed, other))
    assert len(set(map(hash, found))) == 1
    return found


def colliding_floats():
    """Return numbers with few different hashes."""
    return [
        m * 2.0 ** (61 * i + k) for m in (1, 3, 5, 7, 9) for k in range(61) for i in range(-15, 16)
    ]


def a_map(keys):
    """Return a map's CBOR."""
    return b"\xba" + struct.pack(">I", len(keys)) + b"".join(key + b"\0" for key in keys)


def a_bignum(number):
    """Return a bignum's CBOR."""
    return b"\xc2\x4a" + number.to_bytes(10)


BOMBS = {
    "arrays": b"\x81" * 60_000 + b"\0",
    "maps": b"\xa1\0" * 30_000 + b"\0",
    "tags": b"\xd9\xff\0" * 20_000 + b"\0",
    "endless arrays": b"\x9f" * 60_000,
    "long bytes": b"\x5a\x40\0\0\0",
    "longest bytes": b"\x5b" + b"\xff" * 8,
    "long text": b"\x7b\x7f" + b"\xff" * 7,
    "long array": b"\x9a\xff\xff\xff\xff",
    "longest array": b"\x9b\x7f" + b"\xff" * 7,
    "long map": b"\xba\xff\xff\xff\xff",
    "longest map": b"\xbb" + b"\xff" * 8,
    "long arrays in long arrays": b"\x9a\0\xff\xff\xff" * 300,
    "empty arrays": b"\x99\xff\xf0" + b"\x80" * 65_520,
    "empty maps": b"\x99\xff\xf0" + b"\xa0" * 65_520,
    "a megabyte": b"\x9a\0\x0f\x42\x40" + b"\x80" * 1_000_000,
    "large bignum": b"\xc2\x59\xf0\0" + b"\xff" * 0xF000,
    "decimal": b"\xc4\x82\x1a\x3b\x9a\xca\0\x01",
    "bigfloat": b"\xc5\x82\x1a\x3b\x9a\xca\0\x01",
    "fraction": b"\xd8\x1e\x82\x01\0",
    "pattern": b"\xd8\x23\x6a(a+)+(a+)+",
    "mail": b"\xd8\x24\x66From: ",
    "cycle": b"\xd8\x1c\x81\xd8\x1d\0",
    "references": b"\x98\x1f\xd8\x1c\x82\0\0"
    + b"".join(b"\xd8\x1c\x82" + (b"\xd8\x1d\x18" + bytes([i])) * 2 for i in range(30)),
    "text references": b"\xd9\x01\0\x99\x40\0\x59\x10\0" + b"A" * 4096 + b"\xd8\x19\0" * 0x4000,
    "colliding bignums": a_map([a_bignum(MERSENNE * (i + 40) + 7) for i in range(4_000)]),
    "colliding bignums in a set": b"\xd9\x01\x02\x99\x0f\xa0"
    + b"".join(a_bignum(MERSENNE * (i + 40) + 7) for i in range(4_000)),
    "colliding arrays": a_map([cbor2.dumps(pair) for pair in colliding_tuples(3_000)]),
    "colliding arrays in a set": b"\xd9\x01\x02" + cbor2.dumps(colliding_tuples(3_000)),
    "colliding floats": a_map([cbor2.dumps(number) for number in colliding_floats()[:6_500]]),
    "colliding integers": a_map(
        [cbor2.dumps(i + MERSENNE * j) for i in range(800) for j in range(8)]
    ),
    "paths": b"\x99\x27\x10" + b"\xd8\x27\x81\x61a" * 10_000,
    "dates": b"\x99\x17\x70" + b"\xc1\x1a\x65\xe0\0\0" * 6_000,
    "garbage": random.Random(1).randbytes(65_536),
}


def cost(action):
    """Return the CPU seconds (the best of three) and the bytes that it takes at most."""
    times = []
    for _ in range(3):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(times), peak


def attempt(function, *arguments):
    """Call it; only a DecodeError may come out, and it must fit into a log."""
    reason = ""
    try:
        return function(*arguments)
    except DecodeError as err:
        reason = str(err)
    assert len(reason) < 1000
    return None


@pytest.mark.parametrize("name", BOMBS)
def test_values_cost_little(name):
    """No value stalls the loop or eats the memory."""
    seconds, peak = cost(lambda: attempt(decode, BOMBS[name]))
    assert seconds < SECONDS
    assert peak < BYTES


@pytest.mark.parametrize("name", BOMBS)
def test_frames_cost_little(name):
    """Neither does a frame."""
    seconds, peak = cost(lambda: attempt(FrameReader().feed, b"\x82\0" + BOMBS[name]))
    assert seconds < SECONDS
    assert peak < BYTES


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_accepted_stays_harmless(name):
    """It can be shown, compared, and sent on."""
    value = attempt(decode, BOMBS[name])
    seconds, peak = cost(lambda: (repr(value), value == value, encode(value)))
    assert seconds < 2 * SECONDS
    assert peak < BYTES


def test_scanning_is_bounded():
    """However the frame is cut, nesting and size are refused as early as they are seen."""
    for data, reason in (
        (b"\x81" * 100, "nested too deeply"),
        (b"\x9f" * 100, "nested too deeply"),
        (b"\x82\0\xa1\x80", "key is a container"),
        (b"\x82\0\xff", "a break"),
        (b"\x82\0\x1f", "starts like this"),
        (b"\x82\0\x1c", "starts like this"),
        (b"\x82\0\x5b" + b"\xff" * 8, "too many bytes"),
    ):
        reader = FrameReader()
        with pytest.raises(DecodeError, match=reason):
            for byte in data:
                reader.feed(bytes([byte]))
    with pytest.raises(DecodeError, match="bytes are too many"):
        decode(bytes(100_000))


@pytest.mark.parametrize("item", [[0] * 10_000, ["x" * 1000] * 50, [{"a": 1}] * 3_000])
def test_frames_in_pieces_take_linear_time(item):
    """Four times as much in pieces takes about four times as long, not sixteen times."""

    def feed(times):
        data = encode_frame([0, item * times])
        reader = FrameReader()
        frames = []
        for start in range(0, len(data), 64):
            frames += reader.feed(data[start : start + 64])
        assert len(frames) == 1

    assert cost(lambda: feed(4))[0] < 8 * cost(lambda: feed(1))[0] + 0.01


def test_large_frames_are_decoded_once():
    """A megabyte byte by byte, and sixteen in the pieces that sockets deliver."""
    data = encode_frame([0, b"x" * 1_000_000])
    reader = FrameReader()
    start = time.process_time()
    assert sum(len(reader.feed(data[i : i + 1])) for i in range(len(data))) == 1
    assert time.process_time() - start < 10
    data = encode_frame([0, [b"x" * 1_000] * 15_000])
    start = time.process_time()
    assert sum(len(reader.feed(data[i : i + 65_536])) for i in range(0, len(data), 65_536)) == 1
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "topic",
    [
        ":" * 65_535,
        "::" * 32_767,
        ":1/" * 21_845,
        ":u1" * 21_845,
        "a" + ":u1f600-" * 8_000,
        ":" + "(" * 65_534,
        ":" + "-" * 65_534,
        ":" + "9" * 65_534,
        ":x" + "f" * 65_533,
        ":'" + "\\" * 65_000,
        ":" + "'a'," * 16_000,
        ":s" + "A" * 65_532,
        ":y" + "0" * 65_532,
        ":v" + ":_" * 32_000,
        "\x01" * 65_535,
        "\x01" * 20_000,
        "😀" * 16_383,
        "ü" * 32_767,
        "/" * 65_535,
        "1,/" * 20_000,
        ":1," + "1," * 499,
        ":" + "((1,)," * 160,
    ],
    ids=lambda topic: topic[:8],
)
def test_topics_cost_little(topic):
    """Whatever a broker lets through."""
    seconds, peak = cost(lambda: attempt(Path.from_topic, topic))
    assert seconds < SECONDS
    assert peak < BYTES
    assert cost(lambda: attempt(Path.parse, topic))[0] < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "a" * 65_535,
        "a" + "/" * 65_534,
        "a" + "\\" * 65_534,
        "a" + "\\8f" * 21_844,
        "a\\" + "0" * 65_533,
    ],
)
def test_metadata_cost_little(text):
    """The user property, too, comes from anybody."""
    assert cost(lambda: attempt(decode_meta, text, 1.0))[0] < SECONDS


@given(st.binary(max_size=200))
def test_any_bytes(data):
    """Values, texts, frames."""
    attempt(decode, data)
    attempt(decode_payload, data, True)
    attempt(FrameReader().feed, data)
    attempt(FrameReader().feed, b"\x82\0" + data)


@given(st.text(max_size=60), st.text("/\\`$5@M{6G)0~|}", max_size=60))
def test_any_metadata(text, tail):
    """Broken or not."""
    attempt(decode_meta, text, 1.0)
    attempt(decode_meta, f"a{tail}", 1.0)


RECORDED = [
    bytes.fromhex(vector["frame_hex"])
    for vector in vectors.load("moat-link/cbor-values-rpc")["vectors"]
]


@given(st.sampled_from(RECORDED), st.data())
def test_damaged_frames(data, draw):
    """Bytes changed, lost, added: never anything but a DecodeError, whole or in pieces."""
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        start = draw.draw(st.integers(0, len(damaged)))
        damaged[start : start + draw.draw(st.integers(0, 4))] = draw.draw(st.binary(max_size=4))
    whole = attempt(FrameReader().feed, bytes(damaged))
    reader = FrameReader()

    def piecewise():
        return [frame for byte in damaged for frame in reader.feed(bytes([byte]))]

    assert repr(attempt(piecewise)) == repr(whole)
