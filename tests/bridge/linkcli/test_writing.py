"""Changing what there is."""

import json

import pytest

from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import ABSENT, Value
from firmware_bridge.link.errors import RefusedError
from firmware_bridge.link.path import Path
from firmware_bridge.link.rpc import Reply
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT, link
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import Ask, say


def value(server: Server, path: str) -> Value:
    node = server.tree.store.find(path.split("."))
    return node.record.value if node is not None and node.record is not None else None


async def test_set(ask: Ask, server: Server) -> None:
    """It says what is stored, and by whom."""
    found = await ask("set", "a.b", '{"x": 1}')
    assert (found.code, found.out, found.err) == (0, ['a.b = {"x": 1}  stored by srv'], [])
    assert value(server, "a.b") == {"x": 1}
    await ask("set", "a.b", "on")
    assert value(server, "a.b") == "on"
    await ask("set", "--text", "a.b", "5")
    assert value(server, "a.b") == "5"
    (line,) = (await ask("--json", "set", "a.b", "-5.5")).out
    assert json.loads(line)["value"] == -5.5
    assert json.loads(line)["path"] == "a.b"


async def test_events(ask: Ask, server: Server, broker: Mosquitto) -> None:
    """What is not retained is sent, and nothing stays."""
    async with link(broker) as mine:
        heard: list[Value] = []
        mine.watch(Path("bell"), lambda message: heard.append(message.value))
        found = await ask("set", "--no-retain", "bell", "1")
        assert found.out == ["bell = 1  sent"]
        await until(lambda: heard == [1])


async def test_conditions(ask: Ask, server: Server) -> None:
    """Somebody who was faster is named."""
    at = say(server, "a.b", 1)
    found = await ask("set", "a.b", "2", "--if-missing")
    assert (found.code, found.out) == (1, [])
    assert found.err[0].startswith(f"a.b was not written: there is 1 of me, time {at!r} (20")
    found = await ask("set", "a.b", "2", "--if-time", "5")
    assert found.code == 1
    assert "there is 1 of me" in found.err[0]
    for wrong in ("soon", "nan"):
        found = await ask("set", "a.b", "2", "--if-time", wrong)
        assert found.code == 2
        assert found.err[-1].endswith(f"'{wrong}' is no time: write the one that --json shows")
    found = await ask("set", "a.c", "2", "--if-exists")
    assert found.err == ["a.c was not written: there is no value"]
    assert (await ask("set", "a.b", "2", "--if-time", repr(at))).code == 0
    assert (await ask("set", "a.c", "2", "--if-missing")).code == 0
    assert (await ask("set", "a.c", "3", "--if-exists")).code == 0
    assert (value(server, "a.b"), value(server, "a.c")) == (2, 3)
    found = await ask("delete", "a.b", "--if-time", "5")
    assert found.err[0].startswith("a.b was not deleted: there is 2 of _")
    assert (await ask("delete", "a.b", "--if-exists")).code == 0


async def test_a_condition_on_a_subtree(ask: Ask, server: Server) -> None:
    """Where there is no value, it does not have that time: nothing below is touched."""
    for name in "bcde":
        say(server, f"a.{name}", 1)
    found = await ask("delete", "-r", "a", "--if-time", "3")
    assert (found.code, found.err) == (1, ["a was not deleted: there is no value"])
    assert value(server, "a.b") == 1
    at = say(server, "a", 1)
    assert (await ask("delete", "-r", "a", "--if-time", "3")).code == 1
    assert (await ask("delete", "-r", "a", "--if-time", repr(at))).out == [
        "a deleted and what is below: 5 in all"
    ]


async def test_a_clock_ahead(ask: Ask, server: Server) -> None:
    """What is older than what is there is not stored, whatever the broker says; that is told."""
    say(server, "a.b", 1, 1000)
    found = await ask("set", "a.b", "2")
    assert found.code == 1
    assert found.err[0].startswith("a.b was not stored: what is there is newer, of me at 20")
    assert value(server, "a.b") == 1
    say(server, "a.c", ABSENT, 1000)
    found = await ask("set", "a.c", "2")
    assert (found.code, found.out) == (1, [])
    assert found.err == ["a.c was not stored: it was deleted by somebody else"]
    say(server, "a.d", [True], 1000)
    found = await ask("set", "a.d", "[1]")  # which Python takes for the same
    assert found.code == 1
    assert found.err[0].startswith("a.d was not stored: what is there is newer")


