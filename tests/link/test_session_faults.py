"""Brokers that die, freeze, refuse, or say what no broker should say."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.errors import (
    AuthenticationError,
    CannotConnectError,
    ConnectionLostError,
    EncodeError,
    LinkError,
    NoAnswerError,
    NotAuthorizedError,
    NotMqtt5Error,
    RefusedError,
)
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.transport import BrokerConfig
from tests.support.fake_broker import PINGRESP, FakeBroker, Peer, packet, publish, text
from tests.support.mosquitto import Mosquitto
from tests.support.sessions import Record, connect, opened, started
from tests.support.throttle import throttled
from tests.support.wait import until

PUBLISH_1 = 0x32
SUBSCRIBE = 0x82


@asynccontextmanager
async def playing(
    script: Callable[[Peer], Awaitable[None]], *, keep_alive: int = 15, **options: Any
) -> AsyncIterator[Record]:
    """Open a session with a broker that accepts it and then plays the script."""

    async def play(peer: Peer) -> None:
        await peer.accept()
        assert await peer.packet() == (0x30, b"\x00\x02go\x00")
        await script(peer)

    async with FakeBroker(play) as broker, opened(broker, keep_alive=keep_alive, **options) as it:
        it.session.publish_nowait(Publish("go", b""))
        yield it


async def refusal(
    broker: FakeBroker | Mosquitto, *, timeout: float = 5, **options: Any
) -> LinkError:
    """Return why no session can be opened; it must become clear in time."""
    begun = time.monotonic()
    with pytest.raises(LinkError) as caught:
        await connect(broker, timeout=timeout, **options)
    assert time.monotonic() - begun < timeout + 2
    return caught.value


# Connecting


async def test_nobody_there() -> None:
    """A port where nobody listens cannot be connected to."""
    broker = Mosquitto()
    error = await refusal(broker)
    broker.close()
    assert type(error) is CannotConnectError
    assert "refused" in str(error) or "failed" in str(error)


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


# Losing the connection


async def test_broker_killed() -> None:
    """Everything outstanding fails when the broker dies, and the session says so once."""
    with Mosquitto() as broker:
        async with opened(broker) as it:
            broker.pause()
            waiting = [
                started(it.session.publish(Publish("a", b""))),
                started(it.session.subscribe("a")),
                started(it.session.unsubscribe("a")),
                started(it.session.barrier()),
            ]
            broker.kill()
            await until(lambda: it.ends, 2, "the end is noticed")
            for task in waiting:
                with pytest.raises(ConnectionLostError):
                    await task
            assert isinstance(it.end, ConnectionLostError)
            assert it.session.closed
            for operation in (it.session.barrier, it.session.subscribe, it.session.unsubscribe):
                with pytest.raises(ConnectionLostError):
                    await operation()
            with pytest.raises(ConnectionLostError):
                await it.session.publish(Publish("a", b""))
        assert len(it.ends) == 1


async def test_broker_stopped_orderly() -> None:
    """A broker that is shut down says good-bye, or just goes."""
    with Mosquitto() as broker:
        async with opened(broker) as it:
            broker.stop()
            await until(lambda: it.ends, 2, "the end is noticed")
            assert isinstance(it.end, ConnectionLostError)


async def test_frozen_broker_is_noticed() -> None:
    """A broker that keeps the connection and says nothing is given up in time."""
    with Mosquitto() as broker:
        async with opened(broker, keep_alive=2) as it:
            broker.pause()
            begun = time.monotonic()
            await until(lambda: it.ends, 1.5 * 2 + 1, "the silence is noticed")
            assert time.monotonic() - begun > 1
            assert "silent" in str(it.end)
            broker.resume()


async def test_commands_to_a_frozen_broker_are_never_carried_out() -> None:
    """Each fails in its time, and none arrives when the broker wakes up."""
    with Mosquitto() as broker:
        async with opened(broker) as witness:
            await witness.session.subscribe("command/#")
            async with opened(broker, keep_alive=2) as it:
                await it.session.publish(Publish("command/a", b"before"))
                broker.pause()
                commands = [
                    started(it.session.publish(Publish("command/a", b"late"), timeout=1))
                    for _ in range(20)
                ]
                results = await asyncio.gather(*commands, return_exceptions=True)
                assert {type(result) for result in results} == {NoAnswerError}
                await until(lambda: it.ends, 5)
                broker.resume()
            async with opened(broker) as again:
                await again.session.publish(Publish("command/a", b"after"))
            await witness.session.barrier()
            assert witness.payloads == [b"before", b"after"]


async def test_half_open_with_data_under_way() -> None:
    """What arrived before the end is delivered before the end is reported."""
    order: list[object] = []

    async def script(peer: Peer) -> None:
        peer.send(*(publish("a", b"%d" % number) for number in range(2000)))

    def slow(message: Publish) -> None:
        time.sleep(0.0001)
        order.append(message.payload)

    async with playing(script, on_publish=slow) as it:
        await until(lambda: it.ends, what="the end")
        order.append("end")
    assert order == [b"%d" % number for number in range(2000)] + ["end"]


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (0x87, AuthenticationError, "not authorized"),
        (0x8E, ConnectionLostError, "taken over"),
        (0x98, ConnectionLostError, "administrative"),
        (0x8B, ConnectionLostError, "shutting down"),
    ],
)
async def test_broker_hangs_up(code: int, kind: type[LinkError], words: str) -> None:
    """The reason of the broker's DISCONNECT is the reason of the session's end."""

    async def script(peer: Peer) -> None:
        peer.send(publish("a"), packet(0xE0, bytes((code,))))
        await peer.silence()

    async with playing(script) as it:
        await until(lambda: it.ends)
        assert type(it.end) is kind
        assert words in str(it.end)


async def test_broken_packet() -> None:
    """A packet that cannot be ends the session; the broker is told why."""
    heard = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        peer.send(publish("a", b"good"), b"\x30\x03\x00\x05a", publish("a", b"never"))
        heard.set_result(await peer.packet())

    async with playing(script) as it:
        await until(lambda: it.ends)
        assert isinstance(it.end, ConnectionLostError)
        assert await heard == (0xE0, b"\x81")
    assert (it.payloads, len(it.ends)) == ([b"good"], 1)


async def test_packet_too_large() -> None:
    """A length beyond what we take is not waited for."""

    async def script(peer: Peer) -> None:
        peer.send(b"\x30\xff\xff\xff\x7f")
        assert await peer.packet() == (0xE0, b"\x95")

    async with playing(script) as it:
        await until(lambda: it.ends)
        assert "bytes" in str(it.end)


async def test_unreadable_messages_are_counted() -> None:
    """Text that is no text is dropped and counted; the session goes on."""

    async def script(peer: Peer) -> None:
        peer.send(publish(b"\xff"), publish("a", props=b"\x26" + text("MoaT") + text(b"\xff")))
        peer.send(publish("a", b"good"))
        await peer.stay()

    async with playing(script) as it:
        await until(lambda: it.messages)
        assert (it.session.unreadable, it.payloads, it.ends) == (2, [b"good"], [])


# Keeping alive


async def test_pings_when_idle() -> None:
    """A quiet connection is kept alive by pings on our side."""
    pings = 0

    async def script(peer: Peer) -> None:
        nonlocal pings
        while await peer.packet() == (0xC0, b""):
            pings += 1
            peer.send(PINGRESP)

    async with playing(script, keep_alive=1) as it:
        await until(lambda: pings >= 4, what="pings")
        assert it.ends == []


async def test_pings_while_the_broker_talks() -> None:
    """The broker must hear from us even if it has no reason to be quiet itself."""
    pings = 0

    async def script(peer: Peer) -> None:
        nonlocal pings
        reader = started(peer.packet())
        while pings < 3:
            peer.send(publish("a"))
            await asyncio.sleep(0.02)
            if reader.done():
                assert reader.result() == (0xC0, b"")
                pings += 1
                reader = started(peer.packet())  # and no answer
        reader.cancel()
        await peer.silence()

    async with playing(script, keep_alive=1) as it:
        await until(lambda: pings >= 3, what="pings")
        assert it.ends == []


async def test_the_brokers_keep_alive() -> None:
    """The broker may ask for a shorter keep alive than ours, and we may have none."""

    async def script(peer: Peer) -> None:
        await peer.accept(bytes.fromhex("2006 0000 03 130001"))
        assert await peer.packet() == (0xC0, b"")

    for keep_alive in (0, 15):
        async with FakeBroker(script) as broker, opened(broker, keep_alive=keep_alive) as it:
            await until(lambda: it.ends)


async def test_no_keep_alive() -> None:
    """Without keep alive on both sides nobody minds silence."""

    async def script(peer: Peer) -> None:
        assert await peer.packet() == (0xE0, b"")

    async with playing(script, keep_alive=0) as it:
        pass
    assert it.ends == [None]


async def test_our_own_delay_is_not_the_brokers_silence() -> None:
    """While we are behind with what the broker has said, it need not say more."""
    done = False

    async def script(peer: Peer) -> None:
        peer.send(*(publish("a") for _ in range(1000)))
        await until(lambda: done, 20)
        await peer.stay()

    seen: list[Publish] = []

    def slow(message: Publish) -> None:
        time.sleep(0.002)
        seen.append(message)

    async with playing(script, keep_alive=1, on_publish=slow) as it:
        await until(lambda: len(seen) == 1000, 20)
        done = True
        await it.session.barrier()
        assert it.ends == []


# Receiving


async def test_loop_goes_on_during_a_flood() -> None:
    """Slow callbacks take turns with everything else in the loop."""
    count = 300
    turns = 0

    async def script(peer: Peer) -> None:
        peer.send(*(publish("a", b"%d" % number) for number in range(count)))
        await peer.stay()

    seen: list[int] = []

    def slow(message: Publish) -> None:
        time.sleep(0.001)
        seen.append(int(message.payload))

    async with playing(script, on_publish=slow):
        while len(seen) < count:
            turns += 1
            await asyncio.sleep(0)
    assert seen == list(range(count))
    assert turns > count / 10


async def test_callback_that_raises() -> None:
    """A mistake in a callback is reported by the loop and costs no other message."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    seen: list[bytes] = []

    def careless(message: Publish) -> None:
        seen.append(message.payload)
        if message.payload == b"1":
            raise ZeroDivisionError

    async def script(peer: Peer) -> None:
        peer.send(*(publish("a", b"%d" % number) for number in range(4)))
        await peer.stay()

    async with playing(script, on_publish=careless) as it:
        await until(lambda: len(seen) == 4)
        await it.session.barrier()
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


