"""A broker, real servers that can be started on it, and ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path as File
from typing import Any

import pytest
import pytest_socket

from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.history import HistoryConfig
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.server import Server
from tests.support.moat import ROOT, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.running import running

from .witness import Witness


@pytest.fixture(autouse=True)
def sockets(socket_enabled: None) -> None:
    """Let tests use the loopback interface and Unix sockets."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)


@pytest.fixture
def broker(sockets: None) -> Iterator[Mosquitto]:
    """Run a broker."""
    with Mosquitto() as broker:
        yield broker


@pytest.fixture
async def real(broker: Mosquitto) -> AsyncIterator[MoatServer]:
    """Describe a real server; nothing runs yet."""
    server = MoatServer(broker, name="real")
    yield server
    await asyncio.to_thread(server.close)


@pytest.fixture
async def reals(broker: Mosquitto) -> AsyncIterator[Callable[[str], Any]]:
    """Start real servers by name; they are killed with the test."""
    servers: list[MoatServer] = []

    async def start(name: str, *, first: bool = False, **options: Any) -> MoatServer:
        server = MoatServer(broker, name=name, **options)
        servers.append(server)
        await asyncio.to_thread(server.start, first=first)
        return server

    yield start
    await asyncio.gather(*(asyncio.to_thread(server.close) for server in servers))


@pytest.fixture
async def witness(broker: Mosquitto) -> AsyncIterator[Witness]:
    """Note what servers tell each other."""
    async with Witness.of(broker) as witness:
        yield witness


@pytest.fixture
async def serve(broker: Mosquitto, tmp_path: File) -> AsyncIterator[Callable[..., Any]]:
    """Start our server, at a Unix socket if one is given."""
    async with AsyncExitStack() as stack:

        async def start(
            name: str = "ours",
            *,
            socket: File | None = None,
            root: Path = Path.parse(ROOT),  # noqa: B008  # immutable
            **options: Any,
        ) -> Server:
            listeners = [Listener(port=0)]
            if socket is not None:
                listeners.append(Listener(name="local", path=str(socket)))
            past = HistoryConfig(file=tmp_path / name / "history.db", keep={"": Keep()})
            options = {"history": past} | options
            config = ServerConfig(
                broker=BrokerConfig(host=broker.host, port=broker.port),
                root=root,
                name=name,
                listeners=tuple(listeners),
                journal=JournalConfig(directory=tmp_path / name, flush=0.001),
                **options,
            )
            server = Server(config)
            server.task = await stack.enter_async_context(running(server.run()))  # type: ignore[attr-defined]
            await server.serving.wait()
            return server

        yield start
