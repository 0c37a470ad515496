"""Showing what there is, and what there was."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.path import Path
from firmware_bridge.linkcli.show import Screen
from firmware_bridge.server.server import Server
from tests.support.installation import Peer, link, other
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until

from .conftest import Ask, say


def objects(lines: list[str]) -> list[Any]:
    return [json.loads(line) for line in lines]


async def test_get(ask: Ask, server: Server) -> None:
    """For people, for programs, for scripts."""
    at = say(server, "a.b", {"x": [1, None]})
    say(server, "a.t", "Küche")
    found = await ask("get", "a.b")
    assert (found.code, found.err) == (0, [])
    (line,) = found.out
    assert line.startswith('a.b  {"x": [1, null]}  me  20')
    found = await ask("--json", "get", "a.b")
    assert objects(found.out) == [
        {"path": "a.b", "value": {"x": [1, None]}, "time": at, "origin": "me"}
    ]
    assert (await ask("get", "--value", "a.t")).out == ["Küche"]
    assert (await ask("get", "--value", "a.b")).out == ['{"x": [1, null]}']
    assert (await ask("--json", "get", "--value", "a.t")).out == ['"Küche"']


async def test_nothing_there(ask: Ask, server: Server) -> None:
    """Near names are offered; those below, where a node only leads on."""
    for name in ("kitchen.lamp", "kitchen.fan", "hall.lamp"):
        say(server, f"home.{name}", 1)
    for number in range(12):
        say(server, f"many.n{number}", 1)
    cases = {
        "home.kichen.lamp": "nothing at home.kichen.lamp; there is home.kitchen",
        "home.kitchen.lmap": "nothing at home.kitchen.lmap; there is home.kitchen.lamp",
        "home.kitchen": "nothing at home.kitchen; there is home.kitchen.lamp, home.kitchen.fan",
        "home.kitchen.lamp.x.y": "nothing at home.kitchen.lamp.x.y; there is home.kitchen.lamp",
    }
    for path, told in cases.items():
        found = await ask("get", path)
        assert (found.code, found.out, found.err) == (1, [], [told])
    found = await ask("get", "many")
    assert found.err[0].endswith("many.n7 and 4 more")
    assert (await ask("walk", "homw")).err == ["nothing at homw; there is home"]
    assert (await ask("list", "home.x")).err[0].startswith("nothing at home.x; there is home.")


async def test_an_empty_installation(ask: Ask, server: Server) -> None:
    found = await ask("get", "a")
    assert (found.code, found.err) == (1, ["nothing at a"])
    assert (await ask("walk")).code == 0
    assert (await ask("list")).out == []


async def test_list(ask: Ask, server: Server) -> None:
    say(server, "a.b", 1)
    say(server, "a.c.d", 2)
    say(server, "a:5", 3)
    assert (await ask("list", "a")).out == ["b", "c", ":5"]
    assert (await ask("--json", "list", "a")).out == ['"b"', '"c"', "5"]
    assert (await ask("list")).out == ["a"]
    assert (await ask("list", "a.b")).out == []
    found = (await ask("list", "-l", "a")).out
    assert [line.split("  ")[:2] for line in found] == [["a.b", "1"], ["a.c"], ["a:5", "3"]]
    shown = objects((await ask("--json", "list", "-l", "a")).out)
    assert [each["path"] for each in shown] == ["a.b", "a.c", "a:5"]
    assert [each.get("value") for each in shown] == [1, None, 3]


async def test_walk(ask: Ask, server: Server) -> None:
    for path in ("a", "a.b", "a.b.c", "x"):
        say(server, path, path)
    assert len((await ask("walk")).out) == 4
    assert len((await ask("walk", "a")).out) == 3
    found = objects((await ask("--json", "walk", "a", "--depth", "1")).out)
    assert [each["path"] for each in found] == ["a", "a.b"]


@asynccontextmanager
async def changing(server: Server) -> AsyncIterator[None]:
    """Somebody writes a node and deletes it, again and again."""

    async def change() -> None:
        for turn in count():
            say(server, "a.b", ABSENT if turn % 2 else turn)
            await asyncio.sleep(0.02)

    async with running(change()):
        yield


async def test_monitor(ask: Ask, server: Server) -> None:
    """What there is, a mark, and what changes; deletions, too."""
    say(server, "a.c", 1)
    async with changing(server):
        found = await ask("monitor", "a", "-n", "2")
    assert found.code == 0
    (mark,) = [index for index, line in enumerate(found.out) if line.startswith("---")]
    assert found.out[mark] == f"--- {mark} values; now what changes ---"
    assert any(line.startswith("  a.c  1  me  20") for line in found.out[:mark])
    assert sorted(line[:7] for line in found.out[mark + 1 :]) == ["* a.b  ", "- a.b  "]
    assert "- a.b  (deleted)  me  20" in "".join(found.out)


async def test_monitor_for_programs(ask: Ask, server: Server) -> None:
    say(server, "a.c", 1)
    async with changing(server):
        found = objects((await ask("--json", "monitor", "a", "-n", "2")).out)
        only = objects((await ask("--json", "monitor", "--new", "a", "-n", "2")).out)
    assert [each["path"] for each in found if each["live"]] == ["a.b", "a.b"]
    assert "a.c" in [each["path"] for each in found if not each["live"]]
    assert sum(each.get("deleted", False) for each in found if each["live"]) == 1
    assert [each["live"] for each in only] == [True, True]


async def test_monitor_goes_on(
    ask: Ask, server: Server, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker may be away for a while: that is told, and what has changed meanwhile is shown."""
    say(server, "a.b", 1)
    said: list[str] = []
    original = Screen.say

    def listened(screen: Screen, *parts: str) -> None:
        said.extend(parts)
        original(screen, *parts)

    monkeypatch.setattr(Screen, "say", listened)

    async def outage() -> None:
        await until(lambda: any(each.startswith("---") for each in said), 20)
        await asyncio.to_thread(broker.kill)
        await until(lambda: not server.broker.connected)
        await asyncio.to_thread(broker.start)
        await until(lambda: server.broker.connected, 15)
        for number in count(2):
            say(server, "a.b", number)
            await asyncio.sleep(0.1)

    async with running(outage()):
        found = await ask("monitor", "a", "-n", "20")
    assert found.code == 0
    assert found.out[-1].startswith("* a.b  ")
    assert found.err[0].startswith("No connection: ")
    assert found.err[-1] == "Connected again."


