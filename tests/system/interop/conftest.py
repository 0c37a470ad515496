"""A broker, the real server or ours, somebody else on the broker, and the integration in Home Assistant."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_socket
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.integration.wire import Peer
from tests.support.moat import ROOT, MoatError, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.ours import OurServer
from tests.support.wait import until

from .user import integration


@pytest.fixture(autouse=True)
def real_home_assistant(enable_custom_integrations: None, socket_enabled: None) -> None:
    """Every test loads custom_components/ and may use the loopback interface and Unix sockets."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)


@pytest.fixture(scope="session", params=[MoatServer, OurServer], ids=["real", "ours"])
def kind(request: pytest.FixtureRequest) -> type[MoatServer]:
    """Whose server it is; the tools are always the real ones."""
    chosen: type[MoatServer] = request.param
    return chosen


@pytest.fixture(scope="session")
def lasting(kind: type[MoatServer]) -> Iterator[tuple[Mosquitto, MoatServer]]:
    """A broker and a server that all tests share which leave them as they are."""
    pytest_socket.enable_socket()
    with Mosquitto() as broker, kind(broker) as server:
        yield broker, server
        assert server.running
        assert "Decoding Error" not in server.log
        with pytest.raises(MoatError, match="ExpKeyError"):  # nobody has reported a bad message
            asyncio.run(server.link("data", "error.link", "get"))


@pytest.fixture
def broker(lasting: tuple[Mosquitto, MoatServer]) -> Mosquitto:
    """The shared broker."""
    return lasting[0]


@pytest.fixture
def server(lasting: tuple[Mosquitto, MoatServer]) -> MoatServer:
    """The shared server."""
    return lasting[1]


@pytest.fixture
async def peer(broker: Mosquitto) -> AsyncIterator[Peer]:
    """Somebody who describes devices, since MoaT does not."""
    async with Peer(broker, root=ROOT) as peer:
        yield peer


@pytest.fixture
async def entry(
    hass: HomeAssistant, broker: Mosquitto, server: MoatServer
) -> AsyncIterator[MockConfigEntry]:
    """The integration, set up with the shared broker and connected to the server."""
    async with integration(hass, broker) as entry:
        await until(lambda: entry.runtime_data.link.status.server == server.name)
        yield entry


@pytest.fixture
def alone() -> Iterator[Mosquitto]:
    """A broker for one test, without a server."""
    with Mosquitto() as broker:
        yield broker


@pytest.fixture
async def other(alone: Mosquitto) -> AsyncIterator[Peer]:
    """Somebody who describes devices on that broker."""
    async with Peer(alone, root=ROOT) as peer:
        yield peer
