"""Devices and parts in the registry: they come, change, and go with their descriptions."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from custom_components.moat_link import async_remove_config_entry_device
from custom_components.moat_link.const import DOMAIN
from tests.support.mosquitto import Mosquitto
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import ENTRY_ID, Settled, set_up, state_of
from .wire import Peer, path, point, setter

VOLTAGE = point("voltage", "voltage", "battery.u")


def device(hass: HomeAssistant, name: str) -> dr.DeviceEntry | None:
    """Return a device's registry entry."""
    return dr.async_get(hass).async_get_device_by_identifier(
        (DOMAIN, f"{ENTRY_ID}_{name}"), ENTRY_ID
    )


def part(hass: HomeAssistant, name: str) -> dr.ChildDeviceEntry | None:
    """Return the registry entry of a part, `device:part`."""
    return dr.async_get(hass).async_get_child_device_by_identifier(
        (DOMAIN, f"{ENTRY_ID}_{name}"), ENTRY_ID
    )


async def test_device_info(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    snapshot: SnapshotAssertion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Everything a description says is in the registry; parts are child devices."""
    await peer.put("battery.u", 51.5)
    await peer.put("battery.cells", [3.3, 3.4])
    await peer.describe(
        "battery",
        VOLTAGE,
        *(
            point("u", "voltage", "battery.cells", item=n, part=f"c{n}") | {"key": f"u{n}"}
            for n in (0, 1)
        ),
        maker="Akku AG",
        model="A1",
        serial="17",
        software="1.2",
        hardware="b",
        area="Cellar",
        parts={"c0": {"name": "Cell 1"}, "c1": {"name": "Cell 2"}},
    )
    await until(lambda: state_of(hass, "sensor.cellar_battery_cell_2_voltage") == "3.4")
    await until(lambda: state_of(hass, "sensor.cellar_battery_voltage") == "51.5")
    found = device(hass, "battery")
    assert found == snapshot(name="device")
    assert found is not None
    area = ar.async_get(hass).async_get_area_by_name("Cellar")
    assert area is not None
    assert found.area_id == area.id
    installation = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, ENTRY_ID), ENTRY_ID)
    assert installation == snapshot(name="installation")
    assert installation is not None
    assert found.via_device_id == installation.id
    for name in ("battery:c0", "battery:c1"):
        cell = part(hass, name)
        assert cell is not None
        assert cell.parent_device_id == found.id
    assert "deprecated" not in caplog.text


async def test_connected_through_another(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A device may come before the one it is connected through, and outlive it."""
    await peer.describe("sensor", via="board")
    await until(lambda: device(hass, "sensor"))
    await peer.describe("board")
    await until(lambda: device(hass, "board"))
    await until(lambda: device(hass, "sensor").via_device_id == device(hass, "board").id)
    await peer.delete("device.board")
    installation = loaded.runtime_data.devices.installation.id
    await until(lambda: device(hass, "sensor").via_device_id == installation)


async def test_circle(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Devices that are connected through each other hang on the installation."""
    await peer.describe("one", via="two")
    await peer.describe("two", via="one")
    await until(lambda: device(hass, "one") and device(hass, "two"))
    installation = loaded.runtime_data.devices.installation.id
    await until(lambda: device(hass, "one").via_device_id == installation)
    assert device(hass, "two").via_device_id == installation


async def test_a_chain_without_end(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """Any number of devices may say that they are connected through each other."""
    names = [f"link{number}" for number in range(300)]
    for name, via in pairwise(names):
        await peer.describe(name, via=via)
    await peer.describe(names[-1])
    await settled()
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    assert device(hass, names[-2]).via_device_id == device(hass, names[-1]).id
    assert device(hass, names[0]).via_device_id == entry.runtime_data.devices.installation.id
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_description_deleted(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Device, parts and entities go when somebody deletes the description."""
    await peer.put("battery.u", 51.5)
    cell = point("cell", "voltage", "battery.u", part="c0")
    await peer.describe("battery", VOLTAGE, cell, parts={"c0": {"name": "Cell 1"}})
    await until(lambda: state_of(hass, "sensor.battery_cell_1_voltage") == "51.5")
    await peer.delete("device.battery")
    await until(lambda: device(hass, "battery") is None)
    assert part(hass, "battery:c0") is None
    await hass.async_block_till_done()
    assert state_of(hass, "sensor.battery_voltage") is None
    assert er.async_get(hass).async_get("sensor.battery_voltage") is None


async def test_description_changes(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A new version, another name, points and parts that come and go."""
    await peer.put("battery.u", 51.5)
    cell = point("cell", "voltage", "battery.u", part="c0")
    await peer.describe("battery", VOLTAGE, cell, software="1", parts={"c0": {"name": "Cell 1"}})
    await until(lambda: state_of(hass, "sensor.battery_cell_1_voltage") == "51.5")
    seen: list[str | None] = []
    hass.bus.async_listen(
        "state_changed", callback(lambda event: seen.append(event.data["entity_id"]))
    )
    await peer.describe("battery", VOLTAGE, cell, software="2", parts={"c0": {"name": "Cell 1"}})
    await until(lambda: device(hass, "battery").sw_version == "2")
    assert seen == []
    current = point("current", "current", "battery.u")
    await peer.describe("battery", VOLTAGE, current, name="Akku", software="2")
    await until(lambda: state_of(hass, "sensor.akku_current") == "51.5")
    assert device(hass, "battery").name == "Akku"
    assert part(hass, "battery:c0") is None
    assert er.async_get(hass).async_get("sensor.battery_cell_1_voltage") is None
    assert state_of(hass, "sensor.battery_voltage") == "51.5"


async def test_point_changes_its_nature(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """What becomes writable moves to another platform; a new name stays the same entity."""
    await peer.put("pump", True)
    await peer.describe("garden", point("pump", "relay", "pump", name="Pump"))
    await until(lambda: state_of(hass, "binary_sensor.garden_pump") == "on")
    pump = point("pump", "relay", "pump", name="Pump", write=setter("pump.cmd"))
    await peer.describe("garden", pump)
    await until(lambda: state_of(hass, "switch.garden_pump") == "on")
    assert state_of(hass, "binary_sensor.garden_pump") is None
    assert er.async_get(hass).async_get("binary_sensor.garden_pump") is None
    await peer.describe("garden", pump | {"name": "Fountain"})
    registry = er.async_get(hass)
    await until(lambda: registry.async_get("switch.garden_pump").original_name == "Fountain")
    await until(lambda: state_of(hass, "switch.garden_pump") == "on")


async def test_user_deletes(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """A device can be deleted if nobody describes it; described ones and ourselves cannot."""
    await peer.put("battery.u", 51.5)
    await peer.describe("battery", VOLTAGE, parts={"c0": {"name": "Cell 1"}})
    await peer.describe("board")
    await set_up(hass, entry)
    registry = dr.async_get(hass)
    stale = registry.async_get_or_create(
        config_entry_id=ENTRY_ID, identifiers={(DOMAIN, f"{ENTRY_ID}_gone")}
    )
    child = registry.async_get_or_create_child(
        config_entry_id=ENTRY_ID,
        identifiers={(DOMAIN, f"{ENTRY_ID}_battery:c9")},
        parent_device_id=device(hass, "battery").id,
    )
    installation = entry.runtime_data.devices.installation
    kept = [device(hass, "battery"), part(hass, "battery:c0"), device(hass, "board"), installation]
    for known in kept:
        assert not await async_remove_config_entry_device(hass, entry, known)
    for unknown in (stale, child):
        assert await async_remove_config_entry_device(hass, entry, unknown)


async def test_empty_broker_removes_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """A broker that has forgotten everything makes unavailable; what comes back is back."""
    await peer.put("battery.u", 51.5)
    await peer.describe("battery", VOLTAGE)
    await set_up(hass, entry)
    assert state_of(hass, "sensor.battery_voltage") == "51.5"
    broker.kill()
    await until(lambda: state_of(hass, "sensor.battery_voltage") == "unavailable")
    broker.start()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "on", 20)
    found = device(hass, "battery")
    assert found is not None
    async with Peer(broker, origin="again") as again:
        await again.put("battery.u", 52.5)
        await again.describe("battery", VOLTAGE)
        await until(lambda: state_of(hass, "sensor.battery_voltage") == "52.5")
    assert device(hass, "battery") == found


@pytest.mark.no_server("has one of its own")
async def test_user_deletes_what_is_in_doubt(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A device that a server does not know stays for a while; the user need not wait."""
    await peer.put("battery.u", 51.5)
    await peer.describe("battery", VOLTAGE)
    await until(lambda: state_of(hass, "sensor.battery_voltage") == "51.5")
    async with FakeServer() as server:
        await peer.put("run.service.main.conn", server.announcement)
        await until(lambda: state_of(hass, "sensor.battery_voltage") == "unavailable")
        found = device(hass, "battery")
        assert found is not None
        assert await async_remove_config_entry_device(hass, loaded, found)
        await until(lambda: device(hass, "battery") is None)


async def test_restart_without_the_description(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """Entities that nobody describes at start stay, unavailable, until the user deletes them."""
    await peer.put("battery.u", 51.5)
    await peer.describe("battery", VOLTAGE)
    await set_up(hass, entry)
    assert await hass.config_entries.async_unload(entry.entry_id)
    await peer.delete("device.battery")
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    assert state_of(hass, "sensor.battery_voltage") == "unavailable"
    found = device(hass, "battery")
    assert found is not None
    assert await async_remove_config_entry_device(hass, entry, found)


async def test_changed_while_away(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """Points that have vanished from a description while we were away are forgotten."""
    await peer.put("battery.u", 51.5)
    current = point("current", "current", "battery.u")
    await peer.describe("battery", VOLTAGE, current, parts={"c0": {"name": "Cell 1"}})
    await set_up(hass, entry)
    assert await hass.config_entries.async_unload(entry.entry_id)
    await peer.describe("battery", VOLTAGE)
    await hass.config_entries.async_setup(entry.entry_id)
    assert state_of(hass, "sensor.battery_voltage") == "51.5"
    assert er.async_get(hass).async_get("sensor.battery_current") is None
    assert part(hass, "battery:c0") is None


@pytest.mark.timeout(60)
async def test_flapping(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A device that comes and goes a hundred times ends as it should, and leaves nothing."""
    await peer.put("battery.u", 51.5)
    points: list[dict[str, Any]] = [
        point(f"v{n}", "voltage", "battery.u", name=f"V{n}") for n in range(10)
    ]
    await peer.describe("battery", *points)
    await until(lambda: state_of(hass, "sensor.battery_v9") == "51.5")
    entities, tasks = len(hass.states.async_all()), len(asyncio.all_tasks())
    for _ in range(100):
        await peer.delete("device.battery")
        await peer.describe("battery", *points)
    await peer.put("battery.u", 52.5)
    await until(lambda: state_of(hass, "sensor.battery_v9") == "52.5")
    await hass.async_block_till_done()
    assert len(hass.states.async_all()) == entities
    assert len(asyncio.all_tasks()) <= tasks


async def test_duplicate_id(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """Two owners of one id: the first keeps its entities, and the site says so."""
    await peer.put("battery.u", 51.5)
    await peer.put("run.host.a.bridge", {"id": "a", "up": True})
    await peer.put("run.host.b.bridge", {"id": "b", "up": True})
    await peer.describe("battery", VOLTAGE, alive=path("run.host.a.bridge"))
    await until(lambda: state_of(hass, "sensor.battery_voltage") == "51.5")
    other = point("other", "current", "battery.u")
    await peer.describe("battery", other, alive=path("run.host.b.bridge"))
    issues = loaded.runtime_data.site.issues
    await until(lambda: "battery" in issues)
    assert state_of(hass, "sensor.battery_voltage") == "51.5"
    assert state_of(hass, "sensor.battery_current") is None
