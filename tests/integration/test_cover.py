"""Covers: open, close, stop, and somewhere in between."""

from homeassistant.components.cover import ATTR_CURRENT_POSITION, ATTR_POSITION, DOMAIN as COVER
from homeassistant.const import ATTR_ENTITY_ID, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.wait import until

from .conftest import assert_platform, state_of
from .test_light import obey
from .wire import Peer, point, setter

STATE = point("state", "cover", "blind.state", write=setter("blind.state.cmd"), group="blind")
PLACE = point(
    "place", "cover_position", "blind.place", write=setter("blind.place.cmd"), group="blind"
)
BLIND = {ATTR_ENTITY_ID: "cover.blind"}


async def test_covers(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """With and without a position."""
    await peer.put("blind.state", "opening")
    await peer.put("blind.place", 40)
    await peer.describe("blind", STATE, PLACE, kind="blind")
    await peer.put("gate", "closed")
    options = ["open", "closed"]
    await peer.describe(
        "gate", point("gate", "cover", "gate", write=setter("gate.cmd"), options=options)
    )
    await until(lambda: state_of(hass, "cover.blind") == "opening")
    await until(lambda: state_of(hass, "cover.gate") == "closed")
    assert_platform(hass, snapshot, loaded, "cover")


async def test_moves(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Each action sends its wish; being on the way is enough."""
    await peer.put("blind.state", "closed")
    await peer.put("blind.place", 0)
    on_its_way = {"open": "opening", "closed": "closing", "stopped": "stopped"}
    await peer.follow("blind.state.cmd", lambda value: peer.put("blind.state", on_its_way[value]))
    await obey(peer, "blind.place")
    await peer.describe("blind", STATE, PLACE)
    await until(lambda: state_of(hass, "cover.blind") == "closed")
    for action, state in (
        ("open_cover", "opening"),
        ("close_cover", "closing"),
        ("stop_cover", "closed"),
    ):
        await hass.services.async_call(COVER, action, BLIND, blocking=True)
        assert state_of(hass, "cover.blind") == state
    call = BLIND | {ATTR_POSITION: 70}
    await hass.services.async_call(COVER, "set_cover_position", call, blocking=True)
    found = hass.states.get("cover.blind")
    assert found is not None
    assert (found.state, found.attributes[ATTR_CURRENT_POSITION]) == ("open", 70)


async def test_position_alone(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Open and closed are positions, too."""
    await obey(peer, "blind.place")
    await peer.put("blind.place", 0)
    await peer.describe("blind", PLACE)
    await until(lambda: state_of(hass, "cover.blind") == "closed")
    await hass.services.async_call(COVER, "open_cover", BLIND, blocking=True)
    assert state_of(hass, "cover.blind") == "open"
    await hass.services.async_call(COVER, "close_cover", BLIND, blocking=True)
    assert state_of(hass, "cover.blind") == "closed"
    assert peer.values("blind.place.cmd") == [100, 0]


async def test_stopped_somewhere(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Where it stopped is unknown without a position."""
    await peer.put("blind.state", "stopped")
    await peer.describe("blind", STATE)
    await until(lambda: state_of(hass, "cover.blind") == STATE_UNKNOWN)
