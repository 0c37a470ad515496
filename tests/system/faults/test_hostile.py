"""What nobody should say: broken bytes, wrong types (matrix rows 8, 9)."""

import asyncio
import json
import logging
import math
import random
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any

import cbor2
import pytest
from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import DOMAIN
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.session import Session
from tests.integration.conftest import state_of
from tests.integration.wire import Peer, point, setter
from tests.link.test_hostile import BOMBS
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .gauges import lines, memory, stalls
from .source import packet, session

POWER = "sensor.meter_power"
LIVE = "power"
OTHER = "other"
VECTORS = File(__file__).parents[2] / "vectors" / "moat-link" / "bad-input.json"
NOTICED = 0.05  # seconds until a good message is shown, and that one message may take at most
FUZZ = 20.0
RATE = 2000
LETTERS = [chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0x300))]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return everything that anybody has logged as an error."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]


async def shown_after(hass: HomeAssistant, line: Session, value: float) -> float:
    """Publish a good value; return the seconds until it is shown, less what others took."""
    wall, cpu = time.monotonic(), time.thread_time()
    line.publish_nowait(packet(LIVE, value))
    deadline = wall + 5
    while state_of(hass, POWER) != str(value):
        assert time.monotonic() < deadline, f"{value} is not shown"
        await asyncio.sleep(0.001)
    return min(time.monotonic() - wall, time.thread_time() - cpu)


def corpus() -> list[bytes]:
    """Return payloads that are meant to do harm, and the ones the real server was tried with."""
    recorded = json.loads(VECTORS.read_text())["vectors"]
    return [*BOMBS.values(), *(bytes.fromhex(each["payload"]) for each in recorded)]


