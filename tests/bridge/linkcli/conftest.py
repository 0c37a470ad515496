"""A broker, our server, and the command line in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path as File

import pytest

from firmware_bridge.__main__ import main
from firmware_bridge.link.codec import Value
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.history import HistoryConfig
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until


@dataclass
class Answer:
    """How a command ended, and what it said."""

    code: int
    out: list[str]
    err: list[str]


type Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests counts."""
    for name in ("NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command line within this process."""

    async def run(*words: str) -> Answer:
        capsys.readouterr()
        code = await asyncio.to_thread(_main, words)
        said = capsys.readouterr()
        return Answer(code, said.out.splitlines(), said.err.splitlines())

    return run


def _main(words: tuple[str, ...]) -> int:
    try:
        return main(["link", *words])
    except SystemExit as err:  # argparse
        return int(err.code or 0)


@pytest.fixture
def ask(run: Ask, broker: Mosquitto) -> Ask:
    """Ask the installation something."""

    async def ask(*words: str) -> Answer:
        return await run("--port", str(broker.port), "--root", str(ROOT), *words)

    return ask


@pytest.fixture
async def server(broker: Mosquitto, tmp_path: File) -> AsyncIterator[Server]:
    """Run a server that remembers everything but `short`."""
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=ROOT,
        name="srv",
        listeners=(Listener(port=0), Listener(name="local", path=str(tmp_path / "sock"))),
        history=HistoryConfig(file=tmp_path / "h.db", keep={"a": Keep(), "error": Keep()}),
    )
    server = Server(config)
    server.election.settle = 0.05
    async with running(server.run()):
        await until(lambda: server.election.main)
        yield server


def say(server: Server, path: str, value: Value, later: float = 0) -> float:
    """Write a node; return its time."""
    when = time.time() + later
    server.tree.write(Path.parse(path).topic.split("/"), value, Meta("me", when))
    return when
