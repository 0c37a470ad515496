"""What a user of Home Assistant sees and does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant, State
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import CONF_ALLOW_WRITE, DOMAIN
from tests.integration.conftest import entry_for, state_of
from tests.support.moat import ROOT
from tests.support.mosquitto import Mosquitto

ANSWERING = ("get", "list", "call", "history")
WRITABLE = ["garden", "run.host", "error"]


@asynccontextmanager
async def integration(
    hass: HomeAssistant, broker: Mosquitto, **data: Any
) -> AsyncIterator[MockConfigEntry]:
    """Have the integration loaded; `data` changes what the entry says about the broker."""
    entry = entry_for(broker, root=ROOT, **data)
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={CONF_ALLOW_WRITE: WRITABLE})
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    try:
        yield entry
    finally:
        assert await hass.config_entries.async_unload(entry.entry_id)


def shows(hass: HomeAssistant, entity_id: str, value: str | None) -> Callable[[], bool]:
    """Return whether a state has a value, for `until`."""
    return lambda: state_of(hass, entity_id) == value


def seen(hass: HomeAssistant, entity_id: str) -> State:
    """Return a state that exists."""
    state = hass.states.get(entity_id)
    assert state is not None
    return state


async def control(hass: HomeAssistant, service: str, entity_id: str, **data: Any) -> None:
    """Use the controls of an entity, such as `switch.turn_on`."""
    domain, name = service.split(".")
    target = {ATTR_ENTITY_ID: entity_id}
    await hass.services.async_call(domain, name, data, blocking=True, target=target)


async def act(hass: HomeAssistant, action: str, **data: Any) -> Any:
    """Use one of our actions."""
    return await hass.services.async_call(
        DOMAIN, action, data, blocking=True, return_response=action in ANSWERING
    )
