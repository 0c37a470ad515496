"""The link with a server: snapshots, deletions while away, compare-and-set, errors, changes."""

import asyncio
import logging
import time
from typing import Any

import pytest

from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import ABSENT, Value
from firmware_bridge.link.connection import Answer, Request
from firmware_bridge.link.direct import Endpoint
from firmware_bridge.link.errors import (
    AuthenticationError,
    DecodeError,
    NotFoundError,
    OutOfDateError,
    RefusedError,
    TokenNeededError,
)
from firmware_bridge.link.frames import Reply
from firmware_bridge.link.path import Path
from tests.support.installation import ROOT, Peer, ShiftedClock, backbone, config, link
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.recorder import Recorder
from tests.support.running import running
from tests.support.wait import until

HOME = Path("home")


async def test_found_and_used(broker: Mosquitto, peer: Peer) -> None:
    """An announced server is the source of the snapshot, with our id and our record."""
    async with backbone(broker) as base:
        await base.announce()
        base.server.put(HOME / "a", 1, time=10)
        base.server.put(HOME / "b" / 1, 2, time=11)
        await peer.say("home/stale", 1, time=5)
        base.server.nodes.pop(("home", "stale"))
        recorder = Recorder()
        async with link(broker) as one:
            assert one.status.server == "srv1"
            assert not one.status.degraded
            one.watch(HOME, recorder, on_mark=recorder.mark)
            await until(lambda: recorder.marks)
            assert recorder.values == [("home/a", 1), ("home/b/:1", 2)]
            assert base.server.clients[0].name == one.id
            await until(lambda: peer.last(f"run/id/{one.id}")["srv"] == "srv1")  # type: ignore[index, call-overload]  # a map
            await peer.say("home/a", 3, time=12)
            await until(lambda: recorder.values[-1] == ("home/a", 3))
        assert not base.server.clients


async def test_stale_announcement(broker: Mosquitto, peer: Peer) -> None:
    """A dead or lying announcement costs little; the other announcements count."""
    dead: Any = {"node": "x", "link": [{"host": "127.0.0.1", "port": free_port()}]}
    await peer.say("run/service/main/conn", dead, time=20, origin="gone")
    await peer.say("run/service/main/server/bad", "nonsense", time=20, origin="bad")
    async with backbone(broker) as base:
        await base.announce("server/srv1")
        start = time.monotonic()
        async with link(broker) as one:
            assert one.status.server == "srv1"
            assert time.monotonic() - start < 2
            await peer.say("run/service/main/server/bad", ABSENT, time=21, origin="bad")
            await one.set(HOME, 1)


async def test_not_wanted(broker: Mosquitto) -> None:
    """Without `use_server` nobody asks."""
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker, use_server=False) as one:
            await one.set(HOME, 1)
            assert one.status.degraded
        assert base.server.accepted == 0


async def test_token_of_ours(broker: Mosquitto) -> None:
    """A server that announces no token gets ours; one that does gets its own."""
    async with backbone(broker, tokens=["secret"], anonymous=False) as base:
        await base.announce(auth=None)
        async with link(broker, token="secret") as one:
            await until(lambda: one.status.server == base.server.name)
        async with link(broker) as one:
            await until(lambda: isinstance(one.status.server_error, AuthenticationError))
        await base.announce(auth={"token": "secret"}, time=2.0)
        async with link(broker, token="another") as one:
            await until(lambda: one.status.server == base.server.name)


async def test_token_is_not_for_strangers(broker: Mosquitto) -> None:
    """Anybody may announce a server: ours is told to those on machines that the user has named."""
    where = "127.0.0.2"
    async with backbone(broker, host=where, tokens=["secret"], anonymous=False) as base:
        await base.announce(auth=None)
        async with link(broker, token="secret") as one:
            await until(lambda: isinstance(one.status.server_error, TokenNeededError))
            assert str(one.status.server_error).startswith(f"{where}:{base.server.port}: ")
        endpoint = Endpoint(host=where, port=1)
        async with link(broker, endpoint=endpoint, token="secret") as one:
            await until(lambda: one.status.server == base.server.name)