async def test_more_than_we_can_hold() -> None:
    """Beyond 64 MiB the broker has to wait; then everything is there, in order."""
    count = 150

    async def script(peer: Peer) -> None:
        for number in range(count):
            peer.send(publish("a", bytes(1_000_000 - 9) + b"%4d" % number))
        await peer.stay()

    seen: list[int] = []

    def slow(message: Publish) -> None:
        time.sleep(0.006)
        seen.append(int(message.payload[-4:]))

    async with playing(script, on_publish=slow):
        await until(lambda: len(seen) == count, 60)
    assert seen == list(range(count))


async def test_qos_2_handshake() -> None:
    """A message at QoS 2 comes once, whatever the broker repeats."""
    first = publish("a", flags=4, packet_id=5)

    async def script(peer: Peer) -> None:
        peer.send(first)
        assert await peer.until(0x50) == b"\x00\x05"
        peer.send(first, packet(0x62, b"\x00\x05"))
        assert await peer.until(0x50) == b"\x00\x05"
        assert await peer.until(0x70) == b"\x00\x05"
        await peer.stay()

    async with playing(script) as it:
        await until(lambda: it.messages)
        await it.session.barrier()
        assert len(it.messages) == 1


# Answers


async def test_reasons_of_puback() -> None:
    """What the broker says about a message is what its sender hears."""

    async def script(peer: Peer) -> None:
        for answer in (b"", b"\x10", b"\x97", b"\x87", b"\x87\x06\x1f" + text("ACL")):
            body = await peer.until(PUBLISH_1)
            peer.send(packet(0x40, body[3:5] + answer))
        await peer.stay()

    message = Publish("a", b"x")
    async with playing(script) as it:
        assert await it.session.publish(message)
        assert not await it.session.publish(message)
        with pytest.raises(RefusedError, match="a: quota exceeded"):
            await it.session.publish(message)
        with pytest.raises(NotAuthorizedError, match="a: not authorized") as caught:
            await it.session.publish(message)
        assert caught.value.topic == "a"
        with pytest.raises(NotAuthorizedError, match="a: ACL"):
            await it.session.publish(message)


