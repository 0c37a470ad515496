"""MQTT 5 packets: the recorded ones, all others by round trip, and the broken ones."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.errors import EncodeError
from firmware_bridge.link.mqtt_codes import Packet, Reason, reason_name
from firmware_bridge.link.mqtt_packets import (
    MAX_PROPERTIES,
    Acknowledged,
    Disconnected,
    ProtocolError,
    Publish,
    UnreadableError,
    decode_ack,
    decode_connack,
    decode_disconnect,
    decode_properties,
    decode_publish,
    encode_ack,
    encode_connect,
    encode_disconnect,
    encode_publish,
    encode_subscribe,
    encode_unsubscribe,
)
from tests.support import fake_broker
from tests.support.fake_broker import text
from tests.support.vectors import load

VECTORS: list[dict[str, Any]] = load("moat-link/mqtt-packets")["vectors"]


def vectors(kind: str) -> pytest.MarkDecorator:
    """Parametrize over the recorded packets of a kind."""
    chosen = [vector for vector in VECTORS if vector["type"] == kind]
    return pytest.mark.parametrize("vector", chosen, ids=[vector["label"] for vector in chosen])


def recorded_message(vector: dict[str, Any]) -> Publish:
    """Return the message that a recorded PUBLISH stands for."""
    [[_, meta]] = vector["properties"]["user_property"]
    return Publish(
        vector["topic"],
        bytes.fromhex(vector["payload"]),
        text=vector["properties"].get("payload_format_indicator") == 1,
        retain=vector["retain"],
        qos=vector["qos"],
        meta=meta,
        dup=vector["dup"],
    )


def split(packet: bytes) -> tuple[int, bytes]:
    """Return flags and body of one packet."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    return packet[0] & 15, packet[at + 1 :]


@vectors("PUBLISH")
def test_recorded_publish_decodes(vector: dict[str, Any]) -> None:
    """What the real software sends is what we read."""
    packet = bytes.fromhex(vector["packet_hex"])
    assert decode_publish(*split(packet)) == (0, recorded_message(vector))


@vectors("PUBLISH")
def test_recorded_publish_encodes(vector: dict[str, Any]) -> None:
    """What we send is what the real software sends; we use no subscription identifiers."""
    packet = bytes.fromhex(vector["packet_hex"])
    if "subscription_identifier" in vector["properties"]:
        packet = packet.replace(b"\x16\x0b\x03", b"\x14").replace(b"\x31\x2c", b"\x31\x2a")
    assert encode_publish(recorded_message(vector)) == packet


@vectors("CONNECT")
def test_recorded_connect_encodes(vector: dict[str, Any]) -> None:
    """A CONNECT with the same contents has the same bytes."""
    will = Publish(
        vector["will_topic"],
        bytes.fromhex(vector["will_payload"]),
        qos=vector["will_qos"],
        retain=vector["will_retain"],
    )
    packet = encode_connect(vector["client_id"], keep_alive=vector["keep_alive"], will=will)
    assert packet.hex() == vector["packet_hex"]


@vectors("SUBSCRIBE")
def test_recorded_subscribe_encodes(vector: dict[str, Any]) -> None:
    """A SUBSCRIBE is the same but for the subscription identifier, which we do not use."""
    packet = bytes.fromhex(vector["packet_hex"])
    identifier = bytes((2, 0x0B, vector["properties"]["subscription_identifier"]))
    ours = bytes((packet[0], packet[1] - 2)) + packet[2:].replace(identifier, b"\x00", 1)
    [[name, options]] = [(item["filter"], item["options"]) for item in vector["filters"]]
    assert encode_subscribe(int.from_bytes(packet[2:4]), [name], options) == ours


