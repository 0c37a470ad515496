"""Former values, from a server that remembers them."""

import pytest

from firmware_bridge.link.connection import Answer, Request
from firmware_bridge.link.errors import DecodeError, RefusedError
from firmware_bridge.link.path import Path
from firmware_bridge.link.server import Sample
from tests.support.installation import backbone, link
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

HOME = Path("home")


async def hist(request: Request) -> Answer:
    """Answer as our server does, and badly for some paths."""
    path, start, end, newest, *step = request.arguments
    if step:
        assert request.keywords == {"item": ["x", 0]}
        await request.send(0, 2.5, 1, 4, 3)
        if path == HOME / "bad":
            await request.send(1, "?", 1, 4, 3)
        if path == HOME / "worse":
            await request.send("?")
        return None
    assert (start, end, newest) == (5, 6, 7)
    await request.send(1, "me", 5.5)
    await request.send({"x": 1}, "me", 5.6, {"gw": 1}, {})
    return None


async def test_former_values(broker: Mosquitto) -> None:
    """Messages, or samples of a number; what makes no sense is an error."""
    async with backbone(broker) as base:
        base.server.commands[("d", "hist")] = hist
        await base.announce()
        async with link(broker) as one:
            await until(lambda: one.status.server)
            found = [each async for each in one.history(HOME, 5, 6, newest=7)]
            assert [(each.value, each.time) for each in found] == [(1, 5.5), ({"x": 1}, 5.6)]
            samples = [each async for each in one.samples(HOME, 60, item=("x", 0))]
            assert samples == [Sample(0, 2.5, 1, 4, 3)]
            for name in ("bad", "worse"):
                with pytest.raises(DecodeError):
                    async for _ in one.samples(HOME / name, 60, item=("x", 0)):
                        pass


async def test_nobody_remembers(broker: Mosquitto) -> None:
    """Without a server, or below run, there is no history."""
    async with link(broker) as one:
        with pytest.raises(RefusedError):
            one.history(HOME)
        with pytest.raises(RefusedError):
            one.samples(Path("run", "x"), 60)
