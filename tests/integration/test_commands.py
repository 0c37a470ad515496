"""A command has an answer: done, or an error that says why not, and nothing happens later."""

import asyncio
import time
from typing import Any

import cbor2
import pytest
from homeassistant.components.switch import DOMAIN as SWITCH
from homeassistant.const import ATTR_ENTITY_ID, STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import CONF_ALLOW_WRITE, CONF_READ_ONLY
from custom_components.moat_link.link.errors import CommandError, CommandFailure
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import entry_for, set_up, state_of
from .wire import Peer, path, point, setter

TARGET = {ATTR_ENTITY_ID: "switch.garden_pump"}
SERVICE = {"service": path("run.host.lab.garden"), "command": ["set"], "args": ["pump"]}


def refusal(name: str, *arguments: Any) -> list[Any]:
    """Return an answer that says no."""
    return [False, cbor2.CBORTag(27, [name, *arguments])]


async def describe_pump(hass: HomeAssistant, peer: Peer, write: dict[str, Any]) -> None:
    """Have a pump that is off."""
    await peer.put("pump", False)
    await peer.describe("garden", point("pump", "relay", "pump", name="Pump", write=write))
    await until(lambda: state_of(hass, "switch.garden_pump") == STATE_OFF)


async def turn_on(hass: HomeAssistant) -> None:
    """Ask for on, as a user would."""
    await hass.services.async_call(SWITCH, "turn_on", TARGET, blocking=True)


