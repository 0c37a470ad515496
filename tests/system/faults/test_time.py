"""Clocks that jump, messages that come twice, late, early or from the future (rows 6, 14)."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, override

import pytest
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, callback
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link import hub as hub_module
from custom_components.moat_link.link.clock import SystemClock
from firmware_bridge.link.session import Session
from tests.integration.conftest import entry_for, set_up, state_of
from tests.integration.wire import Peer, path, point, setter
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Proxy
from tests.support.wait import until

from .owner import command
from .source import Source, packet, session

HOUR = 3600.0
POWER = "sensor.meter_power"


class Wall(SystemClock):
    """The machine's clock, whose time of day somebody turns; durations go on as they were."""

    offset = 0.0

    @override
    def time(self) -> float:
        """Return the wrong time of day."""
        return super().time() + Wall.offset


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> type[Wall]:
    """Home Assistant's clock; to be had before the entry."""
    monkeypatch.setattr(hub_module, "SystemClock", Wall)
    monkeypatch.setattr(Wall, "offset", 0.0)
    return Wall


def to_1970() -> float:
    """Return the jump to New Year 1970, as a machine without a battery makes."""
    return 10.0 - time.time()


@pytest.mark.parametrize("whose", ["ours", "theirs", "both"])
async def test_clock_jumps(
    hass: HomeAssistant,
    broker: Mosquitto,
    entry: MockConfigEntry,
    wall: type[Wall],
    peer: Peer,
    whose: str,
) -> None:
    """Row 6: an hour ahead, an hour back, 1970: nobody becomes unavailable, all stays right.

    100 messages a second; some points with a greatest age, and a device with an owner who pings.
    """
    await peer.put("run.host.lab.meter", {"id": "peer", "up": True})
    rows = [point("power", "power", "power", max_age=3), point("limit", "power", "cmd", name="L")]
    rows[1] |= {"write": setter("cmd", retain=True), "min": 0, "max": 100}
    await peer.put("cmd", 1)
    await peer.put("power", 0.5)
    await peer.describe("meter", *rows, alive=path("run.host.lab.meter"))
    await peer.ping()
    async with Source(broker, boxes=5, rate=100) as source:
        await set_up(hass, entry)
        await until(lambda: source.available(hass) and state_of(hass, POWER) == "0.5")
        flips: list[str] = []

        @callback
        def note(data: Mapping[str, Any]) -> bool:
            new = data["new_state"]
            if new is None or new.state == STATE_UNAVAILABLE:
                flips.append(data["entity_id"])
            return False

        hass.bus.async_listen("state_changed", lambda _: None, event_filter=note)
        for number, jump in enumerate((HOUR, 0.0, -HOUR, 0.0, to_1970(), 0.0), 1):
            if whose in {"ours", "both"}:
                wall.offset = jump
            if whose in {"theirs", "both"}:
                source.ahead = jump
            await peer.put("power", number + 0.5)
            await asyncio.sleep(1.2)  # so that the beat of the model comes by, under load
            if whose == "ours":
                assert (await command(hass, "number.meter_l", number)).error is None
        source.rate = 0
        await until(lambda: source.right(hass) or whose != "ours")
        source.ahead = wall.offset = 0.0
        source.rate = 100
        await asyncio.sleep(1)
        source.rate = 0
        await until(lambda: source.right(hass), what="all right in the end")
        assert flips == []
        assert state_of(hass, POWER) == "6.5"
        await hass.config_entries.async_unload(entry.entry_id)


