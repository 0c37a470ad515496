"""The protocol without I/O: framing, identifiers, flow control, and every kind of nonsense."""

import contextlib
import random
import time
import tracemalloc

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.errors import EncodeError, RefusedError
from firmware_bridge.link.mqtt import MAX_PACKET_SIZE, RECEIVE_MAXIMUM, Event, Protocol
from firmware_bridge.link.mqtt_codes import Packet
from firmware_bridge.link.mqtt_packets import (
    Acknowledged,
    Connected,
    Disconnected,
    Pong,
    ProtocolError,
    Publish,
)
from tests.support.fake_broker import ACCEPTED, PINGRESP, packet, publish, text

LONG = publish("long", bytes(100_000))


def connected(answer: bytes = ACCEPTED, **limits: int) -> Protocol:
    """Return a protocol whose CONNECT was accepted."""
    protocol = Protocol(**limits)
    assert isinstance(events(protocol, answer)[0], Connected)
    return protocol


def accepted(props: bytes) -> bytes:
    """Build a CONNACK with properties."""
    return packet(0x20, b"\x00\x00" + bytes((len(props),)) + props)


def events(protocol: Protocol, data: bytes = b"", size: int = 1 << 20) -> list[Event]:
    """Feed the bytes in pieces of `size` and return everything that comes of them."""
    result: list[Event] = []
    for start in range(0, max(len(data), 1), size):
        protocol.feed(data[start : start + size])
        while (event := protocol.next_event()) is not None:
            result.append(event)
    return result


def test_connect_asks_for_our_limits() -> None:
    """CONNECT announces what we take."""
    protocol = Protocol(max_packet_size=1000)
    body = b"\x05\x02\x00\x0f\x08\x21\x04\x00\x27\x00\x00\x03\xe8" + text("me")
    assert protocol.connect("me", keep_alive=15) == packet(0x10, text("MQTT") + body)


def test_events_in_order() -> None:
    """What arrives comes out in its order, all kinds mixed."""
    protocol = connected()
    data = publish("a") + PINGRESP + publish("b", b"x", flags=1) + packet(0xE0, b"\x8b")
    assert events(protocol, data) == [
        Publish("a", b""),
        Pong(),
        Publish("b", b"x", retain=True),
        Disconnected(0x8B),
    ]
    assert protocol.buffered == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 1 << 20])
def test_pieces(size: int) -> None:
    """It does not matter how the bytes are cut."""
    protocol = Protocol()
    data = ACCEPTED + publish("a", bytes(120)) + publish("b", bytes(121)) + LONG + PINGRESP
    kinds = [type(event) for event in events(protocol, data, size)]
    assert kinds == [Connected, Publish, Publish, Publish, Pong]


def test_many_small_pieces_take_linear_time() -> None:
    """A large packet in tiny pieces is not copied for each of them."""
    protocol = connected()
    data = packet(0x30, text("a") + b"\x00" + bytes(MAX_PACKET_SIZE - 8))
    started = time.process_time()
    assert len(events(protocol, data, 16)) == 1
    assert time.process_time() - started < 5


def test_packet_larger_than_we_take() -> None:
    """A length beyond our limit is refused before anything is kept."""
    protocol = connected(max_packet_size=1000)
    assert len(events(protocol, publish("a", bytes(992)))) == 1
    with pytest.raises(ProtocolError, match="a packet of") as caught:
        events(protocol, b"\x30\xff\xff\xff\x7f")
    assert caught.value.code == 0x95


def test_length_of_five_bytes() -> None:
    """There is no such length."""
    with pytest.raises(ProtocolError):
        events(connected(), b"\x30\xff\xff\xff\xff")


def test_qos_1_is_acknowledged_after_it_was_taken() -> None:
    """The acknowledgement is ready once the message has been handed out."""
    protocol = connected()
    protocol.feed(publish("a", flags=2, packet_id=7))
    assert protocol.replies() == b""
    assert protocol.next_event() == Publish("a", b"", qos=1)
    assert protocol.replies() == bytes.fromhex("40020007")
    assert protocol.replies() == b""


def test_qos_2_is_delivered_once() -> None:
    """PUBREC, PUBREL, PUBCOMP; a repetition in between is acknowledged and dropped."""
    protocol = connected()
    again = publish("a", flags=0b1100, packet_id=7)
    assert len(events(protocol, publish("a", flags=4, packet_id=7) + again)) == 1
    assert protocol.replies() == bytes.fromhex("50020007 50020007")
    release = packet(0x62, b"\x00\x07")
    assert events(protocol, release + release) == []
    assert protocol.replies() == bytes.fromhex("70020007 7003000792")
    assert len(events(protocol, publish("a", flags=4, packet_id=7))) == 1


