"""What payloads mean: each codec, what it refuses, and that nothing else escapes."""

import math

import pytest
from hypothesis import given, settings, strategies as st

from firmware_bridge.gates.codecs import MAX_PAYLOAD, NAMES, make, translated, written
from firmware_bridge.gates.plain import CodecError
from firmware_bridge.link.alike import alike
from firmware_bridge.link.codec import ABSENT, Value, encode_payload
from firmware_bridge.link.path import Path
from tests.support import strategies

ACCEPTED = [
    ("json", b"23.5", 23.5),
    ("json", b"7", 7),
    ("json", b"7.0", 7.0),
    ("json", b"true", True),
    ("json", b"null", None),
    ("json", b' "on"\n', "on"),
    ("json", '"Küche"'.encode(), "Küche"),
    ("json", b'{"a":[1,null,{"b":false}]}', {"a": [1, None, {"b": False}]}),
    ("json", b'{"a":1,"a":2}', {"a": 2}),
    ("json", b'"a\\nb"', "a\nb"),
    ("json", b"18446744073709551615", 2**64 - 1),
    ("json", b"-0.0", -0.0),
    ("bool", b"ON", True),
    ("bool", b"off", False),
    ("bool", b"True", True),
    ("bool", b"false\n", False),
    ({"kind": "bool", "true": "1", "false": "0"}, b"1", True),
    ({"kind": "bool", True: "open", False: "shut"}, b"shut", False),
    ("number", b"20.25", 20.25),
    ("number", b" -7 ", -7),
    ("number", b"+.5", 0.5),
    ("number", b"1e3", 1000.0),
    ({"kind": "number", "int": True}, b"7.0", 7),
    ("text", "Grüße".encode(), "Grüße"),
    ({"kind": "text", "encoding": "latin-1"}, b"\xe4", "ä"),
    ("utf8", b"23.5", "23.5"),
    ("binary", b"\x00\xff", b"\x00\xff"),
    ("cbor", bytes.fromhex("a16176f952f0"), {"v": 55.5}),
    ("std-cbor", b"\x01", 1),
    ("msgpack", bytes.fromhex("82a16101a162c3"), {"a": 1, "b": True}),
    ("std-msgpack", bytes.fromhex("8101c40161"), {1: b"a"}),
    ({"kind": "json", "item": "t"}, b'{"t": 21.5, "x": 1}', 21.5),
]
REFUSED = [
    ("json", b"nonsense", "not JSON"),
    ("json", b"NaN", "NaN is not a number"),
    ("json", b"[Infinity]", "Infinity"),
    ("json", b"-Infinity", "Infinity"),
    ("json", b"1e400", "not finite"),
    ("json", b"18446744073709551616", "too large"),
    ("json", b"9" * 5000, "too large"),
    ("json", b"\xff", "not UTF-8"),
    ("json", b'"\\ud800"', "surrogate"),
    ("json", b'{"\\ud800": 1}', "surrogate"),
    ("json", b"[" * 100_000, "nested too deeply"),
    ("json", b"[" * 20 + b"]" * 20, "nested too deeply"),
    ("json", b'"a\nb"', "not JSON"),
    ("json", b"\xef\xbb\xbf1", "not JSON"),
    ("json", b"1 2", "not JSON"),
    ("json", b"'a'", "not JSON"),
    ("bool", b"yes", "'yes' is not ON or OFF, true or false"),
    ("bool", b"1", "is not ON or OFF"),
    ("bool", b"\xff", "not UTF-8"),
    ({"kind": "bool", "true": "AN", "false": "AUS"}, b"an", "'an' is not AN or AUS"),
    ("number", b"1e400", "not finite"),
    ("number", b"nan", "is not a number"),
    ("number", b"inf", "is not a number"),
    ("number", b"1_000", "is not a number"),
    ("number", b"0x10", "is not a number"),
    ("number", "٣".encode(), "is not a number"),
    ("number", b"1" * 101, "is not a number"),
    ("number", b"12,5", "is not a number"),
    ("number", b"36893488147419103232", "too large"),
    ({"kind": "number", "int": True}, b"7.5", "not a whole number"),
    ("text", b"\xff", "not UTF-8"),
    ({"kind": "text", "encoding": "ascii"}, b"\xff", "not ASCII"),
    ("cbor", b"", "."),
    ("cbor", b"\x01\x02", "."),
    ("cbor", bytes.fromhex("c249010000000000000000"), "too large"),
    ("cbor", bytes.fromhex("a1820102f5"), "."),
    ("msgpack", b"", "not MessagePack"),
    ("msgpack", b"\x01\x02", "not MessagePack"),
    ("msgpack", b"\xc1", "not MessagePack"),
    ("msgpack", b"\xd4\x05\x00", "extension type 5"),
    ("msgpack", bytes.fromhex("d6ff00000000"), "time"),
    ("msgpack", b"\x91" * 100_000, "not MessagePack|nested"),
    ("msgpack", bytes.fromhex("81920102c3"), "not MessagePack|array"),
    ("msgpack", bytes.fromhex("cb7ff8000000000000"), "not finite"),
    ("msgpack", b"\xa1\xff", "not MessagePack"),
    ("msgpack", b"\xdd\xff\xff\xff\xff", "not MessagePack"),
    ({"kind": "json", "item": "t"}, b'{"x": 1}', "no 't' in it"),
    ({"kind": "json", "item": "t"}, b"5", "no 't' in it"),
    ("null", b"1", "left out"),
]
SENT = [
    ("json", {"a": [1, 2]}, b'{"a": [1, 2]}', True),
    ("json", "nr", b'"nr"', True),
    ("json", "", b'""', True),
    ("json", "a\nb", b'"a\\nb"', True),
    ("json", "\x85", b'"\xc2\x85"', False),
    ("json", None, b"null", True),
    ("json", 2**70, str(2**70).encode(), True),
    ({"kind": "json", "item": "state"}, "ON", b'{"state": "ON"}', True),
    ("bool", True, b"ON", True),
    ({"kind": "bool", "true": "open", "false": "shut"}, False, b"shut", True),
    ("number", 20.25, b"20.25", True),
    ("number", 7, b"7", True),
    ({"kind": "number", "precision": 1}, 21.26, b"21.3", True),
    ({"kind": "number", "precision": 0}, 21.6, b"22", True),
    ({"kind": "number", "int": True}, 7.0, b"7", True),
    ("text", "Grüße", "Grüße".encode(), True),
    ("text", "a\nb", b"a\nb", False),
    ({"kind": "text", "encoding": "latin-1"}, "ä", b"\xe4", False),
    ("binary", b"\x00", b"\x00", False),
    ("cbor", Path("home", 1), bytes.fromhex("d8278264686f6d6501"), False),
    ("msgpack", {1: b"a"}, bytes.fromhex("8101c40161"), False),
]
UNSENDABLE = [
    ("json", b"a", "no equivalent"),
    ("json", Path("home"), "no equivalent"),
    ("json", {1: 2}, "as a key is not text"),
    ("json", "\ud800", "surrogate"),
    ("bool", 1, "1 is not true or false"),
    ("bool", "on", "'on' is not true or false"),
    ("number", True, "True is not a number"),
    ("number", "7", "'7' is not a number"),
    ("number", None, "None is not a number"),
    ({"kind": "number", "int": True}, 7.5, "not a whole number"),
    ("text", 5, "5 is not text"),
    ("text", "", "would be a deletion"),
    ({"kind": "text", "encoding": "latin-1"}, "€", "does not fit"),
    ("binary", "a", "is not bytes"),
    ("binary", b"", "would be a deletion"),
    ("msgpack", 2**64, "too large"),
    ("msgpack", Path("home"), "no equivalent"),
    ("number", ABSENT, "nothing is not a number"),
]
WRONG = [
    ("yaml", "'yaml' is not one of json, bool"),
    (5, "5 is not a codec"),
    ({"true": "ON"}, "is not a codec"),
    ({"kind": "python"}, "not one of"),
    ({"kind": "bool", "true": "ON"}, "needs both words"),
    ({"kind": "bool", "true": "ON", "false": "ON"}, "two different words"),
    ({"kind": "bool", "true": "", "false": "x"}, "does not fit as true"),
    ({"kind": "number", "precision": -1}, "does not fit as precision"),
    ({"kind": "number", "precision": True}, "does not fit as precision"),
    ({"kind": "number", "int": "yes"}, "does not fit as int"),
    ({"kind": "text", "encoding": "utf-7"}, "not one of utf-8"),
    ({"kind": "json", "decode": "x"}, "no option 'decode'"),
]


