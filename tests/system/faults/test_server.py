"""The server dies, is replaced, lies about where it is; the broker goes on."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from pytest_homeassistant_custom_component.common import MockConfigEntry

from firmware_bridge.link.codec import Value
from firmware_bridge.link.connection import Request
from firmware_bridge.link.path import Path
from tests.integration.conftest import entry_for, set_up, state_of
from tests.support.installation import Backbone, Peer, backbone, other
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.wait import until

POWER = "sensor.meter_power"
SERVER = "sensor.home_server"
ABOUT: Value = {
    "v": 1,
    "name": "Meter",
    "points": [{"key": "power", "quantity": "power", "path": Path("power")}],
}


@pytest.fixture
def entry(broker: Mosquitto) -> MockConfigEntry:
    """An entry for the installation that the fake servers belong to."""
    return entry_for(broker, root="moat.test")


@asynccontextmanager
async def home(broker: Mosquitto) -> AsyncIterator[Peer]:
    """Somebody who describes a meter and publishes its values."""
    async with other(broker) as peer:
        await peer.say("power", 1.5, time=time.time())
        await peer.say("device/meter", ABOUT, time=time.time())
        yield peer


async def value(hass: HomeAssistant, peer: Peer, number: float, within: float = 1) -> None:
    """A published value is shown."""
    await peer.say("power", number, time=time.time())
    await until(lambda: state_of(hass, POWER) == str(number), within)


async def test_killed_and_replaced(
    hass: HomeAssistant, broker: Mosquitto, entry: MockConfigEntry
) -> None:
    """Without its server the entry goes on, and takes the next one; nobody becomes unavailable."""
    async with home(broker) as peer:
        gone: list[str] = []
        async with backbone(broker, name="one") as first:
            await first.announce(time=time.time())
            await set_up(hass, entry)
            await until(lambda: state_of(hass, SERVER) == "one")
            await value(hass, peer, 2.5)
            hass.bus.async_listen(
                "state_changed", callback(lambda event: gone.append(event.data["new_state"].state))
            )
            first.server.drop()
        await until(lambda: state_of(hass, SERVER) != "one")
        await value(hass, peer, 3.5)
        async with backbone(broker, name="two") as second:
            await until(lambda: ("power",) in second.server.nodes)
            await second.announce(time=time.time())
            await until(lambda: state_of(hass, SERVER) == "two", 5)
            await value(hass, peer, 4.5)
            second.server.freeze()
            await value(hass, peer, 5.5)
        await value(hass, peer, 6.5)
        assert "unavailable" not in gone
        await hass.config_entries.async_unload(entry.entry_id)


@pytest.mark.parametrize(
    "lie", ["nobody there", "silent", "garbage", "close", "nonsense", "broker"]
)
async def test_lies_about_its_address(
    hass: HomeAssistant, broker: Mosquitto, entry: MockConfigEntry, lie: str
) -> None:
    """Whatever is at the announced address: set-up succeeds, values flow, the truth is believed."""
    async with home(broker) as peer, backbone(broker, name="liar") as base:
        ports = {"nobody there": free_port(), "broker": broker.port}
        base.server.greeting = "" if lie in ports else lie
        port = ports.get(lie, base.server.port)
        await announce(base, port)
        start = time.monotonic()
        await set_up(hass, entry)
        assert time.monotonic() - start < 10
        await until(lambda: state_of(hass, POWER) == "1.5")
        assert state_of(hass, SERVER) != "liar"
        await value(hass, peer, 2.5)
        base.server.greeting = ""
        async with backbone(broker, name="honest") as honest:
            await until(lambda: ("power",) in honest.server.nodes)
            await announce(honest, honest.server.port)
            await until(lambda: state_of(hass, SERVER) == "honest", 15)
            await value(hass, peer, 3.5)
            await hass.config_entries.async_unload(entry.entry_id)


async def announce(base: Backbone, port: int) -> None:
    """Say where a server is, true or not."""
    await base.announce(time=time.time(), link=[{"host": "127.0.0.1", "port": port}])


@pytest.mark.parametrize("drips", [False, True])
async def test_snapshot_hangs(
    hass: HomeAssistant, broker: Mosquitto, entry: MockConfigEntry, drips: bool
) -> None:
    """A server that never ends its walk does not keep what the broker has from being shown."""
    gate = asyncio.Event()

    async def hang(request: Request) -> None:
        request.accept()
        number = 0
        while drips and not gate.is_set():
            number += 1
            await request.send(0, Path("drip", number), number, "slow", time.time())
        await gate.wait()

    async with home(broker) as peer, backbone(broker, name="slow") as base:
        base.server.commands["d", "walk"] = hang
        await announce(base, base.server.port)
        await set_up(hass, entry)
        assert entry.state is ConfigEntryState.LOADED
        await until(lambda: state_of(hass, POWER) == "1.5")
        await value(hass, peer, 2.5)
        gate.set()
        await hass.config_entries.async_unload(entry.entry_id)
