"""A real broker, somebody else on it, and a config entry for the integration."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from syrupy.assertion import SnapshotAssertion

from custom_components.moat_link.const import CONF_ROOT, DOMAIN
from tests.support.keeper import Keeper, Served
from tests.support.mosquitto import Mosquitto

from .wire import ROOT, Peer

type Settled = Callable[[], Awaitable[None]]
type Serve = Callable[..., AbstractContextManager[Served | None]]

SERVER = "sensor.home_server"
ENTRY_ID = "01JMOATENTRY00000000000000"


@pytest.fixture(autouse=True)
def auto_enable_custom_integrations(enable_custom_integrations: None) -> None:
    """Every test loads custom_components/."""


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Keep snapshots in Home Assistant's own format."""
    return snapshot.use_extension(HomeAssistantSnapshotExtension)


@pytest.fixture(scope="session")
def keeper(request: pytest.FixtureRequest) -> Iterator[Keeper]:
    """Who runs the servers that --server asks for."""
    with Keeper(request.config.getoption("--server")) as keeper:
        yield keeper


@pytest.fixture
def serve(request: pytest.FixtureRequest, keeper: Keeper) -> Serve:
    """Have a server on a broker for the time of a context, unless there is to be none."""
    marker = request.node.get_closest_marker("no_server")
    if marker is not None and marker.kwargs.get("kind", keeper.kind) == keeper.kind:
        return Keeper("none").serving
    return keeper.serving


@pytest.fixture
def mosquitto(socket_enabled: None) -> Iterator[Mosquitto]:
    """A mosquitto of our own that anybody may use."""
    with Mosquitto() as broker:
        yield broker


@pytest.fixture
def served(mosquitto: Mosquitto, serve: Serve) -> Iterator[Served | None]:
    """The server on it, if there is to be one; nothing must go wrong in it."""
    with serve(mosquitto, ROOT) as served:
        yield served
    assert served is None or served.troubles == []


@pytest.fixture
def broker(mosquitto: Mosquitto, served: Served | None) -> Mosquitto:
    """That mosquitto, with the server."""
    return mosquitto


@pytest.fixture
async def peer(broker: Mosquitto) -> AsyncIterator[Peer]:
    """Somebody else in the installation."""
    async with Peer(broker) as peer:
        yield peer


@pytest.fixture
def settled(broker: Mosquitto, peer: Peer, served: Served | None) -> Settled:
    """Wait until the server has heard what the peer has said: a real one takes its time."""

    async def wait() -> None:
        if served is not None:
            await peer.put("run.settled", True)
            await served.hears(broker, ROOT, "run.settled")
            await peer.delete("run.settled")

    return wait


@pytest.fixture
def entry(broker: Mosquitto) -> MockConfigEntry:
    """A config entry for that broker."""
    return entry_for(broker)


@pytest.fixture
async def loaded(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, served: Served | None
) -> AsyncIterator[MockConfigEntry]:
    """The entry, set up and connected: to the server, too."""
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    status = entry.runtime_data.link.status
    assert (status.server, status.degraded) == (served and served.name, served is None)
    yield entry
    assert await hass.config_entries.async_unload(entry.entry_id)


def entry_for(broker: Mosquitto, **data: object) -> MockConfigEntry:
    """Return a config entry for a broker."""
    address = {CONF_HOST: broker.host, CONF_PORT: broker.port, CONF_ROOT: ROOT}
    return MockConfigEntry(
        domain=DOMAIN,
        entry_id=ENTRY_ID,
        title="Home",
        unique_id=f"{broker.host}:{ROOT}",
        data=address | data,
    )


async def set_up(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Add the entry and set it up, whatever comes of it."""
    entry.add_to_hass(hass)
    await hass.config_entries.async_setup(entry.entry_id)


def assert_platform(
    hass: HomeAssistant, snapshot: SnapshotAssertion, entry: MockConfigEntry, domain: str
) -> None:
    """Compare all entities of a platform, registry entries and states, with the snapshot.

    The state that names the server is left out: snapshots are the same with every server.
    """
    registry = er.async_get(hass)
    entries = er.async_entries_for_config_entry(registry, entry.entry_id)
    found = sorted((each for each in entries if each.domain == domain), key=lambda e: e.entity_id)
    assert found
    for each in found:
        assert each == snapshot(name=f"{each.entity_id}-entry")
        if each.disabled_by is None and each.entity_id != SERVER:
            assert hass.states.get(each.entity_id) == snapshot(name=f"{each.entity_id}-state")


def state_of(hass: HomeAssistant, entity_id: str) -> str | None:
    """Return a state's value; None if there is no such entity."""
    state = hass.states.get(entity_id)
    return None if state is None else state.state
