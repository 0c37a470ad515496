"""Events: every occurrence once, and none that is over."""

from homeassistant.components.event import ATTR_EVENT_TYPE
from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point

KEYS = ["short", "long"]


async def test_events(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """Events of each sort, as the registry and the states show them."""
    await peer.describe(
        "wall",
        point("key", "button_event", "wall.key", options=KEYS),
        point("bell", "doorbell_event", "wall.bell", options=["ring"]),
        point("move", "motion_event", "wall.move", options=["seen"]),
        point("other", "event", "wall.other", options=["raised", "lowered"]),
    )
    await until(lambda: state_of(hass, "event.wall_event") == STATE_UNKNOWN)
    assert_platform(hass, snapshot, loaded, "event")


async def test_occurrences(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """The same key pressed twice is two events; what was before we came is none."""
    await peer.put("wall.key", "long", retain=True)
    await peer.describe(
        "wall",
        point("key", "button_event", "wall.key", options=KEYS),
        point("last", "text", "wall.key"),
    )
    await until(lambda: state_of(hass, "event.wall_button") is not None)
    seen: list[str] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        assert new is not None
        seen.append(new.attributes[ATTR_EVENT_TYPE])

    async_track_state_change_event(hass, ["event.wall_button"], note)
    await until(lambda: state_of(hass, "sensor.wall_text") == "long")
    for word in ("short", "short", "nonsense", "long"):
        await peer.put("wall.key", word, retain=False)
    await until(lambda: seen[-1:] == ["long"])
    assert seen == ["short", "short", "long"]
