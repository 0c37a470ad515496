"""Numbers: ranges, steps, units."""

import pytest
from homeassistant.components.number import ATTR_VALUE, DOMAIN as NUMBER
from homeassistant.const import ATTR_ENTITY_ID, UnitOfTemperature
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point, setter

TARGET = {ATTR_ENTITY_ID: "number.stove_temperature"}


async def describe_stove(peer: Peer) -> None:
    """Publish a stove whose temperature can be set."""
    await peer.put("stove", 20.5)
    await peer.follow("stove.cmd", lambda value: peer.put("stove", value))
    await peer.describe(
        "stove",
        point("goal", "temperature", "stove", write=setter("stove.cmd"), min=5, max=30, step=0.5),
    )


async def test_numbers(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """A slider, a box, and one without a device class."""
    await peer.put("grid", -1200)
    await peer.describe(
        "grid",
        point("limit", "power", "grid", write=setter("grid.cmd"), min=-5000, max=5000),
        point("share", "ratio", "share", write=setter("share.cmd"), min=0, max=100, precision=1),
        point("level", "voltage", "u", write=setter("u.cmd"), min=40, max=60, category="config"),
    )
    await until(lambda: state_of(hass, "number.grid_power") == "-1200.0")
    assert_platform(hass, snapshot, loaded, "number")


async def test_set(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """The number is sent and comes back."""
    await describe_stove(peer)
    await until(lambda: state_of(hass, "number.stove_temperature") == "20.5")
    call = TARGET | {ATTR_VALUE: 21.5}
    await hass.services.async_call(NUMBER, "set_value", call, blocking=True)
    assert state_of(hass, "number.stove_temperature") == "21.5"


async def test_half_floats_are_close_enough(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A number that was rounded on its way confirms the command all the same."""
    await peer.put("limit", 0)
    await peer.follow("limit.cmd", lambda value: peer.raw("limit", b"\xf9\x66\xa7"))
    await peer.describe(
        "grid", point("limit", "power", "limit", write=setter("limit.cmd"), min=0, max=5000)
    )
    await until(lambda: state_of(hass, "number.grid_power") == "0.0")
    call = {ATTR_ENTITY_ID: "number.grid_power", ATTR_VALUE: 1703.3}
    await hass.services.async_call(NUMBER, "set_value", call, blocking=True)
    assert state_of(hass, "number.grid_power") == "1703.0"


async def test_out_of_range(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Home Assistant refuses it before we are asked."""
    await describe_stove(peer)
    await until(lambda: state_of(hass, "number.stove_temperature") == "20.5")
    with pytest.raises(ServiceValidationError):
        await hass.services.async_call(
            NUMBER, "set_value", TARGET | {ATTR_VALUE: 31}, blocking=True
        )
    assert peer.values("stove.cmd") == []


async def test_other_unit(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Who prefers Fahrenheit sets steps of the device's own unit."""
    await describe_stove(peer)
    await until(lambda: state_of(hass, "number.stove_temperature") == "20.5")
    er.async_get(hass).async_update_entity_options(
        "number.stove_temperature",
        NUMBER,
        {"unit_of_measurement": UnitOfTemperature.FAHRENHEIT},
    )
    await until(lambda: state_of(hass, "number.stove_temperature") == "68.9")
    call = TARGET | {ATTR_VALUE: 70}
    await hass.services.async_call(NUMBER, "set_value", call, blocking=True)
    await until(lambda: peer.values("stove.cmd") == [21.0])
