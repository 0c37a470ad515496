"""The link on a real broker, without a server: state, writes, identity, outages."""

import asyncio
import logging
from typing import Any

import pytest

from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.errors import (
    CannotConnectError,
    ConnectionLostError,
    EncodeError,
    LinkError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
)
from firmware_bridge.link.path import ROOT as ROOT_MARK, Path
from firmware_bridge.link.transport import BrokerConfig
from tests.support.installation import ROOT, Peer, ShiftedClock, config, link, other
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.recorder import Recorder
from tests.support.running import running
from tests.support.wait import until

HOME = Path("home")


async def test_watch(broker: Mosquitto, peer: Peer) -> None:
    """What there is, the mark, then changes and deletions."""
    await peer.say("home/a", 1, time=10)
    await peer.say("home", {"x": 1}, time=11)
    await peer.say("other", 1, time=11)
    recorder = Recorder()
    async with link(broker, ready=False) as one:
        watch = one.watch(HOME, recorder, on_mark=recorder.mark)
        await one.wait_ready(5)
        assert sorted(recorder.values, key=str) == [("home", {"x": 1}), ("home/a", 1)]
        assert recorder.marks == [2]
        await peer.say("home/a", 2, time=12)
        await peer.say("home/a", 3, time=11)
        await peer.say("home/b", "text", time=12)
        await peer.say("home/a", ABSENT, time=13)
        await until(lambda: len(recorder.values) == 5)
        assert recorder.values[2:] == [("home/a", 2), ("home/b", "text"), ("home/a", ABSENT)]
        assert set(watch.messages) == {"home", "home/b"}
        assert one.statistics.dropped_old == 1
        watch.close()
        await peer.say("home/b", "unheard", time=14)
        await one.get(Path("home", "b"))
    assert len(recorder.values) == 5


async def test_late_and_overlapping_watches(broker: Mosquitto, peer: Peer) -> None:
    """Each gets everything in it once, events included, whatever the others follow."""
    await peer.say("home/a/b", 1, time=10)
    recorders = [Recorder() for _ in range(4)]
    prefixes = [HOME, Path("home", "a"), Path(), Path("run")]
    async with link(broker) as one:
        for prefix, recorder in zip(prefixes, recorders, strict=True):
            one.watch(prefix, recorder, on_mark=recorder.mark)
            await until(lambda recorder=recorder: recorder.marks)
        await peer.say("home/a/b", 2, time=11)
        await peer.say("run/event", "bang", time=11, retain=False)
        await until(lambda: ("run/event", "bang") in recorders[3].values)
    for recorder in recorders[:3]:
        mine = [each for each in recorder.values if each[0].startswith("home")]
        assert mine == [("home/a/b", 1), ("home/a/b", 2)]
    for recorder in recorders[2:]:
        assert recorder.values.count(("run/event", "bang")) == 1


async def test_watch_without_snapshot(broker: Mosquitto, peer: Peer) -> None:
    """Only what happens from now on."""
    await peer.say("home/a", 1, time=10)
    recorder = Recorder()
    async with link(broker) as one:
        one.watch(HOME, recorder, on_mark=recorder.mark, snapshot=False)
        await until(lambda: recorder.marks)
        await peer.say("home/b", 2, time=10)
        await until(lambda: recorder.values)
    assert recorder.values == [("home/b", 2)]


async def test_own_echo_once(broker: Mosquitto) -> None:
    """What we write comes back like anything else, once."""
    recorder = Recorder()
    async with link(broker) as one:
        one.watch(HOME, recorder)
        written = await one.set(HOME / "a", 1)
        one.publish(HOME / "a", 2)
        await until(lambda: len(recorder.values) == 2)
        assert recorder.messages[0] == written
        assert written.meta.origin == one.origin == one.id
        assert await one.get(HOME / "a") == recorder.messages[1]
        assert recorder.messages[1].time > written.time
    assert recorder.values == [("home/a", 1), ("home/a", 2)]


