"""Calls through the real server: the real client calls us, and we call a service of its."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.link.codec import Value
from custom_components.moat_link.link.errors import RefusedError
from custom_components.moat_link.link.path import Path as LinkPath
from tests.integration.wire import Peer, path, point
from tests.support.moat import MoatError, MoatServer, Program
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .user import act, control, integration, shows

PROGRAM = Path(__file__).with_name("pump.py")
SERVICE = path("run.host.lab.pump")


@pytest.fixture
async def pump(server: MoatServer, peer: Peer) -> AsyncIterator[Program]:
    """A program of theirs with a pump, described by us."""
    await peer.put("garden.wet", False)
    await peer.put("garden.dry", False)
    await peer.describe(
        "pump",
        *(
            point(
                key, "relay", f"garden.{key}", name=key.title(), access="rw",
                write={"service": SERVICE, "command": ["set"], "args": [key]},
            )
            for key in ("wet", "dry")
        ),
        alive=SERVICE,
    )  # fmt: skip
    async with server.program(PROGRAM, "lab") as program:
        await until(lambda: program.said, 10, "the program is up")
        yield program


async def test_they_call_us(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, server: MoatServer
) -> None:
    """What we announce can be called by its name: a ping, our states, a directory, an error."""
    await peer.put("garden.wet", True)
    await peer.describe("lawn", point("wet", "moisture_detected", "garden.wet"))
    await until(shows(hass, "binary_sensor.lawn_moisture", STATE_ON))
    ours = f"{entry.runtime_data.link.config.host}.homeassistant"
    reply = await server.ask("cmd", "-C", ours, "i.ping", "=1", "~two", "-s", "three", "=3.5")
    assert reply == ["乓", 1, "two", {"three": 3.5}]
    states = await server.ask("cmd", "-C", ours, "entities")
    assert states["binary_sensor.lawn_moisture"] == STATE_ON
    assert states["sensor.home_server"] == server.name
    assert await server.ask("cmd", "-C", ours, "dir_") == {"c": ["entities"]}
    with pytest.raises(MoatError, match="KeyError"):
        await server.link("cmd", "-C", ours, "no.such")
    with pytest.raises(MoatError, match=r"ValueError.*wrong arguments"):
        await server.link("cmd", "-C", ours, "entities", "=1")


async def test_values_through_a_call(
    hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer
) -> None:
    """Arguments and results arrive as they were; a refusal is an error with its reason."""
    heard: list[Value] = []

    async def echo(number: Value = None, **keywords: Value) -> Value:
        if number is None:
            raise RefusedError("not today")
        heard.append([number, keywords])
        return heard[-1]

    link = entry.runtime_data.link
    service = link.serve(LinkPath("echo"), {"say.it": echo})
    ours = f"{link.config.host}.echo"
    reply = await server.ask(
        *("cmd", "-C", ours, "say.it", "=2.5"),
        *("-s", "data", "={'a': [1, None, True]}", "-s", "at", ".a.b:1", "-s", "text", "~Öl"),
    )
    data: Value = {"a": [1, None, True]}
    assert heard == [[2.5, {"data": data, "at": LinkPath("a", "b", 1), "text": "Öl"}]]
    assert reply == [2.5, {"data": data, "at": "a.b:1", "text": "Öl"}]
    with pytest.raises(MoatError, match="not today"):
        await server.link("cmd", "-C", ours, "say.it")
    service.close()


async def test_we_call_them(
    hass: HomeAssistant, entry: MockConfigEntry, pump: Program, server: MoatServer
) -> None:
    """A switch is a call to its owner; its refusal reaches the user; its end shows at once."""
    wet, dry = "switch.pump_wet", "switch.pump_dry"
    await until(shows(hass, wet, STATE_OFF))
    await control(hass, "switch.turn_on", wet)
    await until(shows(hass, wet, STATE_ON), 1)
    assert pump.said[1:] == [["set", "wet", True, {}]]
    with pytest.raises(HomeAssistantError) as caught:
        await control(hass, "switch.turn_on", dry)
    assert caught.value.translation_key == "command_refused"
    assert "the tank is empty" in str(caught.value.translation_placeholders)
    assert shows(hass, dry, STATE_OFF)()
    pump.kill()
    await until(shows(hass, wet, STATE_UNAVAILABLE), 5)


async def test_action_calls_them(
    hass: HomeAssistant, entry: MockConfigEntry, pump: Program
) -> None:
    """The action returns what they answer, or says what went wrong."""
    response = await act(
        hass,
        "call",
        service="run.host.lab.pump",
        command="sum",
        arguments=[1, 2.5],
        keywords={"unit": "l"},
    )
    assert response["value"] == {"sum": 3.5, "also": {"unit": "l"}}
    with pytest.raises(HomeAssistantError):
        await act(hass, "call", service="run.host.lab.pump", command="no.such")
    with pytest.raises(HomeAssistantError):
        await act(hass, "call", service="run.host.lab.none", command="sum")


async def test_they_stop_us(hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer]) -> None:
    """Asked to stop by the real command line we leave, and tell the user; it sees us gone."""
    with kind(alone) as server:
        async with integration(hass, alone) as entry:
            link = entry.runtime_data.link
            await until(lambda: link.status.server == server.name)
            ours = f"{link.config.host}.homeassistant"
            assert await server.ask("data", f"run.host.{ours}", "get")
            await server.link("stop", "-t", "5", "-r", "maintenance", ours)
            assert shows(hass, "binary_sensor.home_connection", STATE_OFF)()
            [issue] = ir.async_get(hass).issues.values()
            assert "maintenance" in str(issue.translation_placeholders)
            with pytest.raises(MoatError):
                await server.link("data", f"run.host.{ours}", "get")
