"""Buttons: what can be triggered."""

from homeassistant.components.button import DOMAIN as BUTTON
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, path, setter

RING = {"key": "ring", "quantity": "button", "write": setter("ring")}
IDENTIFY = {"key": "blink", "quantity": "identify", "write": setter("blink")}
RESTART = {
    "key": "restart",
    "quantity": "restart",
    "write": {"service": path("run.host.lab.board"), "command": ["restart"], "args": [3]},
}


async def test_buttons(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """Buttons of each sort, as the registry and the states show them."""
    await peer.describe("board", RING, IDENTIFY, RESTART)
    await until(lambda: state_of(hass, "button.board_restart") is not None)
    assert_platform(hass, snapshot, loaded, "button")


async def test_press(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A path gets true; a service is called without a value."""
    calls: list[object] = []
    await peer.serve("lab", "board", lambda args, keywords: calls.append(args) or [True, None, {}])
    await peer.follow("ring")
    await peer.describe("board", RING, RESTART)
    await until(lambda: state_of(hass, "button.board_restart") is not None)
    target = {ATTR_ENTITY_ID: "button.board_button"}
    await hass.services.async_call(BUTTON, "press", target, blocking=True)
    await until(lambda: peer.values("ring") == [True])
    target = {ATTR_ENTITY_ID: "button.board_restart"}
    await hass.services.async_call(BUTTON, "press", target, blocking=True)
    assert calls == [["restart", 3]]
