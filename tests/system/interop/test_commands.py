"""What is switched, set and deleted in Home Assistant is seen by the real monitor."""

import pytest
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import DOMAIN
from tests.integration.wire import Peer, point, setter
from tests.support.moat import MoatError, MoatServer
from tests.support.wait import until

from .user import act, control, shows

PUMP = "switch.garden_pump"
LEVEL = "number.garden_level"
MODE = "select.garden_mode"
NOTE = "text.garden_note"


async def describe_garden(peer: Peer) -> None:
    """Have a garden whose values may be written by everybody."""
    for name, value in (("pump", False), ("level", 1), ("mode", "off"), ("note", "?")):
        await peer.put(f"garden.{name}", value)
    await peer.describe(
        "garden",
        point(
            "pump",
            "relay",
            "garden.pump",
            name="Pump",
            access="rw",
            write=setter("garden.pump", retain=True),
        ),
        point(
            "level",
            "number",
            "garden.level",
            name="Level",
            access="rw",
            min=0,
            max=10,
            step=0.5,
            write=setter("garden.level", retain=True),
        ),
        point(
            "mode",
            "enum",
            "garden.mode",
            name="Mode",
            access="rw",
            options=["off", "slow", "fast"],
            write=setter("garden.mode", retain=True),
        ),
        point(
            "note",
            "text",
            "garden.note",
            name="Note",
            access="rw",
            write=setter("garden.note", retain=True),
        ),
    )


async def test_monitor_sees_controls(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, server: MoatServer
) -> None:
    """A switch, a number, a choice and a text; the types are those of the values."""
    await describe_garden(peer)
    await until(shows(hass, PUMP, STATE_OFF))
    async with server.monitor("garden") as monitor:
        await control(hass, "switch.turn_on", PUMP)
        assert shows(hass, PUMP, STATE_ON)()
        await control(hass, "number.set_value", LEVEL, value=2.5)
        await control(hass, "select.select_option", MODE, option="fast")
        await control(hass, "text.set_value", NOTE, value="Öl: 5 % / Woche")
        await control(hass, "switch.turn_off", PUMP)
        await until(lambda: len(monitor.changes) == 5)
    assert monitor.changes == [
        ("pump", True),
        ("level", 2.5),
        ("mode", "fast"),
        ("note", "Öl: 5 % / Woche"),
        ("pump", False),
    ]


async def test_monitor_sees_actions(
    hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer
) -> None:
    """Any value at any path; the command line reads the same back until it is deleted."""
    value = {"on": True, "level": 128, "name": "Küche", "list": [1, 2.5, None, {"a": "b"}]}
    async with server.monitor("garden") as monitor:
        await act(hass, "set", path="garden.lamp:1", value=value)
        await until(lambda: monitor.changes == [("lamp:1", value)])
    assert await server.ask("data", "garden.lamp:1", "get") == value
    response = await act(hass, "get", path="garden.lamp:1")
    assert response["value"] == value
    await act(hass, "delete", path="garden.lamp:1")
    with pytest.raises(MoatError, match="ExpKeyError"):
        await server.link("data", "garden.lamp:1", "get")


async def test_hard_values(hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer) -> None:
    """What is awkward on the wire is printed as it was given, with who wrote it and when."""
    values = (
        "",
        "two\nlines",
        "\u200bzero",
        "=1",
        2**53 + 1,
        -(2**70),
        2.5e-300,
        [],
        {},
        None,
        [[]],
    )
    async with server.monitor("garden") as monitor:
        for index, value in enumerate(values):
            response = await hass.services.async_call(
                DOMAIN,
                "set",
                {"path": f"garden.hard:{index}", "value": value},
                blocking=True,
                return_response=True,
            )
            await until(lambda: len(monitor.changes) == index + 1, 5, repr(value))  # noqa: B023
    assert monitor.changes == [(f"hard:{index}", value) for index, value in enumerate(values)]
    stored, origin, time, *_ = await server.ask("cmd", "d.get", f".garden.hard:{len(values) - 1}")
    assert (stored, origin) == ([[]], entry.runtime_data.link.id)
    assert response is not None
    assert time == pytest.approx(response["time"], abs=1e-3)


async def test_compare_and_set(
    hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer
) -> None:
    """Who read something that has been changed since is told so, and changes nothing."""
    await server.link("data", "garden.limit", "set", "-f", "-s", ":", "=1")
    first = await act(hass, "get", path="garden.limit")
    await server.link("data", "garden.limit", "set", "-f", "-s", ":", "=2")
    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "set", path="garden.limit", value=3, expected_time=first["time"])
    assert caught.value.translation_key == "out_of_date"
    second = await act(hass, "get", path="garden.limit")
    assert second["value"] == 2
    await act(hass, "set", path="garden.limit", value=3, expected_time=second["time"])
    assert await server.ask("data", "garden.limit", "get") == 3
    with pytest.raises(HomeAssistantError):
        await act(hass, "set", path="garden.limit", value=4, expected_time=False)
    await act(hass, "delete", path="garden.limit", expected_time=True)
    with pytest.raises(HomeAssistantError):
        await act(hass, "set", path="garden.limit", value=5, expected_time=True)
