"""Binary sensors: yes and no from the wire."""

from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point


async def test_binary_sensors(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """Some of each sort, as the registry and the states show them."""
    await peer.put("hall", {"door": True, "relay": 0, "odd": 7})
    await peer.describe(
        "hall",
        point("door", "door", "hall", item="door"),
        point("contactor", "relay", "hall", item="relay", on=1, off=0, name="Contactor"),
        point("alarm", "problem", "hall", item="odd", category="diagnostic"),
        point("charge", "permitted", "hall", item="none", enabled=False),
    )
    await until(lambda: state_of(hass, "binary_sensor.hall_door") == STATE_ON)
    assert_platform(hass, snapshot, loaded, "binary_sensor")


async def test_changes(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Off, on, and neither."""
    await peer.put("motion", False)
    await peer.describe("hall", point("motion", "motion", "motion"))
    await until(lambda: state_of(hass, "binary_sensor.hall_motion") == STATE_OFF)
    await peer.put("motion", True)
    await until(lambda: state_of(hass, "binary_sensor.hall_motion") == STATE_ON)
    await peer.put("motion", "maybe")
    await until(lambda: state_of(hass, "binary_sensor.hall_motion") == STATE_UNKNOWN)


async def test_connection(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """The installation says that we take part, and that nothing is wrong."""
    assert state_of(hass, "binary_sensor.home_connection") == STATE_ON
    assert state_of(hass, "binary_sensor.home_problem") == STATE_OFF
