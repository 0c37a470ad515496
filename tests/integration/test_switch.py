"""Switches: asked to change, and changed by what comes back."""

from homeassistant.components.switch import DOMAIN as SWITCH
from homeassistant.const import ATTR_ENTITY_ID, STATE_OFF, STATE_ON, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point, setter


async def test_switches(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """With and without a state of its own."""
    await peer.put("pump", True)
    await peer.describe(
        "garden",
        point("pump", "relay", "pump", write=setter("pump.cmd"), name="Pump"),
        point("socket", "outlet", "socket", write=setter("socket.cmd")),
        {"key": "bell", "quantity": "boolean", "name": "Bell", "write": setter("bell.cmd")},
        point("boost", "heat", "boost", write=setter("boost.cmd"), category="config"),
    )
    await until(lambda: state_of(hass, "switch.garden_pump") == STATE_ON)
    assert_platform(hass, snapshot, loaded, "switch")


async def test_turn_on_and_off(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """The state changes when the owner says so, and before the action returns."""
    await peer.put("pump", False)
    await peer.follow("pump.cmd", lambda value: peer.put("pump", value))
    await peer.describe("garden", point("pump", "relay", "pump", write=setter("pump.cmd")))
    await until(lambda: state_of(hass, "switch.garden_relay") == STATE_OFF)
    target = {ATTR_ENTITY_ID: "switch.garden_relay"}
    await hass.services.async_call(SWITCH, "turn_on", target, blocking=True)
    assert state_of(hass, "switch.garden_relay") == STATE_ON
    await hass.services.async_call(SWITCH, "turn_off", target, blocking=True)
    assert state_of(hass, "switch.garden_relay") == STATE_OFF
    assert peer.values("pump.cmd") == [True, False]


async def test_codes(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A device that says 1 and 0 is told 1 and 0."""
    await peer.put("fan", 0)
    await peer.follow("fan.cmd", lambda value: peer.put("fan", value))
    await peer.describe("bath", point("fan", "relay", "fan", write=setter("fan.cmd"), on=1, off=0))
    await until(lambda: state_of(hass, "switch.bath_relay") == STATE_OFF)
    target = {ATTR_ENTITY_ID: "switch.bath_relay"}
    await hass.services.async_call(SWITCH, "turn_on", target, blocking=True)
    assert state_of(hass, "switch.bath_relay") == STATE_ON
    assert [repr(value) for value in peer.values("fan.cmd")] == ["1"]


async def test_without_a_state(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """What tells nothing back is done when it is sent."""
    await peer.follow("bell.cmd")
    await peer.describe("door", {"key": "bell", "quantity": "relay", "write": setter("bell.cmd")})
    await until(lambda: state_of(hass, "switch.door_relay") == STATE_UNKNOWN)
    target = {ATTR_ENTITY_ID: "switch.door_relay"}
    await hass.services.async_call(SWITCH, "turn_on", target, blocking=True)
    await until(lambda: peer.values("bell.cmd") == [True])
    assert state_of(hass, "switch.door_relay") == STATE_UNKNOWN
