"""MQTT 5 packets: values to bytes and back. Pure, and only what a client needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .errors import DecodeError, EncodeError
from .mqtt_codes import BYTES, PAIR, PROPERTY_KINDS, VARINT, Packet, Property, Reason

MAX_REMAINING: Final = 268_435_455
MAX_PACKET_SIZE: Final = MAX_REMAINING + 5
MAX_PROPERTIES: Final = 1000
DISCONNECT: Final = b"\xe0\x00"
PINGREQ: Final = b"\xc0\x00"


class ProtocolError(DecodeError):
    """The peer broke the protocol; the connection cannot go on. `code` is what to tell it."""

    def __init__(self, problem: str, code: Reason = Reason.MALFORMED) -> None:
        """Take the problem in words and the reason code of our DISCONNECT."""
        super().__init__(problem)
        self.code = code


class UnreadableError(ProtocolError):
    """One message is not readable (text that is no text); the connection is fine."""


@dataclass(slots=True)
class Publish:
    """A message as MQTT carries it; `meta` is the user property `MoaT`."""

    topic: str
    payload: bytes
    text: bool = False
    retain: bool = False
    qos: int = 0
    meta: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    dup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """CONNACK: the broker's answer to CONNECT, and its limits."""

    reason: int
    text: str = ""
    client_id: str | None = None
    keep_alive: int | None = None
    receive_maximum: int = 65535
    maximum_qos: int = 2
    retain_available: bool = True
    max_packet_size: int = MAX_PACKET_SIZE


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK, SUBACK or UNSUBACK: one reason code for each thing asked."""

    packet: Packet
    packet_id: int
    reasons: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    """PINGRESP."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """DISCONNECT: the broker says why it hangs up."""

    reason: int
    text: str = ""


def encode_connect(
    client_id: str,
    *,
    keep_alive: int,
    will: Publish | None = None,
    username: str | None = None,
    password: str | None = None,
    receive_maximum: int | None = None,
    max_packet_size: int | None = None,
) -> bytes:
    """Ask for a new session that ends with the connection."""
    flags = 0x02
    properties = b""
    if receive_maximum is not None:
        properties += bytes((Property.RECEIVE_MAXIMUM,)) + receive_maximum.to_bytes(2)
    if max_packet_size is not None:
        properties += bytes((Property.MAXIMUM_PACKET_SIZE,)) + max_packet_size.to_bytes(4)
    content = _string(client_id)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        content += _sized(_message_properties(will, None))
        content += _topic(will.topic) + _binary(will.payload)
    if username is not None:
        flags |= 0x80
        content += _string(username)
    if password is not None:
        flags |= 0x40
        content += _binary(_utf8(password))
    head = b"\x00\x04MQTT\x05" + bytes((flags,)) + keep_alive.to_bytes(2)
    return _packet(Packet.CONNECT << 4, head + _sized(properties) + content)


def encode_publish(
    message: Publish, *, qos: int = 0, packet_id: int = 0, expiry: int | None = None
) -> bytes:
    """Publish a message at this QoS (its own is not looked at); `expiry` in seconds."""
    head = Packet.PUBLISH << 4 | qos << 1 | message.retain
    identifier = packet_id.to_bytes(2) if qos else b""
    properties = _sized(_message_properties(message, expiry))
    return _packet(head, _topic(message.topic) + identifier + properties + message.payload)


def encode_subscribe(packet_id: int, filters: Sequence[str], options: int) -> bytes:
    """Subscribe to all filters with the same options byte."""
    tail = bytes((options,))
    body = b"".join(_string(name) + tail for name in filters)
    return _packet(Packet.SUBSCRIBE << 4 | 2, packet_id.to_bytes(2) + b"\x00" + body)


def encode_unsubscribe(packet_id: int, filters: Sequence[str]) -> bytes:
    """Unsubscribe from all filters."""
    body = b"".join(map(_string, filters))
    return _packet(Packet.UNSUBSCRIBE << 4 | 2, packet_id.to_bytes(2) + b"\x00" + body)


def encode_ack(packet: Packet, packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:
    """Acknowledge with PUBACK, PUBREC or PUBCOMP."""
    tail = bytes((reason,)) if reason else b""
    return bytes((packet << 4, 2 + len(tail))) + packet_id.to_bytes(2) + tail


def encode_disconnect(reason: Reason) -> bytes:
    """Hang up with a reason."""
    return bytes((Packet.DISCONNECT << 4, 1, reason))


def decode_publish(flags: int, body: bytes) -> tuple[int, Publish | None]:
    """Return packet id (0 at QoS 0) and message; None when it is not readable."""
    packet_id = text = 0
    meta = None
    try:
        at = 2 + (body[0] << 8 | body[1])
        topic = body[2:at]
        if flags & 6:
            packet_id = body[at] << 8 | body[at + 1]
            at += 2
        length, start = (body[at], at + 1) if body[at] < 128 else decode_varint(body, at)
        end = start + length
        if end > len(body):
            raise ProtocolError("PUBLISH: properties longer than the packet")
        if length:
            if body[start] == Property.PAYLOAD_FORMAT:
                text = body[start + 1]
                start += 2
            if start != end:
                if not body.startswith(_MOAT, start) or (
                    start + 9 + (body[start + 7] << 8 | body[start + 8]) != end
                ):
                    return packet_id, _decode_rare(flags, topic, body, at)
                meta = body[start + 9 : end].decode()
        message = Publish(
            topic.decode(), body[end:], text == 1, flags & 1 == 1, flags >> 1 & 3, meta
        )
    except IndexError:
        raise ProtocolError("PUBLISH: too short") from None
    except UnicodeDecodeError, UnreadableError:
        return packet_id, None
    message.dup = flags & 8 == 8
    return packet_id, message if text < 2 and topic else None


def decode_connack(body: bytes) -> Connected:
    """Decode the answer to CONNECT."""
    if len(body) < 3:
        raise ProtocolError("CONNACK: too short for MQTT 5")
    numbers, texts, _ = decode_properties(body, 2)
    return Connected(
        reason=body[1],
        text=_words(texts.get(Property.REASON_STRING)),
        client_id=_words(texts.get(Property.ASSIGNED_CLIENT_ID)) or None,
        keep_alive=numbers.get(Property.SERVER_KEEP_ALIVE),
        receive_maximum=numbers.get(Property.RECEIVE_MAXIMUM, 65535),
        maximum_qos=numbers.get(Property.MAXIMUM_QOS, 2),
        retain_available=numbers.get(Property.RETAIN_AVAILABLE, 1) == 1,
        max_packet_size=numbers.get(Property.MAXIMUM_PACKET_SIZE, MAX_PACKET_SIZE),
    )


def decode_ack(packet: Packet, body: bytes) -> Acknowledged:
    """Decode PUBACK, PUBREL, SUBACK or UNSUBACK."""
    if len(body) < 2:
        raise ProtocolError(f"{packet.name}: too short")
    texts: dict[int, bytes] = {}
    if packet in (Packet.SUBACK, Packet.UNSUBACK):
        _, texts, at = decode_properties(body, 2)
        reasons = body[at:]
    else:
        reasons = body[2:3] or b"\x00"
        if len(body) > 3:
            _, texts, _ = decode_properties(body, 3)
    text = _words(texts.get(Property.REASON_STRING))
    return Acknowledged(packet, body[0] << 8 | body[1], reasons, text)


def decode_disconnect(body: bytes) -> Disconnected:
    """Decode the broker's good-bye."""
    if len(body) < 2:
        return Disconnected(body[0] if body else 0)
    _, texts, _ = decode_properties(body, 1)
    return Disconnected(body[0], _words(texts.get(Property.REASON_STRING)))


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the variable byte integer there and the index behind it; IndexError if cut short."""
    value = 0
    for shift in (0, 7, 14, 21):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ProtocolError("a length of more than four bytes")


def decode_properties(body: bytes, at: int) -> tuple[dict[int, int], dict[int, bytes], int]:
    """Return numbers, texts (of user properties only MoaT) and the index behind them."""
    numbers: dict[int, int] = {}
    texts: dict[int, bytes] = {}
    try:
        length, at = decode_varint(body, at)
        end = at + length
        for _ in range(MAX_PROPERTIES):
            if at >= end:
                break
            at = _decode_property(body, at, numbers, texts)
    except IndexError:
        raise ProtocolError("properties cut short") from None
    if at < end <= len(body):
        raise UnreadableError("too many properties")
    if at != end or end > len(body):
        raise ProtocolError("properties of the wrong length")
    return numbers, texts, end


_MOAT: Final = b"\x26\x00\x04MoaT"
_TEXT_LIMIT: Final = 200


def _decode_rare(flags: int, topic: bytes, body: bytes, at: int) -> Publish | None:
    """Decode a PUBLISH with more than the properties every MoaT message has."""
    numbers, texts, end = decode_properties(body, at)
    if Property.TOPIC_ALIAS in numbers:
        raise ProtocolError("PUBLISH: topic alias", Reason.TOPIC_ALIAS_INVALID)
    text = numbers.get(Property.PAYLOAD_FORMAT, 0)
    meta = texts.get(Property.USER_PROPERTY)
    response_topic = texts.get(Property.RESPONSE_TOPIC)
    if text > 1 or not topic:
        return None
    return Publish(
        topic=topic.decode(),
        payload=body[end:],
        text=text == 1,
        retain=flags & 1 == 1,
        qos=flags >> 1 & 3,
        meta=None if meta is None else meta.decode(),
        response_topic=None if response_topic is None else response_topic.decode(),
        correlation=texts.get(Property.CORRELATION_DATA),
        dup=flags & 8 == 8,
    )


def _decode_property(body: bytes, at: int, numbers: dict[int, int], texts: dict[int, bytes]) -> int:
    name = body[at]
    kind = PROPERTY_KINDS.get(name)
    at += 1
    if kind is None:
        raise ProtocolError(f"unknown property 0x{name:02x}")
    if kind == PAIR:
        key, at = _bytes_at(body, at)
        value, at = _bytes_at(body, at)
        if key == b"MoaT":
            texts[name] = value
    elif kind == BYTES:
        texts[name], at = _bytes_at(body, at)
    elif kind == VARINT:
        numbers[name], at = decode_varint(body, at)
    else:
        numbers[name] = int.from_bytes(body[at : at + kind])
        at += kind
    return at


def _bytes_at(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + (body[at] << 8 | body[at + 1])
    return body[at + 2 : end], end


def _words(text: bytes | None) -> str:
    """Return the broker's words, fit for a log line."""
    words = (text or b"")[:_TEXT_LIMIT].decode(errors="replace")
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def _message_properties(message: Publish, expiry: int | None) -> bytes:
    properties = b"\x01\x01" if message.text else b""
    if expiry is not None:
        properties += b"\x02" + min(expiry, 0xFFFFFFFF).to_bytes(4)
    if message.response_topic is not None:
        properties += b"\x08" + _topic(message.response_topic)
    if message.correlation is not None:
        properties += b"\x09" + _binary(message.correlation)
    if message.meta is not None:
        properties += _MOAT + _string(message.meta)
    return properties


def _topic(topic: str) -> bytes:
    if not topic or "+" in topic or "#" in topic:
        raise EncodeError("a topic to publish to is neither empty nor has wildcards")
    return _string(topic)


def _string(text: str) -> bytes:
    if "\0" in text:
        raise EncodeError("MQTT text without NUL characters only")
    return _binary(_utf8(text))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise EncodeError("MQTT text must be valid Unicode") from None


def _binary(data: bytes) -> bytes:
    if len(data) > 65535:
        raise EncodeError("MQTT text and binary data end at 65535 bytes")
    return len(data).to_bytes(2) + data


def _packet(head: int, body: bytes) -> bytes:
    if len(body) > MAX_REMAINING:
        raise EncodeError(f"a packet of {len(body)} bytes is more than MQTT knows")
    return bytes((head,)) + _varint(len(body)) + body


def _sized(block: bytes) -> bytes:
    return _varint(len(block)) + block


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
