"""The command `d.hist`: its arguments, what it sends, and that nobody has to wait for it."""

import asyncio
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path as File
from typing import Any

import cbor2
import pytest

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.server.archive import Row
from firmware_bridge.server.history import History, HistoryConfig
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.past import MOST_SAMPLES
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.server import Server
from tests.bridge.server.caller import Caller
from tests.support.installation import Peer
from tests.support.wait import until

type Start = Callable[..., Any]

PAST = 1_700_000_000.0
HIST = ["d", "hist"]
A = Path("a")


def remembering(tmp_path: File, name: str = "h.db", **keep: Keep) -> HistoryConfig:
    return HistoryConfig(file=tmp_path / name, keep=keep or {"": Keep()})


@pytest.fixture
async def server(serve: Start, tmp_path: File) -> Server:
    """A server that remembers everything."""
    one: Server = await serve(history=remembering(tmp_path))
    return one


@pytest.fixture
async def caller(server: Server, join: Start) -> Caller:
    """Somebody who asks it."""
    one: Caller = await join(server)
    return one


def say(server: Server, later: float, value: Any, *path: str) -> None:
    server.tree.write(list(path) or ["a"], value, Meta("me", PAST + later))


async def test_values(server: Server, caller: Caller) -> None:
    """What held at the start, with its own time, and what came before the end; deletions, too."""
    for later in (0, 10, 20):
        say(server, later, {"v": later})
    say(server, 30, ABSENT)
    server.tree.write(["a"], "back", Meta("me", PAST + 40, keywords={"gw": 1}))
    everything = [
        [{"v": 0}, "me", PAST],
        [{"v": 10}, "me", PAST + 10],
        [{"v": 20}, "me", PAST + 20],
        [ABSENT, "me", PAST + 30],
        ["back", "me", PAST + 40, {"gw": 1}, {}],
    ]
    assert await caller.stream(HIST, A) == everything
    assert await caller.stream(HIST, A, PAST + 15, PAST + 30) == everything[1:3]
    assert await caller.stream(HIST, A, PAST + 10, PAST + 20) == everything[1:2]
    assert await caller.stream(HIST, A, PAST + 10, PAST + 10) == []
    assert await caller.stream(HIST, A, None, PAST + 11) == everything[:2]
    assert await caller.stream(HIST, A, PAST + 31) == everything[4:], "a deletion does not hold"
    assert await caller.stream(HIST, A, PAST - 5, PAST) == []
    assert await caller.stream(HIST, A, -1e300, 1e300) == everything
    assert await caller.stream(HIST, Path("b")) == []


async def test_newest(server: Server, caller: Caller) -> None:
    """So many at most, of the same; what held at the start is the last of them to be left out."""
    for later in (0, 10, 20):
        say(server, later, later)
    newest: Any = [await caller.stream(HIST, A, {"n": count}) for count in range(5)]
    assert [[each[0] for each in found] for found in newest] == [
        *([], [20], [10, 20]),
        *([0, 10, 20],) * 2,
    ]
    assert await caller.stream(HIST, A, None, PAST + 15, 1) == [[10, "me", PAST + 10]]
    found = await caller.stream(HIST, A, PAST + 15, {"n": 2})
    assert [each[0] for each in found] == [10, 20]
    found = await caller.stream(HIST, A, PAST + 15, {"n": 1 << 62})
    assert [each[0] for each in found] == [10, 20]


