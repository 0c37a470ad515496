"""The client's side of one MQTT 5 connection, without I/O: bytes in, events out."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from .errors import EncodeError, RefusedError
from .mqtt_codes import Packet, Reason
from .mqtt_packets import (
    Acknowledged,
    Connected,
    Disconnected,
    Pong,
    ProtocolError,
    Publish,
    decode_ack,
    decode_connack,
    decode_disconnect,
    decode_publish,
    decode_varint,
    encode_ack,
    encode_connect,
    encode_publish,
    encode_subscribe,
    encode_unsubscribe,
)

type Event = Publish | Acknowledged | Pong | Connected | Disconnected

RECEIVE_MAXIMUM: Final = 1024
MAX_PACKET_SIZE: Final = 1 << 20
_JOIN: Final = 1 << 20
_SUBSCRIBE_SIZE: Final = 1 << 16


class Protocol:
    """Frames, packet identifiers, flow control and the receiver's half of QoS 1 and 2.

    `feed` what arrives, take events with `next_event` until there is None, then send `replies`.
    After a ProtocolError nothing but hanging up makes sense.
    """

    def __init__(self, *, max_packet_size: int = MAX_PACKET_SIZE) -> None:
        """Accept packets of at most `max_packet_size` bytes."""
        self.max_packet_size = max_packet_size
        self.server: Connected | None = None
        self.buffered = 0
        self.unreadable = 0
        self._chunks: deque[bytes] = deque()
        self._data = b""
        self._at = 0
        self._wanted = 2
        self._replies: list[bytes] = []
        self._last_id = 0
        self._pending: dict[int, tuple[Packet, int]] = {}
        self._publishing = 0
        self._received: set[int] = set()

    def connect(
        self,
        client_id: str,
        *,
        keep_alive: int,
        will: Publish | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> bytes:
        """Return the CONNECT packet."""
        return encode_connect(
            client_id,
            keep_alive=keep_alive,
            will=will,
            username=username,
            password=password,
            receive_maximum=RECEIVE_MAXIMUM,
            max_packet_size=self.max_packet_size,
        )

    def feed(self, data: bytes) -> None:
        """Take what has arrived; costs nothing, whatever its size."""
        self._chunks.append(data)
        self.buffered += len(data)

    def next_event(self) -> Event | None:
        """Return the next event, None when more bytes are needed; raises ProtocolError."""
        while (packet := self._next_packet()) is not None:
            head, body = packet
            if head >> 4 == 3 and self.server is not None:  # Packet.PUBLISH, most of the time
                event: Event | None = self._publish_in(head & 15, body)
            else:
                event = self._other_in(head, body)
            if event is not None:
                return event
        if self.server is None and self._data[self._at : self._at + 1] not in (b"", b"\x20"):
            raise ProtocolError("the answer to CONNECT is no CONNACK")
        return None

    def replies(self) -> bytes:
        """Return the acknowledgements of all events taken so far, once."""
        data = b"".join(self._replies)
        self._replies.clear()
        return data

    @property
    def can_publish(self) -> bool:
        """Whether the broker takes one more QoS 1 message now."""
        return self._publishing < self._limits().receive_maximum and len(self._pending) < 65535

    def publish_unconfirmed(self, message: Publish) -> bytes:
        """Return the PUBLISH packet at QoS 0."""
        return self._checked(message, encode_publish(message))

    def publish(self, message: Publish, *, expiry: int | None = None) -> tuple[int, bytes]:
        """Return packet id and PUBLISH packet at QoS 1, counted against the receive maximum."""
        if self._limits().maximum_qos < 1:
            raise RefusedError("the broker confirms nothing (maximum QoS 0)")
        packet_id = self._free_id()
        packet = encode_publish(message, qos=1, packet_id=packet_id, expiry=expiry)
        self._checked(message, packet)
        self._pending[packet_id] = (Packet.PUBACK, 1)
        self._publishing += 1
        return packet_id, packet

    def withdraw(self, packet_id: int) -> None:
        """Forget a PUBLISH that was never sent."""
        del self._pending[packet_id]
        self._publishing -= 1

    def subscribe(
        self, filters: Sequence[str], options: int
    ) -> list[tuple[int, bytes, Sequence[str]]]:
        """Return packet id, SUBSCRIBE packet and its filters, in as many packets as needed."""
        result = []
        for some in self._split(filters):
            packet_id = self._free_id()
            packet = self._fitting(encode_subscribe(packet_id, some, options))
            self._pending[packet_id] = (Packet.SUBACK, len(some))
            result.append((packet_id, packet, some))
        return result

    def unsubscribe(self, filters: Sequence[str]) -> list[tuple[int, bytes, Sequence[str]]]:
        """Return packet id, UNSUBSCRIBE packet and its filters, in as many packets as needed."""
        result = []
        for some in self._split(filters):
            packet_id = self._free_id()
            packet = self._fitting(encode_unsubscribe(packet_id, some))
            self._pending[packet_id] = (Packet.UNSUBACK, len(some))
            result.append((packet_id, packet, some))
        return result

    def _limits(self) -> Connected:
        if self.server is None:
            raise EncodeError("not connected yet")
        return self.server

    def _checked(self, message: Publish, packet: bytes) -> bytes:
        if message.retain and not self._limits().retain_available:
            raise RefusedError("the broker retains nothing")
        return self._fitting(packet)

    def _fitting(self, packet: bytes) -> bytes:
        limit = self._limits().max_packet_size
        if len(packet) > limit:
            raise EncodeError(f"{len(packet)} bytes; the broker takes {limit} at most")
        return packet

    def _split(self, filters: Sequence[str]) -> Iterator[Sequence[str]]:
        limit = min(_SUBSCRIBE_SIZE, self._limits().max_packet_size) - 16
        some: list[str] = []
        size = 0
        for name in filters:
            more = 3 + 4 * len(name)
            if some and size + more > limit:
                yield some
                some, size = [], 0
            some.append(name)
            size += more
        if some:
            yield some

    def _free_id(self) -> int:
        if len(self._pending) >= 65535:
            raise RefusedError("65535 questions to the broker are without an answer")
        while True:
            self._last_id = self._last_id % 65535 + 1
            if self._last_id not in self._pending:
                return self._last_id

    def _next_packet(self) -> tuple[int, bytes] | None:
        while True:
            data, at = self._data, self._at
            have = len(data) - at
            self._wanted = 2
            if have >= 2:
                size, start = data[at + 1], at + 2
                if size > 127:
                    size, start = self._long_size(data, at)
                end = start + size
                if end <= len(data):
                    self._at = end
                    self.buffered -= end - at
                    return data[at], data[start:end]
                self._wanted = end - at
            if not self._join():
                return None

    def _long_size(self, data: bytes, at: int) -> tuple[int, int]:
        """Return size and start of a packet's body; beyond the data if we cannot tell yet."""
        try:
            size, start = decode_varint(data, at + 1)
        except IndexError:
            return 0, len(data) + 1
        if start + size - at > self.max_packet_size:
            raise ProtocolError(f"a packet of {size} bytes", Reason.PACKET_TOO_LARGE)
        return size, start

    def _join(self) -> bool:
        """Add what came meanwhile to the data; False if that completes nothing."""
        if not self._chunks or self.buffered < self._wanted:
            return False
        parts = [self._data[self._at :]]
        size = len(parts[0])
        goal = max(self._wanted, _JOIN)
        while self._chunks and size < goal:
            parts.append(self._chunks.popleft())
            size += len(parts[-1])
        self._data, self._at = b"".join(parts), 0
        return True

    def _publish_in(self, flags: int, body: bytes) -> Publish | None:
        packet_id, message = decode_publish(flags, body)
        if message is None:
            self.unreadable += 1
        qos = flags & 6
        if not qos:
            return message
        if qos == 6 or not packet_id:
            raise ProtocolError("PUBLISH: impossible QoS or packet identifier")
        if qos == 2:
            self._replies.append(encode_ack(Packet.PUBACK, packet_id))
            return message
        self._replies.append(encode_ack(Packet.PUBREC, packet_id))
        if packet_id in self._received:
            return None
        if len(self._received) >= RECEIVE_MAXIMUM:
            raise ProtocolError("too much at QoS 2 at once", Reason.RECEIVE_MAXIMUM_EXCEEDED)
        self._received.add(packet_id)
        return message

    def _other_in(self, head: int, body: bytes) -> Event | None:
        kind = head >> 4
        packet = Packet(kind) if kind else None
        if packet is None or head & 15 != (2 if packet is Packet.PUBREL else 0):
            raise ProtocolError(f"no packet starts with 0x{head:02x}")
        if (self.server is None) != (packet is Packet.CONNACK):
            raise ProtocolError(f"{packet.name} at the wrong time", Reason.PROTOCOL_ERROR)
        match packet:
            case Packet.CONNACK:
                return self._connack_in(body)
            case Packet.PUBACK | Packet.SUBACK | Packet.UNSUBACK:
                return self._ack_in(packet, body)
            case Packet.PUBREL:
                self._pubrel_in(body)
                return None
            case Packet.PINGRESP:
                return Pong()
            case Packet.DISCONNECT:
                return decode_disconnect(body)
            case _:
                raise ProtocolError(f"{packet.name} from a broker", Reason.PROTOCOL_ERROR)

    def _connack_in(self, body: bytes) -> Connected:
        event = decode_connack(body)
        if not event.receive_maximum or not event.max_packet_size:
            raise ProtocolError("CONNACK: a limit of zero", Reason.PROTOCOL_ERROR)
        if event.reason == Reason.SUCCESS:
            self.server = event
        return event

    def _ack_in(self, packet: Packet, body: bytes) -> Acknowledged:
        event = decode_ack(packet, body)
        if self._pending.get(event.packet_id) != (packet, len(event.reasons)):
            raise ProtocolError(f"{packet.name} out of the blue", Reason.PROTOCOL_ERROR)
        del self._pending[event.packet_id]
        if packet is Packet.PUBACK:
            self._publishing -= 1
        return event

    def _pubrel_in(self, body: bytes) -> None:
        event = decode_ack(Packet.PUBREL, body)
        known = event.packet_id in self._received
        self._received.discard(event.packet_id)
        reason = Reason.SUCCESS if known else Reason.UNKNOWN_PACKET_ID
        self._replies.append(encode_ack(Packet.PUBCOMP, event.packet_id, reason))
