"""What the broker gets back, whatever it has lost, kept or got meanwhile."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.meta import Meta, decode_meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import ServerConfig
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT, Peer, other
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until

type Start = Callable[..., Any]

PLAIN = "run/moat-bridge/srv1"


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """Run a broker that keeps what it has when it is stopped in order."""
    with Mosquitto(persistence=True) as broker:
        yield broker


@pytest.fixture
def journal(tmp_path: File) -> JournalConfig:
    return JournalConfig(directory=tmp_path / "save", flush=0.001)


def back_up(broker: Mosquitto, to: File) -> None:
    """Save what the broker has."""
    broker.stop()
    shutil.copy(broker.directory / "mosquitto.db", to)
    broker.start()


def restore(broker: Mosquitto, of: File) -> None:
    """Have the broker go on from an earlier time."""
    broker.stop()
    shutil.copy(of, broker.directory / "mosquitto.db")
    broker.start()


async def run_as_main(serve: Start, *names: str, **options: Any) -> Any:
    server = await serve(*names, **options)
    await until(lambda: server.election.main)
    return server


async def end(server: Any) -> None:
    server.stop()
    await server.task


async def vouched(server: Any) -> None:
    """Wait until the broker has everything, and word of that."""
    await until(lambda: not server.supplier.owed)
    await server.supplier.vouch()


def offline() -> Server:
    """Return a server without a broker that knows something."""
    config = ServerConfig(
        broker=BrokerConfig(host="127.0.0.1", port=1), root=ROOT, name="srv1", listeners=()
    )
    server = Server(config)
    server.broker.sessions = server.tree.connection = 1
    for number in range(5000):
        server.tree.store.merge(["n", str(number)], encode(number), Meta("x", 1.0))
    return server


async def test_broker_lost_while_looking() -> None:
    """What another session lacks is not known before it has told what it retains."""
    server = offline()
    looking = server.supplier.supply()
    looking.send(None)
    begun = server.supplier.owed
    server.broker.sessions += 1
    with pytest.raises(StopIteration):
        looking.send(None)
    assert 0 < server.supplier.owed == begun < 5000
    assert not server.supplier._debts.paid


async def test_broker_lost_before_looking() -> None:
    """Nor is anything known of a broker that is not there any more."""
    server = offline()
    async with running(server.supplier.run()):
        server.supplier.ask()
        await until(lambda: not server.supplier._asked.is_set())
        assert server.supplier.owed == 0


async def test_with_the_original_metadata(serve: Start, broker: Mosquitto) -> None:
    """What is given back is what was there, and is not newer."""
    server = await run_as_main(serve)
    meta = Meta("somebody", 1234.5, ("more",), {"gw": "x"})
    server.tree.write(["a"], {"v": 1}, meta)
    await asyncio.to_thread(broker.kill)
    (broker.directory / "mosquitto.db").unlink(missing_ok=True)
    await asyncio.to_thread(broker.start)
    async with other(broker) as peer:
        await until(lambda: peer.last("a") == {"v": 1}, timeout=20)
        packet = next(each for each in peer.packets if each.topic.endswith("/a"))
        assert packet.meta is not None
        assert decode_meta(packet.meta) == meta
        assert packet.retain


@pytest.mark.parametrize("running", [True, False], ids=["while we run", "while we do not"])
async def test_restored_broker(
    serve: Start, broker: Mosquitto, journal: JournalConfig, tmp_path: File, running: bool
) -> None:
    """A broker that has gone back in time gets what is newer, and forgets what was deleted."""
    server = await run_as_main(serve, journal=journal)
    for number in range(500):
        server.tree.write(["n", str(number)], number, Meta("x", 100.0))
    await vouched(server)
    await asyncio.to_thread(back_up, broker, tmp_path / "old.db")
    await until(lambda: server.broker.connected, timeout=20)
    server.tree.write(["n", "7"], "newer", Meta("x", 200.0))
    server.tree.write(["n", "8"], ABSENT, Meta("x", 200.0))
    server.tree.write(["new"], 1, Meta("x", 200.0))
    stop = [] if running else [server]
    for each in stop:
        await end(each)
    await asyncio.to_thread(restore, broker, tmp_path / "old.db")
    for _ in stop:
        server = await run_as_main(serve, journal=journal)
    await until(lambda: server.broker.connected, timeout=20)
    async with other(broker) as peer:
        await until(lambda: peer.last("n/7") == "newer")
        await until(lambda: peer.last("n/8") is ABSENT)
        await until(lambda: peer.last("new") == 1)
        assert len(peer.state("n/")) == 499
    assert server.supplier.supplied == 3, "nothing that was there is sent again"


async def test_restored_announcement(serve: Start, broker: Mosquitto, tmp_path: File) -> None:
    """What a former life of ours has said is nobody else, though it comes back while we run."""
    topic = "run/service/main/server/srv1"
    where: Any = {"link": [{"host": "127.0.0.1", "port": 9}], "auth": {"token": "former"}}
    async with other(broker) as peer:
        await peer.say(topic, where, time=5.0, origin="srv1")
    await asyncio.to_thread(back_up, broker, tmp_path / "backup.db")
    server = await run_as_main(serve)
    await asyncio.to_thread(restore, broker, tmp_path / "backup.db")
    await until(lambda: server.broker.sessions > 1 and server.broker.connected, timeout=20)
    async with other(broker) as peer:
        await until(lambda: peer.last(topic) == server.office.announcement())


async def test_garbage_is_overwritten(serve: Start, broker: Mosquitto, journal: Any) -> None:
    """A retained message that nobody understands makes way for what was there."""
    server = await run_as_main(serve, journal=journal)
    server.tree.write(["a"], 1, Meta("x", 100.0))
    server.tree.write(["b"], 1, Meta("x", 100.0))
    await end(server)
    async with other(broker) as peer:
        await peer.say_bytes("a", b"\xff\xff")
        await peer.say_bytes("b", b"\x01", "no\\time%")
        await peer.say_bytes("alone", b"\xff\xff")
        again = await run_as_main(serve, journal=journal)
        heard = len(peer.packets)
        await until(lambda: again.supplier.supplied == 2)
        await peer.session.barrier()
        found = [each for each in peer.packets[heard - 20 :] if each.topic.endswith(("/a", "/b"))]
        assert [each.payload for each in found][-2:] == [b"\x01", b"\x01"]
        assert again.tree.store.find(["alone"]) is None


async def test_newer_at_the_broker(serve: Start, peer: Peer, journal: JournalConfig) -> None:
    server = await run_as_main(serve, journal=journal)
    server.tree.write(["a"], 1, Meta("x", 100.0))
    await end(server)
    await peer.say("a", 2, time=150.0)
    again = await run_as_main(serve, journal=journal)
    assert again.tree.store.find(["a"]).record.value == 2
    assert peer.heard("a") == [1, 2]


async def test_plain_value_from_meanwhile(serve: Start, peer: Peer, journal: JournalConfig) -> None:
    """A value without metadata counts if it was published after we had left the broker in order."""
    server = await run_as_main(serve, journal=journal)
    server.tree.write(["a"], 1, Meta("x", server.tree.clock.time()))
    server.tree.write(["gone"], ABSENT, Meta("x", server.tree.clock.time()))
    await end(server)
    await peer.say("a", 2)
    await peer.say("gone", 3)
    again = await run_as_main(serve, journal=journal)
    assert again.tree.store.find(["a"]).record.value == 2
    assert again.tree.store.find(["gone"]).record.value == 3
    await end(again)
    assert peer.heard("a") == [1, 2]


async def test_plain_value_from_before(
    serve: Start, broker: Mosquitto, journal: JournalConfig, tmp_path: File
) -> None:
    """A value without metadata in a restored broker does not beat a newer one with them."""
    async with other(broker) as peer:
        await peer.say("a", "plain")
        await peer.say("b", "plain")
    server = await run_as_main(serve, journal=journal)
    await until(lambda: server.tree.store.find(["b"]))
    await vouched(server)
    await asyncio.to_thread(back_up, broker, tmp_path / "old.db")
    await until(lambda: server.broker.connected, timeout=20)
    server.tree.write(["a"], "real", Meta("x", server.tree.clock.time()))
    server.tree.write(["b"], ABSENT, Meta("x", server.tree.clock.time()))
    await end(server)
    await asyncio.to_thread(restore, broker, tmp_path / "old.db")
    again = await run_as_main(serve, journal=journal)
    assert again.tree.store.find(["a"]).record.value == "real"
    async with other(broker) as peer:
        await until(lambda: peer.last("a") == "real")
        await until(lambda: peer.last("b") is ABSENT)


async def test_plain_value_without_memory(serve: Start, peer: Peer, journal: JournalConfig) -> None:
    """Files without a memory of the broker: metadata count for more than none."""
    server = await run_as_main(serve, journal=journal)
    server.tree.write(["a"], 1, Meta("x", 100.0))
    await end(server)
    (journal.directory / "broker.json").unlink()
    await peer.say("a", 2)
    again = await run_as_main(serve, journal=journal)
    assert again.tree.store.find(["a"]).record.value == 1
    await until(lambda: peer.heard("a") == [1, 2, 1])


async def test_plain_value_is_no_news(serve: Start, peer: Peer, journal: JournalConfig) -> None:
    """A value without metadata that is still there gets no newer by our restart."""
    await peer.say("a", {"plain": 1})
    server = await run_as_main(serve, journal=journal)
    await until(lambda: server.tree.store.find(["a"]))
    known = server.tree.store.find(["a"]).record
    assert known.meta.origin == "via:srv1"
    await end(server)
    again = await run_as_main(serve, journal=journal)
    assert again.tree.store.find(["a"]).record == known
    assert again.supplier.supplied == 0
    assert peer.heard("a") == [{"plain": 1}]
    await peer.say("a", {"plain": 2})
    await until(lambda: again.tree.store.find(["a"]).record.value == {"plain": 2})


async def test_who_becomes_main_supplies(serve: Start, broker: Mosquitto, peer: Peer) -> None:
    """A server that takes over knows what the broker lacks without hearing all of it again."""
    server = await serve()
    server.election.started = 1e12
    await until(lambda: server.broker.connected)
    server.election.main = False
    await peer.say("there", 1, time=100.0)
    await peer.say("passing", 1, time=100.0, retain=False)
    await peer.say("outdated", 1, time=100.0)
    await peer.say("end", 1, time=100.0)
    await until(lambda: server.tree.store.find(["end"]))
    server.tree.receive(["outdated"], 2, Meta("x", 101.0))
    server.tree.receive(["missing"], 1, Meta("x", 100.0))
    heard = len(peer.packets)
    await server.supplier.supply()
    await until(lambda: len(peer.packets) == heard + 2)
    assert peer.heard("passing") == [1], "an event happens once"
    assert peer.heard("outdated") == [1, 2]
    assert peer.heard("missing") == [1]
    assert server.supplier.supplied == 2
    await server.supplier.supply()
    assert server.supplier.owed == 0, "it has them now"


async def test_large_values_do_not_end_it(serve: Start, broker: Mosquitto) -> None:
    """More than any buffer holds is published, bit by bit."""
    server = await run_as_main(serve)
    await asyncio.to_thread(broker.kill)
    await until(lambda: not server.broker.connected)
    for number in range(400):
        value = f"{number}".rjust(60_000)
        server.tree.write(["n", str(number)], value, Meta("x", 100.0))
    await asyncio.to_thread(broker.start)
    await until(lambda: server.broker.connected, timeout=20)
    await until(lambda: not server.supplier.owed, timeout=20)
    async with other(broker) as peer:
        await until(lambda: len(peer.state("n/")) == 400)


async def test_many_at_a_pace(serve: Start, broker: Mosquitto) -> None:
    """While the broker gets back a lot, who listens is not drowned, and calls are answered."""
    server = await run_as_main(serve)
    await asyncio.to_thread(broker.kill)
    await until(lambda: not server.broker.connected)
    for number in range(3000):
        server.tree.write(["n", str(number)], number, Meta("x", 100.0))
    await asyncio.to_thread(broker.start)
    await until(lambda: server.broker.connected, timeout=20)
    async with other(broker) as peer:
        await until(lambda: server.supplier.supplied >= 3000, timeout=30)
        assert server.supplier.owed == 0
        await until(lambda: len(peer.state("n/")) == 3000)


async def test_nothing_supplied_to_a_broker_that_has_all(
    serve: Start, peer: Peer, journal: JournalConfig
) -> None:
    server = await run_as_main(serve, journal=journal)
    for number in range(100):
        server.tree.write(["n", str(number)], number, Meta("x", 100.0))
    server.tree.write(["n", "5"], ABSENT, Meta("x", 101.0))
    await until(lambda: len(peer.state("n/")) == 99)
    await end(server)
    again = await run_as_main(serve, journal=journal)
    await until(lambda: again.tree.connection == 1)
    await again.supplier.supply()
    assert again.supplier.owed == 0
    assert again.supplier.supplied == 0


async def test_recorded_where_it_can_be_found(serve: Start, peer: Peer, join: Start) -> None:
    """The message that we leave at the broker says nothing of use to others, and is no data."""
    server = await run_as_main(serve)
    caller = await join(server)
    assert await caller.call(["d", "set"], Path("a"), 1) == [True]
    await until(lambda: peer.last(PLAIN) is not ABSENT)
    said: Any = peer.last(PLAIN)
    assert set(said) == {"lineage", "number"}
    assert [item[1] for item in await caller.stream(["d", "walk"], Path())] == [Path("a")]


async def test_empty_level(serve: Start, peer: Peer) -> None:
    """What is published below the root with an empty name is not the root."""
    server = await run_as_main(serve)
    await peer.say("", 5, time=1.0)
    await until(lambda: server.tree.store.find([""]))
    assert server.tree.store.find([""]).record.value == 5
    assert not server.tree.store.find([]).alive
