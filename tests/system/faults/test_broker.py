"""The broker dies, falls silent, comes back, comes back empty (matrix rows 1, 2, 21)."""

import asyncio
import time

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.link.transport import BrokerConfig
from tests.integration.conftest import entry_for, set_up, state_of
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Proxy
from tests.support.wait import until

from .conftest import Tune
from .gauges import footprint, grown, lines
from .source import Source

CONNECTION = "binary_sensor.home_connection"
# The matrix has 5 s ten times; shorter ones meet the client in other moments, and cost less time.
OUTAGES = (5.0, 0.1, 1.0, 5.0, 0.3, 2.0, 0.0, 5.0, 0.5, 3.0)
LOAD = 1.2  # seconds of load in between: after one, a session counts as a success
BACK = 5.0
KEEP_ALIVE = 2


async def recover(hass: HomeAssistant, source: Source, within: float = BACK) -> None:
    """Wait until everything is shown again, and right."""
    start = time.monotonic()
    await until(lambda: source.available(hass), within, "everything available")
    rate, source.rate = source.rate, 0
    left = max(0.1, within - (time.monotonic() - start))
    await until(lambda: source.right(hass), left, "the right values")
    source.rate = rate


@pytest.mark.timeout(240)
async def test_killed_ten_times(
    hass: HomeAssistant,
    broker: Mosquitto,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 1: 200 entities, 500 messages a second, SIGKILL: gone in 1 s, right 5 s after it is back."""
    async with Source(broker, boxes=20, rate=500) as source:
        await set_up(hass, entry)
        await recover(hass, source)
        registry = er.async_get(hass)
        entities = {*registry.entities}
        before: dict[str, int] = {}
        for outage in OUTAGES:
            caplog.clear()
            broker.kill()
            await until(lambda: source.unavailable(hass), 1, "unavailable")
            assert state_of(hass, CONNECTION) == "off"
            await asyncio.sleep(outage)
            broker.start()
            await recover(hass, source)
            assert state_of(hass, CONNECTION) == "on"
            assert len(lines(caplog)) == 2, lines(caplog)
            before = before or footprint(hass)
            await asyncio.sleep(LOAD)
        assert {*registry.entities} == entities
        await until(lambda: not grown(before, footprint(hass)), 10, "nothing left behind")
        await hass.config_entries.async_unload(entry.entry_id)


async def test_half_open(
    hass: HomeAssistant,
    broker: Mosquitto,
    entry: MockConfigEntry,
    tune: Tune,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 2: a broker that is frozen is noticed in 1.5 keep-alives and a second."""
    assert BrokerConfig(host="").keep_alive <= 20
    tune(keep_alive=KEEP_ALIVE)
    async with Source(broker, boxes=10, rate=100, keep_alive=KEEP_ALIVE) as source:
        await set_up(hass, entry)
        await recover(hass, source)
        caplog.clear()
        broker.pause()
        await until(lambda: source.unavailable(hass), 1.5 * KEEP_ALIVE + 1, "unavailable")
        await asyncio.sleep(8)
        assert source.unavailable(hass)
        broker.resume()
        await recover(hass, source)
        assert len(lines(caplog)) == 2, lines(caplog)
        await hass.config_entries.async_unload(entry.entry_id)


async def test_line_is_dead(
    hass: HomeAssistant, broker: Mosquitto, tune: Tune, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 2, the other way: the broker lives, but nothing comes through, and nobody says so."""
    tune(keep_alive=KEEP_ALIVE)
    async with Source(broker, boxes=10, rate=100) as source, Proxy(broker.port) as proxy:
        entry = entry_for(broker, port=proxy.port)
        await set_up(hass, entry)
        await recover(hass, source)
        caplog.clear()
        proxy.frozen = True
        await until(lambda: source.unavailable(hass), 1.5 * KEEP_ALIVE + 1, "unavailable")
        await asyncio.sleep(3)
        proxy.frozen = False
        await recover(hass, source)
        assert len(lines(caplog)) == 2, lines(caplog)
        await hass.config_entries.async_unload(entry.entry_id)
