"""Values from a path: browsed, picked, described, and alive at once."""

from typing import Any

import pytest
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigSubentry,
    SubentryFlowResult,
)
from homeassistant.const import ATTR_ENTITY_ID, ATTR_UNIT_OF_MEASUREMENT
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr, entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.value_forms import UP, USE
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import Settled, set_up, state_of
from .wire import Peer

CMD = "flat.kitchen.lamp.cmd"


async def start(hass: HomeAssistant, entry: MockConfigEntry) -> SubentryFlowResult:
    """Begin to add a value."""
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, "value"), context={"source": SOURCE_USER}
    )


async def answer(
    hass: HomeAssistant, result: SubentryFlowResult, **values: object
) -> SubentryFlowResult:
    """Fill in the form that is shown."""
    return await hass.config_entries.subentries.async_configure(result["flow_id"], values)


def choices(result: SubentryFlowResult, field: str) -> dict[str, str]:
    """Return what a form offers: value and label."""
    schema = result["data_schema"]
    assert schema is not None
    selector = next(value for key, value in schema.schema.items() if key == field)
    return {each["value"]: each["label"] for each in selector.config["options"]}


def suggestions(result: SubentryFlowResult) -> dict[str, Any]:
    """Return what a form is filled in with."""
    schema = result["data_schema"]
    assert schema is not None
    return {
        str(key): key.description["suggested_value"] for key in schema.schema if key.description
    }


def only_subentry(entry: MockConfigEntry) -> ConfigSubentry:
    """Return the one value that was picked."""
    (subentry,) = entry.subentries.values()
    return subentry


@pytest.fixture
async def kitchen(loaded: MockConfigEntry, peer: Peer, settled: Settled) -> MockConfigEntry:
    """Undescribed values, some with documentation."""
    await peer.put("flat.kitchen.temp", 21.5)
    await peer.put("flat.kitchen.lamp", {"on": False, "level": 40, "names": ["a", "b"]})
    await peer.put("flat.kitchen", "a node between")
    await peer.put("doc.flat.kitchen.temp", {"title": "Room", "doc": "Above the stove."})
    schema = {"type": "number", "unit": "°C", "minimum": 5, "maximum": 30, "readOnly": False}
    await peer.put("schema.flat.kitchen.temp", schema)
    await settled()
    return loaded


async def test_markup(
    hass: HomeAssistant, kitchen: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """What somebody publishes is shown as it is: no picture is fetched, no link is to be clicked."""
    await peer.put("flat.oven", "![a](https://b) <img src=c> `d`")
    await peer.put("doc.flat.oven", {"doc": "[e](https://f)\n# g"})
    await settled()
    result = await answer(hass, await start(hass, kitchen), child="flat.oven")
    assert result["description_placeholders"] == {
        "path": "flat.oven",
        "value": r"\!\[a\](https://b) \<img src=c\> \`d\`",
        "doc": r"\[e\](https://f) \# g",
    }


async def test_browse_to_a_sensor(hass: HomeAssistant, kitchen: MockConfigEntry) -> None:
    """Walk down child by child, back up, and take a value; it lives under its own device."""
    result = await start(hass, kitchen)
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "user")
    assert choices(result, "child")["flat"] == "flat …"
    result = await answer(hass, result, child="flat")
    assert choices(result, "child")["flat.kitchen"] == "kitchen = a node between"
    result = await answer(hass, result, child="flat.kitchen")
    offered = choices(result, "child")
    assert offered[USE] == "✓ flat.kitchen = a node between"
    assert offered["flat.kitchen.temp"] == "temp = 21.5"
    result = await answer(hass, result, child=UP)
    assert "flat.kitchen" in choices(result, "child")
    result = await answer(hass, result, child="a.:i0x")
    assert result["errors"] == {"child": "invalid_path"}
    result = await answer(hass, result, child="kitchen")
    assert result["errors"] == {"child": "nothing_there"}
    assert list(choices(result, "child"))[-1] == UP
    result = await answer(hass, result, child="flat.kitchen.temp")
    assert result["step_id"] == "platform"
    assert result["description_placeholders"]["doc"] == "Above the stove."
    result = await answer(hass, result, name="Kitchen", platform="sensor")
    assert result["step_id"] == "details"
    assert suggestions(result)["quantity"] == "temperature"
    given = {"quantity": "temperature", "unit": "°C", "precision": 1, "max_age": 600}
    result = await answer(hass, result, **given)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await until(lambda: state_of(hass, "sensor.kitchen") == "21.5", what="the sensor")
    state = hass.states.get("sensor.kitchen")
    assert state is not None
    assert state.attributes[ATTR_UNIT_OF_MEASUREMENT] == "°C"
    registered = er.async_get(hass).async_get("sensor.kitchen")
    assert registered is not None
    subentry = only_subentry(kitchen)
    assert registered.config_subentry_id == subentry.subentry_id
    device = dr.async_get(hass).async_get(registered.device_id or "")
    assert device is not None
    assert device.name == "Kitchen"