async def test_former_values(ask: Ask, server: Server) -> None:
    """The last day, some time, the newest few; an item of them."""
    now = time.time()
    for back in (200_000, 50_000, 100, 50):
        say(server, "a.b", {"v": back}, -back)
    shown = objects((await ask("--json", "history", "a.b")).out)
    assert [each["value"]["v"] for each in shown] == [200_000, 50_000, 100, 50]
    lines = (await ask("history", "a.b", "-n", "1")).out
    assert [line.split("  ")[1:] for line in lines] == [['{"v": 50}', "me"]]
    between = ("--from", str(now - 60_000), "--to", str(now - 60))
    lines = (await ask("history", "a.b", *between, "--item", "v")).out
    assert [line.split("  ")[1:] for line in lines] == [
        *(["200000", "me"], ["50000", "me"], ["100", "me"])
    ]
    assert lines[0].startswith(time.strftime("%F %T", time.localtime(now - 200_000))[:16])
    shown = objects((await ask("--json", "history", "a.b", "--last", "75s", "--item", "v")).out)
    assert [each["value"] for each in shown] == [100, 50]
    say(server, "a.b", ABSENT)
    assert (await ask("history", "a.b", "-n", "1")).out[0].endswith("  (deleted)  me")
    (shown,) = objects((await ask("--json", "history", "a.b", "-n", "1", "--item", "v")).out)
    assert (shown["deleted"], "value" in shown) == (True, False)
    say(server, "a.b", 1)
    found = await ask("history", "a.b", "--to", str(now - 300_000))
    assert (found.code, found.out) == (0, [])
    assert found.err == ["Nothing is known of a.b in that time."]


async def test_samples(ask: Ask, server: Server) -> None:
    say(server, "a.b", {"v": 4}, -50_000)
    say(server, "a.b", {"v": 6}, -30)
    arguments = ("history", "a.b", "--last", "3h", "--step", "1h", "--item", "v")
    found = objects((await ask("--json", *arguments)).out)
    assert len(found) in (3, 4)
    assert [each["start"] % 3600 for each in found] == [0] * len(found)
    assert [each["end"] - each["start"] for each in found] == [3600] * len(found)
    first = {"mean": 4, "min": 4, "max": 4, "count": 0, "seconds": 3600}
    assert found[0].items() >= first.items()
    assert found[-1]["max"] == 6
    head, *lines = (await ask(*arguments)).out
    assert head.split() == ["from", "mean", "lowest", "highest", "count"]
    assert lines[0].split()[2:] == ["4", "4", "4", "0"]
    found = objects((await ask("--json", *arguments, "-n", "1")).out)
    assert [each["max"] for each in found] == [6]
    nothing = await ask("history", "a.b", "--to", "5", "--step", "1h", "--item", "v")
    assert (nothing.code, nothing.err) == (0, ["Nothing is known of a.b in that time."])


