"""Names that want to break out, and names that are taken (matrix rows 10, 11)."""

import asyncio
import itertools
import random
import string
import time

import aiomqtt
import cbor2
import pytest
import voluptuous as vol
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import (
    device_registry as dr,
    entity_registry as er,
    issue_registry as ir,
)
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import CONF_ALLOW_WRITE, DOMAIN
from custom_components.moat_link.link.errors import DecodeError, EncodeError
from custom_components.moat_link.link.path import Path
from tests.integration.conftest import ENTRY_ID, entry_for, set_up, state_of
from tests.integration.wire import ROOT, Peer, path, point, setter
from tests.support import fake_broker
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .gauges import lines
from .owner import command

SEEDS = [
    *("/", "+", "#", ":", "\0", "", "..", ".", "$SYS", "a/b", "+/+", "a/#", ":_", ":R", "::", ":n"),
    *(
        "\n",
        "\t",
        " ",
        "\x7f",
        "\x9f",
        "\ufeff",
        "\uffff",
        "\ufffe",
        "ü",
        "日本",
        "😀",
        "e\u0301",
        "é",
    ),
    *("../" * 5, "/home", "home", "/", "//", "a//b", "%2f", "\\", "'", '"', "null", "None", "True"),
    *("1", "01", "-1", "1.0", "1e3", "0x1", "nan", ":1", ":t", ":f", ":x00", ":s", ":'", "(1,)"),
]
ALPHABET = "/+#:.$\\\0\n '\"_-" + string.ascii_letters[:6] + "1é日😀"


def hostile(count: int) -> list[str]:
    """Return that many different names that nobody should choose."""
    chance = random.Random(10)
    names = dict.fromkeys(SEEDS)
    while len(names) < count:
        names["".join(chance.choices(ALPHABET, k=chance.randint(1, 12)))] = None
    return list(names)


class Everything:
    """All topics that anybody publishes to on a broker, whatever the root."""

    def __init__(self, broker: Mosquitto) -> None:
        """Prepare to listen."""
        self.topics: list[str] = []
        self._client = aiomqtt.Client(
            broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5, identifier="all"
        )

    async def __aenter__(self) -> list[str]:
        """Listen."""
        await self._client.__aenter__()
        await self._client.subscribe("#")
        self._task = asyncio.create_task(self._read())
        return self.topics

    async def __aexit__(self, *exc: object) -> None:
        """Stop."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._client.__aexit__(None, None, None)

    async def _read(self) -> None:
        async for message in self._client.messages:
            self.topics.append(str(message.topic))


def test_thousand_names() -> None:
    """Row 10: path → topic → path is the identity, one level each, no two alike."""
    names = hostile(1000)
    topics = set()
    for name in names:
        for element in (name, name.encode()):
            where = Path("device", element, "x")
            assert Path.from_topic(where.topic) == where
            assert Path.parse(str(where)) == where
            assert where.topic.count("/") == 2
            assert not {"+", "#", "\0"} & set(where.topic)
            topics.add(where.topic)
    assert len(topics) == 2 * len(names)
    for length in (65_535, 70_000):
        with pytest.raises((EncodeError, DecodeError)):
            Path.from_topic(Path("x" * length, "y").topic)


async def test_nothing_leaves_the_root(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, broker: Mosquitto
) -> None:
    """Row 10: commands to paths of hostile names arrive at those paths, below the root."""
    names = hostile(120)
    rows = []
    for number, name in enumerate(names):
        await peer.put(f"value.{number}", number)
        rows.append(
            point(
                f"p{number}",
                "number",
                f"value.{number}",
                name=f"P{number}",
                min=-1,
                max=1000,
                write={"path": cbor2.CBORTag(39, [name, "cmd"])},
            )
        )
    await peer.describe("box", *rows)
    root_marker = {"path": cbor2.CBORTag(39, [cbor2.CBORTag(32769, "R"), "..", "up"])}
    await peer.put("up", 1)
    marked = point("up", "number", "up", min=0, max=9, name="Up", write=root_marker)
    await peer.describe("rooted", marked)
    await until(lambda: state_of(hass, "number.rooted_up") == "1.0")
    issues = loaded.runtime_data.site.issues.get("box", [])
    shown = [n for n in range(len(names)) if state_of(hass, f"number.box_p{n}") == f"{n}.0"]
    assert len(shown) + len(issues) == len(names)
    assert len(shown) > 100  # what cannot be spelt in a topic is left out, and named
    async with Everything(broker) as topics:
        await asyncio.gather(
            *(command(hass, f"number.box_p{number}", number) for number in shown),
            command(hass, "number.rooted_up", 1),
        )
        wanted = {f"{ROOT}/{Path(names[number], 'cmd').topic}" for number in shown}
        wanted.add(f"{ROOT}/../up")  # two dots are a name like any other
        await until(lambda: wanted <= set(topics))
    assert all(topic.startswith(f"{ROOT}/") for topic in topics)


async def test_actions_stay_inside(
    hass: HomeAssistant, entry: MockConfigEntry, broker: Mosquitto
) -> None:
    """Row 10: the action `set` with paths that nobody should write: refused, or below the root."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={CONF_ALLOW_WRITE: [":"]})
    assert await hass.config_entries.async_setup(entry.entry_id)
    done: list[str] = []

    async def write(name: str) -> None:
        try:
            await hass.services.async_call(
                DOMAIN, "set", {"path": f"x.{name}.y", "value": 1}, blocking=True
            )
        except ServiceValidationError, vol.Invalid:
            return
        done.append(name)

    async with Everything(broker) as topics:
        await asyncio.gather(*(write(name) for name in hostile(400)))
        assert len(done) > 50
        wanted = {f"{ROOT}/{Path.parse(f'x.{name}.y').topic}" for name in done}
        await until(lambda: wanted <= set(topics))
    assert all(topic.startswith(f"{ROOT}/") for topic in topics)
    await hass.config_entries.async_unload(entry.entry_id)


