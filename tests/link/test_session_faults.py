"""Brokers that die, freeze, fall silent, or say what no broker should say."""

import asyncio
import contextlib
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.errors import (
    AuthenticationError,
    ConnectionLostError,
    LinkError,
    NoAnswerError,
)
from firmware_bridge.link.mqtt_packets import Publish
from tests.support.fake_broker import PINGRESP, FakeBroker, Peer, packet, publish, text
from tests.support.mosquitto import Mosquitto
from tests.support.sessions import Record, connect, ended, opened, playing, started
from tests.support.wait import until


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


async def test_fuzz() -> None:
    """Hundreds of mutated streams end sessions in good order, and nothing else."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    chance = random.Random(7)
    good = bytes.fromhex("2003000000") + b"".join(
        (
            publish("a", b"1", props=b"\x26" + text("MoaT") + text("m")),
            publish("b", b"2", flags=0b101, packet_id=3, props=b"\x01\x01\x0b\x07"),
            packet(0x62, b"\x00\x03"),
            publish("c", flags=2, packet_id=9, props=b"\x08" + text("r")),
            PINGRESP,
            packet(0xE0, b"\x8e\x00"),
        )
    )

    async def script(peer: Peer) -> None:
        stream = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        cut = chance.randrange(len(stream))
        peer.send(bytes(stream[:cut]))
        await asyncio.sleep(0)
        peer.send(bytes(stream[cut:]))

    async with FakeBroker(script) as broker:
        for _ in range(300):
            with contextlib.suppress(LinkError):
                it = await connect(broker, timeout=5)
                assert isinstance(await ended(it), LinkError)
    assert reported == []
