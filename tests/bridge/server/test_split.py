"""A network that falls apart, and is one again: two brokers, joined, each with a server of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server import election
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT, Peer, other
from tests.support.mosquitto import Mosquitto, bridge_to
from tests.support.proxy import Proxy
from tests.support.running import running
from tests.support.wait import until

START = 1_700_000_000.0


@dataclass
class Side:
    """One of the two networks."""

    broker: Mosquitto
    server: Server
    peer: Peer

    def write(self, topic: str, value: Any, time: float) -> None:
        """Carry out what a client of this side's server wants."""
        self.server.tree.write(topic.split("/"), value, Meta("x", START + time))

    @property
    def tree(self) -> dict[str, Any]:
        """What the server serves."""
        return {
            "/".join(levels): record.value
            for levels, record in self.server.tree.snapshot()
            if levels[0] == "home" and not record.deleted
        }

    async def retained(self) -> dict[str, Any]:
        """What somebody who has just come is told by the broker."""
        async with other(self.broker) as newcomer:
            return newcomer.state("home")


@asynccontextmanager
async def side(
    stack: AsyncExitStack, broker: Mosquitto, name: str, listener: Listener
) -> AsyncIterator[Side]:
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=ROOT,
        name=name,
        listeners=(listener,),
    )
    server = Server(config)
    async with running(server.run()), other(broker) as peer:
        await until(server.serving.is_set, timeout=15)
        yield Side(broker, server, peer)


@pytest.fixture
async def apart(tmp_path: File) -> AsyncIterator[Callable[..., Any]]:
    """Start two sides: (left, right, the proxy between them); without `links` the servers are too far."""
    async with AsyncExitStack() as stack:

        async def start(*, links: bool) -> tuple[Side, Side, Proxy]:
            right_broker = stack.enter_context(Mosquitto())
            proxy = await stack.enter_async_context(Proxy(right_broker.port))
            left_broker = stack.enter_context(Mosquitto(extra=bridge_to(proxy.port)))
            sides = []
            for broker, name in ((left_broker, "a"), (right_broker, "b")):
                listener = Listener(port=0)
                if not links:
                    listener = Listener(name="local", path=str(tmp_path / name))
                sides.append(await stack.enter_async_context(side(stack, broker, name, listener)))
            left, right = sides
            left.write("home/joined", 1, 0)
            await until(lambda: "home/joined" in right.tree, timeout=15, what="one network")
            await until(
                lambda: {"a", "b"} == {*left.server.election.others, *right.server.election.others}
            )
            await until(lambda: mains(left, right) == 1, timeout=15)
            return left, right, proxy

        yield start


def mains(*sides: Side) -> int:
    return sum(side.server.election.main for side in sides)


async def converged(left: Side, right: Side, expected: dict[str, Any]) -> None:
    """Wait until both servers and both brokers have the same."""
    await until(lambda: left.tree == right.tree == expected, timeout=20)
    async with asyncio.timeout(20):
        while await left.retained() != expected or await right.retained() != expected:
            await asyncio.sleep(0.1)


async def write_on_both_sides(left: Side, right: Side) -> dict[str, Any]:
    """Write while they are apart; return what is right in the end."""
    left.write("home/left", 1, 10)
    right.write("home/right", 2, 10)
    left.write("home/newer-left", "l", 21)
    right.write("home/newer-left", "r", 20)
    left.write("home/newer-right", "l", 20)
    right.write("home/newer-right", "r", 21)
    left.write("home/gone-left", ABSENT, 30)
    right.write("home/gone-right", ABSENT, 30)
    left.write("home/back", ABSENT, 30)
    right.write("home/back", 3, 31)
    left.write("home/type", 1, 40)
    right.write("home/type", True, 41)
    await until(lambda: left.peer.last("home/type") == 1)
    await until(lambda: right.peer.last("home/type") is True)
    assert left.tree != right.tree
    return {
        "home/joined": 1,
        "home/left": 1,
        "home/right": 2,
        "home/newer-left": "l",
        "home/newer-right": "r",
        "home/back": 3,
        "home/type": True,
    }


@pytest.mark.parametrize("links", [True, False], ids=["servers linked", "brokers alone"])
async def test_split_and_rejoined(
    apart: Callable[..., Any], links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides go on; joined again they have the same, by time, and one main server."""
    monkeypatch.setattr(election, "_SILENCE", 4.0)
    left, right, proxy = await apart(links=links)
    for name in ("gone-left", "gone-right", "back"):
        left.write(f"home/{name}", 0, 1)
        await until(lambda name=name: f"home/{name}" in right.tree)
    await proxy.close()
    expected = await write_on_both_sides(left, right)
    await until(lambda: mains(left, right) == (1 if links else 2), timeout=15)
    await proxy.open()
    await converged(left, right, expected)
    await until(lambda: mains(left, right) == 1, timeout=15)
    owner = left.server.election.owner
    assert right.server.election.owner == owner
    assert type(left.tree["home/type"]) is type(right.tree["home/type"]) is bool
    for each in (left, right):
        async with other(each.broker) as newcomer:
            said = newcomer.packets
            (conn,) = [packet for packet in said if packet.topic.endswith("main/conn")]
            assert (conn.meta or "").startswith(f"{owner}\\")


async def test_what_the_bridge_has_lost(apart: Callable[..., Any]) -> None:
    """Servers tell each other what never came through, and tell their brokers."""
    left, right, proxy = await apart(links=True)
    await proxy.close()
    left.server.tree.receive(["home", "left"], 1, Meta("x", START + 5))
    right.server.tree.receive(["home", "right"], 2, Meta("x", START + 5))
    right.server.tree.receive(["home", "joined"], ABSENT, Meta("x", START + 5))
    assert set(left.tree) == {"home/joined", "home/left"}
    await proxy.open()
    await converged(left, right, {"home/left": 1, "home/right": 2})
