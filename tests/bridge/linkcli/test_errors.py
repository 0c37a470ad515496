"""The errors of the installation."""

import json
import time

from firmware_bridge.link.path import Path
from firmware_bridge.server.server import Server

from .conftest import Ask, say


async def test_shown(ask: Ask, server: Server) -> None:
    """Level, path, message, since when, how often; the worst first, acknowledged ones on demand."""
    assert (await ask("errors")).out == ["No errors."]
    say(server, "error.fan", {"msg": "dusty", "level": 2}, -100)
    first = time.time() - 7200
    say(server, "error.tank", {"msg": "leaks", "level": 4, "n": 3, "first": first})
    say(server, "error.old", {"msg": "known", "level": 3, "ack": True})
    say(server, "error.odd", {"path": Path("y"), "level": "high"})
    say(server, "error.odder", "just text")
    found = await ask("errors")
    assert found.err == ["1 acknowledged: see errors --all"]
    words = [line.split("  ") for line in found.out]
    assert [line[0] for line in words] == ["fatal", "error", "error", "warning"]
    assert found.out[0].startswith("fatal    tank  leaks  since 20")
    assert " (2 h), 3 times, last 20" in found.out[0]
    assert found.out[1].startswith('error    odder  {"data": "just text"}  since ')
    assert found.out[2].startswith('error    odd  {"path": "y", "level": "high"}  since ')
    assert found.out[3].startswith("warning  fan  dusty  since ")
    assert found.out[3].endswith("(2 min)")
    found = await ask("errors", "--all", "--level", "error")
    assert [line.split()[1] for line in found.out] == ["tank", "odder", "odd", "old"]
    assert found.out[3].endswith(", acknowledged")
    (tank,) = (await ask("--json", "errors", "show", "--level", "4")).out
    said = json.loads(tank)
    assert said.pop("time") > first
    assert said == {
        "path": "tank",
        "level": 4,
        "message": "leaks",
        "first": first,
        "count": 3,
        "acknowledged": False,
        "origin": "me",
        "fields": {"msg": "leaks", "level": 4, "n": 3, "first": first},
    }


async def test_show_by_name(ask: Ask, server: Server) -> None:
    """The action may be named, and options may stand on either side of it."""
    say(server, "error.fan", {"msg": "dusty", "level": 2})
    say(server, "error.old", {"msg": "known", "level": 3, "ack": True})
    for words, shown in (
        (("show",), ["fan"]),
        (("--all", "show"), ["old", "fan"]),
        (("show", "--all"), ["old", "fan"]),
        (("--level", "error", "show"), []),
        (("--all", "--level", "error", "show"), ["old"]),
    ):
        found = await ask("--json", "errors", *words)
        assert (found.code, found.err) == (0, [])
        assert [json.loads(line)["path"] for line in found.out] == shown


async def test_settled(ask: Ask, server: Server) -> None:
    """Acknowledged, cleared, reported; the path may begin with error."""
    assert (await ask("errors", "report", "a.b", "oops", "--level", "warning")).out == [
        "a.b reported"
    ]
    assert (await ask("errors", "report", "error.a.b", "oops again")).code == 0
    record = server.tree.store.find(["error", "a", "b"]).record.value  # type: ignore[union-attr]
    assert isinstance(record, dict)
    assert record.items() >= {"msg": "oops again", "level": 2, "n": 2}.items()
    assert (await ask("errors", "ack", "a.b")).out == ["a.b acknowledged"]
    assert (await ask("errors")).out == ["No errors."]
    assert (await ask("--json", "errors")).out == []
    (line,) = (await ask("--json", "errors", "clear", "error.a.b")).out
    assert json.loads(line) == {"path": "a.b", "cleared": True}
    assert not server.tree.store.find(["error", "a", "b"]).alive  # type: ignore[union-attr]


async def test_no_such_error(ask: Ask, server: Server) -> None:
    """Nothing is acknowledged that is not there."""
    say(server, "error.pump", {"msg": "x"})
    found = await ask("errors", "ack", "pump", "pmup")
    assert (found.code, found.out, found.err) == (1, [], ["no error at pmup; there is pump"])
    found = await ask("errors", "clear", "x")
    assert found.err == ["no error at x; there is pump"]


async def test_without_a_server(ask: Ask) -> None:
    assert (await ask("errors", "report", "a", "oops")).code == 0
    assert (await ask("errors", "ack", "a")).code == 0
    assert (await ask("errors", "--all")).out[0].startswith("error    a  oops  since ")
    assert (await ask("errors", "clear", "a")).code == 0
    assert (await ask("errors", "--all")).out == ["No errors."]
