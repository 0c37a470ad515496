"""Valves: open, close, stop, and somewhere in between."""

from homeassistant.components.valve import ATTR_CURRENT_POSITION, ATTR_POSITION, DOMAIN as VALVE
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .test_light import obey
from .wire import Peer, point, setter

STATE = point("state", "valve", "water.state", write=setter("water.state.cmd"), group="water")
PLACE = point("place", "valve_position", "heat.place", write=setter("heat.place.cmd"), group="heat")


async def test_valves(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """With a state, and with a position."""
    await peer.put("water.state", "open")
    await peer.put("heat.place", 0)
    await peer.describe("water", STATE)
    await peer.describe("heat", PLACE)
    await until(lambda: state_of(hass, "valve.water") == "open")
    await until(lambda: state_of(hass, "valve.heat") == "closed")
    assert_platform(hass, snapshot, loaded, "valve")


async def test_state(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Open, close and stop are words."""
    await peer.put("water.state", "open")
    await obey(peer, "water.state")
    await peer.describe("water", STATE)
    await until(lambda: state_of(hass, "valve.water") == "open")
    target = {ATTR_ENTITY_ID: "valve.water"}
    for action in ("close_valve", "open_valve", "stop_valve"):
        await hass.services.async_call(VALVE, action, target, blocking=True)
    assert peer.values("water.state.cmd") == ["closed", "open", "stopped"]


async def test_position(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A position is sent and comes back."""
    await peer.put("heat.place", 0)
    await obey(peer, "heat.place")
    await peer.describe("heat", PLACE)
    await until(lambda: state_of(hass, "valve.heat") == "closed")
    target = {ATTR_ENTITY_ID: "valve.heat"}
    call = target | {ATTR_POSITION: 30}
    await hass.services.async_call(VALVE, "set_valve_position", call, blocking=True)
    found = hass.states.get("valve.heat")
    assert found is not None
    assert (found.state, found.attributes[ATTR_CURRENT_POSITION]) == ("open", 30)
    await hass.services.async_call(VALVE, "close_valve", target, blocking=True)
    assert state_of(hass, "valve.heat") == "closed"
