"""Set-up and its end."""

from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.support.wait import until

from .wire import Peer, point


async def test_described_value_becomes_state(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Somebody describes a device and publishes a value; it is there without a reload."""
    await peer.put("cellar.temperature", 18.5)
    await peer.describe("cellar", point("temperature", "temperature", "cellar.temperature"))
    await until(lambda: hass.states.get("sensor.cellar_temperature") is not None)
    state = hass.states.get("sensor.cellar_temperature")
    assert state is not None
    assert state.state == "18.5"
