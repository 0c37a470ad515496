"""The real server keeps no history, ours only if it is told to, and that is said."""

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.support.moat import MoatServer

from .user import act


async def test_no_history(hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer) -> None:
    for more in ({}, {"step": {"hours": 1}, "duration": {"days": 1}}):
        with pytest.raises(ServiceValidationError) as caught:
            await act(hass, "history", path="home.temp", **more)
        assert caught.value.translation_key == "history_not_kept"
        told = caught.value.translation_placeholders
        assert told is not None
        assert "server" in told["reason"]
        assert "keeps no history" in told["reason"]