async def test_samples_of_no_number(ask: Ask, server: Server) -> None:
    """What could be meant is named."""
    say(server, "a.b", {"v": 4, "t": "x", "on": True, "l": [1, "y", {"z": 2}], "m": {}})
    for words, told in (
        (
            (),
            "a.b is no number; there is --item v, --item on, --item l --item 0, --item l --item 2 --item z",
        ),
        (
            ("--item", "l"),
            "a.b --item l is no number; there is --item l --item 0, --item l --item 2 --item z",
        ),
        (("--item", "m"), "a.b --item m is no number: --step needs one"),
        (("--item", "t"), 'a.b --item t is no number, but "x": --step needs one'),
        (("--item", "w"), "a.b --item w is no number, but null: --step needs one"),
    ):
        found = await ask("history", "a.b", "--step", "1h", *words)
        assert (found.code, found.out, found.err) == (1, [], [told])
    assert (await ask("history", "a.b", "-n", "0")).code == 2


async def test_no_history(ask: Ask, server: Server, broker: Mosquitto) -> None:
    """Of that path none is kept, or there is nothing at all."""
    say(server, "x", 1)
    found = await ask("history", "x")
    hint = "A server keeps what it is told to: see `moat-bridge server --history`."
    assert (found.code, found.err) == (1, ["no history is kept of x", hint])
    found = await ask("history", "a.none")
    assert (found.code, found.err) == (1, ["nothing at a.none; there is x"])
    found = await ask("history", "a.b", "--step", "10us")
    assert found.code == 2
    for words in (("--last", "1h", "--from", "5"), ("--from", "9", "--to", "5")):
        found = await ask("history", "a.b", *words)
        assert found.code == 2
        assert "--from" in found.err[0]


async def test_without_a_server(ask: Ask, broker: Mosquitto) -> None:
    """What the broker holds can be read, written and deleted; it is said that there is no server."""
    note = "No server: this is what the broker holds."
    async with other(broker) as peer:
        await peer.say("a/b", 1, time=5.0)
        found = await ask("get", "a.b")
        assert (found.code, found.err) == (0, [note])
        assert found.out[0].startswith("a.b  1  peer  ")
        assert (await ask("walk")).out[0].startswith("a.b  1  ")
        assert (await ask("list")).out == ["a"]
        assert (await ask("--no-server", "list", "a")).err == []
        found = await ask("set", "a.c", "2")
        assert found.out == ["a.c = 2  stored by the broker"]
        assert peer.last("a/c") == 2
        assert (await ask("delete", "-r", "a")).code == 0
        await until(lambda: _gone(peer))
        found = await ask("history", "a.b")
        assert found.code == 1
        assert "needs a server" in found.err[-1]


def _gone(peer: Peer) -> bool:
    return peer.state("a") == {}


async def test_other_roots(run: Ask, ask: Ask, server: Server, broker: Mosquitto) -> None:
    """With the wrong root, the right ones are named; nothing is written there."""
    port = ("--port", str(broker.port))
    for words in (("get", "a"), ("set", "a", "1")):
        found = await run(*port, "--root", "mota", *words)
        assert found.code == 1
        assert found.err == [
            "No server: this is what the broker holds.",
            "nothing of MoaT is below mota; there is",
            "  --root moat.test",
        ]


async def test_an_empty_broker(run: Ask, broker: Mosquitto) -> None:
    """The first value of all may be written."""
    found = await run("--port", str(broker.port), "--root", "new", "set", "a", "1")
    assert found.code == 0
    assert found.err[-1] == "Nothing of MoaT is below new, nor elsewhere on this broker."
    found = await run("--port", str(broker.port), "--root", "new", "get", "a")
    assert found.code == 0
    assert found.err == ["No server: this is what the broker holds."]


async def test_services_are_an_installation(run: Ask, broker: Mosquitto) -> None:
    async with link(broker, root=Path("other")) as mine:
        mine.serve(Path("x"), {})
        found = await run("--port", str(broker.port), "--root", "other", "get", "a")
        assert found.err == [
            "No server: this is what the broker holds.",
            "nothing at a; there is run",
        ]
