"""Everything that an installation has ever retained comes at once (matrix row 7)."""

import gc
import time

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.integration.conftest import set_up, state_of
from tests.integration.wire import Peer, point
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .gauges import memory, stalls
from .source import packet, session

COUNT = 50_000
BOXES = 50
POINTS = 20
RUNS = 5
PATIENCE = 60  # seconds
DEAR = 6  # times as long as it takes to publish it all, of which two and a half are usual
LAST = f"sensor.box_{BOXES - 1}_p{POINTS - 1}"


async def pour(broker: Mosquitto) -> float:
    """Publish it all, and return how many seconds that takes."""
    start = time.monotonic()
    line = await session(broker.port)
    for number in range(COUNT):
        line.publish_nowait(packet(f"flood/{number % 500}/{number}", number))
        if number % 500 == 499:
            await line.barrier()
    await line.barrier()
    await line.close()
    return time.monotonic() - start


@pytest.mark.timeout(300)
@pytest.mark.no_server("about what the broker alone has")
async def test_retained_flood(
    hass: HomeAssistant,
    broker: Mosquitto,
    entry: MockConfigEntry,
    peer: Peer,
    quiet: None,
) -> None:
    """Row 7: 50,000 retained, mosquitto as it comes: all seen, 5 runs of 5; the loop goes on."""
    await pour(broker)
    for box in range(BOXES):
        rows = [
            point(f"p{n}", "power", f"flood.{(box * POINTS + n) % 500}.{box * POINTS + n}")
            | {"name": f"P{n}"}
            for n in range(POINTS)
        ]
        await peer.describe(f"box{box}", *rows, name=f"Box {box}")
    await set_up(hass, entry)  # imports, registries, and everything that comes with the first time
    assert await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()
    gc.collect()
    before = memory()
    poured = read = 0.0
    for _ in range(RUNS):
        poured += await pour(broker)
        start = time.monotonic()
        async with stalls() as found:
            assert await hass.config_entries.async_setup(entry.entry_id)
            await until(lambda: state_of(hass, LAST) == f"{BOXES * POINTS - 1}.0", PATIENCE)
        read += time.monotonic() - start
        assert found.longest < 0.1
        feed = entry.runtime_data.feed
        seen = {topic for watch in feed._watches.values() for topic in watch.messages}
        assert sum(topic.startswith("flood/") for topic in seen) == COUNT
        for number in range(BOXES * POINTS):
            entity_id = f"sensor.box_{number // POINTS}_p{number % POINTS}"
            assert state_of(hass, entity_id) == f"{number}.0"
        assert memory() - before < 60
        del feed, seen
        assert await hass.config_entries.async_unload(entry.entry_id)
        gc.collect()
    assert read < DEAR * poured