async def test_write_beats_what_was_seen(broker: Mosquitto, peer: Peer) -> None:
    """With a clock behind the last writer's, our write is still newer."""
    clock = ShiftedClock()
    recorder = Recorder()
    async with link(broker, clock=clock) as one:
        one.watch(HOME, recorder)
        now = clock.time()
        await peer.say("home/a", "theirs", time=now + 20)
        await until(lambda: recorder.values)
        assert (await one.set(HOME / "a", "ours")).time == pytest.approx(now + 20.001, abs=1e-4)
        clock.offset = -3600
        one.publish(HOME / "a", "ours again")
        await until(lambda: len(recorder.values) == 3)
    assert [value for _, value in recorder.values] == ["theirs", "ours", "ours again"]


async def test_root_itself(broker: Mosquitto, peer: Peer) -> None:
    """The root is a node, too."""
    recorder = Recorder()
    async with link(broker) as one:
        one.watch(Path(), recorder)
        await one.set(Path(), {"name": "home"})
        await until(lambda: ("", {"name": "home"}) in recorder.values)
        assert (await one.get(Path())).value == {"name": "home"}
        assert [message.path async for message in one.walk(Path(), max_depth=0)] == [Path()]


async def test_publish_keeps_the_source_time(broker: Mosquitto) -> None:
    """A reading has its source's time; said again, it is the same message."""
    async with link(broker) as one:
        recorder = Recorder()
        one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: recorder.marks)
        assert one.publish(HOME / "a", 1.5, time=1000.5).time == 1000.5
        assert one.publish(HOME / "a", 1.5, time=1000.5).time == 1000.5
        assert one.publish(HOME / "a", 2.5, time=1001).time == 1001
        await until(lambda: len(recorder.values) == 2)
        assert [message.time for message in recorder.messages] == [1000.5, 1001]


async def test_refused_values(broker: Mosquitto) -> None:
    """What would harm others does not leave, and the error names the place."""
    async with link(broker) as one:
        with pytest.raises(EncodeError, match=r"home\.a: .*b\[0\]"):
            await one.set(HOME / "a", {"b": [float("nan")]})
        with pytest.raises(EncodeError, match=r"home\.a"):
            one.publish(HOME / "a", float("inf"))
        with pytest.raises(NotFoundError):
            await one.get(HOME / "a")


async def test_reading(broker: Mosquitto, peer: Peer) -> None:
    """Get, list and walk from what the broker holds."""
    for topic in ("home", "home/b/c", "home/a", "home/b/:1/x"):
        await peer.say(topic, topic, time=10)
    async with link(broker) as one:
        assert (await one.get(HOME)).value == "home"
        assert (await one.get(Path(ROOT_MARK, "home", "a"))).meta.origin == "peer"
        with pytest.raises(NotFoundError, match=r"home\.b"):
            await one.get(HOME / "b")
        assert sorted(await one.list(HOME), key=str) == ["a", "b"]
        assert sorted(await one.list(HOME / "b"), key=str) == [1, "c"]
        walked = [message.topic async for message in one.walk(HOME)]
        assert walked == ["home", "home/a", "home/b/:1/x", "home/b/c"]
        some = [message.topic async for message in one.walk(HOME, min_depth=1, max_depth=2)]
        assert some == ["home/a", "home/b/c"]


async def test_delete(broker: Mosquitto, peer: Peer) -> None:
    """One node, or all below it; with metadata, so that it counts."""
    async with link(broker) as one:
        for name in ("a", "b", "c"):
            await one.set(HOME / name, 1)
        await one.delete(HOME / "a")
        await until(lambda: set(peer.state("home")) == {"home/b", "home/c"})
        await one.delete(HOME, recursive=True)
        await until(lambda: not peer.state("home"))
        assert all(packet.meta for packet in peer.packets if "/home/" in packet.topic)


async def test_comparing_needs_a_server(broker: Mosquitto, peer: Peer) -> None:
    """Said at once, and nothing is written."""
    async with link(broker) as one:
        with pytest.raises(RefusedError, match="server"):
            await one.set(HOME / "a", 1, expected_time=5.0)
        with pytest.raises(RefusedError, match="server"):
            await one.delete(HOME, expected_time=True, recursive=True)
        with pytest.raises(RefusedError, match="below run"):
            await one.set(Path("run", "a"), 1, expected_time=False)
        await one.set(HOME / "b", 1, confirm=False)
        await until(lambda: peer.state("home") == {"home/b": 1})