async def test_reasons_of_suback() -> None:
    """The first filter that is refused names the error."""

    async def script(peer: Peer) -> None:
        for answer in (b"\x00\x00\x87\x97", b"\x00\x01\x97\x02", b"\x00\x00\x00\x00"):
            body = await peer.until(SUBSCRIBE)
            peer.send(packet(0x90, body[:2] + answer))
        await peer.stay()

    async with playing(script) as it:
        with pytest.raises(NotAuthorizedError, match="b: not authorized"):
            await it.session.subscribe("a", "b", "c")
        with pytest.raises(RefusedError, match="b: quota exceeded"):
            await it.session.subscribe("a", "b", "c")
        await it.session.subscribe("a", "b", "c")


async def test_limits_are_errors_of_the_caller() -> None:
    """A message that this broker cannot take fails alone."""

    async def script(peer: Peer) -> None:
        await peer.accept(bytes.fromhex("2005 0000 02 2400"))
        await peer.stay()

    async with FakeBroker(script) as broker, opened(broker) as it:
        with pytest.raises(RefusedError, match="QoS 0"):
            await it.session.publish(Publish("a", b""))
        with pytest.raises(EncodeError):
            it.session.publish_nowait(Publish("a/#", b""))
        it.session.publish_nowait(Publish("a", b""))
        await it.session.barrier()