async def test_unique_ids(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Row 10: no two points share a unique id; what is no id is no device."""
    await peer.put("v", 1)
    pairs = [("a", "b_c"), ("a_b", "c"), ("a_b_c", "d"), ("A", "b_c"), ("a-b", "c"), ("a", "b__c")]
    for device in dict.fromkeys(device for device, _ in pairs):
        rows = [point(key, "power", "v", name=key) for each, key in pairs if each == device]
        await peer.describe(device, *rows)
    for level in (":0", ":_", "a:_b", ":n", "..", "a b", "ü", "x" * 65, "a.b", ":", "$x", ":x00"):
        about = {"v": 1, "name": "Bad", "points": [point("p", "power", "v")]}
        await peer.raw(f"device/{level}", cbor2.dumps(about))
    await peer.raw("device/x/y", cbor2.dumps({"v": 1, "name": "Bad", "points": []}))
    registry = er.async_get(hass)

    def ids() -> list[str]:
        found = er.async_entries_for_config_entry(registry, ENTRY_ID)
        return [each.unique_id for each in found if each.original_device_class == "power"]

    await until(lambda: len(ids()) == len(pairs))
    await hass.async_block_till_done()
    assert len({*ids()}) == len(pairs)
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), ENTRY_ID)
    assert "Bad" not in {device.name for device in devices}


async def test_bad_utf8(hass: HomeAssistant, socket_enabled: None) -> None:
    """Row 10: a broker that passes on topics that are no text loses nothing but those."""
    go = asyncio.Event()
    description = {"v": 1, "name": "Meter", "points": [point("power", "power", "v")]}

    async def play(line: fake_broker.Peer) -> None:
        await line.accept()
        while True:
            head, body = await line.packet()
            if head >> 4 == 8:
                filters = _count_filters(body)
                line.send(fake_broker.packet(0x90, body[:2] + b"\0" + b"\0" * filters))
            elif head >> 4 == 10:
                filters = _count_filters(body, options=0)
                line.send(fake_broker.packet(0xB0, body[:2] + b"\0" + b"\0" * filters))
            elif head >> 4 == 12:
                line.send(fake_broker.PINGRESP)
            elif head >> 4 == 3 and head & 6:
                size = int.from_bytes(body[:2])
                line.send(fake_broker.packet(0x40, body[2 + size : 4 + size]))
            elif head >> 4 == 14:
                return
            if go.is_set():
                go.clear()
                for bad in (b"home/\xff\xfe", b"home/device/\xc3\x28", b"home/\xed\xa0\x80"):
                    line.send(fake_broker.publish(bad, b"\x01"))
                line.send(fake_broker.publish("home/v", cbor2.dumps(5)))
                line.send(fake_broker.publish("home/device/meter", cbor2.dumps(description)))
                line.send(fake_broker.publish("home/v", cbor2.dumps(7)))

    async with fake_broker.FakeBroker(play) as broker:
        entry = entry_for(broker)  # type: ignore[arg-type]
        await set_up(hass, entry)
        go.set()
        entry.runtime_data.link.publish(Path("wake"), 1)
        await until(lambda: state_of(hass, "sensor.meter_power") is not None)
        assert entry.runtime_data.link.status.connected
        await hass.config_entries.async_unload(entry.entry_id)


def _count_filters(body: bytes, options: int = 1) -> int:
    """Count the filters of a SUBSCRIBE (UNSUBSCRIBE: no options)."""
    at = 3 + body[2]
    count = 0
    while at < len(body):
        at += 2 + int.from_bytes(body[at : at + 2]) + options
        count += 1
    return count


async def test_two_bridges_one_id(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    broker: Mosquitto,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 11: two describe 50 points of the same device: the first keeps it, and the user is told."""
    async with Peer(broker, origin="second") as second:
        for one, name in ((peer, "first"), (second, "second")):
            await one.put(f"run.host.{name}.bridge", {"id": one.origin, "up": True})
            for number in range(50):
                await one.put(f"{name}.{number}", number + (1000 if one is second else 0))

        times = itertools.count(time.time(), 0.001)  # or else the two would overtake each other

        def rows(name: str) -> list:
            return [
                point(f"p{n}", "power", f"{name}.{n}", name=f"P{n}", write=setter(f"{name}.{n}.c"))
                | {"min": 0, "max": 2000}
                for n in range(50)
            ]

        async def describe(one: Peer, name: str, software: str) -> None:
            alive = path(f"run.host.{name}.bridge")
            about = {"v": 1, "name": name, "alive": alive, "software": software}
            await one.put("device.box", about | {"points": rows(name)}, when=next(times))

        await describe(peer, "first", "0")
        await until(lambda: state_of(hass, "number.first_p49") == "49.0")
        registry = er.async_get(hass)
        before = {*registry.entities}
        changed: list[str] = []
        hass.bus.async_listen(
            "state_changed", callback(lambda event: changed.append(event.event_type))
        )
        caplog.clear()
        for turn in range(1, 11):
            await describe(second, "second", str(turn))
            await describe(peer, "first", str(turn))
        issues = ir.async_get(hass)
        await until(lambda: issues.async_get_issue(DOMAIN, f"duplicate_box_{ENTRY_ID}"), 5)
        device = loaded.runtime_data.devices.device_entry("box")
        await until(lambda: loaded.runtime_data.devices.device_entry("box").sw_version == "10")  # type: ignore[union-attr]
        await hass.async_block_till_done()
        assert device is not None
        assert device.name == "first"
        assert {*registry.entities} == before
        assert changed == []
        assert [state_of(hass, f"number.first_p{n}") for n in range(50)] == [
            f"{n}.0" for n in range(50)
        ]
        about = issues.async_get_issue(DOMAIN, f"duplicate_box_{ENTRY_ID}")
        assert about is not None
        assert about.translation_placeholders is not None
        problem = about.translation_placeholders["problem"]
        assert "run.host.first.bridge" in problem
        assert "run.host.second.bridge" in problem
        assert len(lines(caplog)) <= 1
