"""Errors are raised, acknowledged and cleared on either side, and known on both."""

from collections.abc import Iterator
from contextlib import contextmanager

from homeassistant.components.event import ATTR_EVENT_TYPE
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_track_state_change_event
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import DOMAIN
from custom_components.moat_link.link.path import Path
from tests.support.moat import MoatServer
from tests.support.wait import until

from .user import act, seen, shows

PROBLEM = "binary_sensor.home_problem"
COUNT = "sensor.home_errors"


async def test_their_errors_here(
    hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer
) -> None:
    """What the command line reports, repeats, acknowledges and clears is told to the user."""
    with following(hass) as happened:
        await until(shows(hass, COUNT, "0"))
        await server.link(
            "cmd", "e.info", ".plant.fan", "~x", "-s", "msg", "~dusty", "-s", "level", "=2"
        )
        await until(shows(hass, PROBLEM, STATE_ON), 1)
        assert seen(hass, COUNT).state == "1"
        await server.link(
            "cmd", "e.info", ".plant.fan", "~x", "-s", "msg", "~dusty", "-s", "level", "=2"
        )
        await server.link("cmd", "e.ack", ".plant.fan")
        await until(lambda: len(happened) == 3, 1)
        await server.link("cmd", "e.ok", ".plant.fan")
        await until(shows(hass, PROBLEM, STATE_OFF), 1)
    assert happened == [
        ("raised", "plant.fan", "dusty", 2, 1, False),
        ("repeated", "plant.fan", "dusty", 2, 2, False),
        ("acknowledged", "plant.fan", "dusty", 2, 2, True),
        ("cleared", "plant.fan", "dusty", 2, 2, True),
    ]


async def test_their_errors_settled_here(
    hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer
) -> None:
    """The command line sees our acknowledgement, and that the error is over."""
    await server.link("error", "plant.boiler", "set", "-s", "msg", "~cold", "-s", "level", "=3")
    await until(shows(hass, PROBLEM, STATE_ON), 1)
    await act(hass, "acknowledge_error", path="plant.boiler")
    record = (await server.ask("error", "plant.boiler", "get"))["_"]
    assert record["ack"] is True
    assert record["msg"] == "cold"
    await act(hass, "clear_error", path="plant.boiler")
    assert "No errors found" in await server.link("error", ":", "list")
    await until(shows(hass, PROBLEM, STATE_OFF), 1)


async def test_our_errors_there(
    hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer
) -> None:
    """What we report is read with all its fields, counted, and cleared by the command line."""
    link = entry.runtime_data.link
    path = Path("homeassistant", "kitchen", 1)
    await link.report_error(path, "no heat", level=2, val=17.5, bt=["line 1"])
    await link.report_error(path, "no heat", level=2, val=17.5)
    record = (await server.ask("error", "homeassistant.kitchen:1", "get"))["_"]
    first = record.pop("first")
    assert record == {"msg": "no heat", "level": 2, "val": 17.5, "n": 2}
    assert isinstance(first, float)
    assert "homeassistant.kitchen:1" in await server.link("error", ":", "list")
    await until(shows(hass, COUNT, "1"), 1)
    await server.link("cmd", "e.ok", ".homeassistant.kitchen:1")
    await until(shows(hass, COUNT, "0"), 1)


async def test_grave_error(hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer) -> None:
    """One of level 4 is an issue to repair for as long as it holds."""

    def issues() -> list[str]:
        return [key for domain, key in ir.async_get(hass).issues if domain == DOMAIN]

    assert issues() == []
    await server.link(
        "cmd", "e.info", ".plant.fan", "~x", "-s", "msg", "~fire", "-s", "level", "=4"
    )
    await until(lambda: len(issues()) == 1, 5)
    await server.link("cmd", "e.ok", ".plant.fan")
    await until(lambda: not issues(), 5)


@contextmanager
def following(hass: HomeAssistant) -> Iterator[list[tuple[object, ...]]]:
    """Note what the event entity tells."""
    happened: list[tuple[object, ...]] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        assert new is not None
        keys = (ATTR_EVENT_TYPE, "path", "message", "level", "count", "acknowledged")
        happened.append(tuple(new.attributes[key] for key in keys))

    stop = async_track_state_change_event(hass, ["event.home_error"], note)
    yield happened
    stop()