async def test_delete(ask: Ask, server: Server) -> None:
    for path in ("a", "a.b", "a.c", "x.y"):
        say(server, path, 1)
    assert (await ask("delete", "a.b")).out == ["a.b deleted"]
    assert (await ask("delete", "-r", "a")).out == ["a deleted and what is below: 2 in all"]
    found = await ask("delete", "a")
    assert (found.code, found.err) == (1, ["nothing at a; there is x"])
    found = await ask("delete", "x")
    assert found.err == ["nothing at x; there is x.y"]
    (line,) = (await ask("--json", "delete", "-r", "x")).out
    assert json.loads(line) == {"path": "x", "deleted": 1}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", ":", "1"), "name a path"),
        (("delete", "-r", ":"), "name a path"),
        (("set", "a", "1", "--if-missing", "--if-exists"), "only one makes sense"),
        (("set", "a", "1", "--no-retain", "--if-exists"), "an event has none"),
        (("call", "x", "y", "-k", "a=1", "-k", "a=2"), "same name twice"),
        (("errors", "report", "error", "oops"), "needs a path"),
    ],
)
async def test_wrong_usage(ask: Ask, server: Server, words: tuple[str, ...], told: str) -> None:
    found = await ask(*words)
    assert (found.code, found.out) == (2, [])
    assert told in found.err[0]


async def test_what_cannot_be_sent(ask: Ask, server: Server) -> None:
    """That is told, too."""
    for text in ("1e999", "[" * 40 + "]" * 40):
        found = await ask("set", "a", text)
        assert found.code == 1
        assert found.err[0].startswith("a: value")


async def add(one: Value, other: Value, *, scale: Value = 1) -> Value:
    assert isinstance(one, int)
    assert isinstance(other, int)
    assert isinstance(scale, int)
    return (one + other) * scale


async def refuse() -> Value:
    raise RefusedError("not today\x1b")


def serve(mine: Link) -> None:
    mine.serve(Path("sums"), {"add": add, "refuse": refuse})


async def test_call(ask: Ask, server: Server, broker: Mosquitto) -> None:
    """Arguments by position and by name; what is wrong is told."""
    async with link(broker) as mine:
        serve(mine)
        await until(lambda: server.tree.store.find(["run", "host", "here", "sums"]))
        assert (await ask("call", "here.sums", "add", "2", "3")).out == ["5"]
        found = await ask("call", "run.host.here.sums", "add", "2", "3", "-k", "scale=10")
        assert found.out == ["50"]
        (line,) = (await ask("--json", "call", "here.sums", "add", "2", "3")).out
        assert json.loads(line) == {"arguments": [5], "keywords": {}}
        found = await ask("call", "here.sums", "refuse")
        assert (found.code, found.out, found.err) == (1, [], ["not today\\x1b"])
        found = await ask("call", "here.sums", "ad")
        assert found.err == ["run.host.here.sums has no command ad"]
        found = await ask("call", "here.sum", "add")
        assert found.err == ["no service at run.host.here.sum; there is", "  run.host.here.sums"]
    await until(lambda: not server.tree.store.find(["run", "host", "here", "sums"]).alive)
    found = await ask("call", "here.sums", "add")
    assert found.err == ["no service at run.host.here.sums, nor anywhere else"]


async def test_keywords_of_an_answer(ask: Ask, server: Server, broker: Mosquitto) -> None:
    async def both() -> Reply:
        return Reply((1, "x"), {"more": [2]})

    async with link(broker) as mine:
        mine.serve(Path("both"), {"both": both})
        await until(lambda: server.tree.store.find(["run", "host", "here", "both"]))
        assert (await ask("call", "here.both", "both")).out == ["1", '"x"', "more = [2]"]


async def test_the_root_is_the_right_one(ask: Ask, server: Server) -> None:
    assert str(ROOT) == "moat.test"
    assert (await ask("set", ":R.a", "1")).code == 0
    assert value(server, "a") == 1
