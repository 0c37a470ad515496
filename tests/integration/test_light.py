"""Lights: on and off, and how bright."""

from typing import Any

from homeassistant.components.light import ATTR_BRIGHTNESS, DOMAIN as LIGHT
from homeassistant.const import ATTR_ENTITY_ID, STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point, setter


def lamp(name: str, **fields: Any) -> list[dict[str, Any]]:
    """Return the two points of a dimmable lamp."""
    return [
        point("on", "light", f"{name}.on", write=setter(f"{name}.on.cmd"), group=name),
        point(
            *("level", "brightness", f"{name}.level"),
            write=setter(f"{name}.level.cmd"),
            group=name,
            **fields,
        ),
    ]


async def obey(peer: Peer, *paths: str) -> None:
    """Carry out what is asked for."""
    for path in paths:
        await peer.follow(f"{path}.cmd", lambda value, path=path: peer.put(path, value))


async def test_lights(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """Switched, dimmed, and both."""
    await peer.put("hall.on", True)
    await peer.put("hall.level", 50)
    await peer.describe("hall", *lamp("hall"))
    await peer.put("desk", 64)
    await peer.describe(
        "desk", point("level", "brightness", "desk", write=setter("desk.cmd"), min=0, max=128)
    )
    await peer.put("shed", False)
    await peer.describe("shed", point("on", "light", "shed", write=setter("shed.cmd")))
    await until(lambda: state_of(hass, "light.shed") == STATE_OFF)
    await until(lambda: state_of(hass, "light.desk") == STATE_ON)
    await until(lambda: state_of(hass, "light.hall") == STATE_ON)
    assert_platform(hass, snapshot, loaded, "light")


async def test_dimmable(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A brightness also turns on; on alone keeps the brightness."""
    await peer.put("hall.on", False)
    await peer.put("hall.level", 50)
    await obey(peer, "hall.on", "hall.level")
    await peer.describe("hall", *lamp("hall"))
    await until(lambda: state_of(hass, "light.hall") == STATE_OFF)
    target = {ATTR_ENTITY_ID: "light.hall"}
    await hass.services.async_call(LIGHT, "turn_on", target, blocking=True)
    assert peer.values("hall.on.cmd") == [True]
    assert peer.values("hall.level.cmd") == []
    call = target | {ATTR_BRIGHTNESS: 255}
    await hass.services.async_call(LIGHT, "turn_on", call, blocking=True)
    state = hass.states.get("light.hall")
    assert state is not None
    assert state.attributes[ATTR_BRIGHTNESS] == 255
    assert peer.values("hall.level.cmd") == [100]
    await hass.services.async_call(LIGHT, "turn_off", target, blocking=True)
    assert state_of(hass, "light.hall") == STATE_OFF


async def test_dimmer_alone(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Off is its lowest value, on its highest."""
    await peer.put("desk", 0)
    await obey(peer, "desk")
    await peer.describe("desk", point("level", "brightness", "desk", write=setter("desk.cmd")))
    await until(lambda: state_of(hass, "light.desk") == STATE_OFF)
    target = {ATTR_ENTITY_ID: "light.desk"}
    await hass.services.async_call(LIGHT, "turn_on", target, blocking=True)
    assert state_of(hass, "light.desk") == STATE_ON
    await hass.services.async_call(LIGHT, "turn_off", target, blocking=True)
    assert state_of(hass, "light.desk") == STATE_OFF
    assert peer.values("desk.cmd") == [100, 0]
