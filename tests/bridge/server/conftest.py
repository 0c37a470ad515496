"""A broker, and servers on it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from tests.support.installation import ROOT, Peer, other
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until

from .caller import Caller


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """Run a broker."""
    with Mosquitto() as broker:
        yield broker


@pytest.fixture
async def peer(broker: Mosquitto) -> AsyncIterator[Peer]:
    """Join the broker as somebody else."""
    async with other(broker) as peer:
        yield peer


@pytest.fixture
async def serve(broker: Mosquitto, tmp_path: File) -> AsyncIterator[Callable[..., Any]]:
    """Start servers; they are ended with the test."""
    async with AsyncExitStack() as stack:

        async def start(name: str = "srv1", *, wait: bool = True, **options: Any) -> Server:
            config = ServerConfig(
                broker=BrokerConfig(host=broker.host, port=broker.port),
                root=ROOT,
                name=name,
                **{
                    "listeners": (
                        Listener(port=0),
                        Listener(name="local", path=str(tmp_path / f"{name}.sock")),
                    ),
                    **options,
                },
            )
            server = Server(config)
            server.election.settle = 0.05
            server.task = await stack.enter_async_context(running(server.run()))  # type: ignore[attr-defined]
            if wait:
                await until(server.serving.is_set, what="serving")
            return server

        yield start


@pytest.fixture
async def join() -> AsyncIterator[Callable[..., Any]]:
    """Connect raw clients; their connections are closed with the test."""
    callers: list[Caller] = []

    async def connect(server: Server, *args: Any, **options: Any) -> Caller:
        caller = await Caller.connect(server, *args, **options)
        callers.append(caller)
        return caller

    yield connect
    for caller in callers:
        await caller.close()
