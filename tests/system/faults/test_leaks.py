"""What comes and goes a hundred times leaves nothing behind (matrix rows 12, 13)."""

import gc
import time

import pytest
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.integration.conftest import ENTRY_ID, set_up, state_of
from tests.integration.wire import Peer, path, point, setter
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .gauges import footprint, grown, lines, memory, visit
from .source import Source

TIMES = 100
WARM = 50  # until the allocator has what it needs; then 150 more cost 0.4 MB
# Objects in a real core, of which the matrix allows one in a hundred. The tests' core starts with
# few that are counted, and keeps what it would have written to disk.
HEAP = 290_000
# Times as long as a visit to the broker takes, of which 20 are usual; and times as long as the mean
# takes, of which one reload needs up to 4 where others are busy.
DEAR = 40
ODD = 10


def entities(hass: HomeAssistant) -> set[tuple[str, str]]:
    """Return what the registry knows of the entry."""
    found = er.async_entries_for_config_entry(er.async_get(hass), ENTRY_ID)
    return {(each.entity_id, each.unique_id) for each in found}


def count_objects() -> tuple[int, int]:
    """Count the objects of our own classes, and all others."""
    everything = [type(each).__module__ for each in gc.get_objects()]
    ours = sum(module.startswith("custom_components.moat_link") for module in everything)
    return ours, len(everything) - ours


@pytest.mark.parametrize("how", ["ping", "announcement", "description"])
async def test_flapping_device(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    broker: Mosquitto,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 12: a device with 10 entities comes and goes 100 times; its neighbours do not notice."""
    rows = [point(f"p{n}", "power", f"sat.{n}", name=f"P{n}") for n in range(9)]
    rows.append(point("relay", "relay", "sat.r", name="Relay", write=setter("sat.r.cmd")))
    for number in range(9):
        await peer.put(f"sat.{number}", number)
    await peer.put("sat.r", True)

    async def come() -> None:
        await peer.put("run.host.lab.sat", {"id": "sat_id", "up": True})
        await peer.describe("sat", *rows, alive=path("run.host.lab.sat"))

    await come()
    async with (
        Peer(broker, origin="sat_id") as satellite,
        Source(broker, boxes=2, rate=100) as near,
    ):
        await satellite.ping()
        await until(lambda: state_of(hass, "sensor.sat_p8") == "8.0")
        await until(lambda: near.available(hass))
        caplog.clear()
        before, known = footprint(hass), entities(hass)
        away: list[str] = []
        hass.bus.async_listen(
            "state_changed",
            callback(lambda event: away.append(event.data["entity_id"])),
            event_filter=callback(
                lambda data: (
                    data["entity_id"] in near.values
                    and (data["new_state"] is None or data["new_state"].state == STATE_UNAVAILABLE)
                )
            ),
        )
        for _ in range(TIMES):
            if how == "ping":
                await satellite.ping(up=False)
                await satellite.ping()
            elif how == "announcement":
                await peer.delete("run.host.lab.sat")
                await peer.put("run.host.lab.sat", {"id": "sat_id", "up": True})
            else:
                await peer.delete("device.sat")
                await come()
        await until(lambda: state_of(hass, "sensor.sat_p8") == "8.0", 10)
        await until(lambda: state_of(hass, "switch.sat_relay") == "on")
        await hass.async_block_till_done()
        near.rate = 0
        await until(lambda: near.right(hass))
        assert away == []
        assert entities(hass) == known
        assert lines(caplog) == []
        before["listeners"] += 1
        await until(lambda: not grown(before, footprint(hass)), 5, "nothing left behind")


@pytest.mark.timeout(180)
async def test_hundred_reloads(
    hass: HomeAssistant, entry: MockConfigEntry, broker: Mosquitto, quiet: None
) -> None:
    """Row 13: 100 entities, reloaded 100 times, none of which waits for anything; nothing is left."""
    async with Source(broker, boxes=10) as source:
        await set_up(hass, entry)
        for _ in range(WARM):
            assert await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done()
        gc.collect()
        before, objects, megabytes = footprint(hass), count_objects(), memory()
        known = entities(hass)
        visits, reloads = 0.0, list[float]()
        for _ in range(TIMES):
            visits += await visit(broker.port)
            start = time.monotonic()
            assert await hass.config_entries.async_reload(entry.entry_id)
            reloads.append(time.monotonic() - start)
        await hass.async_block_till_done()
        gc.collect()
        await until(lambda: not grown(before, footprint(hass)), 5, "nothing left behind")
        ours, others = count_objects()
        assert ours == objects[0]
        assert others < objects[1] + HEAP / 100
        assert memory() - megabytes < 5
        assert entities(hass) == known
        assert sum(reloads) < DEAR * visits
        assert max(reloads) < ODD * sum(reloads) / TIMES
        await until(lambda: source.right(hass))
        await hass.config_entries.async_unload(entry.entry_id)