async def test_whole_node_with_children(hass: HomeAssistant, kitchen: MockConfigEntry) -> None:
    """A node that has children and a value of its own can be taken."""
    result = await start(hass, kitchen)
    result = await answer(hass, result, child="flat.kitchen")
    result = await answer(hass, result, child=USE)
    assert result["step_id"] == "platform"
    result = await answer(hass, result, name=" ", platform="sensor")
    assert suggestions(result)["quantity"] == "text"
    result = await answer(hass, result, quantity="text")
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "flat.kitchen"


async def test_item_that_can_be_set(
    hass: HomeAssistant, kitchen: MockConfigEntry, peer: Peer
) -> None:
    """An item of a map becomes a switch; its command is confirmed by the state."""
    result = await start(hass, kitchen)
    result = await answer(hass, result, child="flat.kitchen.lamp")
    assert result["step_id"] == "item"
    assert choices(result, "item") == {
        "on": "on = false",
        "level": "level = 40",
        "names[0]": "names[0] = a",
        "names[1]": "names[1] = b",
    }
    result = await answer(hass, result, item="on")
    result = await answer(hass, result, name="Lamp", platform="switch")
    assert suggestions(result) == {"quantity": "relay", "write_path": CMD}
    result = await answer(hass, result, quantity="relay", write_path="a.:i0x")
    assert result["errors"] == {"base": "invalid_value"}
    result = await answer(hass, result, quantity="relay", write_path=CMD, retain=False)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    registry = er.async_get(hass)
    await until(
        lambda: (
            (
                len(er.async_entries_for_config_entry(registry, kitchen.entry_id)) > 0
                and state_of(hass, "switch.lamp_relay") == "off"
            )
            or state_of(hass, "switch.lamp") == "off"
        ),
        what="the switch",
    )
    switch = "switch.lamp" if state_of(hass, "switch.lamp") else "switch.lamp_relay"

    async def obey(value: bool) -> None:
        await peer.put("flat.kitchen.lamp", {"on": value, "level": 40, "names": []})

    await peer.follow(CMD, obey)
    await hass.services.async_call("switch", "turn_on", {ATTR_ENTITY_ID: switch}, blocking=True)
    assert state_of(hass, switch) == "on"


async def test_number_from_schema(hass: HomeAssistant, kitchen: MockConfigEntry) -> None:
    """Limits come from the schema; a number without them is refused."""
    result = await start(hass, kitchen)
    result = await answer(hass, result, child="flat.kitchen.temp")
    result = await answer(hass, result, name="Set", platform="number")
    assert suggestions(result) == {
        "quantity": "temperature",
        "unit": "°C",
        "min": 5.0,
        "max": 30.0,
        "write_path": "flat.kitchen.temp.cmd",
    }
    path = {"quantity": "temperature", "write_path": "flat.kitchen.temp.cmd"}
    result = await answer(hass, result, **path, min=5, max=1)
    assert result["errors"] == {"base": "invalid_value"}
    assert "max" in result["description_placeholders"]["error"]
    result = await answer(hass, result, **path, min=5, max=30, step=0.5)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await until(lambda: len(hass.states.async_entity_ids("number")) == 1, what="the number")