async def test_no_answer() -> None:
    """A question that the broker does not answer ends at its time limit, the session does not."""

    async def script(peer: Peer) -> None:
        await peer.stay()

    async with playing(script) as it:
        for question in (
            it.session.publish(Publish("a", b""), timeout=0.1),
            it.session.subscribe("a", timeout=0.1),
            it.session.unsubscribe("a", timeout=0.1),
        ):
            with pytest.raises(NoAnswerError):
                await question
        await it.session.barrier()
        assert it.ends == []


async def test_late_answers() -> None:
    """An answer after the time limit is taken note of, and nothing more."""
    proceed = asyncio.Event()

    async def script(peer: Peer) -> None:
        publication = await peer.until(PUBLISH_1)
        subscription = await peer.until(SUBSCRIBE)
        await proceed.wait()
        peer.send(packet(0x40, publication[3:5]), packet(0x90, subscription[:2] + b"\x00\x00"))
        peer.send(PINGRESP, publish("a"))  # a pong that nobody asked for
        await peer.stay()

    async with playing(script) as it:
        with pytest.raises(NoAnswerError):
            await it.session.publish(Publish("a", b""), timeout=0.1)
        with pytest.raises(NoAnswerError):
            await it.session.subscribe("a", timeout=0.1)
        proceed.set()
        await until(lambda: it.messages)
        await it.session.barrier()
        assert it.ends == []


async def test_receive_maximum_and_withdrawal() -> None:
    """The broker gets no more at once than it wants; who gives up waiting is never sent."""
    proceed = asyncio.Event()
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.accept(bytes.fromhex("2006 0000 03 210001"))
        body = await peer.until(PUBLISH_1)
        await proceed.wait()
        while True:
            got.append(body[6:])
            peer.send(packet(0x40, body[3:5]))
            body = await peer.until(PUBLISH_1)

    async with FakeBroker(script) as broker, opened(broker) as it:
        first = started(it.session.publish(Publish("a", b"1")))
        await it.session.barrier()
        second = started(it.session.publish(Publish("a", b"2"), timeout=0.1))
        third = started(it.session.publish(Publish("a", b"3")))
        fourth = started(it.session.publish(Publish("a", b"4")))
        with pytest.raises(NoAnswerError):
            await second
        third.cancel()
        proceed.set()
        await asyncio.gather(first, fourth)
        with pytest.raises(asyncio.CancelledError):
            await third
    assert got == [b"1", b"4"]


async def test_cancelled_in_the_very_turn() -> None:
    """A publication cancelled in the turn of its pong is not sent."""

    async def script(peer: Peer) -> None:
        assert await peer.packet() == (0xC0, b"")
        peer.send(publish("now"), PINGRESP)
        await peer.stay()

    tasks: list[asyncio.Task[bool]] = []
    async with playing(script, on_publish=lambda _: tasks[0].cancel() and None) as it:
        tasks.append(started(it.session.publish(Publish("a", b""))))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        await it.session.barrier()


# Sending


async def test_broker_that_takes_nothing() -> None:
    """What we send is bounded; a message that did not leave in time never leaves."""
    proceed = asyncio.Event()
    confirmed: list[bytes] = []

    async def script(peer: Peer) -> None:
        assert await peer.packet() == (0xC0, b"")
        await proceed.wait()
        peer.send(PINGRESP)
        while True:
            head, body = await peer.packet()
            if head == PUBLISH_1:
                confirmed.append(body[6:])
                peer.send(packet(0x40, body[3:5]))
            elif head == 0xC0:
                peer.send(PINGRESP)

    async with playing(script) as it:
        late = started(it.session.publish(Publish("a", b"late"), timeout=0.3))
        with pytest.raises(ConnectionLostError, match="does not take"):
            for _ in range(1000):
                it.session.publish_nowait(Publish("a", bytes(100_000)))
                await asyncio.sleep(0)
        with pytest.raises(NoAnswerError):
            await late
        proceed.set()
        await it.session.publish(Publish("a", b"in time"), timeout=20)
        assert confirmed == [b"in time"]
        assert it.ends == []