def test_too_much_qos_2() -> None:
    """The broker keeps to our receive maximum, or it is not one."""
    protocol = connected()
    for number in range(RECEIVE_MAXIMUM):
        assert len(events(protocol, publish("a", flags=4, packet_id=number + 1))) == 1
    with pytest.raises(ProtocolError) as caught:
        events(protocol, publish("a", flags=4, packet_id=5000))
    assert caught.value.code == 0x93


def test_unreadable_messages_are_counted() -> None:
    """They are acknowledged, so that they do not come again, and nothing else happens."""
    protocol = connected()
    assert events(protocol, publish(b"\xff", flags=2, packet_id=1) + publish("a")) == [
        Publish("a", b"")
    ]
    assert protocol.unreadable == 1
    assert protocol.replies() == bytes.fromhex("40020001")


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x00\x00",
        b"\xd1\x00",
        b"\x60\x02\x00\x01",
        b"\x32\x04\x00\x01a\x00",
        publish("a", flags=6, packet_id=1),
        publish("a", flags=2, packet_id=0),
        ACCEPTED,
        packet(0x40, b"\x00\x01"),
        packet(0x90, b"\x00\x01\x00\x00"),
        packet(0x50, b"\x00\x01"),
        packet(0x70, b"\x00\x01"),
        packet(0x10),
        packet(0x82),
        packet(0xA2),
        packet(0xC0),
        packet(0xF0),
        packet(0x62, b"\x00"),
    ],
    ids=bytes.hex,
)
def test_nonsense(wrong: bytes) -> None:
    """A broker that says such a thing is not worth staying with."""
    with pytest.raises(ProtocolError):
        events(connected(), wrong)


@pytest.mark.parametrize(
    "first",
    [PINGRESP, publish("a"), b"HTTP/1.1 400 Bad Request", b"\x20\x02\x00\x00", b"\x15\x03\x01\x00"],
)
def test_wrong_first_packet(first: bytes) -> None:
    """The first packet of a broker is a CONNACK of MQTT 5."""
    with pytest.raises(ProtocolError):
        events(Protocol(), first)


@pytest.mark.parametrize("props", [b"\x21\x00\x00", b"\x27\x00\x00\x00\x00"])
def test_limits_of_zero(props: bytes) -> None:
    """Limits of zero are forbidden, and would stop us for good."""
    with pytest.raises(ProtocolError):
        events(Protocol(), accepted(props))


def test_refused_connect() -> None:
    """A refusal is an event; there are no limits then."""
    protocol = Protocol()
    assert events(protocol, packet(0x20, b"\x00\x87\x00")) == [Connected(reason=0x87)]
    assert protocol.server is None
    with pytest.raises(EncodeError):
        protocol.publish_unconfirmed(Publish("a", b"", retain=True))


def test_receive_maximum_of_the_broker() -> None:
    """There is room for so many messages at QoS 1; each PUBACK makes room again."""
    protocol = connected(accepted(b"\x21\x00\x02"))
    first, _ = protocol.publish(Publish("a", b""))
    second, _ = protocol.publish(Publish("a", b""))
    assert (first, second, protocol.can_publish) == (1, 2, False)
    assert events(protocol, packet(0x40, b"\x00\x01\x10")) == [
        Acknowledged(Packet.PUBACK, 1, b"\x10")
    ]
    assert protocol.can_publish
    protocol.withdraw(second)
    assert protocol.publish(Publish("a", b""))[0] == 3


def test_identifiers_in_use_are_left_out() -> None:
    """Packet identifiers go round, past those that wait for an answer; there are 65535."""
    protocol = connected()
    [(kept, _, _)] = protocol.subscribe(["a"], 0)
    for _ in range(65534):
        protocol.withdraw(protocol.publish(Publish("a", b""))[0])
    assert (kept, protocol.publish(Publish("a", b""))[0]) == (1, 2)
    for _ in range(65533):
        protocol.subscribe(["a"], 0)
    assert not protocol.can_publish
    with pytest.raises(RefusedError):
        protocol.subscribe(["a"], 0)


def test_broker_without_qos_1() -> None:
    """A message cannot be confirmed there."""
    with pytest.raises(RefusedError, match="QoS 0"):
        connected(accepted(b"\x24\x00")).publish(Publish("a", b""))


def test_broker_without_retain() -> None:
    """A message cannot be retained there, others pass."""
    protocol = connected(accepted(b"\x25\x00"))
    assert protocol.publish_unconfirmed(Publish("a", b""))
    for send in (protocol.publish, protocol.publish_unconfirmed):
        with pytest.raises(RefusedError, match="retains nothing"):
            send(Publish("a", b"", retain=True))


