"""The command line for people, against our server and a service."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path as File

import pytest

from firmware_bridge.link.codec import Value
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.history import HistoryConfig
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.server import Server
from tests.bridge.test_process import process
from tests.support.installation import ROOT, link
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until


@pytest.fixture
async def server(broker: Mosquitto, tmp_path: File) -> AsyncIterator[Server]:
    """Run a server that remembers."""
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=ROOT,
        name="srv",
        listeners=(Listener(port=0),),
        history=HistoryConfig(file=tmp_path / "h.db", keep={"": Keep()}),
    )
    server = Server(config)
    async with running(server.run()):
        await until(lambda: server.election.main)
        yield server


async def ask(broker: Mosquitto, *words: str, code: int = 0) -> list[str]:
    """Run a command; return the lines it prints, or the complaint."""
    fixed = ["link", "--port", str(broker.port), "--root", str(ROOT)]
    async with process(*fixed, *words) as running:
        out, err = await asyncio.wait_for(running.communicate(), 20)
        assert running.returncode == code, err.decode()
        return (out if not code else err).decode().splitlines()


async def test_nodes(broker: Mosquitto, server: Server) -> None:
    """Written, read, listed, walked, deleted; as JSON on demand; complaints have a reason."""
    await ask(broker, "set", "a.b", '{"x": [1, null]}')
    await ask(broker, "set", "a.c", "no JSON")
    (line,) = await ask(broker, "get", "a.b")
    assert line.startswith('a.b {"x": [1, null]} _')
    (line,) = await ask(broker, "--json", "get", "a.c")
    assert json.loads(line).items() >= {"path": "a.c", "value": "no JSON"}.items()
    assert await ask(broker, "list", "a") == ["b", "c"]
    assert await ask(broker, "--json", "list", "a") == ['"b"', '"c"']
    assert len(await ask(broker, "walk", "a")) == 2
    await ask(broker, "delete", "-r", "a")
    (complaint,) = await ask(broker, "get", "a.b", code=1)
    assert "a" in complaint
    await ask(broker, "get", "a..b", code=2)
    server.tree.write(["error", "x"], {"msg": b"\x01", "p": Path("y")}, _meta())
    (line,) = await ask(broker, "errors")
    assert line.startswith('error.x {"msg": "01", "p": "y"}')


async def test_history(broker: Mosquitto, server: Server) -> None:
    for number in range(4):
        server.tree.write(["a"], {"v": number}, _meta(number - 10))
    assert len(await ask(broker, "history", "a")) == 4
    (line,) = await ask(broker, "history", "a", "-n", "1")
    assert '{"v": 3}' in line
    rows = await ask(broker, "--json", "history", "a", "--step", "1000000", "--item", "v")
    assert [json.loads(row)[2:] for row in rows] == [[0, 3, 4]]
    (row,) = await ask(broker, "history", "a", "--step", "1000000", "--item", "v")
    assert row.split()[3:] == ["0", "3", "4"]


async def test_call(broker: Mosquitto, server: Server) -> None:
    async def add(one: Value, other: Value) -> Value:
        assert isinstance(one, int)
        assert isinstance(other, int)
        return one + other

    async with link(broker) as mine:
        mine.serve(Path("sums"), {"add": add})
        await until(lambda: server.tree.store.find(["run", "host", "here", "sums"]))
        assert await ask(broker, "call", "here.sums", "add", "2", "3") == ["5"]


async def test_monitor(broker: Mosquitto, server: Server) -> None:
    server.tree.write(["a"], 1, _meta())
    fixed = ["link", "--port", str(broker.port), "--root", str(ROOT), "monitor", "a"]
    async with process(*fixed) as running:
        assert running.stdout is not None
        assert (await running.stdout.readline()).startswith(b"a 1 ")
        server.tree.write(["a"], 2, _meta(1))
        assert (await running.stdout.readline()).startswith(b"a 2 ")
        os.kill(running.pid, signal.SIGINT)
        await asyncio.wait_for(running.wait(), 10)
        assert running.returncode == 0


def _meta(later: float = 0) -> Meta:
    return Meta("me", time.time() + later)
