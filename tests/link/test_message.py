"""Messages."""

import pytest
from hypothesis import assume, given

from firmware_bridge.link.codec import ABSENT, Opaque, encode_payload
from firmware_bridge.link.errors import DecodeError
from firmware_bridge.link.message import Message, decode_message
from firmware_bridge.link.meta import Meta, decode_meta, encode_meta
from firmware_bridge.link.path import Path
from tests.support import strategies, vectors

INPUT = {
    packet["topic"].removeprefix("moat/link/test/g/"): packet
    for packet in vectors.packets(vectors.load("moat-link/bad-input"))
    if packet["label"] == "input"
}
VALUES = {
    "noprop": (42, Meta("via:me", 9.0)),
    "json": ('{"json": 1}', Meta("via:me", 9.0)),
    "originonly": (2, Meta("foo", 9.0)),
    "tag": (Opaque(12345, "x"), Meta("via:me", 9.0)),
    "undef": (ABSENT, Meta("via:me", 9.0)),
    "nonretain": (5, Meta("via:me", 9.0)),
    ":zz:bad": (6, Meta("via:me", 9.0)),
    "del": (ABSENT, Meta("via:me", 9.0)),
}


def receive(packet):
    """Decode a recorded packet as the client does."""
    properties = dict(packet["properties"].get("user_property", []))
    return decode_message(
        packet["topic"].removeprefix("moat/link/test/"),
        bytes.fromhex(packet["payload"]),
        text=packet["properties"].get("payload_format_indicator") == 1,
        meta=properties.get("MoaT"),
        retained=packet["retain"],
        now=9.0,
        me="me",
    )


@pytest.mark.parametrize("name", INPUT)
def test_reads_odd_messages_like_the_server(name):
    """What it rejects is rejected; what it stores is read alike."""
    stored = vectors.load("moat-link/bad-input")["stored"][name]
    if stored.startswith("rejected"):
        with pytest.raises(DecodeError):
            receive(INPUT[name])
    else:
        message = receive(INPUT[name])
        assert (message.value, message.meta) == VALUES[name]
        assert message.retained == (name != "nonretain")


def test_unreadable_topics_are_split():
    """Without interpretation, as the server does it."""
    message = receive(INPUT[":zz:bad"])
    assert message.topic == "g/:zz:bad"
    assert message.path == Path("g", ":zz:bad")


def test_reports_of_the_server():
    """Its complaints about the above."""
    reports = [
        packet
        for packet in vectors.packets(vectors.load("moat-link/bad-input"))
        if packet["label"] == "server report"
    ]
    assert len(reports) == 5
    for packet in reports:
        message = receive(packet)
        assert message.meta.origin == "srv1"
        assert message.time > 1.7e9
        assert message.path.starts_with(Path("error", "link", "mqtt"))
        assert message.item(("msg",))


@given(strategies.paths, strategies.values, strategies.metas)
def test_survives(path, value, meta):
    """What one end sends, the other end gets."""
    assume(path != Path(""))
    payload, text = encode_payload(value)
    message = decode_message(
        path.topic,
        payload,
        text=text,
        meta=encode_meta(meta),
        retained=True,
        now=0.0,
        me="x",
    )
    assert message.path == path
    assert message.path is message.path
    assert message == Message(path.topic, value, decode_meta(encode_meta(meta)), retained=True)


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        ((), {"a": [1, {"b": 2}], 3: 4, "t": None}),
        (("a",), [1, {"b": 2}]),
        (("a", 0), 1),
        (("a", 1, "b"), 2),
        ((3,), 4),
        (("t",), None),
        (("x",), ABSENT),
        (("a", 2), ABSENT),
        (("a", -1), ABSENT),
        (("a", "b"), ABSENT),
        (("a", 0, 0), ABSENT),
    ],
)
def test_steps_into_the_value(steps, value):
    """ABSENT where there is nothing."""
    message = Message("x", {"a": [1, {"b": 2}], 3: 4, "t": None}, Meta("a", 1.0), retained=True)
    assert message.item(steps) == value


@pytest.mark.parametrize("topic", ["a/" * 200, "a" * 8_001])
def test_refuses_endless_topics(topic):
    """No path could hold them."""
    with pytest.raises(DecodeError, match="too long"):
        decode_message(topic, b"\0", text=False, meta=None, retained=True, now=0.0, me="x")


@pytest.mark.parametrize("topic", ["\x01:" * 4_000, "a/" * 199 + ":", "\0:"])
def test_every_topic_has_a_path(topic):
    """Even if every character must be escaped."""
    message = decode_message(topic, b"\0", text=False, meta=None, retained=True, now=0.0, me="x")
    assert list(message.path) == topic.split("/")