async def test_undecodable(broker: Mosquitto, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """Counted, dropped, logged once per topic; what was there stays."""
    await peer.say_bytes("home/bad", b"\xff\xff")
    recorder = Recorder()
    async with link(broker) as one:
        watch = one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: recorder.marks)
        await peer.say("home/a", 1, time=10)
        for _ in range(3):
            await peer.say_bytes("home/a", b"\xf9\x7e", "peer\\8f8=Q00")
        await peer.say_bytes("home/a", b"\x01", "broken\\~~~~")
        await peer.say("home/a", 2, time=11)
        await until(lambda: len(recorder.values) == 2)
        assert one.statistics.undecodable == 5
        assert set(one.statistics.broken) == {"home/a", "home/bad"}
        assert watch.messages["home/a"].value == 2
    assert sum("Undecodable" in record.message for record in caplog.records) == 2


async def test_without_metadata(broker: Mosquitto, peer: Peer) -> None:
    """Taken with the time of arrival; a replay after a reconnect is no news."""
    await peer.say("home/a", 1)
    recorder = Recorder()
    clock = ShiftedClock()
    async with link(broker, clock=clock) as one:
        one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: recorder.marks)
        assert recorder.messages[0].meta.origin == f"via:{one.id}"
        assert recorder.messages[0].time == pytest.approx(clock.time(), abs=5)
        await one.get(HOME / "a")
        one.watch(HOME, print)
        await one.get(HOME / "a")
        await peer.say("home/a", 1)
        await until(lambda: len(recorder.values) == 2)


async def test_identity(broker: Mosquitto, peer: Peer) -> None:
    """Signs of life and a record while we are there, nothing after an orderly end."""
    async with link(broker) as one:
        name = one.id
        await until(lambda: len(peer.heard(f"run/ping/id/{name}")) >= 2)
        record: Any = peer.last(f"run/id/{name}")
        assert set(record) == {"host", "pid", "argv"}
        assert record["host"] == "here"
        assert len(record["argv"]) == 1
    pings = peer.heard(f"run/ping/id/{name}")
    await until(lambda: peer.last(f"run/ping/id/{name}") == {"up": False, "state": "closed"})
    assert pings[:2] == [{"up": True, "state": "init"}, {"up": True, "state": "auto"}]
    await until(
        lambda: peer.state("run/") == {f"run/ping/id/{name}": {"up": False, "state": "closed"}}
    )
    assert one.id == ""


async def test_terminate(broker: Mosquitto, peer: Peer) -> None:
    """An empty ping is an order to end, for the owner to follow."""
    orders: list[int] = []
    async with link(broker) as one:
        unsubscribe = one.on_terminate(lambda: orders.append(1))
        topic = f"run/ping/id/{one.id}"
        await peer.say(topic, ABSENT, retain=False)
        await until(lambda: orders)
        unsubscribe()
        unsubscribe()
        await peer.say(topic, ABSENT, retain=False)
        await one.set(HOME, 1)
    assert orders == [1]


async def test_nothing_without_a_connection() -> None:
    """Every method says so at once; what is set up beforehand takes effect later."""
    with Mosquitto() as broker:
        one = Link(config(broker))
    recorder = Recorder()
    one.watch(HOME, recorder).close()
    watch = one.watch(HOME, recorder)
    service = one.serve(Path("s"), {})
    service.close()
    attempts = [
        one.get(HOME),
        one.set(HOME, 1),
        one.delete(HOME),
        one.list(HOME),
        one.call(Path("run", "host", "x"), ["y"]),
        one.report_error(HOME, "text"),
        one.ack_error(HOME),
        one.clear_error(HOME),
    ]
    for attempt in attempts:
        with pytest.raises(ConnectionLostError):
            await attempt
    with pytest.raises(ConnectionLostError):
        one.publish(HOME, 1)
    with pytest.raises(ConnectionLostError):
        one.walk(HOME)
    assert not watch.messages
    async with running(one.run()):
        with pytest.raises(CannotConnectError):
            await one.wait_ready(5)
        assert isinstance(one.status.error, CannotConnectError)
        assert not one.status.degraded


async def test_wait_ready_gives_up(broker: Mosquitto) -> None:
    """When nothing comes within the time limit."""
    broker.pause()
    one = Link(config(broker))
    async with running(one.run()):
        with pytest.raises(NoAnswerError):
            await one.wait_ready(0.1)
        with pytest.raises(RuntimeError, match="runs already"):
            await one.run()
    broker.resume()


