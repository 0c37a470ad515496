"""Available: the link is up, the owner alive, the value there and fresh."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
from homeassistant.const import EVENT_STATE_CHANGED, EVENT_STATE_REPORTED, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, callback
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import state_of
from .wire import Peer, path, point

POWER = "sensor.meter_power"


async def test_broker_killed(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    broker: Mosquitto,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Unavailable within a second; back with the right value; one line each way."""
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power"))
    await until(lambda: state_of(hass, POWER) == "5.5")
    caplog.clear()
    broker.kill()
    await until(lambda: state_of(hass, POWER) == STATE_UNAVAILABLE, 1)
    assert state_of(hass, "binary_sensor.home_connection") == "off"
    assert state_of(hass, "sensor.home_errors") == STATE_UNAVAILABLE
    broker.start()
    async with Peer(broker, origin="again") as again:
        await again.put("power", 7.5)
        await again.describe("meter", point("power", "power", "power"))
        await until(lambda: state_of(hass, POWER) == "7.5", 20)
    assert state_of(hass, "binary_sensor.home_connection") == "on"
    lines = [
        record.message
        for record in caplog.records
        if record.name.startswith("custom_components.moat_link") and record.levelname != "DEBUG"
    ]
    assert len(lines) == 2


async def test_owner_announced(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Without its owner a device is unavailable, whatever values are left."""
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power"), alive=path("run.host.lab.meter"))
    await until(lambda: state_of(hass, POWER) == STATE_UNAVAILABLE)
    await peer.put("run.host.lab.meter", {"id": "peer", "up": True})
    await until(lambda: state_of(hass, POWER) == "5.5")
    await peer.delete("run.host.lab.meter")
    await until(lambda: state_of(hass, POWER) == STATE_UNAVAILABLE)


async def test_owner_leaves(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """An owner that says goodbye on its ping is gone, although its announcement remains."""
    await peer.put("power", 5.5)
    await peer.put("run.host.lab.meter", {"id": "peer", "up": True})
    await peer.describe("meter", point("power", "power", "power"), alive=path("run.host.lab.meter"))
    await until(lambda: state_of(hass, POWER) == "5.5")
    await peer.ping(up=True)
    await peer.ping(up=False)
    await until(lambda: state_of(hass, POWER) == STATE_UNAVAILABLE)
    await peer.ping(up=True)
    await until(lambda: state_of(hass, POWER) == "5.5")


async def test_value_grows_old(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A value that is not renewed in time is unavailable; a new one is not."""
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power", max_age=1))
    await until(lambda: state_of(hass, POWER) == "5.5")
    await until(lambda: state_of(hass, POWER) == STATE_UNAVAILABLE)
    await peer.put("power", 5.5)
    await until(lambda: state_of(hass, POWER) == "5.5")


async def test_old_and_future_times(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Older messages are dropped; one from the future does not lock out what follows."""
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power"))
    await until(lambda: state_of(hass, POWER) == "5.5")
    await peer.put("power", 1.5, when=time.time() - 3600)
    await peer.put("power", 8.5, when=time.time() + 3600)
    await until(lambda: state_of(hass, POWER) == "8.5")
    await peer.put("power", 9.5)
    await until(lambda: state_of(hass, POWER) == "9.5")


async def test_only_followers_wake(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A value wakes the entities that follow it, and a repeated one nobody."""
    await peer.put("meter", {"p": 1, "u": 230})
    await peer.describe(
        "meter",
        point("power", "power", "meter", item="p"),
        point("voltage", "voltage", "meter", item="u"),
    )
    await until(lambda: state_of(hass, POWER) == "1.0")
    reported: list[str] = []

    @callback
    def note(data: Mapping[str, Any]) -> bool:
        reported.append(data["entity_id"])
        return False

    for event in (EVENT_STATE_CHANGED, EVENT_STATE_REPORTED):
        hass.bus.async_listen(event, lambda _: None, event_filter=note)
    await peer.put("meter", {"p": 1, "u": 230})
    await peer.put("meter", {"p": 2, "u": 230})
    await until(lambda: state_of(hass, POWER) == "2.0")
    assert reported == [POWER]
