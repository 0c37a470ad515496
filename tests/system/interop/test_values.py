"""What the real command line writes is a state within a second."""

from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.link.path import Path
from tests.integration.wire import Peer, point
from tests.support.moat import MoatServer
from tests.support.wait import until

from .user import seen, shows

WITHIN = 1.0

POINTS = (
    point("temperature", "temperature", "plant.temperature", unit="°C"),
    point("voltage", "voltage", "plant.meter", unit="V", item="voltage"),
    point("load", "relay", "plant.meter", item=["out", "load"], name="Load"),
    point("second", "power", "plant.list", unit="W", item=1, name="Second"),
    point("word", "text", "plant.word", name="Word"),
    point("door", "door", "plant.door"),
)

SHED = """\
v: 1
name: Shed
points:
- {key: door, quantity: door, path: !P shed.door}
"""

WRITTEN: tuple[tuple[tuple[str, ...], dict[str, str]], ...] = (
    (("plant.temperature", "set", "-f", "-s", ":", "=21.5"), {"sensor.plant_temperature": "21.5"}),
    (("plant.temperature", "set", "-f", "-s", ":", "=-3"), {"sensor.plant_temperature": "-3.0"}),
    (
        ("plant.meter", "set", "-s", "voltage", "=231.25", "-s", "out.load", "=True"),
        {"sensor.plant_voltage": "231.25", "binary_sensor.plant_load": STATE_ON},
    ),
    (
        ("plant.meter", "set", "-s", "voltage", "=229"),
        {"sensor.plant_voltage": "229.0"},
    ),
    (("plant.list", "set", "-f", "-s", ":", "=[1, 2.5]"), {"sensor.plant_second": "2.5"}),
    (
        ("plant.word", "set", "-f", "-s", ":", "~Grüße: a+b #1"),
        {"sensor.plant_word": "Grüße: a+b #1"},
    ),
    (("plant.door", "set", "-f", "-s", ":", "=False"), {"binary_sensor.plant_door": STATE_OFF}),
)


async def test_written_by_command_line(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, server: MoatServer
) -> None:
    """Numbers, items of maps and lists, text, booleans: a second after the time they carry."""
    await peer.describe("plant", *POINTS)
    await until(lambda: hass.states.get("sensor.plant_temperature"))
    for words, expected in WRITTEN:
        await server.link("data", *words)
        written = (await entry.runtime_data.link.get(Path.parse(words[0]))).time
        for entity_id, value in expected.items():
            await until(shows(hass, entity_id, value), WITHIN, f"{entity_id} {value}")
            assert 0 < seen(hass, entity_id).last_reported_timestamp - written < WITHIN


async def test_deleted_by_command_line(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, server: MoatServer
) -> None:
    """What is gone is unavailable, and comes back."""
    await peer.describe("cellar", point("temperature", "temperature", "cellar", unit="°C"))
    for value in ("19.5", "20.5"):
        await server.link("data", "cellar", "set", "-f", "-s", ":", f"={value}")
        await until(shows(hass, "sensor.cellar_temperature", value), WITHIN)
        await server.link("data", "cellar", "delete")
        await until(shows(hass, "sensor.cellar_temperature", STATE_UNAVAILABLE), WITHIN)


async def test_described_by_command_line(
    hass: HomeAssistant, entry: MockConfigEntry, server: MoatServer
) -> None:
    """A device that somebody writes down as YAML is there; without the description it goes."""
    await server.link("data", "shed.door", "set", "-f", "-s", ":", "=True")
    await server.link("data", "device.shed", "set", "-f", "-y", feed=SHED)
    await until(shows(hass, "binary_sensor.shed_door", STATE_ON), WITHIN)
    await server.link("data", "device.shed", "delete")
    await until(shows(hass, "binary_sensor.shed_door", None), WITHIN)
