"""A broker that has forgotten everything (matrix row 21, and restarted empty)."""

import asyncio
import sys
from pathlib import Path as File

import pytest
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.integration.conftest import ENTRY_ID, entry_for, set_up, state_of
from tests.integration.wire import ROOT, Peer, point
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import Tune
from .gauges import lines
from .source import Source

HERE = File(__file__).parents[3]


def known(hass: HomeAssistant) -> set[tuple[str, str]]:
    """Return what the registry knows of the entry."""
    found = er.async_entries_for_config_entry(er.async_get(hass), ENTRY_ID)
    return {(each.entity_id, each.unique_id) for each in found}


@pytest.mark.timeout(60)
async def test_owners_say_it_again(
    hass: HomeAssistant, socket_enabled: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 21: SIGKILL takes the retained messages with it; 1000 topics are back within 10 s.

    Owners are a source, the real bridge with its simulated home, and we with our announcement.
    """
    with Mosquitto(persistence=True) as broker:
        arguments = ["--port", str(broker.port), "--root", ROOT, "--as-host", "lab"]
        bridge = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firmware_bridge", "simulate", *arguments),
            *("--no-server", "--no-discovery"),
            cwd=HERE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with Source(broker, boxes=95, points=10) as source:
                entry = entry_for(broker)
                await set_up(hass, entry)
                await until(lambda: source.right(hass), 10)
                await until(lambda: len(simulated(hass)) > 50, 15, "the simulated home")
                before, shown = known(hass), simulated(hass)
                host = entry.runtime_data.link.config.host
                wanted = await retained(broker)
                assert len(wanted) > 1000
                assert f"run/host/{host}/homeassistant" in wanted
                caplog.clear()
                broker.kill()
                await until(lambda: source.unavailable(hass), 1)
                broker.start()
                async with Peer(broker, origin="watch") as watch:
                    await watch._client.subscribe(f"{ROOT}/#", qos=1)
                    await until(lambda: wanted <= set(watch.pages), 10, "everything is said again")
                await until(lambda: source.right(hass), 5)
                await until(lambda: simulated(hass) == shown, 10)
                assert known(hass) == before
                assert len(lines(caplog)) == 2, lines(caplog)
                await hass.config_entries.async_unload(entry.entry_id)
        finally:
            bridge.terminate()
            await bridge.wait()


async def retained(broker: Mosquitto) -> set[str]:
    """Return the topics that the broker holds, without those of single connections."""
    async with Peer(broker, origin="look") as look:
        await look._client.subscribe(f"{ROOT}/#", qos=1)
        count = -1
        while count != len(look.received):
            count = len(look.received)
            await asyncio.sleep(0.3)
        kept = {topic for topic, _, retain in look.received if retain}
    return {topic for topic in kept if not topic.startswith(("run/id", "run/ping"))}


def simulated(hass: HomeAssistant) -> set[str]:
    """Return the entities of the simulated home that have a value."""
    return {
        state.entity_id
        for state in hass.states.async_all()
        if state.state not in {STATE_UNAVAILABLE, "unknown"}
        and not state.entity_id.startswith(("sensor.box_", "event.", "button."))
    }


@pytest.mark.no_server("a server gives the broker back what it has lost")
async def test_empty_and_owner_late(
    hass: HomeAssistant,
    broker: Mosquitto,
    entry: MockConfigEntry,
    tune: Tune,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Restarted empty, and the owner takes its time: the device stays, its value does not."""
    tune(grace=1.0)
    async with Peer(broker) as peer:
        await peer.put("power", 5.5)
        await peer.describe("meter", point("power", "power", "power"))
    await set_up(hass, entry)
    await until(lambda: state_of(hass, "sensor.meter_power") == "5.5")
    before = known(hass)
    caplog.clear()
    broker.kill()
    await until(lambda: state_of(hass, "sensor.meter_power") == STATE_UNAVAILABLE)
    broker.start()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "on", 5)
    assert state_of(hass, "sensor.meter_power") == "5.5"
    await until(lambda: state_of(hass, "sensor.meter_power") == STATE_UNAVAILABLE, 5)
    assert known(hass) == before
    async with Peer(broker) as peer:
        await peer.put("power", 7.5)
        await peer.describe("meter", point("power", "power", "power"))
        await until(lambda: state_of(hass, "sensor.meter_power") == "7.5")
    assert known(hass) == before
    assert len(lines(caplog)) == 2
    await hass.config_entries.async_unload(entry.entry_id)