async def test_button(hass: HomeAssistant, kitchen: MockConfigEntry, peer: Peer) -> None:
    """Any path can be something to press."""
    result = await start(hass, kitchen)
    result = await answer(hass, result, child="flat.kitchen.temp")
    result = await answer(hass, result, name="Bell", platform="button")
    result = await answer(hass, result, quantity="button", write_path="flat.bell", retain=True)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert only_subentry(kitchen).data["write"] == {"path": "flat.bell", "retain": True}
    await until(lambda: len(hass.states.async_entity_ids("button")) == 1, what="the button")


async def test_reconfigure_and_remove(hass: HomeAssistant, kitchen: MockConfigEntry) -> None:
    """Details change in place; a removed subentry takes its entity along."""
    result = await start(hass, kitchen)
    result = await answer(hass, result, child="flat.kitchen.temp")
    result = await answer(hass, result, name="Kitchen", platform="sensor")
    await answer(hass, result, quantity="number")
    subentry = only_subentry(kitchen)
    await until(lambda: len(hass.states.async_entity_ids("sensor")) > 2, what="the sensor")
    result = await hass.config_entries.subentries.async_init(
        (kitchen.entry_id, "value"),
        context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry.subentry_id},
    )
    assert result["step_id"] == "reconfigure"
    assert suggestions(result)["quantity"] == "number"
    result = await answer(hass, result, quantity="temperature", unit="V")
    assert result["errors"] == {"base": "invalid_value"}
    result = await answer(hass, result, quantity="temperature", unit="°C")
    assert result["reason"] == "reconfigure_successful"
    await until(
        lambda: any(
            state.attributes.get(ATTR_UNIT_OF_MEASUREMENT) == "°C"
            for state in hass.states.async_all("sensor")
        ),
        what="the new unit",
    )
    hass.config_entries.async_remove_subentry(kitchen, subentry.subentry_id)
    await until(
        lambda: (
            not any(
                state.attributes.get(ATTR_UNIT_OF_MEASUREMENT) == "°C"
                for state in hass.states.async_all("sensor")
            )
        ),
        what="the removal",
    )


async def test_broker_gone(
    hass: HomeAssistant, kitchen: MockConfigEntry, broker: Mosquitto
) -> None:
    """Without a connection there is nothing to browse."""
    flows = [await start(hass, kitchen) for _ in range(2)]
    at_platform = await answer(hass, flows[1], child="flat.kitchen.temp")
    broker.kill()
    hub = kitchen.runtime_data
    await until(lambda: not hub.link.status.connected, what="the loss")
    for result in (
        await start(hass, kitchen),
        await answer(hass, flows[0], child="flat"),
    ):
        assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_connected")
    assert at_platform["step_id"] == "platform"


async def test_broker_dies(
    hass: HomeAssistant, kitchen: MockConfigEntry, broker: Mosquitto
) -> None:
    """A connection that breaks while the user looks ends the flow, or costs the suggestions."""
    result = await start(hass, kitchen)
    lamp = await answer(hass, await start(hass, kitchen), child="flat.kitchen.lamp")
    unloaded = await answer(hass, await start(hass, kitchen), child="flat.kitchen.lamp")
    broker.kill()
    lamp = await answer(hass, lamp, item="on")
    assert lamp["description_placeholders"]["doc"] == ""
    result = await answer(hass, result, child="flat")
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_connected")
    broker.start()
    assert await hass.config_entries.async_unload(kitchen.entry_id)
    result = await answer(hass, unloaded, item="on")
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_connected")
    assert await hass.config_entries.async_setup(kitchen.entry_id)


async def test_not_loaded(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """An entry that does not run cannot be browsed."""
    await set_up(hass, entry)
    await hass.config_entries.async_unload(entry.entry_id)
    result = await start(hass, entry)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_connected")