@vectors("CONNACK")
def test_recorded_connack_decodes(vector: dict[str, Any]) -> None:
    """The broker's limits are understood."""
    connected = decode_connack(split(bytes.fromhex(vector["packet_hex"]))[1])
    assert connected.reason == vector["reason"]
    assert connected.keep_alive == vector["properties"]["server_keep_alive"]
    assert connected.receive_maximum == vector["properties"]["receive_maximum"]
    assert (connected.maximum_qos, connected.retain_available) == (2, True)
    assert connected.max_packet_size == 268_435_460


def test_connect_says_everything() -> None:
    """User, password, will with its properties, and our limits are in their places."""
    will = Publish("a/b", b"\xf6", text=True, qos=1, retain=True, meta="me")
    packet = encode_connect(
        "id",
        keep_alive=15,
        will=will,
        username="user",
        password="secret",
        receive_maximum=10,
        max_packet_size=1 << 20,
    )
    properties = bytes.fromhex("08 21000a 2700100000")
    will_properties = b"\x01\x01\x26" + text("MoaT") + text("me")
    body = text("MQTT") + b"\x05" + bytes((0b11101110,)) + b"\x00\x0f" + properties + text("id")
    body += bytes((len(will_properties),)) + will_properties + text("a/b") + text(b"\xf6")
    body += text("user") + text("secret")
    assert packet == bytes((0x10, len(body))) + body


def test_user_name_alone() -> None:
    """There may be a user name without a password."""
    packet = encode_connect("i", keep_alive=0, username="u")
    assert packet == bytes.fromhex("1011 00044d515454 05 82 0000 00 000169 000175")


topics = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=50)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)
messages = st.builds(
    Publish,
    topics,
    st.binary(max_size=300),
    text=st.booleans(),
    retain=st.booleans(),
    meta=st.none() | texts,
    response_topic=st.none() | topics,
    correlation=st.none() | st.binary(max_size=300),
)


@given(messages, st.integers(0, 1), st.integers(1, 65535), st.none() | st.integers(0, 2**32 - 1))
def test_publish_round_trip(message: Publish, qos: int, packet_id: int, expiry: int | None) -> None:
    """Everything that is sent arrives, whatever properties it takes."""
    packet = encode_publish(message, qos=qos, packet_id=packet_id, expiry=expiry)
    message.qos = qos
    assert decode_publish(*split(packet)) == (packet_id if qos else 0, message)


MOAT = b"\x26" + text("MoaT") + text("m")


@pytest.mark.parametrize(
    ("props", "expected"),
    [
        (b"", Publish("t", b"p")),
        (MOAT, Publish("t", b"p", meta="m")),
        (b"\x01\x00" + MOAT, Publish("t", b"p", meta="m")),
        (b"\x01\x01", Publish("t", b"p", text=True)),
        (b"\x01\x01" + MOAT, Publish("t", b"p", text=True, meta="m")),
        (MOAT + b"\x01\x01", Publish("t", b"p", text=True, meta="m")),
        (b"\x02\x00\x00\x00\x05" + MOAT, Publish("t", b"p", meta="m")),
        (b"\x03" + text("application/cbor") + MOAT, Publish("t", b"p", meta="m")),
        (b"\x0b\x05\x0b\xff\xff\xff\x7f" + MOAT, Publish("t", b"p", meta="m")),
        (b"\x26" + text("other") + text("x") + MOAT, Publish("t", b"p", meta="m")),
        (MOAT + b"\x26" + text("other") + text("x"), Publish("t", b"p", meta="m")),
        (b"\x26" + text("other") + text("x"), Publish("t", b"p")),
        (b"\x08" + text("r"), Publish("t", b"p", response_topic="r")),
        (b"\x09" + text(b"\xff\x00"), Publish("t", b"p", correlation=b"\xff\x00")),
    ],
)
def test_properties_of_publish(props: bytes, expected: Publish) -> None:
    """Every order and company of properties is read."""
    assert decode_publish(*split(fake_broker.publish("t", b"p", props=props))) == (0, expected)


