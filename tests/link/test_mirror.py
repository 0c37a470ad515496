"""What is known, packed."""

import gc

import pytest
from hypothesis import given

from firmware_bridge.link.codec import ABSENT, Value, encode_payload
from firmware_bridge.link.message import Message, decode_message
from firmware_bridge.link.meta import Meta, encode_meta
from firmware_bridge.link.mirror import Mirror
from tests.support import strategies

META = Meta("me", 11.5)


def received(value: Value, *, meta: Meta = META, retained: bool = True) -> Message:
    """Return a message as it comes from a broker."""
    payload, text = encode_payload(value)
    coded = encode_meta(meta)
    return decode_message(
        "a/b", payload, text=text, meta=coded, retained=retained, now=0, me="nobody"
    )


@given(strategies.values)
def test_gives_back_what_was_received(value: Value) -> None:
    """Whatever a value is."""
    message = received(value)
    mirror = Mirror()
    mirror.put(message)
    assert mirror["a/b"] == message


@pytest.mark.parametrize("value", [1, "x", {"a": [1]}])
@pytest.mark.parametrize("retained", [True, False])
@pytest.mark.parametrize(
    "meta", [META, Meta("me", 1.0, ("more",)), Meta("me", 1.0, (), {"even": "more"})]
)
def test_gives_back_everything(value: Value, retained: bool, meta: Meta) -> None:
    """Metadata of any kind, with or without the value's bytes."""
    mirror = Mirror()
    for message in (
        received(value, meta=meta, retained=retained),
        Message("a/b", value, meta, retained),
    ):
        mirror.put(message)
        assert mirror["a/b"] == message
        assert mirror["a/b"].meta == meta
        assert list(mirror.topics(retained_only=True)) == (["a/b"] if retained else [])
        assert list(mirror.topics(retained_only=False)) == ["a/b"]


def test_is_a_mapping() -> None:
    """It can be looked into like any other."""
    mirror = Mirror()
    assert not mirror
    mirror.put(received({"a": 1}))
    mirror.put(received({"a": 2}))
    assert list(mirror) == ["a/b"]
    assert len(mirror) == 1
    assert "a/b" in mirror
    assert "a" not in mirror
    assert mirror.get("a") is None
    mirror.drop("a/b")
    mirror.drop("a/b")
    assert not mirror
    with pytest.raises(KeyError):
        mirror["a/b"]


def test_what_is_looked_up_is_its_own() -> None:
    """Nobody can change what is known by changing what was looked up."""
    mirror = Mirror()
    mirror.put(received({"a": [1]}))
    value = mirror["a/b"].value
    assert isinstance(value, dict)
    value.clear()
    assert mirror["a/b"].value == {"a": [1]}


def test_nothing_for_the_garbage_collection() -> None:
    """However many messages there are, it has nothing to look at."""
    mirror = Mirror()
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        message = received({"value": [number]} if number % 2 else number)
        coded = message.coded if number % 4 else None  # as from a server
        meta = Meta("me", 11.5, (), {"gw": [number]}) if number % 8 > 3 else META
        mirror.put(Message(f"a/{number}", message.value, meta, True, coded))
    del message, meta
    gc.collect()
    assert len(mirror) == 1000
    assert len(gc.get_objects()) - before < 100


def test_what_cannot_be_packed_is_kept() -> None:
    """A server may say more than fits into a message."""
    mirror = Mirror()
    for value, meta in (([b"x" * 70_000], META), (1, Meta("me", 1.0, (b"x" * 70_000,)))):
        message = Message("a/b", value, meta, True)
        mirror.put(message)
        assert mirror["a/b"] == message


def test_deletions_have_no_value() -> None:
    """Bytes are kept for what came as such."""
    assert received(ABSENT).coded == b""
    assert received("text").coded is None
    assert received(1).coded == b"\x01"
