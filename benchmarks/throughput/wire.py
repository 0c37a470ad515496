"""MQTT 5 packets and the one message that every part measures. Standard library only."""

import base64
import json
import mmap
import socket
import struct
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Self

ROOT = "bench"
SLOTS = 1 << 20
"""Sequence numbers start over here, so that a table of their times can be shared."""
PING = b"\xc0\x00"
PONG = b"\xd0\x00"
GOODBYE = b"\xe0\x00"
NAME = "heating.circuit.flow.sensor1"


class Format(StrEnum):
    """How the message is spelled: the same map, as one side or the other wants it."""

    CBOR = "cbor"
    """CBOR with MoaT's metadata."""
    JSON = "json"
    """JSON, and nothing beside it."""
    JSON_META = "json+meta"
    """JSON with MoaT's metadata."""


def payload(form: Format, number: int, time: float) -> bytes:
    """Return `{"v": number, "u": "kWh", "t": time, "q": true, "n": NAME}`; 60 bytes of CBOR."""
    if form is Format.CBOR:
        head = b"\xa5\x61v\x1a" + struct.pack("!I", number) + b"\x61u\x63kWh\x61t\xfb"
        return head + struct.pack("!d", time) + b"\x61q\xf5\x61n\x78\x1c" + NAME.encode()
    return json.dumps(
        {"v": number, "u": "kWh", "t": time, "q": True, "n": NAME}, separators=(",", ":")
    ).encode()


def metadata(time: float) -> str:
    """Return MoaT's metadata with this time, as a server writes them."""
    return "heating\\" + base64.b85encode(b"\xfb" + struct.pack("!d", time)).decode()


def properties(time: float) -> bytes:
    """Return the MQTT property with the metadata."""
    return b"\x26" + _text("MoaT") + _text(metadata(time))


def publish(topic: str, content: bytes, *, props: bytes = b"", retain: bool = False) -> bytes:
    """Return a PUBLISH packet at QoS 0."""
    body = _text(topic) + _length(len(props)) + props + content
    return bytes((0x30 | retain,)) + _length(len(body)) + body


def connect(port: int, name: str) -> socket.socket:
    """Connect to a broker on this machine."""
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = _text("MQTT") + b"\x05\x02\x00\x00\x00" + _text(name)
    connection.sendall(b"\x10" + _length(len(body)) + body)
    if connection.recv(4096)[:1] != b"\x20":
        raise ConnectionError("the broker does not want us")
    return connection


def retain(port: int, messages: Iterable[tuple[str, bytes, bytes]]) -> None:
    """Publish topics, payloads and properties to stay; return when the broker has them all."""
    packets = [
        publish(topic, content, props=props, retain=True) for topic, content, props in messages
    ]
    with connect(port, "seed") as connection:
        for start in range(0, len(packets), 500):
            connection.sendall(b"".join(packets[start : start + 500]))
        connection.sendall(PING)
        answer = b""
        while not answer.endswith(PONG):
            answer += connection.recv(4096)
        connection.sendall(GOODBYE)


class Times:
    """When which number was published (monotonic ns), shared between processes by a file."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it."""
        file.touch()
        with file.open("r+b") as opened:
            opened.truncate(8 * SLOTS)
            self._map = mmap.mmap(opened.fileno(), 8 * SLOTS)
        self._slots = memoryview(self._map).cast("Q")

    def __getitem__(self, number: int) -> int:
        """Return when a number was published."""
        return self._slots[number % SLOTS]

    def note(self, numbers: range, when: int) -> Self:
        """Note when some numbers are published."""
        for number in numbers:
            self._slots[number % SLOTS] = when
        return self


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2) + data


def _length(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)
