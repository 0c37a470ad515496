"""Texts that can be set."""

import pytest
from homeassistant.components.text import ATTR_VALUE, DOMAIN as TEXT
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
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


async def test_length(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """What the description says about the length is known beforehand."""
    await peer.put("display", "Hello")
    line = point("line", "text", "display", write=setter("display.cmd"), min=1, max=20)
    await peer.describe("board", line)
    await until(lambda: state_of(hass, "text.board_text") == "Hello")
    state = hass.states.get("text.board_text")
    assert state is not None
    assert (state.attributes["min"], state.attributes["max"]) == (1, 20)


async def test_cannot_be_sent(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A text that no encoding has is an error of the caller."""
    await peer.put("display", "Hello")
    await peer.describe("board", point("line", "text", "display", write=setter("display.cmd")))
    await until(lambda: state_of(hass, "text.board_text") == "Hello")
    call = {ATTR_ENTITY_ID: "text.board_text", ATTR_VALUE: "\ud800"}
    with pytest.raises(ServiceValidationError) as caught:
        await hass.services.async_call(TEXT, "set_value", call, blocking=True)
    assert caught.value.translation_key == "command_invalid"
