"""What goes wrong before a session is open, and what it is called."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.errors import (
    AuthenticationError,
    CannotConnectError,
    EncodeError,
    LinkError,
    NotMqtt5Error,
)
from firmware_bridge.link.transport import BrokerConfig
from tests.support.fake_broker import FakeBroker, Peer, packet, text
from tests.support.mosquitto import Mosquitto
from tests.support.sessions import connect, ended, opened, started
from tests.support.wait import until


async def refusal(
    broker: FakeBroker | Mosquitto, *, timeout: float = 5, **options: Any
) -> LinkError:
    """Return why no session can be opened; it must become clear in time."""
    begun = time.monotonic()
    with pytest.raises(LinkError) as caught:
        await connect(broker, timeout=timeout, **options)
    assert time.monotonic() - begun < timeout + 2
    return caught.value


async def test_nobody_there() -> None:
    """A port where nobody listens cannot be connected to."""
    broker = Mosquitto()
    error = await refusal(broker)
    broker.close()
    assert type(error) is CannotConnectError
    assert str(error) == "Connection refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "bad..name", "\0"])
async def test_no_such_host(host: str) -> None:
    """A host name that means nothing is said to be that."""
    broker = Mosquitto()
    broker.host = host
    error = await refusal(broker)
    broker.close()
    assert type(error) is CannotConnectError


async def test_no_such_port() -> None:
    """A port number beyond all ports is an error like any other."""
    broker = Mosquitto(port=70_000)
    assert type(await refusal(broker)) is CannotConnectError
    broker.close()


async def test_no_such_socket() -> None:
    """So is a Unix socket that is not there."""
    broker = Mosquitto()
    assert type(await refusal(broker, unix_path="/nowhere/mqtt.sock")) is CannotConnectError
    broker.close()


async def test_unspeakable_credentials() -> None:
    """A user name that cannot be encoded fails before anything is sent."""
    async with FakeBroker(Peer.silence) as broker:
        assert type(await refusal(broker, username="\ud800")) is EncodeError
        assert broker.connections == 0


async def test_keep_alive_beyond_all_bounds() -> None:
    """The longest keep alive that MQTT knows is long enough."""

    async def script(peer: Peer) -> None:
        assert (await peer.accept())[8:10] == b"\xff\xff"

    async with FakeBroker(script) as broker, opened(broker, keep_alive=100_000) as it:
        await ended(it)


async def test_silence() -> None:
    """Who accepts and says nothing does not hold us longer than the time limit."""
    async with FakeBroker(Peer.silence) as broker:
        error = await refusal(broker, timeout=0.3)
    assert type(error) is CannotConnectError
    assert "0.3 s" in str(error)


async def test_half_an_answer() -> None:
    """Half a CONNACK is as good as none."""

    async def script(peer: Peer) -> None:
        await peer.accept(b"\x20\x03\x00")
        await peer.silence()

    async with FakeBroker(script) as broker:
        assert type(await refusal(broker, timeout=0.3)) is CannotConnectError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x86, AuthenticationError),
        (0x87, AuthenticationError),
        (0x8A, AuthenticationError),
        (0x8C, AuthenticationError),
        (0x84, NotMqtt5Error),
        (0x01, NotMqtt5Error),
        (0x85, CannotConnectError),
        (0x88, CannotConnectError),
        (0x95, CannotConnectError),
        (0x9F, CannotConnectError),
        (0xFF, CannotConnectError),
    ],
)
async def test_refused(code: int, kind: type[LinkError]) -> None:
    """Reason codes become the error of whoever can do something about them."""

    async def script(peer: Peer) -> None:
        await peer.accept(packet(0x20, bytes((0, code, 0))))
        assert await peer.listen() == b""

    async with FakeBroker(script) as broker:
        assert type(await refusal(broker)) is kind


async def test_refused_in_words() -> None:
    """The broker's own words are passed on."""

    async def script(peer: Peer) -> None:
        await peer.accept(packet(0x20, b"\x00\x87\x0d\x1f" + text("no entry \n")))

    async with FakeBroker(script) as broker:
        assert str(await refusal(broker)) == "no entry ?"


@pytest.mark.parametrize(
    "answer",
    [
        b"\x20\x02\x00\x01",
        b"\x20\x02\x00\x00",
        b"\x20\x02\x00\x05",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\xf0\x00",
        b"\x20\x03\x00",
        b"\x00",
        b"\x15\x03\x03\x00\x02\x02\x46",
    ],
    ids=repr,
)
async def test_not_mqtt_5(answer: bytes) -> None:
    """Older brokers and whatever else answers are not MQTT 5."""

    async def script(peer: Peer) -> None:
        await peer.accept(answer)

    async with FakeBroker(script) as broker:
        assert type(await refusal(broker)) is NotMqtt5Error


@pytest.mark.parametrize("read", [True, False])
async def test_hangs_up_at_once(read: bool) -> None:
    """Who hangs up instead of answering does not know MQTT 5 (nor TLS)."""

    async def script(peer: Peer) -> None:
        if read:
            await peer.reader.read(1)

    async with FakeBroker(script) as broker:
        assert type(await refusal(broker)) is NotMqtt5Error
        assert broker.connections == 2


async def test_silent_when_asked_for_tls() -> None:
    """Finding out about TLS does not take longer than the time limit either."""
    first = True

    async def script(peer: Peer) -> None:
        nonlocal first
        if first:
            first = False
        else:
            await peer.silence()

    async with FakeBroker(script) as broker:
        assert type(await refusal(broker, timeout=3)) is NotMqtt5Error


async def test_connack_and_end() -> None:
    """A broker that accepts and hangs up in one breath could not be connected to."""

    async def script(peer: Peer) -> None:
        await peer.accept(bytes.fromhex("2003000000 e0018b"))

    async with FakeBroker(script) as broker:
        error = await refusal(broker)
    assert type(error) is CannotConnectError
    assert "shutting down" in str(error)


async def test_opening_is_cancelled() -> None:
    """A cancelled attempt leaves nothing open."""
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.until(0x10)
        with contextlib.suppress(OSError):
            await peer.listen()
        over.set()

    async with FakeBroker(script) as broker:
        attempt = started(connect(broker))
        await until(lambda: broker.connections)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        async with asyncio.timeout(5):
            await over.wait()


async def test_secrets_stay_secret() -> None:
    """Neither the configuration nor an error shows the password."""
    config = BrokerConfig(host="h", username="u", password="hunter2")
    assert "hunter2" not in repr(config)
    with Mosquitto(users={"u": "x"}) as broker:
        error = await refusal(broker, username="u", password="hunter2")
        assert "hunter2" not in repr(error) + repr(error.__context__) + repr(error.__cause__)


def sockets() -> int:
    """Count the files that are open, sockets among them."""
    return len(list(Path("/dev/fd").iterdir()))


async def test_given_up_at_any_moment() -> None:
    """Of a session that is given up while it opens nothing is left, not even an error."""
    wrong: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    with Mosquitto() as broker:
        before = sockets()
        for turns in [*range(40), *range(8)]:
            task = started(connect(broker))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await task).session.close()
        await until(lambda: sockets() == before, what="all sockets to be closed")
    assert wrong == []