def test_flags_of_publish() -> None:
    """Retain, QoS and dup come from the first byte, in the fast and in the thorough way."""
    for props in (MOAT, MOAT + b"\x0b\x01"):
        packet = fake_broker.publish("t", flags=0b1101, packet_id=7, props=props)
        message = Publish("t", b"", retain=True, qos=2, meta="m", dup=True)
        assert decode_publish(*split(packet)) == (7, message)


@pytest.mark.parametrize(
    ("topic", "props"),
    [
        (b"\xff", b""),
        (b"\xff", b"\x0b\x01"),
        (b"", b""),
        (b"", b"\x0b\x01"),
        (b"t", b"\x26" + text("MoaT") + text(b"\xc3\x28")),
        (b"t", b"\x0b\x01\x26" + text("MoaT") + text(b"\xc3\x28")),
        (b"t", b"\x08" + text(b"\xed\xa0\x80")),
        (b"t", b"\x01\x02"),
        (b"t", b"\x01\x02\x0b\x01"),
    ],
)
def test_unreadable_publish_is_nothing_but_that(topic: bytes, props: bytes) -> None:
    """Text that is no text costs one message, not the connection: anybody could send it."""
    packet = fake_broker.publish(topic, flags=2, packet_id=7, props=props)
    assert decode_publish(*split(packet)) == (7, None)


def test_thousands_of_user_properties() -> None:
    """A message with more properties than anybody needs is dropped before it takes time."""
    props = (b"\x26" + text("") + text("")) * (MAX_PROPERTIES + 1)
    length = len(props)
    size = bytes((length & 0x7F | 0x80, length >> 7))
    assert decode_publish(0, text("t") + size + props) == (0, None)
    with pytest.raises(UnreadableError):
        decode_properties(size + props, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\x00\x05abc",
        b"\x00\x01t",
        b"\x00\x01t\x05",
        b"\x00\x01t\x80",
        b"\x00\x01t\x80\x80\x80\x80\x01",
        b"\x00\x01t\x01\x01",
        b"\x00\x01t\x01\x26",
        b"\x00\x01t\x02\x0b\x80",
        b"\x00\x01t\x02\x26\x00",
        b"\x00\x01t\x05\x26\x00\x04Mo",
        b"\x00\x01t\x07\x26\x00\x04MoaT",
        b"\x00\x01t\x09\x26\x00\x04MoaT\x00\x05ab",
        b"\x00\x01t\x03\x08\x00\x05ab",
        b"\x00\x01t\x02\x7f\x00",
        b"\x00\x01t\x02\x02\x00payload",
        b"\x00\x01t\x03\x23\x00\x01",
    ],
)
def test_broken_publish(body: bytes) -> None:
    """Lengths that do not add up are the broker's fault."""
    with pytest.raises(ProtocolError):
        decode_publish(0, body)


def test_publish_cut_short_in_the_packet_identifier() -> None:
    """At QoS 1 the packet identifier must be there."""
    with pytest.raises(ProtocolError, match="too short"):
        decode_publish(2, b"\x00\x01t\x00")


def test_broken_connack() -> None:
    """Two bytes are the answer of a broker before MQTT 5."""
    with pytest.raises(ProtocolError, match="too short for MQTT 5"):
        decode_connack(b"\x00\x00")


def test_connack_in_full() -> None:
    """All limits and words of the broker are read, its words made fit for a log line."""
    props = b"\x12" + text("given") + b"\x13\x00\x0a\x21\x00\x01\x24\x00\x25\x00"
    props += b"\x27\x00\x00\x01\x00\x1f" + text(b"no\n\xff" + b"x" * 300)
    connected = decode_connack(b"\x00\x00" + bytes((len(props) & 0x7F | 0x80, 2)) + props)
    assert (connected.client_id, connected.keep_alive, connected.receive_maximum) == (
        "given",
        10,
        1,
    )
    assert (connected.maximum_qos, connected.retain_available) == (0, False)
    assert connected.max_packet_size == 256
    assert connected.text == "no?\ufffd" + "x" * 196


