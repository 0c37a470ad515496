"""The hub: announced, asked by others, errors of the installation, picked values, a server."""

from typing import Any

import pytest
from homeassistant.components.event import ATTR_EVENT_TYPE
from homeassistant.config_entries import ConfigSubentryData
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import CONF_ALLOW_WRITE, CONF_READ_ONLY
from custom_components.moat_link.link.path import Path
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import set_up, state_of
from .wire import Peer, point


async def test_announced(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """Others find us, ask whether we are alive, and what we show."""
    await peer.follow("run")
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power"))
    await set_up(hass, entry)
    link = entry.runtime_data.link
    host = Path("run", "host", link.config.host, "homeassistant")
    await until(lambda: peer.values(str(host)))
    assert peer.values(str(host))[-1]["id"] == link.id
    reply = await link.call(host, ["i", "ping"])
    assert reply.arguments
    reply = await link.call(host, ["entities"])
    assert isinstance(reply.value, dict)
    assert reply.value["sensor.meter_power"] == "5.5"


async def test_errors(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Errors are counted, listed, and their history is an event."""

    def event() -> dict[str, Any]:
        state = hass.states.get("event.home_error")
        assert state is not None
        return dict(state.attributes)

    def problems() -> list[dict[str, Any]]:
        state = hass.states.get("binary_sensor.home_problem")
        assert state is not None
        return list(state.attributes["problems"])

    await peer.put("error.app.pump", {"msg": "dry", "level": 2})
    await until(lambda: state_of(hass, "sensor.home_errors") == "1")
    assert state_of(hass, "binary_sensor.home_problem") == "on"
    assert event()[ATTR_EVENT_TYPE] == "raised"
    assert event()["path"] == "app.pump"
    assert event()["message"] == "dry"
    await peer.put("error.app.fire", {"level": 4})
    await until(lambda: state_of(hass, "sensor.home_errors") == "2")
    await peer.put("error.app.pump", {"msg": "dry", "level": 2, "n": 2})
    await until(lambda: event()[ATTR_EVENT_TYPE] == "repeated")
    await peer.put("error.app.pump", {"msg": "dry", "level": 2, "n": 2, "ack": True})
    await until(lambda: event()[ATTR_EVENT_TYPE] == "acknowledged")
    await until(lambda: [problem["acknowledged"] for problem in problems()] == [False, True])
    assert [problem["path"] for problem in problems()] == ["app.fire", "app.pump"]
    assert problems()[1]["count"] == 2
    await peer.put("error.app.pump", {"msg": "dry", "ok": True})
    await until(lambda: event()[ATTR_EVENT_TYPE] == "cleared")
    await peer.delete("error.app.fire")
    await until(lambda: state_of(hass, "sensor.home_errors") == "0")
    assert state_of(hass, "binary_sensor.home_problem") == "off"


@pytest.mark.parametrize("value", [7, "text", [1], {"msg": 5, "level": "high", "n": True}])
async def test_odd_errors(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, value: object
) -> None:
    """Whatever stands there is an error; what cannot be read of it has a default."""
    await peer.put("error.odd", value)
    await until(lambda: state_of(hass, "sensor.home_errors") == "1")
    (problem,) = loaded.runtime_data.problems.open.values()
    assert (problem.message, problem.level, problem.count) == ("", 3, 1)


async def test_old_errors_are_no_events(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer
) -> None:
    """An error that was there before us did not happen now."""
    await peer.put("error.app.pump", {"msg": "dry"})
    await set_up(hass, entry)
    assert state_of(hass, "sensor.home_errors") == "1"
    assert state_of(hass, "event.home_error") == "unknown"


async def test_picked_value(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """A value that the user picked from a path is a device of its subentry."""
    await peer.put("odd.place", {"t": 21.5})
    data = {"path": "odd.place", "item": ["t"], "quantity": "temperature"}
    picked = ConfigSubentryData(
        subentry_type="value", title="Odd place", unique_id=None, data=data, subentry_id="one"
    )
    broken = ConfigSubentryData(
        subentry_type="value", title="Bad", unique_id=None, data={"path": ":z"}, subentry_id="two"
    )
    entry = MockConfigEntry(
        domain=entry.domain,
        entry_id=entry.entry_id,
        title=entry.title,
        data=entry.data,
        subentries_data=[picked, broken],
    )
    await set_up(hass, entry)
    assert state_of(hass, "sensor.odd_place") == "21.5"
    registered = er.async_get(hass).async_get("sensor.odd_place")
    assert registered is not None
    assert registered.config_subentry_id == "one"
    device = dr.async_get(hass).async_get(registered.device_id or "")
    assert device is not None
    assert device.config_subentry_id == "one"
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_may_write(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """Beyond described points, only the listed paths may be written."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={CONF_ALLOW_WRITE: ["home.garden"]})
    assert await hass.config_entries.async_setup(entry.entry_id)
    hub = entry.runtime_data
    assert hub.may_write(Path("home", "garden", "pump"))
    assert not hub.may_write(Path("home", "gardens"))
    hass.config_entries.async_update_entry(
        entry, options={CONF_ALLOW_WRITE: ["home.garden"], CONF_READ_ONLY: True}
    )
    await until(lambda: entry.runtime_data is not hub)
    assert not entry.runtime_data.may_write(Path("home", "garden"))
    await until(lambda: entry.state.recoverable)


@pytest.mark.no_server("has one of its own")
async def test_server(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A server that appears is used, and named."""
    async with FakeServer() as server:
        await peer.put("run.service.main.conn", server.announcement)
        await until(lambda: state_of(hass, "sensor.home_server") == server.name)
        await peer.delete("run.service.main.conn")
    await until(lambda: state_of(hass, "sensor.home_server") == "none")
