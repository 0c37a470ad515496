"""What all entities share: every quantity has a place, a name and no complaint."""

import json
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er, translation
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import DOMAIN
from custom_components.moat_link.link.quantity import QUANTITIES, Kind, Quantity, StateClass
from tests.support.wait import until

from .conftest import ENTRY_ID, state_of
from .wire import Peer, point, setter

VALUES: dict[Kind, Any] = {
    Kind.NUMBER: 12.5,
    Kind.BOOLEAN: True,
    Kind.CHOICE: "open",
    Kind.TEXT: "word",
    Kind.MOMENT: 1_700_000_000,
}
INTEGRATION = Path(__file__).parents[2] / "custom_components" / DOMAIN


def described(quantity: Quantity, number: int) -> list[dict[str, Any]]:
    """Return a point of this quantity to read, and one to set, as far as there can be."""
    info = QUANTITIES[quantity]
    fields: dict[str, Any] = {}
    if info.kind in {Kind.CHOICE, Kind.EVENT} and not info.words:
        fields["options"] = ["open", "closed"]
    if info.kind is Kind.TRIGGER:
        return [{"key": f"w{number}", "quantity": quantity, "write": setter("q.cmd")}]
    at = f"q.{info.kind}"
    readable = point(f"r{number}", quantity, at, **fields)
    if info.kind is Kind.NUMBER:
        fields |= {"min": 0, "max": 100}
    writable = point(f"w{number}", quantity, at, write=setter("q.cmd"), **fields)
    if info.family is not None:
        return [writable]
    return [readable] if info.kind in {Kind.EVENT, Kind.MOMENT} else [readable, writable]


async def describe_everything(hass: HomeAssistant, peer: Peer) -> None:
    """Have one device for each quantity."""
    for kind, value in VALUES.items():
        await peer.put(f"q.{kind}", value)
    for number, quantity in enumerate(Quantity):
        await peer.describe(f"q{number}", *described(quantity, number), name=f"Device {number}")
    registry = er.async_get(hass)
    last = f"{ENTRY_ID}_q{len(Quantity) - 1}:w{len(Quantity) - 1}"
    await until(lambda: registry.async_get_entity_id("valve", DOMAIN, last), 20)
    await until(lambda: state_of(hass, "sensor.device_0_apparent_power") == "12.5")
    await until(
        lambda: not [each for each in hass.states.async_all() if each.state == "unavailable"]
    )


async def test_every_quantity(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has an entity to read, and one to set; Home Assistant has nothing to object."""
    await describe_everything(hass, peer)
    entries = [
        entry
        for entry in er.async_entries_for_config_entry(er.async_get(hass), ENTRY_ID)
        if ":" in entry.unique_id
    ]
    assert len(entries) == sum(len(described(q, 0)) for q in Quantity)
    for entry in entries:
        named_like_device = entry.domain in {"light", "cover", "valve"}
        assert entry.original_name or named_like_device, entry
        state = hass.states.get(entry.entity_id)
        assert state is not None
        assert state.state != "unavailable", entry.entity_id
    complaints = [
        record.getMessage()
        for record in caplog.records
        if record.levelname in {"WARNING", "ERROR"}
        and "not been tested" not in record.message
        and record.name != "asyncio"  # which counts seconds of a busy machine
    ]
    assert complaints == []


@pytest.mark.parametrize("language", ["en", "de"])
async def test_names(hass: HomeAssistant, language: str) -> None:
    """Names are complete in both languages, and none of another language."""
    texts = await translation.async_get_translations(hass, language, "entity", {DOMAIN})
    written = json.loads((INTEGRATION / "translations" / f"{language}.json").read_text())
    for platform, keys in written["entity"].items():
        for key, text in keys.items():
            name = texts.get(f"component.{DOMAIN}.entity.{platform}.{key}.name")
            assert name == text.get("name")


async def test_icons() -> None:
    """Whatever has a name of ours and no device class has an icon."""
    icons = json.loads((INTEGRATION / "icons.json").read_text())["entity"]
    names = json.loads((INTEGRATION / "translations" / "en.json").read_text())["entity"]
    for platform in ("sensor", "number", "button", "select", "text", "event"):
        for key in names[platform]:
            classed = key in Quantity and QUANTITIES[Quantity(key)].device_class is not None
            assert classed or key in icons[platform] or key == "enum", (platform, key)


async def test_totals_accumulate(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Statistics are told which numbers only grow."""
    await peer.put("e", 5)
    await peer.describe(
        "meter",
        point("import", "energy", "e", name="Import"),
        point("net", "energy", "e", name="Net", state_class="total"),
        point("power", "power", "e"),
    )
    await until(lambda: state_of(hass, "sensor.meter_power") == "5.0")
    found = {
        name: hass.states.get(f"sensor.meter_{name}").attributes["state_class"]
        for name in ("import", "net", "power")
    }
    assert found == {
        "import": StateClass.TOTAL_INCREASING,
        "net": StateClass.TOTAL,
        "power": StateClass.MEASUREMENT,
    }
