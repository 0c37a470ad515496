"""Former values, from a server that remembers them."""

from collections.abc import AsyncIterator

import pytest

from firmware_bridge.link.client import Link
from firmware_bridge.link.connection import Answer, Request
from firmware_bridge.link.errors import DecodeError, NoHistoryError, RefusedError, RemoteError
from firmware_bridge.link.path import Path
from firmware_bridge.link.server import Sample
from tests.support.installation import backbone, link
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

HOME = Path("home")


async def hist(request: Request) -> Answer:
    """Answer as our server does, and badly for some paths."""
    path, start, end, newest, *step = request.arguments
    if path == HOME / "unkept":
        raise RefusedError("no history is kept of home.unkept")
    if path == HOME / "wrong":
        raise RemoteError("_rErr", ("TypeError", "end is before start"))
    if path == HOME / "odd":
        raise RemoteError("_Odd", (1,))
    if path == HOME / "endless":
        for number in range(1000):
            await request.send(*([number, 1, 1, 1, 1, 1] if step else [1, "me", float(number)]))
        return None
    if step:
        assert request.keywords == {"item": ["x", 0]}
        await request.send(0, 2.5, 1, 4, 3, 7.5)
        if path == HOME / "bad":
            await request.send(1, "?", 1, 4, 3, 7.5)
        if path == HOME / "worse":
            await request.send("?")
        return None
    assert (start, end, newest) == (5, 6, 7)
    await request.send(1, "me", 5.5)
    await request.send({"x": 1}, "me", 5.6, {"gw": 1}, {})
    return None


@pytest.fixture
async def one(broker: Mosquitto) -> AsyncIterator[Link]:
    """A link with a server that remembers."""
    async with backbone(broker) as base:
        base.server.commands[("d", "hist")] = hist
        await base.announce()
        async with link(broker) as one:
            await until(lambda: one.status.server)
            yield one


async def test_former_values(one: Link) -> None:
    """Messages, or samples of a number; what makes no sense is an error."""
    found = [each async for each in one.history(HOME, 5, 6, newest=7)]
    assert [(each.value, each.time) for each in found] == [(1, 5.5), ({"x": 1}, 5.6)]
    samples = [each async for each in one.samples(HOME, 60, newest=5, item=("x", 0))]
    assert samples == [Sample(0, 2.5, 1, 4, 3, 7.5)]
    for name in ("bad", "worse"):
        with pytest.raises(DecodeError):
            async for _ in one.samples(HOME / name, 60, item=("x", 0)):
                pass


async def test_more_than_was_asked_for(one: Link) -> None:
    """A server that does not come to an end is not listened to until there is no memory left."""
    path, found = HOME / "endless", 0
    for answers in (one.history(path, newest=3), one.samples(path, 60, newest=3)):
        with pytest.raises(DecodeError, match="more than the 3 values"):
            async for _ in answers:
                found += 1
    assert found == 8


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("unkept", NoHistoryError, "no history is kept of home.unkept"),
        ("wrong", RefusedError, "home.wrong: end is before start"),
        ("odd", RemoteError, "_Odd: 1"),
    ],
)
async def test_refused(one: Link, name: str, error: type[RefusedError], told: str) -> None:
    """The reason is the server's own."""
    with pytest.raises(error) as caught:
        async for _ in one.history(HOME / name):
            pass
    assert str(caught.value) == told
    assert type(caught.value) is error


async def test_nobody_remembers(broker: Mosquitto) -> None:
    """Without a server there is no history, nor at servers that do not know it."""
    async with link(broker) as one:
        with pytest.raises(NoHistoryError, match="there is none"):
            one.history(HOME)
        with pytest.raises(NoHistoryError, match="home needs a server"):
            one.samples(HOME, 60)
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker) as one:
            await until(lambda: one.status.server)
            with pytest.raises(NoHistoryError, match=f"{base.server.name} keeps no") as caught:
                async for _ in one.history(HOME):
                    pass
            assert caught.value.server == base.server.name
