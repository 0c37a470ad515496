"""The bridge's simulated home on the real server: commands go through it, from both sides."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator

import pytest
from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.integration.wire import Peer
from tests.support.moat import ROOT, MoatError, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .user import control, integration, shows

HEATER = "switch.cellar_cellar_board_heater_relay"
PUMP = "switch.cellar_cellar_board_pump_relay"
CELLAR_DOOR = "select.simulation_cellar_door"
DOOR = "binary_sensor.cellar_cellar_board_door"
SET = ("cmd", "-C", "lab.bridge", "set")


@pytest.fixture
def lasting(kind: type[MoatServer]) -> Iterator[tuple[Mosquitto, MoatServer]]:
    """A broker and a server for each test here: a bridge that ends leaves an error for a while."""
    with Mosquitto() as broker, kind(broker) as server:
        yield broker, server


@contextlib.asynccontextmanager
async def bridge(broker: Mosquitto) -> AsyncIterator[Process]:
    """Run the bridge with two devices of its home."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware_bridge", "simulate", "--root", ROOT),
        *("--port", str(broker.port), "--as-host", "lab", "--no-discovery"),
        *("--devices", "board,simulation", "--forget"),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 15)


async def test_home_through_the_server(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, broker: Mosquitto, server: MoatServer
) -> None:
    """Switches switch, refusals have their reason, and no request goes past the server."""
    await peer.follow("run")
    async with bridge(broker), server.monitor("ems.sat.cellar") as monitor:
        await until(shows(hass, HEATER, STATE_OFF), 15)
        await control(hass, "switch.turn_on", HEATER)
        await until(shows(hass, HEATER, STATE_ON), 2)
        await until(lambda: [value["r"] for value in monitor.values("out")][-1:] == [[True, False]])
        await control(hass, "select.select_option", CELLAR_DOOR, option="open")
        await until(shows(hass, DOOR, STATE_ON), 3)
        with pytest.raises(HomeAssistantError) as caught:
            await control(hass, "switch.turn_on", PUMP)
        assert "interlock" in str(caught.value.translation_placeholders)
        assert peer.pages["run/id/" + peer.pages["run/host/lab/bridge"]["id"]]["srv"] == server.name
        assert not [topic for topic, _, _ in peer.received if topic.startswith("run/request/")]
    await until(shows(hass, HEATER, None))


async def test_home_by_command_line(
    hass: HomeAssistant, entry: MockConfigEntry, broker: Mosquitto, server: MoatServer
) -> None:
    """The real client calls the bridge; Home Assistant shows what came of it."""
    async with bridge(broker):
        await until(shows(hass, HEATER, STATE_OFF), 15)
        await server.link(
            *SET, "-s", "device", "~board", "-s", "key", "~relay_1", "-s", "value", "=True"
        )
        await until(shows(hass, HEATER, STATE_ON), 2)
        with pytest.raises(MoatError, match="none"):
            await server.link(
                *SET, "-s", "device", "~board", "-s", "key", "~none", "-s", "value", "=True"
            )


async def test_server_restarts(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer]
) -> None:
    """While the server is away commands find another way; afterwards they go through it again."""
    with kind(alone) as server:
        async with bridge(alone), integration(hass, alone) as entry:
            await until(shows(hass, HEATER, STATE_OFF), 15)
            await asyncio.to_thread(server.stop)
            await until(lambda: entry.runtime_data.link.status.degraded)
            await control(hass, "switch.turn_on", HEATER)
            await until(shows(hass, HEATER, STATE_ON), 2)
            await asyncio.to_thread(server.start)
            await until(lambda: entry.runtime_data.link.status.server == "one", 5)
            await control(hass, "switch.turn_off", HEATER)
            await until(shows(hass, HEATER, STATE_OFF), 2)
        await until(shows(hass, HEATER, STATE_UNAVAILABLE))


async def test_two_servers(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """The bridge is connected to one server, and we to another: they pass the command on."""
    await other.follow("run")
    second = kind(alone, name="two")
    with kind(alone):
        try:
            async with bridge(alone):
                await until(lambda: other.pages.get("run/host/lab/bridge"), 10)
                await asyncio.to_thread(second.start)
                record = "run/id/" + other.pages["run/host/lab/bridge"]["id"]
                await until(lambda: other.pages[record].get("srv") == "one")
                ours = {"server_path": str(second.socket)}
                async with integration(hass, alone, **ours) as entry:
                    await until(lambda: entry.runtime_data.link.status.server == "two")
                    await until(shows(hass, HEATER, STATE_OFF), 15)
                    await control(hass, "switch.turn_on", HEATER)
                    await until(shows(hass, HEATER, STATE_ON), 2)
            assert not [topic for topic, _, _ in other.received if topic.startswith("run/request/")]
        finally:
            second.close()