async def test_malformed_corpus(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    broker: Mosquitto,
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 8: after each of these a good message is shown at once; one line in the log, no error."""
    await peer.describe("meter", point("power", "power", LIVE))
    line = await session(broker.port)
    await shown_after(hass, line, 0.5)
    caplog.clear()
    before = memory()
    for number, payload in enumerate(corpus()):
        for text in (False, True):
            async with stalls() as found:
                rubbish = replace(packet(LIVE, 0), payload=payload, text=text)
                line.publish_nowait(rubbish)
                took = await shown_after(hass, line, number + text / 2)
            assert took < NOTICED, payload[:20]
            assert found.longest < NOTICED, payload[:20]
    assert memory() - before < 20
    assert errors(caplog) == []
    assert len(lines(caplog)) <= 1
    assert loaded.runtime_data.link.statistics.undecodable > len(BOMBS)
    await line.close()


@pytest.mark.timeout(120)
async def test_fuzzed_topic(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    broker: Mosquitto,
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 8: 20 s of damaged messages, 2000 a second, on topics that are shown.

    On the second one their metadata is damaged, too; it decides which of two messages is newer, so
    nothing follows there for the good ones.
    """
    other = point("other", "power", OTHER, name="Other")
    await peer.describe("meter", point("power", "power", LIVE), other)
    line, fuzz = await session(broker.port), await session(broker.port)
    await shown_after(hass, line, 0.5)
    caplog.clear()
    chance = random.Random(8)
    valid = [
        cbor2.dumps(each)
        for each in (1, 2.5, "text", [1, 2, {"a": None}], {"u": 1.5, "t": [True]}, b"x" * 20)
    ]
    before, sent, number = memory(), 0, 0
    took: list[float] = []
    start = time.monotonic()
    async with stalls() as found:
        while (now := time.monotonic()) - start < FUZZ:
            while sent < (now - start) * RATE:
                fuzz.publish_nowait(damaged(chance, valid))
                sent += 1
            if sent > number * RATE / 2:
                number += 1
                took.append(await shown_after(hass, line, number + 0.25))
            await asyncio.sleep(0.01)
    assert sent > FUZZ * RATE * 0.9
    assert found.longest < NOTICED
    assert statistics.median(took) < NOTICED
    assert max(took) < 2 * NOTICED  # most of it is the publisher's work in the same thread
    assert memory() - before < 20
    assert errors(caplog) == []
    assert len(lines(caplog)) <= 2  # one for each topic
    await fuzz.close()
    await line.close()


def damaged(chance: random.Random, valid: list[bytes]) -> Publish:
    """Return a message with bytes changed, lost or added, in its payload or its metadata."""
    payload = bytearray(chance.choice(valid))
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(payload))
        payload[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    text = chance.random() < 0.2
    if chance.random() < 0.7:
        return replace(packet(LIVE, 0), payload=bytes(payload), text=text)
    message = packet(OTHER, 0)
    meta = list(message.meta or "")
    meta[chance.randrange(len(meta))] = chance.choice(LETTERS)
    return replace(message, payload=bytes(payload), text=text, meta="".join(meta))


NASTY: list[Any] = [
    *(None, True, -1, 0, 1 << 70, -(1 << 62), 1e308, -0.0, math.nan, math.inf),
    *("", "\0", "x" * 5000, "{{ 1/0 }}", "<b>", "../..", "$SYS", "+/#", b"\xff"),
    *([], [[]], {}, {1: 2}, {"v": 1}, cbor2.CBORTag(39, ["run", "host"]), cbor2.undefined),
    *(cbor2.CBORTag(39, []), cbor2.CBORTag(39, [None, 1.5, ["a"]]), [None] * 300),
]


@pytest.mark.timeout(120)
async def test_fuzzed_descriptions(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 8: whatever a description holds, its device is at worst not there; others do not notice."""
    await peer.put(LIVE, 1.5)
    await peer.describe("meter", point("power", "power", LIVE))
    await until(lambda: state_of(hass, POWER) == "1.5")
    chance = random.Random(9)
    for _ in range(400):
        row = point("power", "power", LIVE, unit="W", name="Power", write=setter("cmd"), min=0)
        about: dict[str, Any] = {
            "v": 1,
            "name": "Fuzz",
            "maker": "x",
            "via": "meter",
            "parts": {"a": {"name": "A"}},
            "points": [row, point("relay", "relay", "relay", part="a")],
        }
        for _ in range(chance.randint(1, 3)):
            victim: Any = chance.choice([about, row, row, about["parts"]])
            victim[chance.choice([*victim, "group", "area", "kind"])] = chance.choice(NASTY)
            if not isinstance(about.get("parts"), dict):
                break
        await peer.raw("device.fuzz", cbor2.dumps(about))
    await peer.describe("fuzz", point("power", "power", LIVE), name="Last")
    about_fuzz = loaded.runtime_data.devices
    await until(lambda: (found := about_fuzz.device_entry("fuzz")) and found.name == "Last", 10)
    entity_id = er.async_get(hass).async_get_entity_id(
        "sensor", DOMAIN, about_fuzz.unique_id("fuzz", "power")
    )
    assert entity_id is not None
    await peer.put(LIVE, 2.5)
    await until(lambda: state_of(hass, POWER) == state_of(hass, entity_id) == "2.5")
    assert loaded.runtime_data.site.issues == {}
    assert errors(caplog) == []


@dataclass(frozen=True)
class Case:
    """A point, what it accepts, what it shows then, and where."""

    quantity: str
    good: Any
    state: str
    entity: str
    accepts: tuple[type, ...]
    more: dict[str, Any]

    @property
    def key(self) -> str:
        """The point's key, path and name."""
        return f"{self.quantity}_{self.entity}"

    @property
    def entity_id(self) -> str:
        """Where it is shown."""
        return f"{self.entity}.box_{self.key}"


def case(
    quantity: str, good: Any, state: str, entity: str, *accepts: type, w: bool = False, **more: Any
) -> Case:
    """Return a case; `w`: it can be written."""
    if w:
        more["write"] = setter(f"{quantity}_{entity}.cmd")
    return Case(quantity, good, state, entity, accepts, more)


CASES = [
    case("power", 5, "5.0", "sensor", int, float),
    case("energy", 5, "5.0", "sensor", int, float, unit="kWh"),
    case("temperature", 5.5, "5.5", "sensor", int, float),
    case("count", 5, "5", "sensor", int, float),
    case("enum", "idle", "idle", "sensor", options=["idle", "busy"]),
    case("text", "hello", "hello", "sensor", str),
    case("timestamp", 1e9, "2001-09-09T01:46:40+00:00", "sensor", int, float),
    case("relay", True, "on", "binary_sensor", bool),
    case("door", True, "on", "binary_sensor", bool),
    case("voltage", 5, "5.0", "number", int, float, w=True, min=0, max=9),
    case("boolean", True, "on", "switch", bool, w=True),
    case("enum", "idle", "idle", "select", w=True, options=["idle", "busy"]),
    case("text", "hello", "hello", "text", str, w=True),
    case("light", True, "on", "light", bool, w=True),
    case("cover", "open", "open", "cover", w=True),
    case("valve", "open", "open", "valve", w=True),
]
KINDS: list[Any] = [
    *(True, 7, 1 << 70, 7.5, "12", "abc", "b'12'", b"12", [1], {"a": 1}, None),
    *(cbor2.CBORTag(39, ["a"]), cbor2.CBORTag(258, [1, 2]), cbor2.CBORTag(27, ["X", 1])),
    *(cbor2.CBORTag(99, 1), {"value": {"value": 1}}),
]


async def test_wrong_types(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 9: one rule for all: of a wrong type is unknown; not to be decoded is as if not said."""
    rows = [point(c.key, c.quantity, c.key, name=c.key, **c.more) for c in CASES]
    event = point("event", "event", "event", options=["raised"], name="event")
    await peer.describe("box", *rows, event)
    await until(lambda: hass.states.get("event.box_event"))
    for kind in KINDS:
        for each in CASES:
            await peer.put(each.key, each.good)
        await until(lambda: all(state_of(hass, c.entity_id) == c.state for c in CASES))
        wrong = [each for each in CASES if not isinstance(kind, each.accepts) or fails(each, kind)]
        for each in wrong:
            await peer.put(each.key, kind)
        await peer.put("event", kind, retain=False)
        await until(
            lambda rows=wrong: all(state_of(hass, c.entity_id) == STATE_UNKNOWN for c in rows),
            what=f"{kind} is unknown",
        )
        assert state_of(hass, "event.box_event") == STATE_UNKNOWN
    for each in CASES:
        await peer.put(each.key, each.good)
    await until(lambda: all(state_of(hass, c.entity_id) == c.state for c in CASES))
    for payload in (b"\xff", b"\x81", b"\x5b\xff", b"\x01\x01", b"\xf9\x7c"):
        for each in CASES:
            await peer.raw(each.key, payload)
    await peer.put("power_sensor", 6)
    await until(lambda: state_of(hass, "sensor.box_power_sensor") == "6.0")
    for each in CASES[1:]:
        assert state_of(hass, each.entity_id) == each.state
    assert errors(caplog) == []


def fails(each: Case, kind: Any) -> bool:
    """Tell whether a kind is wrong although its Python type looks right: True is no 1."""
    return isinstance(kind, bool) and bool not in each.accepts