def test_acknowledgements() -> None:
    """PUBACK in its three lengths, SUBACK with a code for each filter."""
    puback, suback = Packet.PUBACK, Packet.SUBACK
    assert decode_ack(puback, b"\x01\x02") == Acknowledged(puback, 258, b"\x00")
    assert decode_ack(puback, b"\x01\x02\x87") == Acknowledged(puback, 258, b"\x87")
    words = b"\x06\x1f" + text("why")
    assert decode_ack(puback, b"\x01\x02\x87" + words) == Acknowledged(puback, 258, b"\x87", "why")
    assert decode_ack(suback, b"\x00\x01\x00\x00\x87") == Acknowledged(suback, 1, b"\x00\x87")
    for broken in (b"", b"\x00", b"\x00\x01\x00\x05"):
        with pytest.raises(ProtocolError):
            decode_ack(puback, broken)
    with pytest.raises(ProtocolError):
        decode_ack(suback, b"\x00\x01")


def test_disconnect() -> None:
    """The broker's good-bye may be empty."""
    assert decode_disconnect(b"") == Disconnected(0)
    assert decode_disconnect(b"\x8e") == Disconnected(0x8E)
    assert decode_disconnect(b"\x98\x05\x1f" + text("go")) == Disconnected(0x98, "go")
    assert encode_disconnect(Reason.MALFORMED) == b"\xe0\x01\x81"


def test_small_packets() -> None:
    """Acknowledgements and UNSUBSCRIBE have the bytes of the specification."""
    assert encode_ack(Packet.PUBACK, 258) == bytes.fromhex("40020102")
    assert encode_ack(Packet.PUBCOMP, 1, Reason.UNKNOWN_PACKET_ID) == bytes.fromhex("7003000192")
    assert encode_unsubscribe(1, ["a", "b/#"]) == b"\xa2\x0b\x00\x01\x00" + text("a") + text("b/#")


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "\ud800", "x" * 65536])
def test_impossible_topic(topic: str) -> None:
    """A topic that MQTT does not know cannot be sent."""
    with pytest.raises(EncodeError):
        encode_publish(Publish(topic, b""))


def test_impossible_sizes() -> None:
    """What MQTT cannot carry is refused here."""
    with pytest.raises(EncodeError, match="more than MQTT knows"):
        encode_publish(Publish("t", bytes(268_435_455)))
    with pytest.raises(EncodeError, match="65535"):
        encode_publish(Publish("t", b"", correlation=bytes(65536)))


def test_expiry_beyond_all_bounds() -> None:
    """The longest time that MQTT knows is long enough."""
    packet = encode_publish(Publish("t", b""), expiry=1 << 40)
    assert packet == fake_broker.publish("t", props=b"\x02\xff\xff\xff\xff")


def test_password_stays_secret() -> None:
    """The error about a password does not contain it."""
    with pytest.raises(EncodeError) as caught:
        encode_connect("i", keep_alive=0, username="u", password="hunter2\ud800")
    assert "hunter2" not in repr(caught.value) + str(caught.value)


def test_reasons_in_words() -> None:
    """Known reasons have words, others their number."""
    assert reason_name(0x87) == "not authorized"
    assert reason_name(0xEE) == "reason 0xee"


@given(st.integers(0, 15), st.binary(max_size=200))
def test_garbage(flags: int, body: bytes) -> None:
    """Whatever comes, the only error is ours."""
    for decode in (
        lambda: decode_publish(flags, body),
        lambda: decode_connack(body),
        lambda: decode_disconnect(body),
        lambda: decode_ack(Packet.PUBACK, body),
        lambda: decode_ack(Packet.SUBACK, body),
    ):
        with contextlib.suppress(ProtocolError):
            decode()
