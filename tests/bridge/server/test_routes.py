"""Ways to other clients and servers: no circles, and something left for everybody."""

from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.server import relay
from tests.bridge.server.caller import Caller
from tests.support.wait import until

type Start = Callable[..., Any]


async def silent(caller: Caller, name: str, count: int) -> None:
    """Ask a client many things."""
    caller.number = 2 * count
    for number in range(1, count + 1):
        caller.send([4 * number, ["cl", name, "x"]])
    assert await caller.call(["i", "ping"]) == ["乓"]


async def test_circle(serve: Start, join: Start) -> None:
    """A way that comes back, or is too long, is refused before anybody is asked."""
    one, two = await serve("sa"), await serve("sb")
    await until(lambda: one.peers.connected("sb") and two.peers.connected("sa"))
    caller = await join(one)
    assert await caller.call(["srv", "sb", "cl"]) == [1]
    for way in (["srv", "sb", "srv", "sa", "cl"], ["srv", "sb"] * 9 + ["cl"]):
        refused, error = await caller.call(way)
        assert refused is None
        assert "circle" in str(error)
    refused, error = await caller.call(["srv", "sb", "srv", "sc", "cl"])
    assert "down" in str(error)


async def test_long_command(serve: Start, join: Start) -> None:
    """A command has few names, and a client that gives more can go on."""
    caller = await join(await serve("sa"))
    refused, error = await caller.call(["srv", "sb", "srv", "sa"] * 20_000)
    assert refused is None
    assert "path is too long" in str(error)
    assert await caller.call(["d_", *"x" * 190]) != []
    assert await caller.call(["i", "ping"]) == ["乓"]


async def test_something_left(serve: Start, join: Start) -> None:
    """Who asks somebody a lot that is never answered does not keep others from asking."""
    server = await serve()
    gadget, greedy, other = [await join(server, name) for name in ("_g", "_1", "_2")]
    await silent(greedy, "_g", 4096)
    assert server.clients.find("_g").connection.exchanges == 4096 // 3
    other.send([4, ["cl", "_g", "set"]])
    (*_, frame) = await gadget.until(lambda frame: frame[1:2] == [["set"]])
    gadget.send([-frame[0] - 4, "done"])
    assert (await other.end_of(1))[-1] == [-8, "done"]
    await greedy.close()
    await until(lambda: not server._routes._under_way)
    assert server.clients.find("_g").connection.exchanges == 0


async def test_no_answer(serve: Start, join: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never answers is not waited for without end; what streams, may take longer."""
    monkeypatch.setattr(relay, "_LONGEST", 0.1)
    server = await serve()
    gadget, caller = await join(server, "_g"), await join(server, "_1")
    caller.send([5, ["cl", "_g", "y"]])
    refused, error = await caller.call(["cl", "_g", "x"])
    assert refused is None
    assert "no answer" in str(error)
    (*_, frame) = await gadget.until(lambda frame: frame[1:2] == [["y"]])
    gadget.send([-frame[0] - 2])
    await caller.until(lambda frame: frame[0] == -7)