async def test_fixed_endpoint(broker: Mosquitto) -> None:
    """A configured server needs no announcement; its token is ours to give."""
    async with backbone(broker, tokens=["secret"], anonymous=False) as base:
        endpoint = Endpoint(host="127.0.0.1", port=base.server.port)
        async with link(broker, endpoint=endpoint, token="secret") as one:
            assert one.status.server == "srv1"
        async with link(broker, endpoint=endpoint, token="wrong") as one:
            assert one.status.degraded
            assert isinstance(one.status.server_error, AuthenticationError)
            assert one.status.error is None
            assert "wrong" not in repr(one.config)


async def test_server_comes_later(broker: Mosquitto, peer: Peer) -> None:
    """What was degraded upgrades by itself, and the server's view replaces the broker's."""
    await peer.say("home/a", "broker", time=10)
    await peer.say("home/old", "deleted long ago", time=9)
    recorder = Recorder()
    async with link(broker) as one:
        one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: recorder.marks)
        assert one.status.degraded
        async with backbone(broker) as base:
            base.server.nodes.clear()
            base.server.put(HOME / "a", "server", time=12)
            await base.announce()
            await until(lambda: len(recorder.marks) == 2)
            assert one.status.server == "srv1"
            assert recorder.values[-1] == ("home/a", "server")
            await until(lambda: recorder.values[-1] == ("home/old", ABSENT))
        await until(lambda: one.status.degraded)
        assert one.status.ready
        await peer.say("home/a", "goes on", time=13)
        await until(lambda: recorder.values[-1] == ("home/a", "goes on"))


async def test_server_replaced(broker: Mosquitto, peer: Peer) -> None:
    """Another server takes over: new name in our record, new snapshot."""
    recorder = Recorder()
    async with backbone(broker) as first, link(broker) as one:
        await first.announce(time=1)
        await until(lambda: one.status.server == "srv1")
        one.watch(HOME, recorder, on_mark=recorder.mark)
        async with backbone(broker, name="srv2") as second:
            second.server.put(HOME, "second", time=10)
            await second.announce(time=2)
            first.server.drop()
            await until(lambda: one.status.server == "srv2")
            await until(lambda: ("home", "second") in recorder.values)
            await until(lambda: peer.last(f"run/id/{one.id}")["srv"] == "srv2")  # type: ignore[index, call-overload]  # a map


async def test_deleted_while_away(broker: Mosquitto) -> None:
    """What disappeared during an outage is deleted by the next snapshot."""
    recorder = Recorder()
    async with backbone(broker) as base, link(broker) as one:
        for name in "abc":
            base.server.put(HOME / name, name, time=10)
        await base.announce()
        await until(lambda: one.status.server is not None)
        watch = one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: len(watch.messages) == 3)
        broker.kill()
        await until(lambda: not one.status.connected)
        del base.server.nodes["home", "b"]
        base.server.put(HOME / "c", "C", time=11)
        base.server.put(HOME / "d", "D", time=11)
        broker.start()
        await base.join(broker)
        await base.announce()
        await until(lambda: "home/b" not in watch.messages, 10)
        state = {topic: message.value for topic, message in watch.messages.items()}
        assert state == {"home/a": "a", "home/c": "C", "home/d": "D"}
        assert recorder.values[3:] == [("home/c", "C"), ("home/d", "D"), ("home/b", ABSENT)]


