"""System health: the first questions, answered for every installation."""

from typing import Any

import pytest
from homeassistant.components.system_health import DOMAIN as SYSTEM_HEALTH, get_info
from homeassistant.core import HomeAssistant
from homeassistant.helpers.json import json_dumps
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import DOMAIN
from tests.support.keeper import Served
from tests.support.mosquitto import Mosquitto
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import set_up, state_of
from .wire import Peer, point

# Home Assistant's own http component, which this needs
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.AppKey")


async def info(hass: HomeAssistant) -> dict[str, Any]:
    """Return our part."""
    assert await async_setup_component(hass, SYSTEM_HEALTH, {})
    found: dict[str, Any] = dict((await get_info(hass))[DOMAIN])
    json_dumps(found)
    return found


async def test_healthy(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, served: Served | None
) -> None:
    """Broker, server, devices, errors and clock of one installation."""
    await peer.put("meter", 1)
    await peer.describe("meter", point("u", "voltage", "meter"))
    await peer.describe("far", point("u", "voltage", "far"), alive=["run", "host", "x", "y"])
    await peer.put("error.app.pump", {"msg": "dry"})
    await until(lambda: state_of(hass, "sensor.home_errors") == "1")
    await until(lambda: len(loaded.runtime_data.site.devices) == 2)
    assert await info(hass) == {
        "broker": "ok",
        "server": served.name if served else "none: no server is known",
        "devices": "1 of 2 available",
        "errors": 1,
        "skew": "unknown",
    }


@pytest.mark.no_server("has one of its own")
async def test_clock(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """The server's clock is compared with ours."""
    async with FakeServer() as server:
        for _ in range(2):
            await peer.put("run.service.main.conn", server.announcement, origin=server.name)
            await until(lambda: state_of(hass, "sensor.home_server") == server.name)
        await until(lambda: loaded.runtime_data.link.status.skew is not None)
        found = await info(hass)
    assert found["server"] == server.name
    assert found["skew"].endswith(" s")


async def test_ill(hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto) -> None:
    """Without a broker it is said why."""
    broker.kill()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "off")
    found = await info(hass)
    assert found["broker"].startswith("not connected: ")


async def test_several(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """Of several installations each is named, even one that is not there."""
    shed = MockConfigEntry(domain=DOMAIN, title="Shed", data={**loaded.data, "root": "shed"})
    await set_up(hass, shed)
    assert (await info(hass))["broker"] == "Home: ok; Shed: ok"
    assert await hass.config_entries.async_unload(shed.entry_id)
    found = await info(hass)
    assert found["broker"] == "Home: ok; Shed: not_loaded"
    assert found["devices"] == "Home: 0 of 0 available; Shed: unknown"


async def test_none(hass: HomeAssistant) -> None:
    """Without an installation there is nothing to say."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert await info(hass) == {}