async def test_service_of_the_owner(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """The owner is called with its own arguments and the value."""
    calls: list[Any] = []

    def answer(arguments: list[Any], keywords: dict[str, Any]) -> list[Any]:
        calls.append((arguments, keywords))
        return [True, None, {}]

    await peer.serve("lab", "garden", answer)
    await describe_pump(hass, peer, SERVICE)
    await turn_on(hass)
    assert calls == [(["set", "pump", True], {})]
    assert state_of(hass, "switch.garden_pump") == STATE_OFF
    await peer.put("pump", True)
    await until(lambda: state_of(hass, "switch.garden_pump") == STATE_ON)


async def test_refused(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """The owner's reason reaches the user."""
    await peer.serve("lab", "garden", lambda *_: refusal("_ValErr", "the tank is empty"))
    await describe_pump(hass, peer, SERVICE)
    with pytest.raises(HomeAssistantError) as caught:
        await turn_on(hass)
    assert caught.value.translation_key == "command_refused"
    placeholders = caught.value.translation_placeholders
    assert placeholders is not None
    assert "the tank is empty" in placeholders["reason"]
    assert placeholders["name"] == "Garden Pump"
    assert state_of(hass, "switch.garden_pump") == STATE_OFF


async def test_nobody_there(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A service that nobody has announced refuses."""
    await describe_pump(hass, peer, SERVICE)
    with pytest.raises(HomeAssistantError) as caught:
        await turn_on(hass)
    assert caught.value.translation_key == "command_refused"


async def test_no_answer(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """An owner that says nothing has five seconds."""
    silent = {"id": "silent", "path": path("garden"), "request": True}
    async with Peer(broker, origin="silent") as other:
        await other.follow("run.request.silent")
        await peer.put("run.host.lab.garden", silent)
        await describe_pump(hass, peer, SERVICE)
        start = time.monotonic()
        with pytest.raises(HomeAssistantError) as caught:
            await turn_on(hass)
    assert caught.value.translation_key == "command_timeout"
    assert 4 < time.monotonic() - start < 6


async def test_unconfirmed(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A published command whose effect does not show has five seconds."""
    await describe_pump(hass, peer, setter("pump.cmd"))
    start = time.monotonic()
    with pytest.raises(HomeAssistantError) as caught:
        await turn_on(hass)
    assert caught.value.translation_key == "command_unconfirmed"
    assert 4 < time.monotonic() - start < 6


async def test_plain_value(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A value that is its own command: what we write is what we read."""
    await peer.follow("pump")
    await describe_pump(hass, peer, setter("pump", retain=True))
    await turn_on(hass)
    assert state_of(hass, "switch.garden_pump") == STATE_ON
    await until(lambda: peer.values("pump")[-1] is True)


async def test_offline_fails_at_once(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """During an outage the answer is immediate, and the command is not sent afterwards."""
    await describe_pump(hass, peer, setter("pump.cmd"))
    hub = loaded.runtime_data
    pump = hub.site.devices["garden"].points["pump"]
    broker.kill()
    await until(lambda: state_of(hass, "switch.garden_pump") == "unavailable")
    with pytest.raises(CommandError) as caught:
        hub.write(pump, True).send(None)  # to where it would wait for something
    assert caught.value.reason is CommandFailure.OFFLINE
    broker.start()
    async with Peer(broker, origin="other") as other:
        await other.follow("pump.cmd")
        await other.put("pump", False)
        await until(lambda: state_of(hass, "switch.garden_pump") == STATE_OFF, 20)
        await other.ping()
        assert other.values("pump.cmd") == []


async def test_lost_while_waiting(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """A connection that breaks before the state could answer is an answer."""
    await describe_pump(hass, peer, setter("pump.cmd"))
    await peer.follow("pump.cmd")
    asked = asyncio.ensure_future(turn_on(hass))
    await until(lambda: peer.values("pump.cmd"))
    start = time.monotonic()
    broker.kill()
    with pytest.raises(HomeAssistantError) as caught:
        await asked
    assert caught.value.translation_key == "command_timeout"
    assert time.monotonic() - start < 2


async def test_owner_gone(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Nobody to carry it out: no need to wait for that."""
    await peer.put("pump", False)
    await peer.put("run.host.lab.garden", {"id": "peer", "up": True})
    pump = point("pump", "relay", "pump", name="Pump", write=setter("pump.cmd"))
    await peer.describe("garden", pump, alive=path("run.host.lab.garden"))
    await until(lambda: state_of(hass, "switch.garden_pump") == STATE_OFF)
    await peer.delete("run.host.lab.garden")
    await until(lambda: state_of(hass, "switch.garden_pump") == "unavailable")
    hub = loaded.runtime_data
    with pytest.raises(CommandError) as caught:
        await hub.write(hub.site.devices["garden"].points["pump"], True)
    assert caught.value.reason is CommandFailure.OFFLINE


async def test_not_for_writing(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """What can only be read, and what this point cannot be."""
    await peer.put("power", 5.5)
    await peer.describe(
        "meter",
        point("power", "power", "power"),
        point("limit", "power", "power", name="Limit", write=setter("cmd"), min=0, max=10),
    )
    await until(lambda: state_of(hass, "sensor.meter_power") == "5.5")
    hub = loaded.runtime_data
    points = hub.site.devices["meter"].points
    with pytest.raises(CommandError) as caught:
        await hub.write(points["power"], 6.0)
    assert caught.value.reason is CommandFailure.READ_ONLY
    for value in (11.0, "much", None, float("nan"), True):
        with pytest.raises(CommandError) as caught:
            await hub.write(points["limit"], value)
        assert caught.value.reason is CommandFailure.INVALID


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, True),
        ({CONF_ALLOW_WRITE: ["pump"]}, True),
        ({CONF_ALLOW_WRITE: ["garden", "pump.cmd"]}, True),
        ({CONF_ALLOW_WRITE: ["pum", "garden"]}, False),
        ({CONF_READ_ONLY: True}, False),
        ({CONF_READ_ONLY: True, CONF_ALLOW_WRITE: ["pump"]}, False),
    ],
)
async def test_options_limit_writing(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, options: dict[str, Any], allowed: bool
) -> None:
    """Only below the listed paths may anything be written, if there is a list."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options=options)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await peer.follow("pump.cmd", lambda value: peer.put("pump", value))
    await describe_pump(hass, peer, setter("pump.cmd"))
    if allowed:
        await turn_on(hass)
    else:
        with pytest.raises(ServiceValidationError) as caught:
            await turn_on(hass)
        assert caught.value.translation_key == "command_not_allowed"
    assert (peer.values("pump.cmd") == [True]) is allowed


async def test_broker_denies(hass: HomeAssistant, socket_enabled: None) -> None:
    """A broker that does not let us publish there is a refusal with the topic's name."""
    acl = "user peer\ntopic readwrite #\nuser ha\ntopic read home/#\ntopic write home/run/#\n"
    with Mosquitto(users={"peer": "p", "ha": "h"}, acl=acl) as broker:
        login = {"username": "peer", "password": "p"}
        async with Peer(broker, **login) as peer:
            entry = entry_for(broker, username="ha", password="h")
            await set_up(hass, entry)
            await describe_pump(hass, peer, setter("pump.cmd"))
            with pytest.raises(HomeAssistantError) as caught:
                await turn_on(hass)
            assert caught.value.translation_key == "command_refused"
            placeholders = caught.value.translation_placeholders
            assert placeholders is not None
            assert "pump/cmd" in placeholders["reason"]
            assert await hass.config_entries.async_unload(entry.entry_id)