@pytest.mark.parametrize("prefix", [HOME, Path()])
async def test_server_that_has_just_started(
    broker: Mosquitto, prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server learns a moment later was never gone."""
    monkeypatch.setattr("firmware_bridge.link.snapshot.DOUBT", 0.3)
    recorder = Recorder()
    async with backbone(broker) as base, link(broker, grace=0.3) as one:
        for name in "abc":
            base.server.put(HOME / name, name, time=10)
        await base.announce()
        await until(lambda: one.status.server is not None)
        watch = one.watch(prefix, recorder, on_mark=recorder.mark)
        await until(lambda: recorder.marks)
        nodes = dict(base.server.nodes)
        base.server.nodes.clear()
        base.server.drop()
        await until(lambda: len(recorder.marks) == 2)
        assert watch.doomed
        base.server.nodes.update(nodes)
        del base.server.nodes["home", "b"]
        await until(lambda: "home/b" not in watch.messages)
        known = {topic for topic in watch.messages if topic.startswith("home")}
        assert known == {"home/a", "home/c"}


async def test_changes_during_the_walk(broker: Mosquitto, peer: Peer) -> None:
    """What is said while the snapshot is under way counts, whatever the snapshot says."""
    recorder = Recorder()
    gate = asyncio.Event()
    async with backbone(broker) as base, link(broker) as one:
        for name in "abc":
            base.server.put(HOME / name, name, time=10)
        walk = base.server._builtin["d", "walk"]

        async def slow_walk(request: Request) -> Answer:
            await gate.wait()
            return await walk(request)

        base.server.commands["d", "walk"] = slow_walk
        await base.announce()
        await until(lambda: one.status.server is not None)
        watch = one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: any(path == ("d", "walk") for path, _, _ in base.server.calls))
        nodes = dict(base.server.nodes)
        await peer.say("home/a", "newer", time=11)
        await peer.say("home/b", ABSENT, time=11)
        await peer.say("home/new", "new", time=11)
        await until(lambda: len(recorder.values) == 3)
        base.server.nodes = nodes  # the walk's view is older
        gate.set()
        await until(lambda: recorder.marks)
    state = {topic: message.value for topic, message in watch.messages.items()}
    assert state == {"home/a": "newer", "home/c": "c", "home/new": "new"}


async def test_walk_fails(broker: Mosquitto, peer: Peer) -> None:
    """A server that cannot tell is no reason to know nothing."""

    async def refuse(request: Request) -> Answer:
        raise RefusedError("no")

    async def nonsense(request: Request) -> Answer:
        await request.send("x")
        return None

    for answer in (refuse, nonsense):
        recorder = Recorder()
        async with backbone(broker) as base:
            base.server.commands["d", "walk"] = answer
            await base.announce()
            await peer.say("home/a", 1, time=10)
            async with link(broker) as one:
                one.watch(HOME, recorder, on_mark=recorder.mark)
                await until(lambda recorder=recorder: recorder.marks)
        assert recorder.values == [("home/a", 1)]


async def test_walk_without_end(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that begins to tell and never goes on is asked once; the broker knows the rest."""
    monkeypatch.setattr("firmware_bridge.link.snapshot.WALK_PATIENCE", 0.5)
    asked: list[Request] = []

    async def hang(request: Request) -> Answer:
        asked.append(request)
        request.accept()
        await asyncio.Event().wait()
        return None

    recorder = Recorder()
    async with backbone(broker) as base:
        base.server.commands["d", "walk"] = hang
        await base.announce()
        await peer.say("home/a", 1, time=10)
        await peer.say("away/b", 2, time=10)
        one = Link(config(broker))
        one.watch(HOME, recorder, on_mark=recorder.mark)
        one.watch(Path("away"), recorder, on_mark=recorder.mark)
        async with running(one.run()):
            await one.wait_ready(5)
            assert one.status.server is not None
    assert recorder.values == [("home/a", 1), ("away/b", 2)]
    assert len(asked) == 1


async def test_everything(broker: Mosquitto, peer: Peer) -> None:
    """A watch of the root gets the data from the server and `run` from the broker."""
    recorder = Recorder()
    async with backbone(broker) as base:
        base.server.put(HOME, 1, time=10)
        await base.announce()
        await peer.say("run/host/x", {"id": "_x"}, time=10)
        async with link(broker) as one:
            watch = one.watch(Path(), recorder, on_mark=recorder.mark)
            await until(lambda: recorder.marks)
            assert {"home", "run/host/x", "run/service/main/conn"} <= set(watch.messages)


async def test_data(broker: Mosquitto) -> None:
    """Get, list, walk, compare-and-set and delete through the server."""

    async def nothing(request: Request) -> Answer:
        return Reply((ABSENT, "test", 10.0))

    async with backbone(broker) as base:
        await base.announce()
        base.server.put(HOME / "a", {"map": 1}, time=10)
        async with link(broker) as one:
            got = await one.get(HOME / "a")
            assert (got.value, got.time, got.meta.origin) == ({"map": 1}, 10, "test")
            with pytest.raises(NotFoundError):
                await one.get(HOME / "b")
            with pytest.raises(OutOfDateError) as caught:
                await one.set(HOME / "a", 2, expected_time=9.0)
            assert caught.value.meta is not None
            assert caught.value.meta.time == 10
            with pytest.raises(NotFoundError):
                await one.set(HOME / "a", 2, expected_time=False)
            assert (await one.set(HOME / "a", 2, expected_time=10.0)).value == 2
            await one.set(HOME / "b" / "c", 3, expected_time=False)
            assert sorted(await one.list(HOME), key=str) == ["a", "b"]
            assert [message.topic async for message in one.walk(HOME, max_depth=1)] == ["home/a"]
            base.server.put(HOME / "future", 1, time=time.time() + 100)
            with pytest.raises(OutOfDateError, match="newer"):
                await one.set(HOME / "future", 2, expected_time=True)
            await one.delete(HOME / "a", expected_time=True)
            with pytest.raises(OutOfDateError):
                await one.delete(HOME / "b" / "c", expected_time=5.0, recursive=True)
            base.server.commands["d", "get"] = nothing
            with pytest.raises(NotFoundError, match="no value"):
                await one.get(HOME / "a")
            del base.server.commands["d", "get"]
            await one.delete(HOME / "b", recursive=True)
            await until(lambda: set(base.peer.state("home")) == set())
            with pytest.raises(NotFoundError):
                await one.get(HOME / "b" / "c")
            assert [message.topic async for message in one.walk(HOME)] == ["home/future"]


async def test_walk_into_the_deep(broker: Mosquitto) -> None:
    """What is too deep for us is left out; nobody can be led on for ever."""
    items: list[list[Value]] = [
        [0, Path(*"x" * 199), 1, "x", 5.0],
        [199, Path("y"), 1, "x", 5.0],
        [200, Path(*"y" * 100), 1, "x", 5.0],
        [0, Path("z"), 1, "x", 5.0],
    ]

    async def walk(request: Request) -> Answer:
        request.accept()
        for item in items:
            await request.send(*item)
        return None

    async with backbone(broker) as base:
        await base.announce()
        base.server.commands["d", "walk"] = walk
        async with link(broker) as one:
            found = [message.path async for message in one.walk(HOME)]
            assert found == [HOME / Path(*"x" * 199), HOME / "z"]
            items[3:] = [[300 + 100 * n, Path(*"y" * 100), 1, "x", 5.0] for n in range(20)]
            with pytest.raises(DecodeError, match="levels"):
                [message async for message in one.walk(HOME)]


async def test_reading_back(broker: Mosquitto) -> None:
    """The server has seen what was written before we read it; one that cannot say so is not waited for."""
    async with backbone(broker) as base:
        await base.announce()
        seen: list[Value] = []

        async def sync(request: Request) -> Answer:
            topic = "run/service/main/stamp/srv1"
            await until(lambda: base.peer.last(topic) == request.arguments[0])
            seen.append(request.arguments[0])
            return None

        base.server.commands["i", "sync"] = sync
        async with link(broker) as one:
            assert seen == []
            for number in range(3):
                one.publish(HOME / "a", number)
                assert (await one.get(HOME / "a")).value == number
            await one.get(HOME / "a")  # somebody else may have written it
            assert seen == [1, 2, 3, 4]

    async def refuse(request: Request) -> Answer:
        raise RefusedError("no")

    async with backbone(broker) as base:
        base.server.commands["i", "stamp"] = refuse
        await base.announce()
        async with link(broker) as one:
            for _ in range(2):
                await one.set(HOME / "a", 5)
                assert [message.value async for message in one.walk(HOME)] == [5]
            assert sum(path == ("i", "stamp") for path, _, _ in base.server.calls) == 1


async def test_server_behind_the_broker(broker: Mosquitto, peer: Peer) -> None:
    """What was published before we subscribed is neither missed nor old, whatever the server says."""
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker) as one:
            await peer.say("home/a", 1, time=time.time())
            await until(lambda: ("home", "a") in base.server.nodes)
            base.fall_behind()
            await peer.say("home/a", 2, time=time.time())
            await peer.say("home/b", 3, time=time.time())
            base.server.calls.clear()
            marked = asyncio.Event()
            watch = one.watch(HOME, lambda _: None, on_mark=marked.set)
            await until(lambda: ("d", "get") in [path for path, _, _ in base.server.calls])
            assert not marked.is_set()
            base.keep_up()
            await marked.wait()
            assert [message.value for message in watch.messages.values()] == [2, 3]


