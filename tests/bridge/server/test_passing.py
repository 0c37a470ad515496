"""What was said in passing never becomes a state, whoever restarts or forgets."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.meta import Meta
from firmware_bridge.server import passing
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.passing import Passing
from tests.bridge.server.test_supply import Start, end, run_as_main, vouched
from tests.support.installation import Peer, other
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .clock import StoppedClock


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """Run a broker that keeps what it has when it is stopped in order."""
    with Mosquitto(persistence=True) as broker:
        yield broker


@pytest.fixture
def journal(tmp_path: File) -> JournalConfig:
    return JournalConfig(directory=tmp_path / "save", flush=0.001)


def lose(broker: Mosquitto) -> None:
    """Have the broker forget everything."""
    broker.kill()
    (broker.directory / "mosquitto.db").unlink(missing_ok=True)
    broker.start()


def copy(directory: File, to: File) -> None:
    """Save what a kill at this moment would leave."""
    shutil.copytree(directory, to, ignore=shutil.ignore_patterns("*.tmp"))


def topics(journal: JournalConfig) -> list[str]:
    """Return what is remembered on disk."""
    file = journal.directory / "passing.json"
    return json.loads(file.read_text())["topics"] if file.exists() else []


def value(server: Any, topic: str) -> Any:
    node = server.tree.store.find(topic.split("/"))
    return None if node is None or node.record is None else node.record.value


async def what_is_there(broker: Mosquitto) -> dict[str, Any]:
    """Return what the broker retains, except for what is said of servers."""
    async with other(broker) as peer:
        await peer.session.barrier()
        return {k: v for k, v in peer.state("").items() if not k.startswith(("run/", "error/"))}


async def said(server: Any, peer: Peer) -> None:
    """Say some things to stay, and others in passing."""
    await peer.say("state", 1, time=100.0)
    await peer.say("bell", "X", retain=False)
    await peer.say("button", 2, time=100.0, retain=False)
    await peer.say("both", 1, time=100.0)
    await peer.say("both", 2, time=101.0, retain=False)
    await peer.say("stays", 1, time=100.0)
    await peer.say("stays", ABSENT, time=101.0, retain=False)
    await peer.say("again", 1, time=100.0, retain=False)
    await peer.say("again", 2, time=101.0)
    await until(lambda: value(server, "again") == 2)


THERE = {"state": 1, "both": 1, "stays": 1, "again": 2}
"""What is to be at the broker in the end, if it loses nothing."""
STATES = {"state": 1, "again": 2}
"""What it is to get back, if it loses everything."""


async def settled(server: Any) -> None:
    """Wait until the broker has got whatever the server believes it to lack."""
    await server.supplier.supply()
    await until(lambda: not server.supplier.owed, timeout=20)
    await server.supplier.vouch()


@pytest.mark.parametrize("ending", ["in order", "killed"])
@pytest.mark.parametrize("broker_loses", [False, True], ids=["broker runs on", "broker loses"])
async def test_after_a_restart(
    serve: Start,
    broker: Mosquitto,
    peer: Peer,
    journal: JournalConfig,
    tmp_path: File,
    ending: str,
    broker_loses: bool,
) -> None:
    """The server still knows events, but the broker gets states only."""
    server = await run_as_main(serve, journal=journal)
    await said(server, peer)
    events = {"bell", "button", "both", "stays"}
    await until(lambda: set(topics(journal)) == events)
    await asyncio.to_thread(copy, journal.directory, tmp_path / "killed")
    await end(server)
    for _ in [1] * broker_loses:
        await asyncio.to_thread(lose, broker)
    directory = {"in order": journal.directory, "killed": tmp_path / "killed"}[ending]
    again = await run_as_main(serve, journal=JournalConfig(directory=directory))
    await settled(again)
    assert await what_is_there(broker) == (STATES if broker_loses else THERE)
    assert [value(again, each) for each in ("bell", "button", "both")] == ["X", 2, 2]
    assert value(again, "stays") is ABSENT
    assert again.supplier.supplied == (2 if broker_loses else 0)


async def test_while_the_server_runs(serve: Start, broker: Mosquitto, peer: Peer) -> None:
    """A broker that loses everything gets states back, no events."""
    server = await run_as_main(serve)
    await said(server, peer)
    await settled(server)
    await asyncio.to_thread(lose, broker)
    await until(lambda: server.broker.connected, timeout=20)
    await until(lambda: server.supplier.supplied == 2, timeout=20)
    await settled(server)
    assert await what_is_there(broker) == STATES


async def test_older_value_at_the_broker(serve: Start, broker: Mosquitto, peer: Peer) -> None:
    """What was said in passing does not replace what the broker retains, with metadata or without."""
    server = await run_as_main(serve)
    await peer.say("plain", 1)
    await said(server, peer)
    await peer.say("plain", 2, retain=False)
    await until(lambda: value(server, "plain") == 2)
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)
    await until(lambda: server.broker.sessions == 2 and server.broker.connected, timeout=20)
    await settled(server)
    assert await what_is_there(broker) == THERE | {"plain": 1}


async def test_what_was_not_there_any_more(
    serve: Start, broker: Mosquitto, peer: Peer, journal: JournalConfig
) -> None:
    """A broker that has kept everything has not lost what it lacks: not now, and not later."""
    server = await run_as_main(serve, journal=journal)
    await said(server, peer)
    await peer.say("deleted", 1, time=100.0)
    await until(lambda: value(server, "deleted") == 1)
    await settled(server)
    await end(server)
    (journal.directory / "passing.json").unlink()
    await peer.say("deleted", ABSENT)
    again = await run_as_main(serve, journal=journal)
    await settled(again)
    there = await what_is_there(broker)
    assert not {"deleted", "bell", "button"} & set(there)
    assert value(again, "deleted") == 1
    await asyncio.to_thread(lose, broker)
    await until(lambda: again.broker.sessions == 2 and again.broker.connected, timeout=20)
    await settled(again)
    assert not {"deleted", "bell", "button"} & set(await what_is_there(broker))


async def test_what_the_broker_never_had(
    serve: Start, broker: Mosquitto, journal: JournalConfig
) -> None:
    """A broker that nobody has looked through may lack states, however long it has been known."""
    server = await run_as_main(serve, journal=journal)
    server.tree.write(["a"], 1, Meta("x", 100.0))
    await end(server)
    await asyncio.to_thread(lose, broker)
    behind = await serve(journal=journal)
    behind.election.started = 1e12
    await until(lambda: behind.broker.connected)
    behind.tree.changes += 1
    await behind.supplier.vouch()
    behind.election.main = False
    await end(behind)
    assert await what_is_there(broker) == {}
    await run_as_main(serve, journal=journal)
    await until_there(broker, {"a": 1})


async def until_there(broker: Mosquitto, expected: dict[str, Any]) -> None:
    async with other(broker) as peer:
        await until(lambda: expected.items() <= peer.state("").items(), timeout=20)


async def test_event_after_a_command(serve: Start, broker: Mosquitto, peer: Peer) -> None:
    """What is owed to the broker is not, when an event has taken its place."""
    server = await run_as_main(serve)
    await vouched(server)
    server.tree.write(["a"], 1, Meta("x", 100.0))
    await until(lambda: peer.last("a") == 1)
    server.broker.learned(["a"])
    await peer.say("a", 2, time=200.0, retain=False)
    await until(lambda: value(server, "a") == 2)
    await peer.say("b", 1, time=1.0)
    server.broker.learned(["b"])
    await until(lambda: not server.supplier.owed and len(peer.heard("b")) == 2)
    assert peer.heard("a") == [1, 2]
    server.tree.write(["a"], 3, Meta("x", 300.0))
    await until(lambda: peer.last("a") == 3)
    assert list(server.tree.passing) == []


def test_set_on_disk(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is limited, written when it has changed and not too often, and what makes no sense is nothing."""
    monkeypatch.setattr(passing, "_MOST", 300)
    clock, file = StoppedClock(), tmp_path / "passing.json"
    known = Passing(clock, file)
    known.load()
    assert not known.due
    known.save()
    assert not file.exists()
    for number in range(400):
        known.add(f"n/{number}")
    assert known.due
    known.save()
    known.discard("n/0")
    assert not known.due
    clock.advance(1.4)
    assert not known.due, "the more, the less often"
    clock.advance(0.2)
    assert known.due
    known.save()
    assert file.stat().st_mode & 0o777 == 0o600
    again = Passing(clock, file)
    again.load()
    assert list(again) == [f"n/{number}" for number in range(1, 300)]
    known.add("n/1")
    known.discard("other")
    clock.advance(10.0)
    assert not known.due
    for rubbish in ("", "[]", "{}", '{"topics": 1}', "[" * 100_000, '{"topics": [1, null]}'):
        file.write_text(rubbish)
        none = Passing(clock, file)
        none.load()
        assert list(none) == []
    known = Passing(clock, tmp_path / "nowhere" / "passing.json")
    known.add("x")
    with pytest.raises(OSError, match="nowhere"):
        known.save()
    clock.advance(10.0)
    assert known.due, "tried again"
