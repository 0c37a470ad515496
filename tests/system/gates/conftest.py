"""A broker with a real server, and people on both sides of a gate."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_socket

from firmware_bridge.link.path import Path
from tests.support import moat
from tests.support.gates import Insider, Outsider, insider, outsider
from tests.support.moat import MoatServer
from tests.support.mosquitto import Mosquitto

ROOT = Path.parse(moat.ROOT)


@pytest.fixture(autouse=True)
def sockets(socket_enabled: None) -> None:
    """Let tests use the loopback interface and Unix sockets."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)


@pytest.fixture
def broker(sockets: None) -> Iterator[Mosquitto]:
    """Run a broker."""
    with Mosquitto() as running:
        yield running


@pytest.fixture
def real(broker: Mosquitto) -> Iterator[MoatServer]:
    """Run a real server."""
    with MoatServer(broker) as server:
        yield server


@pytest.fixture
async def inside(real: MoatServer, broker: Mosquitto) -> AsyncIterator[Insider]:
    """Join the installation."""
    async with insider(broker, ROOT) as joined:
        yield joined


@pytest.fixture
async def outside(broker: Mosquitto) -> AsyncIterator[Outsider]:
    """Join the broker without MoaT-Link."""
    async with outsider(broker) as joined:
        yield joined
