"""Texts that can be set."""

from homeassistant.components.text import ATTR_VALUE, DOMAIN as TEXT
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point, setter


async def test_text(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """A text is shown, set, and shown again."""
    await peer.put("display", "Hello")
    await peer.follow("display.cmd", lambda value: peer.put("display", value))
    await peer.describe("board", point("line", "text", "display", write=setter("display.cmd")))
    await until(lambda: state_of(hass, "text.board_text") == "Hello")
    assert_platform(hass, snapshot, loaded, "text")
    call = {ATTR_ENTITY_ID: "text.board_text", ATTR_VALUE: "Grüße"}
    await hass.services.async_call(TEXT, "set_value", call, blocking=True)
    assert state_of(hass, "text.board_text") == "Grüße"
