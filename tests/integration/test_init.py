"""Set-up and its end: clear outcomes, and nothing left behind."""

import asyncio
import gc
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import DOMAIN
from custom_components.moat_link.devices import Devices
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import entry_for, set_up, state_of
from .wire import Peer, point


async def test_device_comes_later(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Somebody describes a device and publishes a value; it is there without a reload."""
    await peer.put("cellar.temperature", 18.5)
    await peer.describe("cellar", point("temperature", "temperature", "cellar.temperature"))
    await until(lambda: state_of(hass, "sensor.cellar_temperature") == "18.5")


async def test_device_was_there(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """What is retained is a state when set-up is done."""
    await peer.put("cellar.temperature", 18.5)
    await peer.describe("cellar", point("temperature", "temperature", "cellar.temperature"))
    await set_up(hass, entry)
    assert state_of(hass, "sensor.cellar_temperature") == "18.5"


async def test_nobody_answers(hass: HomeAssistant, broker: Mosquitto) -> None:
    """Without a broker set-up is tried again later, and succeeds then."""
    broker.kill()
    entry = entry_for(broker)
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "setup_cannot_connect"
    broker.start()
    assert await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED


async def test_failure_of_ours(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours ends set-up, and nobody goes on taking part without an entry."""
    monkeypatch.setattr(Devices, "settle", Mock(side_effect=RuntimeError("a mistake")))
    await peer.follow("run.id")
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    await until(lambda: any(value is None for _, value, _ in peer.received))
    assert not entry.runtime_data.link.status.connected


async def test_bad_certificate(hass: HomeAssistant, broker: Mosquitto) -> None:
    """Certificates that cannot be read are a reason of their own."""
    entry = entry_for(broker, tls="on", ca="nonsense")
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "setup_tls"


async def test_no_tls_there(hass: HomeAssistant, broker: Mosquitto) -> None:
    """A plain port is never used without encryption if that was asked for."""
    entry = entry_for(broker, tls="on")
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "setup_tls"


async def test_wrong_password(hass: HomeAssistant, socket_enabled: None) -> None:
    """Credentials that are refused ask the user, once."""
    with Mosquitto(users={"ha": "right"}) as broker:
        entry = entry_for(broker, username="ha", password="wrong")
        await set_up(hass, entry)
        assert entry.state is ConfigEntryState.SETUP_ERROR
        assert entry.error_reason_translation_key == "setup_invalid_auth"
        await hass.async_block_till_done()
        assert len(list(entry.async_get_active_flows(hass, {SOURCE_REAUTH}))) == 1


async def test_credentials_revoked(hass: HomeAssistant, socket_enabled: None) -> None:
    """Credentials that are refused later do, too."""
    with Mosquitto(users={"ha": "right"}) as broker:
        entry = entry_for(broker, username="ha", password="right")
        await set_up(hass, entry)
        assert entry.state is ConfigEntryState.LOADED
        broker.set_users({"ha": "changed"})
        broker.restart()
        await until(lambda: list(entry.async_get_active_flows(hass, {SOURCE_REAUTH})))
        await hass.async_block_till_done()
        assert len(list(entry.async_get_active_flows(hass, {SOURCE_REAUTH}))) == 1
        assert state_of(hass, "binary_sensor.home_connection") == "off"
        assert await hass.config_entries.async_unload(entry.entry_id)


async def test_unload_leaves(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """Who leaves says goodbye and takes back what said that it was there."""
    await peer.follow("run")
    await set_up(hass, entry)
    link = entry.runtime_data.link
    host = f"run.host.{link.config.host}.homeassistant"
    record = f"run.id.{link.id}"
    await until(lambda: peer.values(host) and peer.values(record))
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert entry.state is ConfigEntryState.NOT_LOADED
    await until(lambda: peer.values(host)[-1] is None and peer.values(record)[-1] is None)


async def test_home_assistant_stops(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer
) -> None:
    """The end of Home Assistant is an orderly goodbye, too."""
    await peer.follow("run")
    await set_up(hass, entry)
    record = f"run.id.{entry.runtime_data.link.id}"
    await until(lambda: peer.values(record))
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await until(lambda: peer.values(record)[-1] is None)


async def test_asked_to_stop(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Somebody wants us out: we go, and say so; a reload brings us back."""
    host = loaded.runtime_data.link.config.host
    await peer.put(f"run.stop.{host}.homeassistant", {"reason": "maintenance"}, retain=False)
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "off")
    issues = ir.async_get(hass)
    issue = issues.async_get_issue(DOMAIN, f"stopped_{loaded.entry_id}")
    assert issue is not None
    assert issue.translation_placeholders == {"name": "Home", "reason": "maintenance"}
    assert await hass.config_entries.async_reload(loaded.entry_id)
    assert state_of(hass, "binary_sensor.home_connection") == "on"
    assert issues.async_get_issue(DOMAIN, f"stopped_{loaded.entry_id}") is None


async def test_ordered_to_end(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """An empty ping of ours, from somebody else, is such a wish, too."""
    await peer.raw(f"run.ping.id.{loaded.runtime_data.link.id}", b"", retain=False)
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "off")
    assert ir.async_get(hass).async_get_issue(DOMAIN, f"stopped_{loaded.entry_id}") is not None


async def test_options_reload(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """Changed options come into effect."""
    before = loaded.runtime_data
    hass.config_entries.async_update_entry(loaded, options={"read_only": True})
    await until(lambda: loaded.state is ConfigEntryState.LOADED and loaded.runtime_data != before)


def footprint(hass: HomeAssistant) -> dict[str, int]:
    """Count what a reload could leave behind."""
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "listeners": sum(hass.bus.async_listeners().values()),
        "timers": sum(not each.cancelled() for each in asyncio.get_running_loop()._scheduled),
    }


async def remains(hass: HomeAssistant) -> Counter[str]:
    """Return the footprint, and how many objects there are."""
    await hass.async_block_till_done()
    gc.collect()
    return Counter(footprint(hass), objects=len(gc.get_objects()))


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log nothing: pytest keeps the records, and with them what they mention."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(180)
async def test_hundred_reloads(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, quiet: None
) -> None:
    """Nothing is left of an entry that has been reloaded a hundred times."""
    for number in range(10):
        values = {f"v{each}": each for each in range(10)}
        await peer.put(f"board.{number}", values)
        points = [point(key, "voltage", f"board.{number}", item=key, name=key) for key in values]
        await peer.describe(f"board{number}", *points)
    await set_up(hass, entry)
    for _ in range(3):
        assert await hass.config_entries.async_reload(entry.entry_id)
    growth: list[Counter[str]] = []
    for _ in range(4):
        before = await remains(hass)
        for _ in range(25):
            assert await hass.config_entries.async_reload(entry.entry_id)
        growth.append(await remains(hass) - before)
    # what happens now and then, like saving the registries, is not in each of them
    always = growth[0] & growth[1] & growth[2] & growth[3]
    assert always["objects"] < 25, growth
    assert set(always) <= {"objects"}, growth
    assert state_of(hass, "sensor.board9_v9") == "9.0"