async def test_server_that_is_stuck(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers, but hears nothing from the broker, is not believed: the broker is."""
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker) as one:
            base.server.put(HOME / "a", 1, time=1.0)
            base.fall_behind()
            await peer.say("home/a", 2, time=2.0)
            monkeypatch.setattr("firmware_bridge.link.snapshot.WALK_PATIENCE", 0.1)
            marked = asyncio.Event()
            watch = one.watch(HOME, lambda _: None, on_mark=marked.set)
            await marked.wait()
            assert [message.value for message in watch.messages.values()] == [2]


async def test_server_without_our_record() -> None:
    """Where we may not publish who we are, the server is asked at once."""
    with Mosquitto(acl=f"topic #\ntopic deny {ROOT.topic}/run/id/#\n") as broker:
        async with backbone(broker) as base:
            await base.announce()
            base.server.put(HOME / "a", 1, time=10)
            async with link(broker) as one:
                marked = asyncio.Event()
                watch = one.watch(HOME, lambda _: None, on_mark=marked.set)
                await marked.wait()
                assert [message.value for message in watch.messages.values()] == [1]


async def test_who_waits_is_not_overtaken(broker: Mosquitto) -> None:
    """While somebody waits for the server to catch up, others do, too."""
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker) as one:
            await one.list(HOME)
            synced: list[Value] = []
            caught_up = asyncio.Event()

            async def sync(request: Request) -> Answer:
                synced.append(request.arguments[0])
                await caught_up.wait()
                return None

            base.server.commands["i", "sync"] = sync
            async with asyncio.TaskGroup() as group:
                group.create_task(one.list(HOME))
                await until(lambda: len(synced) == 1)
                group.create_task(one.deletions(HOME))
                await until(lambda: len(synced) == 2)
                caught_up.set()


async def test_list_without_ghosts(broker: Mosquitto) -> None:
    """Names of deleted nodes, which servers remember, are left out; 1 and "1" are two names."""
    async with backbone(broker) as base:
        await base.announce()
        for name in ("a", "b", 1, "1"):
            base.server.put(HOME / name, 1)
        base.server.put(HOME / "way" / "c", 1)
        base.server.put(HOME / "gone" / "d", 1)
        async with link(broker) as one:
            for path in (HOME / "b", HOME / "gone" / "d", HOME / 1):
                await one.delete(path)
            await until(lambda: base.server.nodes["home", 1].value is ABSENT)
            assert await one.list(HOME) == ["a", "1", "way"]


async def test_delete_what_is_ahead(broker: Mosquitto, peer: Peer) -> None:
    """A subtree goes as a whole, even if the clock of who wrote it is ahead, or the server behind."""
    async with backbone(broker) as base:
        await base.announce()
        await peer.say("home/a", 1, time=time.time())
        await peer.say("home/a/b", 2, time=time.time() + 50)
        await until(lambda: ("home", "a", "b") in base.server.nodes)
        base.server.commands["d", "delete"] = _ignore
        async with link(broker) as one:
            await one.delete(HOME, recursive=True)
            await until(lambda: base.peer.state("home") == {})


async def _ignore(request: Request) -> Answer:
    return None


async def test_get_survives_the_server(broker: Mosquitto, peer: Peer) -> None:
    """When the server hangs up in the middle, the broker is asked."""
    async with backbone(broker) as base:

        async def hang_up(request: Request) -> Answer:
            base.server.drop()
            return None

        base.server.commands["d", "get"] = hang_up
        await base.announce()
        await peer.say("home/a", 1, time=10)
        async with link(broker) as one:
            assert one.status.server is not None
            assert (await one.get(HOME / "a")).value == 1


async def test_errors_by_the_server(broker: Mosquitto) -> None:
    """Reports go to the server's error commands, as text and in `msg`."""
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker) as one:
            await one.report_error(Path("x", "y"), "broken", level=4, val=float("nan"))
            await one.ack_error(Path("x", "y"))
            record: Any = base.server.nodes["error", "x", "y"].value
            assert record == {"msg": "broken", "level": 4, "val": None, "ack": True}
            await one.clear_error(Path("x", "y"))
            assert base.server.nodes["error", "x", "y"].value is ABSENT
            calls = [call for call in base.server.calls if call[0][0] == "e"]
            assert calls[0][1] == (Path("x", "y"), "broken")


