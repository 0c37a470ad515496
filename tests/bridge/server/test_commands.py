"""What the recordings do not show of the commands: odd arguments, conditions, patterns, descriptions."""

import asyncio
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, RemoteObject, encode
from firmware_bridge.link.elements import ROOT
from firmware_bridge.link.meta import Meta, meta_object
from firmware_bridge.link.path import Path
from firmware_bridge.server.journal import JournalConfig
from tests.support.wait import until

type Start = Callable[..., Any]

META = Meta("x", 1.0)


def refused(answer: list[Any]) -> str:
    assert answer[0] is None
    return answer[1].name


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["d", "get"], []),
        (["d", "get"], [[{}]]),
        (["d", "set"], [Path("a")]),
        (["d", "set"], [Path("a"), 1, "no metadata"]),
        (["d", "set"], [Path("a"), 1, {"t": "x"}]),
        (["d", "walk"], [Path("a"), "x"]),
        (["d", "walk"], [Path("a"), None, -1]),
        (["d", "walk"], [Path("a"), None, 1.5]),
        (["e", "info"], [["a"], "x"]),
        (["i", "checkid"], [5]),
        (["i", "sync"], ["x"]),
        (["i", "state"], [1]),
        (["d", "set"], [Path("a"), 1, {"T": True}]),
        (["d", "delete"], [Path("a"), {"recursive": True}]),
        (["d_", "a"], [1, {"t2": 5}]),
        (["d_", {}], []),
    ],
)
async def test_wrong_arguments(
    serve: Start, join: Start, command: list[Any], arguments: list[Any]
) -> None:
    """They are refused with a reason, and nothing happens."""
    server = await serve()
    caller = await join(server)
    assert refused(await caller.call(command, *arguments)) == "_rErr"
    assert refused(await caller.call(["d", "get"], "text")) == "_ValErr"
    assert server.tree.store.find(["a"]) is None


