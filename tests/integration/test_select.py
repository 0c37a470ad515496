"""Selects: one of several words."""

import pytest
from homeassistant.components.select import ATTR_OPTION, DOMAIN as SELECT
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point, setter


async def test_select(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """Words are shown, their codes are sent."""
    await peer.put("mode", 0)
    await peer.follow("mode.cmd", lambda value: peer.put("mode", value))
    options = [[0, "off"], [1, "grid"], [2, "remote"]]
    await peer.describe(
        "inverter", point("mode", "enum", "mode", write=setter("mode.cmd"), options=options)
    )
    await until(lambda: state_of(hass, "select.inverter_mode") == "off")
    assert_platform(hass, snapshot, loaded, "select")
    call = {ATTR_ENTITY_ID: "select.inverter_mode", ATTR_OPTION: "remote"}
    await hass.services.async_call(SELECT, "select_option", call, blocking=True)
    assert state_of(hass, "select.inverter_mode") == "remote"
    assert peer.values("mode.cmd") == [2]
    with pytest.raises(ServiceValidationError):
        await hass.services.async_call(
            SELECT, "select_option", call | {ATTR_OPTION: "explode"}, blocking=True
        )
