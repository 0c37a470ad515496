"""Sensors: from bytes on the wire to states."""

from datetime import UTC, datetime

import cbor2
import pytest
from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from tests.support.keeper import Served
from tests.support.wait import until

from .conftest import assert_platform, state_of
from .wire import Peer, point

START = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


async def test_sensors(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, snapshot: SnapshotAssertion
) -> None:
    """One of each kind, as the registry and the states show them."""
    values = {"u": 51.25, "i": -3, "e": 1234567, "mode": 2, "n": 7, "note": "ok", "t": None}
    await peer.put("battery", values | {"since": START, "boot": START.timestamp()})
    await peer.describe(
        "battery",
        point("voltage", "voltage", "battery", item="u", precision=2),
        point("current", "current", "battery", item="i", category="diagnostic"),
        point("charged", "energy", "battery", item="e", name="Charged", precision=0),
        point("mode", "enum", "battery", item="mode", options=[[1, "idle"], [2, "busy"]]),
        point("cycles", "count", "battery", item="n", enabled=False),
        point("note", "text", "battery", item="note"),
        point("temperature", "temperature", "battery", item="t"),
        point("since", "timestamp", "battery", item="since", name="Since"),
        point("boot", "uptime", "battery", item="boot"),
        point("health", "state_of_health", "battery.health", unit="%"),
        maker="Akku AG",
        model="A1",
        serial="17",
    )
    await until(lambda: state_of(hass, "sensor.battery_voltage") == "51.25")
    assert_platform(hass, snapshot, loaded, "sensor")


@pytest.mark.parametrize(
    "payload",
    [b"\x80", b"\xf5", b"\xf9\x7e\x00", b"\xf9\x7c\x00", b"\x43abc", b"\x63abc", b"\xa1\x61a\x01"],
    ids=["list", "true", "nan", "infinity", "bytes", "text", "map"],
)
async def test_wrong_types_are_unknown(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
    payload: bytes,
) -> None:
    """What is no number never reaches the sensor; the next number does."""
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power"))
    await until(lambda: state_of(hass, "sensor.meter_power") == "5.5")
    await peer.raw("power", payload)
    await until(lambda: state_of(hass, "sensor.meter_power") == STATE_UNKNOWN)
    await peer.put("power", 6)
    await until(lambda: state_of(hass, "sensor.meter_power") == "6.0")
    assert "Traceback" not in caplog.text


async def test_broken_bytes_change_nothing(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """What cannot be decoded is dropped."""
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power"))
    await until(lambda: state_of(hass, "sensor.meter_power") == "5.5")
    await peer.raw("power", cbor2.dumps(7) + b"\x00")
    await peer.raw("power", b"\x9f\xff\xff")
    await peer.put("power", 8)
    await until(lambda: state_of(hass, "sensor.meter_power") == "8.0")


async def test_word_that_is_no_option(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A choice that was not described is unknown."""
    await peer.put("mode", "idle")
    await peer.describe("stove", point("mode", "enum", "mode", options=["idle", "busy"]))
    await until(lambda: state_of(hass, "sensor.stove_state") == "idle")
    await peer.put("mode", "exploded")
    await until(lambda: state_of(hass, "sensor.stove_state") == STATE_UNKNOWN)


async def test_long_text_is_cut(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A state holds 255 characters."""
    await peer.put("note", "x" * 300)
    await peer.describe("board", point("note", "text", "note"))
    await until(lambda: state_of(hass, "sensor.board_text") == "x" * 255)


async def test_deleted_value_is_unavailable(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A value that was deleted is not there; a new one is."""
    await peer.put("power", 5.5)
    await peer.describe("meter", point("power", "power", "power"))
    await until(lambda: state_of(hass, "sensor.meter_power") == "5.5")
    await peer.delete("power")
    await until(lambda: state_of(hass, "sensor.meter_power") == "unavailable")
    await peer.put("power", 7.5)
    await until(lambda: state_of(hass, "sensor.meter_power") == "7.5")


async def test_installation(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, served: Served | None
) -> None:
    """The server is named, or said to be none; there are no errors."""
    assert state_of(hass, "sensor.home_server") == (served.name if served else "none")
    assert state_of(hass, "sensor.home_errors") == "0"
