"""Plain MQTT devices in Home Assistant, through a gate; and the gate itself, with what it counts."""

import asyncio

from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from firmware_bridge.link.path import Path
from tests.support.gates import driven, outsider
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import state_of
from .wire import ROOT, Peer, path, point, setter

SWITCH = "switch.plug_relay"
POWER = "sensor.plug_power"
STATE = "sensor.gate_plugs_state"


async def set_up(peer: Peer) -> None:
    """Publish what a person would: the table, the gate, and what the plug is."""
    codecs = {"state": "bool", "energy": "json"}
    for what, codec in codecs.items():
        await peer.put(f"conv.plugs.:p.{what}", {"codec": codec})
    await peer.put("conv.plugs.:p.set", {"codec": "bool", "retain": False})
    gate = {"driver": "mqtt", "src": path("plugs"), "dst": path("ext.plugs")}
    await peer.put("gate.plugs", {**gate, "codec": path("plugs"), "timeout": 0.05})
    await peer.describe(
        "plug",
        point("relay", "relay", "plugs.desk.state", write=setter("plugs.desk.set")),
        point("power", "power", "plugs.desk.energy", item="power"),
        alive=path("run.host.gate.plugs"),
    )


async def test_a_plain_plug(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """Its state and power are shown, it is switched, and without the gate it is unavailable."""
    await set_up(peer)
    async with outsider(broker) as plug:
        await plug.say("ext/plugs/desk/state", "OFF")
        await plug.say("ext/plugs/desk/energy", '{"power": 0.5}', retain=False)
        async with driven(broker, Path(ROOT)):
            await until(lambda: state_of(hass, SWITCH) == "off", 15)
            await plug.say("ext/plugs/desk/energy", '{"power": 42}', retain=False)
            await until(lambda: state_of(hass, POWER) == "42.0")
            words = {"entity_id": SWITCH}
            turn_on = hass.services.async_call("switch", "turn_on", words, blocking=True)
            turning = asyncio.create_task(turn_on)
            await until(lambda: plug.payloads("ext/plugs/desk/set") == [b"ON"])
            await plug.say("ext/plugs/desk/state", "ON")
            await turning
            await until(lambda: state_of(hass, SWITCH) == "on")
        await until(lambda: state_of(hass, SWITCH) == "unavailable")


async def test_the_gate_is_a_device(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """Its state, its counters and its last error are shown, without any code for it."""
    await set_up(peer)
    async with outsider(broker) as plug:
        async with driven(broker, Path(ROOT)):
            await until(lambda: state_of(hass, STATE) == "running", 15)
            await plug.say("ext/plugs/desk/state", "OFF")
            await plug.say("ext/plugs/desk/energy", "{broken")
            await peer.put("plugs.desk.set", True)
            await until(lambda: state_of(hass, "sensor.gate_plugs_values_taken_in") == "1", 15)
            assert state_of(hass, "sensor.gate_plugs_messages_sent_out") == "1"
            assert state_of(hass, "sensor.gate_plugs_untranslatable_messages") == "1"
            assert state_of(hass, "sensor.gate_plugs_dropped_messages") == "0"
            last = state_of(hass, "sensor.gate_plugs_last_error")
            assert last is not None
            assert last.startswith("ext.plugs.desk.energy: not JSON")
            [device] = [each for each in dr.async_get(hass).devices if each.name == "Gate plugs"]
            assert device.manufacturer == "MoaT"
            entity = er.async_get(hass).async_get(STATE)
            assert entity is not None
            assert entity.entity_category == "diagnostic"
        await until(lambda: state_of(hass, STATE) == "unavailable")
        await peer.delete("gate.plugs")
        async with driven(broker, Path(ROOT)):
            await until(lambda: state_of(hass, STATE) is None, 15)


async def test_a_gate_in_trouble_says_so(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """A broker that is not there, a wrong entry: the state and the reason are shown."""
    gate = {"driver": "mqtt", "src": path("plugs"), "dst": path("ext"), "codec": "json"}
    await peer.put("gate.far", gate | {"backend": {"host": "127.0.0.1", "port": 1}})
    await peer.put("gate.wrong", gate | {"src": path("gate")})
    async with driven(broker, Path(ROOT), backends=("127.0.0.1:1",)):
        await until(lambda: state_of(hass, "sensor.gate_far_state") == "backoff", 15)
        await until(lambda: state_of(hass, "sensor.gate_wrong_state") == "invalid", 15)
        assert "refused" in (state_of(hass, "sensor.gate_far_last_error") or "")
        said = state_of(hass, "sensor.gate_wrong_last_error")
        assert said == "src: gate is nothing that may be shown outside"