@pytest.mark.parametrize(("spec", "payload", "value"), ACCEPTED)
def test_reads(spec: Value, payload: bytes, value: Value) -> None:
    assert alike(translated(make(spec), payload), value)


@pytest.mark.parametrize(("spec", "payload", "problem"), REFUSED)
def test_refuses(spec: Value, payload: bytes, problem: str) -> None:
    """With one exception, and a text that fits on a line."""
    with pytest.raises(CodecError, match=problem) as raised:
        translated(make(spec), payload)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(("spec", "value", "payload", "text"), SENT)
def test_sends(spec: Value, value: Value, payload: bytes, text: bool) -> None:
    encoded = written(make(spec), value)
    assert (encoded.payload, encoded.text) == (payload, text)


@pytest.mark.parametrize(("spec", "value", "problem"), UNSENDABLE)
def test_does_not_send(spec: Value, value: Value, problem: str) -> None:
    with pytest.raises(CodecError, match=problem):
        written(make(spec), value)


@pytest.mark.parametrize(("spec", "problem"), WRONG)
def test_wrong_codecs(spec: Value, problem: str) -> None:
    with pytest.raises(CodecError, match=problem):
        make(spec)


def test_too_long() -> None:
    with pytest.raises(CodecError, match="bytes are too many"):
        translated(make("text"), b"x" * (MAX_PAYLOAD + 1))
    with pytest.raises(CodecError, match="bytes"):
        translated(make("binary"), b"x" * MAX_PAYLOAD)


@pytest.mark.parametrize("name", NAMES)
@given(payload=st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_payload(name: str, payload: bytes) -> None:
    """Whatever comes is a value that MoaT takes, or refused."""
    codec = make(name)
    try:
        value = translated(codec, payload)
    except CodecError:
        return
    encode_payload(value)
    assert not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("name", NAMES)
@given(value=strategies.values)
@settings(max_examples=60, deadline=None)
def test_any_value(name: str, value: Value) -> None:
    """Whatever is sent is the same when it comes back, or refused."""
    codec = make(name)
    try:
        payload = written(codec, value).payload
        back = translated(codec, payload)
    except CodecError:
        return
    assert alike(back, value)


jsons = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | strategies.numbers
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["json", "cbor", "msgpack"])
@given(value=jsons)
@settings(deadline=None)
def test_plain_values_survive(name: str, value: Value) -> None:
    codec = make(name)
    assert alike(translated(codec, written(codec, value).payload), value)
