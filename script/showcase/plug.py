"""A plug that speaks plain MQTT, as many do: JSON and ON or OFF. A gate makes it usable."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiomqtt

from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import Key, Value
from firmware_bridge.link.path import Path

GATE = "plugs"
LOAD = 42.0  # W
EVERY = 1.0  # s
_TOPIC = "plugs/desk"
_DATA = Path("home", "plugs", "desk")
_NAMES = {
    "en": {"plug": "Desk plug", "area": "Living room"},
    "de": {"plug": "Steckdose", "area": "Wohnzimmer"},
}


def introduce(link: Link, language: str) -> None:
    """Publish what a person would: the gate, its table, and what the plug is."""
    table = {"energy": "json", "state": "bool", "set": "bool"}
    for what, codec in table.items():
        link.publish(Path("conv", GATE, "+", what), {"codec": codec})
    entry: dict[Key, Value] = {"driver": "mqtt", "src": Path("home", "plugs"), "dst": Path(GATE)}
    link.publish(Path("gate", GATE), {**entry, "codec": Path(GATE), "retain": False})
    link.publish(Path("device", "plug"), _description(language))


@contextlib.asynccontextmanager
async def plug(port: int) -> AsyncIterator[None]:
    """Run the plug for as long as the context lasts; after an outage it is there again."""
    task = asyncio.create_task(_Plug(port).run(), name="plug")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


class _Plug:
    """What is in the plug: it knows nothing of MoaT."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._on = False
        self._energy = 12.3  # kWh

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self._port) as client:
                    await self._serve(client)
            await asyncio.sleep(EVERY)

    async def _serve(self, client: aiomqtt.Client) -> None:
        await client.subscribe(f"{_TOPIC}/set")
        measuring = asyncio.create_task(self._measure(client))
        try:
            await self._tell(client)
            async for message in client.messages:
                self._on = message.payload == b"ON"
                await self._tell(client)
        finally:
            measuring.cancel()
            await asyncio.wait((measuring,))

    async def _measure(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            while True:
                power = LOAD if self._on else 0.0
                self._energy += power * EVERY / 3.6e6
                said = {"power": power, "total": round(self._energy, 6)}
                await client.publish(f"{_TOPIC}/energy", json.dumps(said))
                await asyncio.sleep(EVERY)

    async def _tell(self, client: aiomqtt.Client) -> None:
        await client.publish(f"{_TOPIC}/state", "ON" if self._on else "OFF", retain=True)


def _description(language: str) -> Value:
    names = _NAMES[language]
    return {
        "v": 1,
        "name": names["plug"],
        "kind": "plug",
        "area": names["area"],
        "alive": Path("run", "host", "gate", GATE),
        "points": [
            {"key": "power", "quantity": "power", "path": _DATA / "energy", "item": "power"},
            {
                "key": "energy",
                "quantity": "energy",
                "unit": "kWh",
                "path": _DATA / "energy",
                "item": "total",
            },
            {
                "key": "relay",
                "quantity": "relay",
                "path": _DATA / "state",
                "write": {"path": _DATA / "set"},
            },
        ],
    }
