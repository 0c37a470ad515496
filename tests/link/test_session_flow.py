"""How messages and answers flow: slices, back-pressure, limits, refusals."""

import asyncio
import contextlib
import time
from typing import Any

import pytest

from firmware_bridge.link.errors import (
    ConnectionLostError,
    EncodeError,
    NoAnswerError,
    NotAuthorizedError,
    RefusedError,
)
from firmware_bridge.link.mqtt_packets import Publish
from tests.support.fake_broker import PINGRESP, FakeBroker, Peer, packet, publish, text
from tests.support.mosquitto import Mosquitto
from tests.support.sessions import opened, playing, started
from tests.support.throttle import throttled
from tests.support.wait import until

PUBLISH_1 = 0x32
SUBSCRIBE = 0x82


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
        await it.session.barrier()  # its place is taken
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

    def cancel(_: Publish) -> None:
        tasks[0].cancel()

    async with playing(script, on_publish=cancel) as it:
        tasks.append(started(it.session.publish(Publish("a", b""))))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        await it.session.barrier()


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


async def test_too_late_to_be_sent() -> None:
    """A message whose way is clear only in the second half of its time is not sent."""

    async def script(peer: Peer) -> None:
        assert await peer.packet() == (0xC0, b"")
        await asyncio.sleep(0.6)
        peer.send(PINGRESP)
        assert await peer.packet() == (0xE0, b"")

    async with playing(script) as it:
        with pytest.raises(NoAnswerError, match="not sent"):
            await it.session.publish(Publish("a", b"late"), timeout=1)


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
