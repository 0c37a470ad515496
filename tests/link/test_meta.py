"""The `MoaT` user property."""

import base64
import math
import struct

import cbor2
import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.codec import ABSENT, RemoteObject, decode, encode
from firmware_bridge.link.errors import DecodeError, EncodeError
from firmware_bridge.link.meta import (
    Meta,
    decode_meta,
    encode_meta,
    meta_items,
    meta_object,
    meta_of,
)
from tests.support import strategies, vectors

METADATA = vectors.load("moat-link/metadata")
RECORDED = [pytest.param(vector, id=vector["name"]) for vector in METADATA["vectors"]]
OTHERWISE = {"int-ts", "kw-nested"}  # we write numbers in double precision
TIME = r"\`$5@M{6G)@00"


def parts_of(vector):
    """Return the values of the parts as recorded."""
    return [vectors.value(part.get("value", part["text"])) for part in vector["parts"]]


@pytest.mark.parametrize("vector", RECORDED)
def test_reads_recorded_metadata(vector):
    """Every part as it was taken apart when it was recorded."""
    meta = decode_meta(vector["user_property"]["value"])
    assert meta == meta_of(parts_of(vector))
    assert meta.time == vector["parts"][1]["value"]
    assert isinstance(meta.time, float)


@pytest.mark.parametrize("vector", RECORDED)
def test_writes_recorded_metadata(vector):
    """The same text, or one that means the same."""
    text = vector["user_property"]["value"]
    written = encode_meta(decode_meta(text))
    assert (written == text) == (vector["name"] not in OTHERWISE)
    assert decode_meta(written) == decode_meta(text)


@pytest.mark.parametrize("case", METADATA["reader_behaviour"][:3])
def test_reads_like_moat(case):
    """What the real software accepts, and what it drops."""
    if case["result"].startswith("accepted"):
        assert decode_meta(case["value"], now=5.0) == Meta("foo", 5.0)
    else:
        with pytest.raises(DecodeError):
            decode_meta(case["value"], now=5.0)


@given(strategies.metas)
def test_survives(meta):
    """Whatever can be sent, but for nulls at the end."""
    extra = list(meta.extra)
    while extra and extra[-1] is None:
        extra.pop()
    assert decode_meta(encode_meta(meta)) == Meta(
        meta.origin, meta.time, tuple(extra), meta.keywords
    )


@given(strategies.metas)
def test_survives_as_an_object(meta):
    """Within CBOR."""
    remote = decode(encode(meta_object(meta)))
    assert remote.name == "_MM"
    assert meta_of([*remote.arguments, remote.keywords]) == meta


@given(strategies.metas)
def test_survives_as_a_list(meta):
    """As commands return it."""
    assert encode_meta(meta_of(meta_items(meta))) == encode_meta(meta)


@given(st.floats())
def test_the_short_way_is_right(time):
    """Reading the usual form agrees with reading base 85 and CBOR."""
    coded = base64.b85encode(b"\xfb" + struct.pack(">d", time)).decode()
    meta = decode_meta(f"a\\{coded}", now=7.0)
    assert meta.time == (time if math.isfinite(time) else 7.0)


@given(st.binary(min_size=9, max_size=9), st.text("`$5@M{6G)0~|}", min_size=12, max_size=12))
def test_the_short_way_takes_nothing_else(data, coded):
    """Twelve characters that are no number are refused, or what they are elsewhere."""
    for text in (coded, base64.b85encode(data).decode()):
        results = []
        for longer in (f"a\\{text}", f"a\\{text}/b"):  # the second one never takes the short way
            try:
                meta = decode_meta(longer, now=1.0)
                results.append((meta.origin, meta.time, meta.keywords))
            except DecodeError:
                results.append(None)
        assert results[0] == results[1]


@pytest.mark.parametrize(
    ("text", "meta"),
    [
        ("foo", Meta("foo", 9.0)),
        (r"foo\_5", Meta("foo", 9.0)),
        ("foo/", Meta("foo", 9.0)),
        (r"foo\_8", Meta("foo", 9.0)),
        (rf"foo{TIME}/", Meta("foo", 1700000000.25, (None,))),
        (rf"foo{TIME}/a\/b", Meta("foo", 1700000000.25, ("a", "", "b"))),
        (r"foo\p<-uuVR!", Meta("foo", 9.0, (), {"gw": "x"})),
        (r"foo//a", Meta("foo", 9.0, ("a",))),
    ],
)
def test_reads_leniently(text, meta):
    """What is missing is replaced, a lone slash is null."""
    assert decode_meta(text, now=9.0) == meta


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/x",
        "\\" + TIME,
        TIME,
        "foo/1700000000",
        r"foo\!!!bad",
        r"foo\ü",
        "foo\\\ud800",
        rf"foo\{'€' * 12}",
        rf"foo\{'~' * 12}",
        r"foo\0",
        "foo\\" + base64.b85encode(b"\xf5").decode(),
        "foo\\" + base64.b85encode(b"\x61a").decode(),
        "foo" + "/a" * 101,
    ],
)
def test_refuses_what_is_broken(text):
    """A wrong time is no time of arrival."""
    with pytest.raises(DecodeError):
        decode_meta(text, now=9.0)


def test_needs_a_time():
    """Somewhere."""
    with pytest.raises(DecodeError, match="without a time"):
        decode_meta("foo")
    with pytest.raises(DecodeError, match="without an origin"):
        meta_of([])
    assert meta_of(["a", ABSENT, 1], now=2) == Meta("a", 2.0, (1,))


@pytest.mark.parametrize(
    "meta",
    [
        Meta("", 1.0),
        Meta("a/b", 1.0),
        Meta("a\\b", 1.0),
        Meta("a\nb", 1.0),
        Meta("a\ud800", 1.0),
        Meta("a", math.nan),
        Meta("a", math.inf),
        Meta("a", 1.0, (math.nan,)),
        Meta("a", 1.0, (), {"a": math.nan}),
        Meta("a", 1.0, ("x" * 66_000,)),
        Meta("a", 1.0, ("x" * 65_000, b"y" * 1_000)),
    ],
)
def test_refuses_to_write(meta):
    """What brokers or readers would drop together with the message."""
    with pytest.raises(EncodeError):
        encode_meta(meta)


def test_writes_what_brokers_take():
    """Text that cannot be seen travels as CBOR; a map at the end gets an empty one behind it."""
    text = encode_meta(Meta("a", 1700000000.25, ("x\ny", None, {"a": 1}, None)))
    assert text.isprintable()
    assert decode_meta(text) == Meta("a", 1700000000.25, ("x\ny", None, {"a": 1}))
    assert encode_meta(Meta("vec", 1700000000.25)) == f"vec{TIME}"
    assert encode_meta(Meta("vec", 1700000000)) == encode_meta(Meta("vec", 1700000000.0))


def test_object_form():
    """Tag 27, as recorded."""
    assert encode(meta_object(Meta("vec", 1700000000.25))) == cbor2.dumps(
        cbor2.CBORTag(27, ["_MM", "vec", 1700000000.25])
    )
    assert meta_object(Meta("a", 1.0, (), {"k": 1})) == RemoteObject("_MM", ("a", 1.0), {"k": 1})