async def test_withdrawn_behind_others() -> None:
    """A message at QoS 1 that waits behind a jam of others is taken out of it."""
    proceed = asyncio.Event()
    confirmed: list[bytes] = []

    async def script(peer: Peer) -> None:
        assert await peer.packet() == (0xC0, b"")
        peer.send(PINGRESP)
        await proceed.wait()
        while True:
            head, body = await peer.packet()
            if head == PUBLISH_1:
                confirmed.append(body[6:])
                peer.send(packet(0x40, body[3:5]))
            elif head == 0xC0:
                peer.send(PINGRESP)

    async with playing(script) as it:
        late = started(it.session.publish(Publish("a", b"late"), timeout=0.5))
        with contextlib.suppress(ConnectionLostError):
            for _ in range(1000):
                it.session.publish_nowait(Publish("a", bytes(100_000)))
        with pytest.raises(NoAnswerError):
            await late
        proceed.set()
        await it.session.publish(Publish("a", b"in time"), timeout=20)
        assert confirmed == [b"in time"]


async def test_slow_broker() -> None:
    """Through a line of 2 kB/s every command ends in success or error within its time."""
    with Mosquitto() as broker:
        slow = throttled(broker.host, broker.port)
        async with slow as line, opened(broker) as witness:
            await witness.session.subscribe("slow/#")
            async with opened(line) as it:
                begun = time.monotonic()
                results = await asyncio.gather(
                    *(
                        it.session.publish(Publish("slow/a", b"%d" % n + bytes(300)), timeout=3)
                        for n in range(50)
                    ),
                    return_exceptions=True,
                )
                assert time.monotonic() - begun < 6
            done = [n for n, result in enumerate(results) if result is True]
            assert {type(result) for result in results} == {bool, NoAnswerError}
            await witness.session.barrier()
            seen = [int(payload[:-300]) for payload in witness.payloads]
            assert seen[: len(done)] == done
            assert len(seen) - len(done) <= 20


# Closing


async def test_close() -> None:
    """Closing says DISCONNECT last, fails what is outstanding, and is the end."""
    heard = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        heard.set_result(await peer.listen())

    async with playing(script) as it:
        it.session.publish_nowait(Publish("a", b""))
        waiting = started(it.session.barrier())
        await it.session.close()
        with pytest.raises(ConnectionLostError, match="closed"):
            await waiting
        assert await heard == bytes.fromhex("3004 000161 00 c000 e000")
        await it.session.close()
        with pytest.raises(ConnectionLostError):
            it.session.publish_nowait(Publish("a", b""))
    assert it.ends == [None]


async def test_close_in_front_of_a_wall() -> None:
    """A broker that reads nothing does not keep us."""
    async with playing(Peer.silence) as it:
        with contextlib.suppress(ConnectionLostError):
            for _ in range(1000):
                it.session.publish_nowait(Publish("a", bytes(100_000)))
        begun = time.monotonic()
        await it.session.close()
        assert time.monotonic() - begun < 5
    assert it.ends == [None]


async def test_close_from_a_callback() -> None:
    """After closing no message is delivered, not even one that is here already."""
    tasks: list[asyncio.Task[None]] = []
    seen: list[bytes] = []
    records: list[Record] = []

    async def script(peer: Peer) -> None:
        await peer.packet()
        peer.send(PINGRESP, publish("a", b"1"), publish("a", b"2"))
        await peer.listen()

    def leave(message: Publish) -> None:
        seen.append(message.payload)
        tasks.append(started(records[0].session.close()))

    async with playing(script, on_publish=leave) as it:
        records.append(it)
        await it.session.barrier()
        await until(lambda: it.ends)
        await tasks[0]
    assert (seen, it.ends) == ([b"1"], [None])


async def test_nothing_is_left() -> None:
    """Fifty sessions later there are no more tasks, threads and open files than before."""

    def things() -> tuple[int, int, int]:
        files = len(list(Path("/proc/self/fd").iterdir()))
        return len(asyncio.all_tasks()), threading.active_count(), files

    with Mosquitto() as broker:
        async with opened(broker):
            pass
        before = things()
        for _ in range(50):
            async with opened(broker) as it:
                await it.session.subscribe("a")
                started(it.session.publish(Publish("b", b""))).cancel()
        await asyncio.sleep(0)
        assert things() == before


async def test_secrets_stay_secret() -> None:
    """Neither the configuration nor an error shows the password."""
    config = BrokerConfig(host="h", username="u", password="hunter2")
    assert "hunter2" not in repr(config)
    with Mosquitto(users={"u": "x"}) as broker:
        error = await refusal(broker, username="u", password="hunter2")
        assert "hunter2" not in repr(error) + repr(error.__context__) + repr(error.__cause__)