async def test_twice_late_and_early(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Row 6: duplicates and late ones change nothing, one from the future locks nobody out."""
    await peer.put("power", 0.5)
    await peer.describe("meter", point("power", "power", "power"))
    await until(lambda: state_of(hass, POWER) == "0.5")
    shown: list[str] = []
    hass.bus.async_listen(
        "state_changed",
        callback(lambda event: shown.append(event.data["new_state"].state)),
        event_filter=callback(lambda data: data["entity_id"] == POWER),
    )
    now = time.time()
    for step in range(1, 51):
        await peer.put("power", step, when=now + step / 1000)
        await peer.put("power", step, when=now + step / 1000)
        await peer.put("power", -step, when=now + step / 1000)
        await peer.put("power", -step, when=now - step)
    await peer.put("power", 1000, when=now + 10 * HOUR)
    await peer.put("power", 1001, when=now + 1)
    await peer.put("power", 1000, when=now + 10 * HOUR)
    await peer.put("power", 1002, when=now + 2)
    await until(lambda: state_of(hass, POWER) == "1002.0")
    expected = [*map(float, range(1, 51)), 1000.0, 1001.0, 1002.0]
    await hass.async_block_till_done()
    assert [float(state) for state in shown] == expected


async def numbered(line: Session, first: int, last: int) -> None:
    """Publish numbers at QoS 1, 2000 a second."""
    start, sent = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while first + sent <= last:
            while first + sent <= last and sent < (time.monotonic() - start) * 2000:
                group.create_task(line.publish(packet("power", first + sent), timeout=30))
                sent += 1
            await asyncio.sleep(0.005)


async def test_events_from_the_future(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Row 6: a button that thinks it is next year is heard, and also after it has been told."""
    await peer.put("run.event.key", "before", when=1.0)
    last = point("last", "text", "run.event.key")
    key = point("key", "button_event", "run.event.key", options=["press"])
    await peer.describe("wall", key, last)
    await until(lambda: state_of(hass, "sensor.wall_text") == "before", what="us to be listening")
    pressed: list[str] = []
    hass.bus.async_listen(
        "state_changed",
        callback(lambda event: pressed.append(event.data["new_state"].state)),
        event_filter=callback(lambda data: data["entity_id"] == "event.wall_button"),
    )
    for number, when in enumerate((9000 * HOUR, 9001 * HOUR, 0.0, 0.1), 1):
        await peer.put("run.event.key", "press", when=time.time() + when, retain=False)
        await until(lambda number=number: len(pressed) == number)


@pytest.mark.timeout(60)
async def test_order(hass: HomeAssistant, socket_enabled: None) -> None:
    """Row 14: 10,000 numbered, QoS 1, 2000 a second, one reconnect: never back, the last one stays."""
    with Mosquitto(extra="max_inflight_messages 0\nmax_queued_messages 100000\n") as broker:
        async with Peer(broker) as peer, Proxy(broker.port) as proxy:
            await peer.put("power", 0, when=1.0)
            await peer.describe("meter", point("power", "power", "power"))
            entry = entry_for(broker, port=proxy.port)
            await set_up(hass, entry)
            await until(lambda: state_of(hass, POWER) == "0.0")
            shown: list[float] = []

            @callback
            def note(data: Mapping[str, Any]) -> bool:
                new = data["new_state"]
                if data["entity_id"] == POWER and new.state != STATE_UNAVAILABLE:
                    shown.append(float(new.state))
                return False

            hass.bus.async_listen("state_changed", lambda _: None, event_filter=note)
            line = await session(broker.port)
            await numbered(line, 1, 5000)
            await until(lambda: shown[-1:] == [5000.0], 10)
            assert len(shown) == 5000
            async with asyncio.TaskGroup() as group:
                group.create_task(numbered(line, 5001, 10_000))
                await until(lambda: shown[-1] > 5500)
                proxy.cut()
            await until(lambda: state_of(hass, POWER) == "10000.0", 10)
            assert shown == sorted(shown)
            # and a retained message that is older than what is known is not believed either
            await line.publish(packet("power", 1, when=time.time() - HOUR))
            proxy.cut()
            await until(lambda: state_of(hass, POWER) == STATE_UNAVAILABLE)
            await until(lambda: state_of(hass, POWER) != STATE_UNAVAILABLE, 10)
            assert state_of(hass, POWER) == "10000.0"
            await line.close()
            await hass.config_entries.async_unload(entry.entry_id)