def test_broker_with_a_small_packet_size() -> None:
    """What it does not take is not sent, and costs no identifier."""
    protocol = connected(accepted(b"\x27\x00\x00\x00\x20"))
    for send in (protocol.publish, protocol.publish_unconfirmed):
        with pytest.raises(EncodeError, match="32 at most"):
            send(Publish("a", bytes(40)))
    with pytest.raises(EncodeError):
        protocol.subscribe(["x" * 40], 0)
    assert [filters for _, _, filters in protocol.subscribe(["aa", "bb", "cc"], 8)] == [
        ["aa"],
        ["bb"],
        ["cc"],
    ]


def test_many_filters_take_several_packets() -> None:
    """Filters are split by size; each packet has its own answer."""
    protocol = connected()
    names = [f"some/quite/long/filter/{number}/#" for number in range(2000)]
    packets = protocol.subscribe(names, 8)
    assert [name for _, _, filters in packets for name in filters] == names
    assert max(len(data) for _, data, _ in packets) < 65536
    assert len(packets) == 4
    packet_id, _, filters = packets[1]
    answer = packet_id.to_bytes(2) + b"\x00" + bytes(len(filters))
    [event] = events(protocol, packet(0x90, answer))
    assert isinstance(event, Acknowledged)
    assert len(event.reasons) == len(filters)


def test_answer_with_the_wrong_number_of_reasons() -> None:
    """An answer must have one code for each filter, and come from the right packet."""
    for wrong in (packet(0x90, b"\x00\x01\x00\x00"), packet(0xB0, b"\x00\x01\x00\x00\x00")):
        protocol = connected()
        protocol.subscribe(["a", "b"], 0)
        with pytest.raises(ProtocolError):
            events(protocol, wrong)


def test_unsubscribe() -> None:
    """UNSUBSCRIBE has an answer for each filter."""
    protocol = connected()
    [(packet_id, data, filters)] = protocol.unsubscribe(["a", "b"])
    assert (packet_id, data[0], list(filters)) == (1, 0xA2, ["a", "b"])
    assert events(protocol, packet(0xB0, b"\x00\x01\x00\x00\x11")) == [
        Acknowledged(Packet.UNSUBACK, 1, b"\x00\x11")
    ]
    assert protocol.subscribe([], 0) == []


CORPUS = (
    publish("moat/link/a", b"\x01", props=b"\x26" + text("MoaT") + text("vec\\`$5@M{6G)@00")),
    publish("a/b", b"text", flags=0b1101, packet_id=3, props=b"\x01\x01\x0b\x07"),
    publish("c", flags=2, packet_id=9, props=b"\x08" + text("r") + b"\x09" + text("c")),
    packet(0x62, b"\x00\x03"),
    packet(0x40, b"\x00\x01\x87\x05\x1f" + text("no")),
    packet(0x90, b"\x00\x02\x00\x00\x87"),
    packet(0xB0, b"\x00\x03\x00\x11"),
    PINGRESP,
    packet(0xE0, b"\x8e\x00"),
)


def survives(data: bytes, size: int) -> None:
    """Whatever comes, there are events and at most one ProtocolError."""
    protocol = connected()
    protocol.publish(Publish("a", b""))
    protocol.subscribe(["a", "b"], 0)
    protocol.unsubscribe(["a"])
    with contextlib.suppress(ProtocolError):
        events(protocol, data, size)
    protocol.replies()


@given(st.binary(max_size=500), st.integers(1, 500))
def test_garbage(data: bytes, size: int) -> None:
    """Random bytes do no harm."""
    survives(data, size)


@given(st.lists(st.sampled_from(CORPUS), max_size=8), st.data())
def test_mutations(packets: list[bytes], data: st.DataObject) -> None:
    """Nor do good packets with a few bytes changed, cut out or put in."""
    mutated = bytearray(b"".join(packets))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    survives(bytes(mutated), data.draw(st.integers(1, 100)))


def test_fuzz_bounded() -> None:
    """Thousands of mutations in a row need neither much time each nor much memory."""
    chance = random.Random(5)
    source = b"".join(CORPUS)
    tracemalloc.start()
    slowest = 0.0
    for _ in range(5000):
        mutated = bytearray(source)
        for _ in range(chance.randint(1, 6)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        started = time.process_time()
        survives(bytes(mutated), chance.randint(1, len(mutated)))
        slowest = max(slowest, time.process_time() - started)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert slowest < 0.5
    assert peak < 5_000_000
