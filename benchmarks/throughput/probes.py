"""Hostile CBOR: what has been known to cost a decoder its time, its memory or its temper."""

import struct
from collections.abc import Callable, Mapping
from typing import Final

type Probe = Callable[[], bytes]

_MERSENNE: Final = (1 << 61) - 1
"""Python's integers are hashed modulo this."""
_ARRAY, _MAP, _TAG = b"\x81", b"\xa1\x00", b"\xd9\xff\x00"


def _hex(text: str) -> Probe:
    return lambda: bytes.fromhex(text)


def _nested(depth: int, level: bytes) -> Probe:
    return lambda: level * depth + b"\x00"


def _million(item: bytes) -> Probe:
    return lambda: b"\x9a\x00\x0f\x42\x40" + item * 1_000_000


def _colliding(count: int, key: Callable[[int], bytes]) -> Probe:
    head = b"\xba" + struct.pack("!I", count)
    return lambda: head + b"".join(key(number) + b"\x00" for number in range(count))


def _large_key(number: int) -> bytes:
    return b"\xc2\x4a" + (_MERSENNE * (number + 40) + 7).to_bytes(10)


def _int_key(number: int) -> bytes:
    """Return one of the few plain integers with the same hash, of either sign."""
    value = _MERSENNE * (number % 8) + number // 8
    return b"\x1b" + value.to_bytes(8)


def _float_key(number: int) -> bytes:
    return b"\xfb" + struct.pack("!d", float(number) * 2.0**61)


def _shared_references() -> bytes:
    """Two references to the one before, thirty times: 2**30 leaves."""
    one = (
        b"\xd8\x1c\x82\xd8\x1d" + bytes((24, number)) + b"\xd8\x1d" + bytes((24, number))
        for number in range(30)
    )
    return b"\x98\x1f\xd8\x1c\x82\x00\x00" + b"".join(one)


PROBES: Final[Mapping[str, Probe]] = {
    **{f"array in array, {depth}": _nested(depth, _ARRAY) for depth in (16, 400, 1000, 100_000)},
    **{f"map in map, {depth}": _nested(depth, _MAP) for depth in (16, 400, 1000, 100_000)},
    **{f"tag in tag, {depth}": _nested(depth, _TAG) for depth in (16, 400, 1000, 100_000)},
    "endless arrays": lambda: b"\x9f" * 100_000,
    "endless maps": lambda: b"\xbf\x00" * 100_000,
    "1 GiB of bytes announced": _hex("5a40000000"),
    "2**63 bytes announced": _hex("5b7fffffffffffffff"),
    "2**64 bytes announced": _hex("5bffffffffffffffff"),
    "1 GiB of text announced": _hex("7a40000000"),
    "2**31 items announced": _hex("9a80000000"),
    "2**32 items announced": _hex("9affffffff"),
    "2**63 items announced": _hex("9bffffffffffffffff"),
    "2**32 pairs announced": _hex("baffffffff"),
    "2**63 pairs announced": _hex("bbffffffffffffffff"),
    "arrays announced in arrays": lambda: b"\x9a\x00\xff\xff\xff" * 300,
    "a million integers": _million(b"\x00"),
    "a million empty maps": _million(b"\xa0"),
    "a million empty arrays": _million(b"\x80"),
    "a million empty texts": _million(b"\x60"),
    "60,000 empty maps": lambda: b"\x99\xea\x60" + b"\xa0" * 60_000,
    "20,000 tags in one array": lambda: b"\x99\x4e\x20" + b"\xc1\x00" * 20_000,
    "integer of 1 MB": lambda: b"\xc2\x5a\x00\x10\x00\x00" + b"\xff" * (1 << 20),
    "integer of 64 kB": lambda: b"\xc2\x59\xff\xf0" + b"\xff" * 0xFFF0,
    "decimal with exponent 10**9": _hex("c4821a3b9aca0001"),
    "bigfloat with exponent 10**9": _hex("c5821a3b9aca0001"),
    "bigfloat with exponent 10**6": _hex("c5821a000f424001"),
    "fraction by zero": _hex("d81e820100"),
    "regular expression": lambda: b"\xd8\x23\x6a(a+)+(a+)+",
    "regular expression, repeated": lambda: b"\xd8\x23\x75(?:a{60000}){60000}x{",
    "mail": lambda: b"\xd8\x24\x66From: ",
    "date that is none": lambda: b"\xc0\x63abc",
    "time that is none": _hex("c1fb7ff8000000000000"),
    "time too far away": lambda: b"\xc1\xfb" + struct.pack("!d", 1e300),
    "UUID that is none": lambda: b"\xd8\x25\x43abc",
    "address that is none": lambda: b"\xd9\x01\x04\x43abc",
    "network with a long prefix": _hex("d90105a1440a000000197fff"),
    "set of arrays": _hex("d901028180"),
    "array that contains itself": _hex("d81c81d81d00"),
    "reference to nothing": _hex("d81d05"),
    "references by the power": _shared_references,
    "text reference to nothing": _hex("d81905"),
    "text references, 6.5 GB": lambda: (
        b"\xd9\x01\x00\x9a\x00\x01\x86\xa1\x5a\x00\x01\x00\x00"
        + b"A" * 65536
        + b"\xd8\x19\x00" * 100_000
    ),
    "unknown tag": _hex("d9ff0001"),
    "tag that says CBOR": _hex("d9d9f701"),
    "CBOR in CBOR": _hex("d8184101"),
    "text that is none": _hex("62fffe"),
    "half a surrogate pair": _hex("63eda080"),
    "NUL in a text": _hex("6100"),
    "not a number": _hex("f97e00"),
    "infinity": _hex("f97c00"),
    "minus zero": _hex("f98000"),
    "largest integer": _hex("1bffffffffffffffff"),
    "smallest integer": _hex("3bffffffffffffffff"),
    "undefined": _hex("f7"),
    "simple 255": _hex("f8ff"),
    "simple 24": _hex("f818"),
    "break alone": _hex("ff"),
    "reserved length": _hex("1c"),
    "nothing": lambda: b"",
    "cut short": _hex("8201"),
    "three values": _hex("010203"),
    "rubbish after a map": _hex("a1617601ffff"),
    "key twice": _hex("a261760161" + "7602"),
    "array as a key": _hex("a1810102"),
    "map as a key": _hex("a1a002"),
    "not a number as a key": _hex("a2f97e0001f97e0002"),
    "integer longer than needed": _hex("1b0000000000000001"),
    "text in pieces": _hex("7f61616162ff"),
    "text in pieces of bytes": _hex("5f6161ff"),
    "100,000 pieces of text": lambda: b"\x7f" + b"\x61a" * 100_000 + b"\xff",
    "deep path": lambda: b"\xd8\x27" + b"\x81" * 300 + b"\x00",
    "long path": lambda: b"\xd8\x27\x99\xff\xff" + b"\x00" * 0xFFFF,
    **{
        f"{count} large keys that collide": _colliding(count, _large_key)
        for count in (2_000, 8_000, 20_000)
    },
    "8,000 integer keys that collide": _colliding(8_000, _int_key),
    "20,000 float keys that collide": _colliding(20_000, _float_key),
}
