"""What a user of Home Assistant sees and does."""

from collections.abc import Callable
from typing import Any

from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant, State

from custom_components.moat_link.const import DOMAIN
from tests.integration.conftest import state_of

ANSWERING = ("get", "list", "call")


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