async def test_skew(broker: Mosquitto) -> None:
    """What the server says live tells how far its clock is ahead; a replay tells nothing."""
    clock = ShiftedClock()
    async with backbone(broker) as base:
        await base.announce(time=clock.time() - 1000)
        async with link(broker, clock=clock) as one:
            assert one.status.server == "srv1"
            assert one.status.skew is None
            clock.offset = -40
            await base.announce(time=time.time())
            await until(lambda: one.status.skew is not None)
            assert one.status.skew == pytest.approx(40, abs=1)
            base.server.drop()
            await until(lambda: one.status.degraded)
            assert one.status.skew is None


async def test_server_loss_is_logged_when_it_lasts(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line down, one up; nothing for a moment without."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("firmware_bridge.link.online.LOSS_PATIENCE", 0.2)
    async with link(broker) as one:
        async with backbone(broker) as base:
            await base.announce(time=1)
            await until(lambda: one.status.server is not None)
        await until(lambda: "is gone" in caplog.text)
        async with backbone(broker) as base:
            await base.announce(time=2)
            await until(lambda: one.status.server is not None)
    lines = [record.message for record in caplog.records]
    assert lines == ["Server srv1 is gone; going on without", "Connected to server srv1 again"]


async def test_probe_is_answered(broker: Mosquitto) -> None:
    """The server's probes are answered, whatever else is going on."""
    async with backbone(broker, probe_interval=0.05, probe_timeout=0.5) as base:
        await base.announce()
        async with link(broker) as one:
            await until(lambda: base.server.probed > 3)
            assert base.server.unanswered == 0
            assert one.status.server is not None


async def test_hanging_server_does_not_hold_things_up(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who accepts and says nothing costs a few seconds, no more."""
    monkeypatch.setattr("firmware_bridge.link.online.SERVER_PATIENCE", 0.3)
    await peer.say("home/a", 1, time=10)
    async with backbone(broker) as base:
        base.server.greeting = "silent"
        await base.announce()
        start = time.monotonic()
        async with link(broker) as one:
            assert one.status.degraded
            assert time.monotonic() - start < 2
            assert (await one.get(HOME / "a")).value == 1


async def test_deletions(broker: Mosquitto) -> None:
    """A server of ours tells what was deleted; others refuse, and without one nobody knows."""

    async def refuse(request: Request) -> Answer:
        raise RefusedError("unexpected keyword argument 'deleted'")

    async with backbone(broker) as base:
        await base.announce()
        base.server.put(HOME / "a", 1, time=10)
        base.server.put(HOME / "b", ABSENT, time=11, origin="who")
        async with link(broker) as one:
            [found] = await one.deletions(HOME)
            assert (found.topic, found.value, found.meta.time) == ("home/b", ABSENT, 11)
            base.server.commands["d", "walk"] = refuse
            assert await one.deletions(HOME) == []
    async with link(broker, use_server=False) as alone:
        assert await alone.deletions(HOME) == []


async def test_written_for_somebody_else(broker: Mosquitto) -> None:
    """Whoever it is for is the origin, and its keywords come along."""
    async with link(broker) as one, link(broker) as two:
        recorder = Recorder()
        two.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: recorder.marks)
        sent = one.publish(HOME, 5, time=1e9, origin="GATE.x", keywords={"gw": "y"})
        await until(lambda: recorder.messages)
        assert recorder.messages[0].meta == sent.meta
        assert (sent.meta.origin, sent.time, sent.meta.keywords) == ("GATE.x", 1e9, {"gw": "y"})
