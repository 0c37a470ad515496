"""Without its broker a server goes on; what it was told meanwhile is published when it is back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.errors import LinkError
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT, Peer, other
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Proxy
from tests.support.running import running
from tests.support.wait import until

type Start = Callable[..., Any]


@pytest.fixture
async def line(broker: Mosquitto) -> AsyncIterator[Proxy]:
    """Stand between server and broker."""
    async with Proxy(broker.port) as proxy:
        yield proxy


@pytest.fixture
async def server(line: Proxy, tmp_path: File) -> AsyncIterator[Server]:
    """Run a server behind the line."""
    config = ServerConfig(
        broker=BrokerConfig(host="127.0.0.1", port=line.port),
        root=ROOT,
        name="srv1",
        listeners=(Listener(name="local", path=str(tmp_path / "srv1.sock")),),
    )
    server = Server(config)
    async with running(server.run()):
        await until(server.serving.is_set)
        yield server


async def test_half_open(server: Server, line: Proxy, peer: Peer, join: Start) -> None:
    """A silent line is noticed by both ends within seconds; clients notice nothing."""
    caller = await join(server)
    await until(lambda: peer.last("run/service/main/conn") is not ABSENT, 15)
    line.frozen = True
    assert await caller.call(["d", "set"], Path("lost"), 1) == [True]
    await until(lambda: not server.broker.connected, timeout=15)
    await until(lambda: peer.last("run/service/main/server/srv1") is ABSENT, timeout=15)
    for value in range(3):
        assert await caller.call(["d", "set"], Path("meanwhile"), value) == [True]
    assert (await caller.call(["d", "get"], Path("meanwhile")))[0] == 2
    assert (await caller.call(["d", "delete"], Path("lost")))[0][0] == 1
    line.cut()
    line.frozen = False
    await until(lambda: server.broker.connected, timeout=20)
    await until(lambda: peer.last("meanwhile") == 2)
    assert peer.heard("meanwhile") == [2], "the newest only"
    await until(lambda: peer.last("run/service/main/server/srv1") is not ABSENT)
    assert peer.last("lost") is ABSENT


async def test_word_is_lost(
    server: Server, line: Proxy, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """That the broker has not heard our last word does not mean that it has lost anything."""
    await until(lambda: server.election.main)
    await peer.say("a", 1, time=100.0)
    await until(lambda: server.tree.store.find(["a"]))
    await server.supplier.vouch()
    word: Any = peer.last("run/moat-bridge/srv1")
    line.frozen = True
    server.tree.write(["b"], 1, Meta("x", 100.0))
    vouching = asyncio.create_task(server.supplier.vouch())
    await until(lambda: server._witness._number > word["number"], what="the next one remembered")
    await peer.say("a", 2)
    line.cut()
    line.frozen = False
    with pytest.raises(LinkError):
        await vouching
    await until(lambda: server.broker.connected, timeout=20)
    await until(lambda: peer.last("b") == 1)
    node = server.tree.store.find(["a"])
    assert node is not None
    assert node.record is not None
    assert node.record.value == 2
    assert peer.heard("a") == [1, 2]
    assert "has lost" not in caplog.text
    await server.supplier.vouch()
    await until(lambda: peer.last("run/moat-bridge/srv1") != word)


async def test_refused_for_long(
    server: Server,
    line: Proxy,
    broker: Mosquitto,
    join: Start,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It tries again and again, says so once, and gives back what the broker has forgotten."""
    caller = await join(server)
    await until(lambda: server.election.main)
    assert await caller.call(["d", "set"], Path("before"), 1) == [True]
    await line.close()
    await asyncio.to_thread(broker.kill)
    await until(lambda: "refused" in str(server.broker.error), timeout=20)
    refused = server.broker.error
    await until(lambda: server.broker.error is not refused, timeout=20, what="another attempt")
    assert await caller.call(["d", "set"], Path("meanwhile"), 2) == [True]
    place = f"{server.config.broker.host}:{server.config.broker.port}"
    complaints = [each for each in caplog.messages if each.startswith(f"The broker at {place}: ")]
    assert complaints
    assert len(complaints) <= 2, "gone, and then refusing"
    await asyncio.to_thread(broker.start)
    await line.open()
    await until(lambda: server.broker.connected, timeout=20)
    async with other(broker) as newcomer:
        await until(lambda: (newcomer.last("before"), newcomer.last("meanwhile")) == (1, 2))
        await until(lambda: newcomer.last("run/service/main/conn") is not ABSENT)