async def test_conditions(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    path = Path("a")
    assert refused(await caller.call(["d", "set"], path, 1, {"t": 5})) == "_EMLClDt"
    assert refused(await caller.call(["d", "set"], path, 1, {"t": True})) == "_EKyErr"
    assert await caller.call(["d", "set"], path, 1, meta_object(Meta("me", 5.0)), {"t": False}) == [
        True
    ]
    assert await caller.call(
        ["d", "set"], path, 2, meta_object(Meta("me", 6.0)), {"t": 5.0005}
    ) == [True]
    assert await caller.call(["d", "delete"], path, meta_object(Meta("me", 5.0))) == [False]
    assert await caller.call(["d", "delete"], path, {"t": True}) == [[2, "me", 6]]
    assert await caller.call(["d", "delete"], path) == [None]
    assert await caller.call(["d", "delete"], Path("run", "x")) == [False]
    assert await caller.call(["d", "delete"], Path("b"), {"t": 5}) == [None]
    assert await caller.call(["d", "set"], Path(ROOT, "a"), 3, ABSENT) == [True]
    assert (await caller.call(["d", "get"], path))[0] == 3


async def test_delete_below(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    for name in ("a", "a.b", "a.b.c", "a.d"):
        await caller.call(["d", "set"], Path(*name.split(".")), 1)
    assert await caller.call(["d", "delete"], Path("a"), {"sub": True}) == [None]
    assert [item[1] for item in await caller.stream(["d", "walk"], Path("a"))] == [Path()]
    await caller.call(["d", "set"], Path("a", "x"), 1)
    assert (await caller.call(["d", "delete"], Path("a"), {"rec": True}))[0][0] == 1
    assert await caller.stream(["d", "walk"], Path("a")) == []
    assert len(await caller.stream(["d", "walk"], Path("a"), {"deleted": True})) == 5


async def test_large_deletions(serve: Start, join: Start) -> None:
    """Others are served meanwhile, and what they write is not deleted."""
    server = await serve()
    for number in range(20_000):
        server.tree.store.merge(["a", f"n{number}"], encode(number), Meta("me", 1.0))
    one, two = await join(server, "_one"), await join(server, "_two")
    one.send([4, ["d", "delete"], Path("a"), {"rec": True}])
    await until(lambda: not server.tree.store.find(["a", "n100"]).alive)
    assert await two.call(["i", "ping"]) == ["乓"]
    assert await two.call(["d", "set"], Path("a", "n19999"), "new") == [True]
    assert server.tree.store.find(["a", "n19998"]).alive, "it is still under way"
    await one.end_of(1)
    assert [item[2] for item in await two.stream(["d", "walk"], Path("a"))] == ["new"]


async def test_names_of_all_kinds(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    for element in ("x", 1, True, None, b"\x01", (1, 2), ""):
        await caller.call(["d", "set"], Path("a", element), 1)
    server.tree.store.merge(["a", ":nonsense"], encode(1), Meta("me", 1.0))
    names = [item[0] for item in await caller.stream(["d", "list"], Path("a"))]
    assert names == ["x", 1, True, None, b"\x01", [1, 2], "", ":nonsense"]


async def test_metadata_in_full(serve: Start, join: Start) -> None:
    """Further elements and keywords are kept; keywords are followed by an empty map."""
    server = await serve()
    caller = await join(server)
    meta = RemoteObject("_MM", ("me", 5.0, "more"), {"gw": "x"})
    assert await caller.call(["d", "set"], Path("a"), 1, meta) == [True]
    assert await caller.call(["d", "get"], Path("a")) == [1, "me", 5, "more", {"gw": "x"}, {}]
    assert await caller.stream(["d", "walk"], Path("a")) == [
        [0, Path(), 1, "me", 5, "more", {"gw": "x"}, {}]
    ]
    too_much = RemoteObject("_MM", ("me", 6.0, *range(30)), {})
    assert refused(await caller.call(["d", "set"], Path("a"), 2, too_much)) == "_ValErr"


async def test_too_many_patterns(
    serve: Start, join: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search ends, whatever there is: names, and patterns of which many fit in many ways."""
    monkeypatch.setattr("firmware_bridge.server.patterns._MOST", 100)
    server = await serve()
    caller = await join(server)
    for number in range(20):
        await caller.call(["d", "set"], Path("w", (1, number + 1)), number)
    assert (await caller.call(["d", "search"], Path("w", "a")))[0] == 0
    assert refused(await caller.call(["d", "search"], Path("w", *"abcdefgh" * 5))) == "_ValErr"
    for number in range(5000):
        server.tree.receive(["v", f"{number}"], number, META)
    assert (await caller.call(["d", "search"], Path("v", "7")))[0] == 7
    assert refused(await caller.call(["d", "search"], Path("v", "x"))) == "_ValErr"


async def test_collect(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    for path, value in (
        (("w",), {"root": 1}),
        (("w", "#"), {"a": 1, "m": {"x": 1, "y": 1}}),
        (("w", "+", "t"), {"a": 2, "m": {"x": 2}}),
        (("w", "k", "t"), {"b": 3}),
        (("w", "k", "#"), 5),
    ):
        await caller.call(["d", "set"], Path(*path), value, {})
    found = await caller.call(["d", "collect"], Path("w"), Path("k", "t"))
    assert found == [{"a": 2, "m": {"x": 2, "y": 1}, "b": 3}]
    assert await caller.call(["d", "collect"], Path("w"), Path()) == [{"root": 1}]


async def test_shorthand(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    assert await caller.call(["d_", "a", 1], "x") == [True]
    assert await caller.call(["d_", "a"], {"p": Path(1)}) == ["x"]


async def test_descriptions(serve: Start, join: Start) -> None:
    """What there is and what it does can be asked."""
    server = await serve()
    caller = await join(server)
    (there,) = await caller.call(["dir_"])
    assert set(there["d"]) == {"cl", "d", "e", "i", "s", "srv"}
    (below,) = await caller.call(["d", "dir_"])
    assert below["c"] == ["delete", "set"]
    assert below["s"] == ["collect", "deltree", "get", "hist", "list", "passing", "search", "walk"]
    about, _ = await caller.call(["d", "get", "doc_"])
    assert about["_d"]
    for odd in (["x", "dir_"], ["x", "doc_"], ["d", "x", "doc_"]):
        assert refused(await caller.call(odd)) == "_KyErr"
    about, _ = await caller.call(["d", "doc_"])
    assert about["_d"] == "Commands"


async def test_stream_flags(serve: Start, join: Start) -> None:
    """A plain command as a stream is refused, a reading one answers."""
    server = await serve()
    caller = await join(server)
    await caller.call(["d", "set"], Path("a"), 1)
    assert await caller.stream(["d", "get"], Path("a")) == []
    caller.send([9, ["d", "set"], Path("a"), 1])
    assert (await caller.end_of(2))[-1][1].name == "_KyErr"


async def test_test_stream(serve: Start, join: Start) -> None:
    server = await serve()
    caller = await join(server)
    assert await caller.stream(["i", "count"], 3, 9, 2, 0) == [[3], [5], [7]]
    caller.send([9, ["i", "count"]])
    await caller.until(lambda frame: frame[1:] == [0])
    caller.send([10, -3])


async def test_other_streams(serve: Start, join: Start) -> None:
    """Up or down, back, and into the sink."""
    caller = await join(await serve())
    assert await caller.stream(["i", "count"], {"s": 3, "e": 0, "t": 0}) == [[3], [2], [1]]
    caller.send([9, ["i", "echo"]])
    await caller.until(lambda frame: frame == [-11])
    for number in range(30):
        caller.send([9, number, {"k": number}])
    heard = await caller.until(lambda frame: frame == [-11, 29, {"k": 29}])
    caller.send([8, None])
    assert (await caller.end_of(2))[-1] == [-12, None]
    assert len([frame for frame in heard if frame[0] == -11]) == 30
    caller.send([13, ["i", "sink"]])
    await caller.until(lambda frame: frame == [-15])
    caller.send([13, 1])
    caller.send([13, 2])
    caller.send([12, None])
    assert (await caller.end_of(3))[-1] == [-16, 2]


async def test_nobody_logs_in_twice(serve: Start, join: Start) -> None:
    """Who is in cannot try tokens at leisure, or take another name."""
    server = await serve(tokens={"me": "a-token-of-mine"})
    caller = await join(server)
    for path in ([None], [None, "token"], [None, "anon"]):
        answer = await caller.call(path, "a-token-of-mine")
        assert (answer[1].name, answer[1].arguments[1]) == ("_KyErr", "ServerClient")
    assert server.clients.names == ["_Q5G49yrpcY4Q"]


async def test_errors_in_detail(serve: Start, join: Start) -> None:
    """Repeats, values that are no maps, further arguments, long logs."""
    server = await serve()
    caller = await join(server)
    await caller.call(["d", "set"], Path("error", "x"), "by hand")
    assert await caller.call(["e", "info"], Path("x"), "text", 5, {"level": 2}) == []
    (found, *_) = await caller.call(["d", "get"], Path("error", "x"))
    assert found["data"] == "by hand"
    assert (found["args"], found["level"], found["n"]) == ([5], 2, 2)
    await caller.call(["e", "info"], Path("x"), "text")
    (found, *_) = await caller.call(["d", "get"], Path("error", "x"))
    assert found["n"] == 3
    assert await caller.call(["e", "ack"], Path("y")) == []
    (found, *_) = await caller.call(["d", "get"], Path("error", "y"))
    assert found == {"ack": True}
    caller.send([9, ["e", "mon"], Path("z")])
    await caller.until(lambda frame: frame == [-11])
    for number in range(15):
        caller.send([9, number])
    caller.send([9])
    caller.send([9])
    caller.send([10, RemoteObject("_ValErr", ("bad",), {})])
    await caller.end_of(2)
    (found, *_) = await caller.call(["d", "get"], Path("error", "z"))
    assert found["log"] == [[0], [1], [2], [3], "…", [11], [12], [13], [14], []]
    assert found["exc"].name == "_ValErr"
    caller.send([13, ["e", "mon"], Path("z")])
    await caller.until(lambda frame: frame == [-15])
    caller.send([12, None])
    await caller.end_of(3)
    assert refused(await caller.call(["d", "get"], Path("error", "z"))) == "_EKyErr"
    too_long = {"msg": "x" * 70_000}
    assert refused(await caller.call(["e", "info"], Path("x"), "text", too_long))


async def test_monitored_by_the_dead(serve: Start, join: Start) -> None:
    """Who follows an action and vanishes, or gives up, has not succeeded; a server that stops is no failure."""
    server = await serve()
    one, two, three = [await join(server, name) for name in ("_one", "_two", "_three")]
    for caller, name in ((one, "a"), (two, "b"), (three, "c")):
        caller.send([9, ["e", "mon"], Path(name), {"level": 3}])
        await caller.until(lambda frame: frame == [-11])
        caller.send([9, "begun"])
    assert await one.call(["i", "ping"]) == ["乓"]
    await one.close()
    two.send([10, -3])
    found: dict[str, Any] = {}
    for name in ("a", "b"):
        await until(lambda name=name: server.tree.store.find(["error", name]))
        found[name] = server.tree.store.find(["error", name]).record.value
    assert found["a"] | {"start": 0} == {
        "level": 3,
        "start": 0,
        "log": [["begun"]],
        "exc": "closed by the other side",
    }
    assert found["b"]["exc"] == "cancelled"
    server.stop()
    await server.task
    assert server.tree.store.find(["error", "c"]) is None


async def test_relayed_streams(serve: Start, join: Start) -> None:
    """Items go both ways, and each side's last word; a plain answer to a stream, too."""
    server = await serve()
    one, two = await join(server, "_one"), await join(server, "_two")

    async def opened(number: int) -> int:
        two.send([4 * number + 1, ["cl", "_one", "x"], number])
        frames = await one.until(lambda frame: frame[0] >= 0 and frame[0] & 3 == 1)
        assert frames[-1][1:] == [["x"], number]
        return frames[-1][0] // 4

    there = await opened(50)
    one.send([-4 * there - 3, "open"])
    assert (await two.until(lambda frame: frame[0] == -203))[-1][1:] == ["open"]
    two.send([201, "up", {"k": 1}])
    assert (await one.until(lambda frame: frame[0] == 4 * there + 1))[-1][1:] == ["up", {"k": 1}]
    one.send([-4 * there - 3, "down"])
    assert (await two.until(lambda frame: frame[0] == -203))[-1][1:] == ["down"]
    two.send([200, None])
    await one.until(lambda frame: frame[0] == 4 * there)
    one.send([-4 * there - 4, "result"])
    assert (await two.end_of(50))[-1][1:] == ["result"]
    there = await opened(51)
    one.send([-4 * there - 4, "at once"])
    assert (await two.end_of(51))[-1][1:] == ["at once"]
    two.send([204, None])
    there = await opened(52)
    one.send([-4 * there - 3])
    await two.until(lambda frame: frame[0] == -211)
    two.send([210, RemoteObject("_ValErr", ("mine",), {})])
    heard = await one.until(lambda frame: frame[0] == 4 * there + 2)
    assert heard[-1][1].name == "_ValErr"


async def test_many_at_once_without_reading(serve: Start, join: Start) -> None:
    """Whoever asks for more than it reads is waited for; others are served meanwhile."""
    server = await serve()
    greedy, other = await join(server, "_greedy"), await join(server, "_other")
    await other.call(["d", "set"], Path("large"), "x" * 60_000)
    for number in range(1, 401):
        greedy.send([4 * number, ["d", "get"], Path("large")])
    await greedy.writer.drain()
    assert await other.call(["i", "ping"]) == ["乓"]
    seen = 0
    while seen < 400:
        seen += (await greedy.hear())[0] <= -8
    await until(lambda: len(server.clients.names) == 2)
    assert await asyncio.wait_for(greedy.call(["i", "ping"]), 5) == ["乓"]


async def test_worse_than_acknowledged(serve: Start, join: Start) -> None:
    """Who has acknowledged a warning has not acknowledged that it has become fatal."""
    caller = await join(await serve())

    async def reported(level: Any) -> dict[str, Any]:
        await caller.call(["e", "info"], Path("x"), "text", {"level": level})
        found: dict[str, Any] = (await caller.call(["d", "get"], Path("error", "x")))[0]
        return found

    assert "ack" not in await reported(2)
    await caller.call(["e", "ack"], Path("x"))
    assert (await reported(2))["ack"] is True
    first = (await reported(1))["first"]
    await reported(2)
    assert "ack" not in await reported(4), "worse than what was acknowledged"
    await caller.call(["e", "ack"], Path("x"))
    found = await reported("high")
    assert (found["ack"], found["n"], found["first"]) == (True, 6, first)


async def test_acknowledged_errors_expire(serve: Start) -> None:
    """Long after; others stay."""
    server = await serve()
    for name, value, time in (
        ("old", {"ack": True}, 5.0),
        ("new", {"ack": True}, 1e10),
        ("open", {"msg": "x"}, 5.0),
    ):
        server.tree.write(["error", name], value, Meta("me", time))
    server.clients.commands.faults.expire("srv1")
    there = [added for _, added, _ in server.tree.store.walk(["error"])]
    assert there == [["new"], ["open"]]


async def test_expiry_after_a_restart(serve: Start, tmp_path: File) -> None:
    """When an error was acknowledged is kept with it; how long that counts can be said."""
    config = JournalConfig(directory=tmp_path / "save", flush=0.001)
    server = await serve(journal=config, forget_errors=60.0)
    now = server.clock.time()
    for name, age in (("old", 61), ("new", 50)):
        server.tree.write(["error", name], {"ack": True}, Meta("me", now - age))
    server.stop()
    await server.task
    again = await serve(journal=config, forget_errors=60.0)
    again.clients.commands.faults.expire("srv1", again.config.forget_errors)
    assert [added for _, added, _ in again.tree.store.walk(["error"])] == [["new"]]