async def test_status(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    """Every change is told; a failing listener harms nobody."""
    told: list[tuple[bool, bool]] = []
    errors: list[LinkError | None] = []
    one = Link(config(broker))

    def fail() -> None:
        raise ValueError("bug")

    one.on_status(fail)
    one.on_status(lambda: told.append((one.status.connected, one.status.ready)))
    one.on_status(lambda: errors.append(one.status.server_error))
    async with running(one.run()):
        await one.wait_ready(5)
        assert one.status.degraded
        assert one.status.error is None
        assert isinstance(one.status.server_error, CannotConnectError)
    assert list(dict.fromkeys(told)) == [(True, False), (True, True), (False, False)]
    assert errors[-1] is None
    assert "A callback of the link failed" in caplog.text


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_broker_restart(
    broker: Mosquitto, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen at once, back by itself under a new id, one line down and one up."""
    caplog.set_level(logging.INFO)
    recorder = Recorder()
    async with link(broker) as one:
        one.watch(HOME, recorder, on_mark=recorder.mark)
        await one.set(HOME / "a", 1)
        await until(lambda: recorder.values and recorder.marks)
        first = one.id
        getattr(broker, end)()
        await until(lambda: not one.status.connected, 1)
        with pytest.raises(ConnectionLostError):
            await one.set(HOME / "a", 2)
        broker.start()
        await until(lambda: one.status.ready, 5)
        assert one.id != first
        assert one.statistics.reconnects == 1
        assert len(recorder.marks) == 2
        async with other(broker) as peer:
            await until(lambda: f"run/id/{one.id}" in peer.state("run/id"))
            await peer.say("home/a", 3, time=recorder.messages[-1].time + 1)
        await until(lambda: ("home/a", 3) in recorder.values)
    assert ("home/a", 2) not in recorder.values
    lines = [record.message for record in caplog.records]
    assert len(lines) == 2, lines


async def test_half_open(broker: Mosquitto) -> None:
    """A broker that is silent is noticed; what was asked meanwhile fails, and never arrives."""
    settings = BrokerConfig(host="127.0.0.1", port=broker.port, keep_alive=2)
    async with link(broker, broker=settings) as one:
        broker.pause()
        with pytest.raises((NoAnswerError, ConnectionLostError)):
            await one.set(HOME / "a", "late")
        await until(lambda: not one.status.connected, 5)
        broker.resume()
        await until(lambda: one.status.ready, 10)
        await one.set(HOME / "b", 1)
        async with other(broker) as peer:
            assert set(peer.state("home")) == {"home/b"}


async def test_old_record_is_removed(broker: Mosquitto, peer: Peer) -> None:
    """The record of a connection that was cut disappears after the reconnect."""
    proxy_port = free_port()
    forward = await asyncio.start_server(
        lambda reader, writer: _forward(broker.port, reader, writer, cut), "127.0.0.1", proxy_port
    )
    cut = asyncio.Event()
    settings = BrokerConfig(host="127.0.0.1", port=proxy_port)
    async with forward, link(broker, broker=settings) as one:
        first = one.id
        cut.set()
        await until(lambda: not one.status.connected)
        cut.clear()
        await until(lambda: one.status.ready)
        await until(lambda: set(peer.state("run/id")) == {f"run/id/{one.id}"})
        await until(lambda: peer.last(f"run/ping/id/{first}") == {"up": False, "state": "will"})


async def _forward(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event
) -> None:
    """Pass bytes on in both directions until cut."""
    other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)

    tasks = [
        asyncio.ensure_future(each)
        for each in (pump(reader, other_writer), pump(other_reader, writer), cut.wait())
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for each in (writer, other_writer):
        each.transport.abort()


async def test_root_is_never_left(broker: Mosquitto, peer: Peer) -> None:
    """Whatever a path contains, the topic stays below the root."""
    await peer.session.subscribe("#")
    async with link(broker) as one:
        for name in ("..", "a/b", "+", "#", "", "$SYS", "a\0b"):
            await one.set(Path("x", name), 1)
    assert all(packet.topic.startswith(f"{ROOT.topic}/") for packet in peer.packets)