async def test_newest_of_what_goes_on(
    server: Server, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are not more of them because more come while they are told."""
    for later in (0, 10, 20):
        say(server, later, later)
    rows = History.rows
    more = iter(range(30, 80, 10))

    async def busy(history: History, topic: str, after: float, end: float) -> list[Row]:
        for later in more:
            say(server, later, later)
        return await rows(history, topic, after, end)

    monkeypatch.setattr(History, "rows", busy)
    found: Any = await caller.stream(HIST, A, {"n": 2})
    assert [each[0] for each in found] == [10, 20]
    more = iter(range(80, 130, 10))
    found = await caller.stream(HIST, A, PAST + 65, {"n": 3})
    assert [each[0] for each in found] == [60, 70, 80]


async def test_samples(server: Server, caller: Caller) -> None:
    """Intervals begin at the start, or at multiples of the step; the newest few of them."""
    for later, value in ((0, 4), (35, 8), (37, None), (41, 1)):
        say(server, later, {"x": [value]})
    ask: dict[str, Any] = {"item": ["x", 0], "step": 10}
    first = [PAST, 4.0, 4.0, 4.0, 1, 10.0]
    second, third = ([PAST + later, 4.0, 4.0, 4.0, 0, 10.0] for later in (10, 20))
    fourth = [PAST + 30, (5 * 4 + 2 * 8) / 7, 4.0, 8.0, 1, 7.0]
    fifth = [PAST + 40, 1.0, 1.0, 1.0, 1, 4.0]
    assert await caller.stream(HIST, A, None, PAST + 45, ask) == [
        first,
        second,
        third,
        fourth,
        fifth,
    ]
    found: Any = await caller.stream(HIST, A, PAST + 5, PAST + 20, ask)
    assert found == [[PAST + 5, 4, 4, 4, 0, 10], [PAST + 15, 4, 4, 4, 0, 5]]
    assert await caller.stream(HIST, A, None, PAST + 45, {**ask, "n": 2}) == [fourth, fifth]
    found = await caller.stream(HIST, A, None, PAST + 45, {**ask, "n": 9})
    assert found[:1] == [first]
    found = await caller.stream(HIST, A, PAST - 33, PAST + 7, ask)
    assert [each[0] for each in found] == [PAST - 3], "nothing is known before"
    assert await caller.stream(HIST, A, PAST - 33, PAST - 3, ask) == []
    assert await caller.stream(HIST, A, PAST + 5, PAST + 5, ask) == []
    assert await caller.stream(HIST, Path("b"), {"step": 1}) == []
    assert await caller.stream(HIST, A, None, PAST + 45, {"step": 10, "item": "y"}) == []


async def test_samples_end_now(server: Server, caller: Caller) -> None:
    """What holds counts up to now, and not into the future; the future itself is not sampled."""
    before = time.time()
    server.tree.write(["a"], 7, Meta("me", before - 100))
    server.tree.write(["a"], 8, Meta("me", before + 1000))
    found: Any = await caller.stream(HIST, A, before - 100, before + 5000, {"step": 1000})
    ((start, mean, low, high, count, seconds),) = found
    assert (start, mean, low, high, count) == (before - 100, 7, 7, 7, 1)
    assert 100 <= seconds <= 100 + time.time() - before
    assert len(await caller.stream(HIST, A)) == 2
    assert await caller.stream(HIST, A, before + 5000, {"step": 1000}) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "path"),
        ([5], "a path is needed"),
        ([A, "yesterday"], "start is a number"),
        ([A, True], "start is a number"),
        ([A, 2, 1], "end is before start"),
        ([A, None, None, -1], "n is a count"),
        ([A, None, None, 1.5], "n is a count"),
        ([A, {"step": 0}], "step is at least 0.001"),
        ([A, {"step": -5}], "step is at least 0.001"),
        ([A, PAST, {"step": 0.01}], f"step is too small: .* at most {MOST_SAMPLES}"),
        ([A, PAST, PAST + 101, {"step": 0.001, "n": MOST_SAMPLES + 1}], "100001 samples, at most"),
    ],
)
async def test_wrong_questions(
    server: Server, caller: Caller, arguments: list[Any], told: str
) -> None:
    """Each has one clear answer, and the connection lives on."""
    say(server, 0, 1)
    error: Any = (await caller.call(HIST, *arguments))[1]
    assert (error.name, error.arguments[0]) == ("_rErr", "TypeError")
    assert re.search(told, error.arguments[1])
    assert await caller.call(["d", "get"], A) == [1, "me", PAST]


async def test_as_many_samples_as_allowed(server: Server, caller: Caller) -> None:
    """It is the number of samples that counts, not how long the history is."""
    say(server, 0, 1)
    ask: dict[str, Any] = {"step": 0.001, "n": 3}
    assert len(await caller.stream(HIST, A, PAST, PAST + 1e6, ask)) == 3


async def test_no_numbers_at_all(server: Server, caller: Caller) -> None:
    """What is not finite is null on the wire, and so not given."""
    say(server, 0, 1)
    caller.number += 1
    path = cbor2.CBORTag(39, ["a"])
    question = [4 * caller.number + 1, HIST, path, float("nan"), float("inf"), None, float("-inf")]
    caller.writer.write(cbor2.dumps(question))
    frames = await caller.end_of(caller.number)
    assert [1, "me", PAST] in [frame[1:] for frame in frames]


async def test_nothing_kept(serve: Start, join: Start, tmp_path: File) -> None:
    """No history, none of that path, or none that can be read: that is said."""
    caller = await join(await serve("plain"))
    assert _refusal(await caller.call(HIST, A)) == "this server keeps no history"
    caller = await join(await serve("some", history=remembering(tmp_path, b=Keep())))
    assert _refusal(await caller.call(HIST, A)) == "no history is kept of a"
    run = Path("run", "x")
    caller = await join(await serve("all", history=remembering(tmp_path, "i.db")))
    assert _refusal(await caller.call(HIST, run)) == "no history is kept of run.x"
    (tmp_path / "file").write_text("")
    caller = await join(await serve("bad", history=remembering(tmp_path, "file/h.db")))
    assert "cannot be read" in _refusal(await caller.call(HIST, A))


def _refusal(reply: list[Any]) -> str:
    assert reply[1].name == "_ValErr"
    return str(reply[1].arguments[0])


async def test_from_everywhere(serve: Start, join: Start, peer: Peer, tmp_path: File) -> None:
    """What comes by MQTT, by a command, or from another server is remembered alike, and once."""
    one = await serve("one", history=remembering(tmp_path, "1.db"))
    await peer.say("a", 1, time=PAST)
    await until(lambda: one.tree.store.find(["a"]))
    caller = await join(one)
    await caller.call(["d", "set"], Path("b"), 2)
    two = await serve("two", history=remembering(tmp_path, "2.db"))
    other = await join(two, "_other")
    await until(lambda: two.tree.store.find(["a"]) and two.tree.store.find(["b"]))
    one.tree.receive(["c"], 3, Meta("me", PAST))
    await until(lambda: "one" in two.peers.agreed, timeout=10)
    for asked in (caller, other):
        assert await asked.stream(HIST, A) == [[1, "peer", PAST]]
        assert [each[0] for each in await asked.stream(HIST, Path("b"))] == [2]
    await peer.say("a", 0, time=PAST - 5)
    await peer.say("a", 1, time=PAST)
    await peer.say("a", 5, time=PAST + 5)
    await until(lambda: two.tree.store.find(["a"]).record.value == 5)
    assert [each[0] for each in await other.stream(HIST, A)] == [1, 5]


async def test_restarts(serve: Start, join: Start, peer: Peer, tmp_path: File) -> None:
    """They double nothing; what the journal and the broker know of the time between is taken."""
    options = {
        "history": remembering(tmp_path),
        "journal": JournalConfig(directory=tmp_path / "data", flush=0.001),
    }
    known: list[Any] = []
    for turn in range(3):
        server = await serve(**options)
        assert await told_by(server, join) == known
        say(server, 100 * turn, turn)
        await until(partial(is_said, peer, turn))
        server.stop()
        await server.task
        await peer.say("a", f"meanwhile {turn}", time=PAST + 100 * turn + 50)
        await peer.session.barrier()
        known += [turn, f"meanwhile {turn}"]


async def told_by(server: Server, join: Start) -> list[Any]:
    await until(lambda: server.broker.connected)
    return [each[0] for each in await (await join(server)).stream(HIST, A)]


def is_said(peer: Peer, value: Any) -> bool:
    return peer.last("a") == value


async def test_values_from_before(serve: Start, join: Start, tmp_path: File) -> None:
    """A history that is new knows what there is, from its own time on."""
    journal = JournalConfig(directory=tmp_path / "data", flush=0.001)
    before = await serve("srv", journal=journal)
    say(before, 0, "old")
    before.stop()
    await before.task
    server = await serve("srv", journal=journal, history=remembering(tmp_path))
    caller = await join(server)
    assert await caller.stream(HIST, A, time.time() - 60) == [["old", "me", PAST]]


async def test_damage_is_an_error_record(serve: Start, tmp_path: File) -> None:
    """A damaged file is told where all errors are; what cannot be written, too, until it can."""
    (tmp_path / "h.db").write_bytes(b"x" * 5000)
    server = await serve(history=remembering(tmp_path))
    say(server, 0, 1)
    place = ["error", "link", "server", "srv1", "history"]
    await until(lambda: server.tree.store.find([*place, "damage"]))
    told = server.tree.store.find([*place, "damage"]).record.value
    assert told["level"] == 3
    assert str(tmp_path / "h.db") in told["msg"]
    server.history._failed(OSError("no room"))
    assert "no room" in server.tree.store.find([*place, "disk"]).record.value["msg"]
    server.history._works()
    assert not server.tree.store.find([*place, "disk"]).alive


async def test_error_of_an_earlier_run(server: Server) -> None:
    """A disk that was full when the process ended, and is not any more, is no error."""
    levels = ["error", "link", "server", "srv1", "history", "disk"]
    server.tree.receive(levels, {"msg": "no room", "level": 3}, Meta("srv1", PAST))
    assert server.tree.store.find(levels).alive
    await until(lambda: not server.tree.store.find(levels).alive)


async def test_many(server: Server, caller: Caller, join: Start) -> None:
    """Of a long history no more is read than the reader takes; others are answered meanwhile."""
    for number in range(20_000):
        say(server, number, number)
    slow = await join(server, "_slow")
    slow.number += 1
    slow.send([4 * slow.number + 3, 20])
    slow.send([4 * slow.number + 1, HIST, A])
    heard = [await slow.hear() for _ in range(21)]
    fast, sampled = await asyncio.gather(
        (await join(server, "_fast")).stream(HIST, A),
        (await join(server, "_samples")).stream(HIST, A, None, PAST + 20_000, {"step": 100}),
    )
    assert [each[0] for each in fast] == list(range(20_000))
    means = [start + 49.5 for start in range(0, 20_000, 100)]
    assert [each[1] for each in sampled] == pytest.approx(means)
    say(server, 30_000, "and while they wait")
    assert await caller.call(["d", "get"], A) == ["and while they wait", "me", PAST + 30_000]
    slow.send([4 * slow.number + 3, 30_000])
    heard += await slow.end_of(slow.number)
    found = [frame[1] for frame in heard if len(frame) == 4]
    assert found == [*range(20_000), "and while they wait"]


async def test_left_early(server: Server, caller: Caller, join: Start) -> None:
    """Who cancels, or hangs up, leaves nothing behind."""
    for number in range(5000):
        say(server, number, number)
    path = next(each.path for each in server.config.listeners if each.path)
    for _ in range(20):
        connection, _ = await connect(Endpoint(path=path), name="_leaver")
        async with connection.stream(("d", "hist"), A, window=10) as stream:
            async for _ in stream:
                break
        await connection.close()
    await until(lambda: len(asyncio.all_tasks()) < 40)
    assert await caller.call(["d", "get"], A) == [4999, "me", PAST + 4999]
    await until(lambda: not any("answer" in str(each) for each in asyncio.all_tasks()))
