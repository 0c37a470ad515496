"""docs/wire.md says what the code does, and its examples run as they stand there."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import Value
from firmware_bridge.link.describe import MAX_PARTS, MAX_POINTS, DeviceDescription, parse_device
from firmware_bridge.link.errors import RefusedError
from firmware_bridge.link.fields import LEVEL_LIMIT, PATH_LIMIT, TEXT_LIMIT
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.points import MAX_OPTIONS
from firmware_bridge.link.quantity import QUANTITIES, Kind, Quantity
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.history import HistoryConfig
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.server import Server, serving
from tests.support.installation import ROOT, link
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

TEXT = (File(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
THERMOMETER, RELAYS, BATTERY, HISTORY = range(4)


def program(number: int) -> dict[str, Any]:
    """Load one of the Python programs."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(PROGRAMS[number], f"wire.md:{number}", "exec"), names)
    return names


@asynccontextmanager
async def running(number: int, broker: Mosquitto) -> AsyncIterator[None]:
    """Run one of the programs."""
    names = program(number)
    names.update(BROKER=broker.host, PORT=broker.port, ROOT=ROOT.topic)
    task = asyncio.create_task(names["main"]())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


class Seen(dict[str, Value]):
    """The last value of every topic."""

    def follow(self, one: Link) -> None:
        one.watch(Path(), lambda message: self.update({message.topic: message.value}))

    def device(self, name: str) -> DeviceDescription:
        device, issues = parse_device(name, self[f"device/{name}"])
        assert issues == []
        return device


@pytest.mark.parametrize("quantity", Quantity)
def test_every_quantity_is_listed(quantity: Quantity) -> None:
    info = QUANTITIES[quantity]
    if info.kind is Kind.NUMBER and info.family is None:
        units = ", ".join(unit or "*(none)*" for unit in info.units) + " †" * info.any_unit
        assert f"| `{quantity}` | {units} | {', '.join(info.state_classes)} |\n" in TEXT
    elif info.kind is Kind.BOOLEAN and info.family is None:
        assert re.search(rf"\| `{quantity}` \| [^|`]+ \|", TEXT)
    else:
        assert f"| `{quantity}` | {info.kind} |" in TEXT


def test_nothing_else_is_listed() -> None:
    table = TEXT.partition("### Quantities")[2].partition("### Lights")[0]
    assert set(re.findall(r"\| `(\w+)`", table)) == set(Quantity)


def test_limits() -> None:
    assert (
        f"{MAX_POINTS} points, {MAX_PARTS} parts, {MAX_OPTIONS} options, "
        f"texts of {TEXT_LIMIT} characters, paths of {PATH_LIMIT} (and {LEVEL_LIMIT} elements)."
        in TEXT
    )


@pytest.mark.parametrize(("number", "points"), [(THERMOMETER, 1), (RELAYS, 3), (BATTERY, 14)])
def test_the_examples_are_right(number: int, points: int) -> None:
    device, issues = parse_device("box", program(number)["DEVICE"])
    assert issues == []
    assert len(device.points) == points


async def test_the_thermometer(broker: Mosquitto) -> None:
    seen = Seen()
    async with link(broker) as one:
        seen.follow(one)
        async with running(THERMOMETER, broker):
            await until(lambda: "home/hall/temperature" in seen)
        assert seen.device("hall").alive == Path("home", "hall", "alive")
        assert seen["home/hall/alive"] is True
        message = await one.get(Path("home", "hall", "temperature"))
        assert message.meta.origin == "hall-thermometer"
        assert isinstance(message.value, float)


async def test_the_relay_board(broker: Mosquitto) -> None:
    seen = Seen()
    async with link(broker) as one:
        seen.follow(one)
        async with running(RELAYS, broker):
            await until(lambda: "run/host/cellar/relays" in seen)
            service = Path("run", "host", "cellar", "relays")
            assert seen.device("relays").alive == service
            await one.call(service, ["set"], "2", True)
            await until(lambda: seen["cellar/relays"] == {"1": True, "2": True})
            await one.call(service, ["set"], "2", False)
            await one.call(service, ["set"], "1", False)
            with pytest.raises(RefusedError, match="no fan without the pump"):
                await one.call(service, ["set"], "2", True)
            await until(lambda: seen["cellar/relays"] == {"1": False, "2": False})


async def test_the_battery(broker: Mosquitto) -> None:
    seen = Seen()
    async with link(broker) as one:
        seen.follow(one)
        async with running(BATTERY, broker):
            await until(lambda: "ems/bat/main/cells/out" in seen)
        device = seen.device("battery")
        assert len(device.parts) == 4
        paths = {point.path.topic for point in device.points if point.path is not None}
        assert paths - set(seen) == {"ems/bat/main/limit"}


async def test_the_history(
    broker: Mosquitto, tmp_path: File, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our server answers as it says."""
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=ROOT,
        name="srv",
        listeners=(Listener(port=0),),
        history=HistoryConfig(file=tmp_path / "h.db", keep={"": Keep()}),
    )
    names = program(HISTORY)
    async with serving(Server(config)) as server:
        names.update(SERVER=server.addresses[0][0], PORT=server.addresses[0][1])
        with pytest.raises(RuntimeError, match="step is at least"):
            await asyncio.to_thread(ask, names, None, None, None, -5)
        now = time.time()
        for back, power in ((100_000, 500), (1_800 + now % 900, 900)):
            server.tree.write(["ems", "house", "power"], power, Meta("me", now - back))
        await asyncio.to_thread(names["main"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) in (96, 97)
    assert all("   500.0 W, 500.0 to 500.0, 0 readings" in line for line in lines[:-3])
    assert all("   900.0 W, 900.0 to 900.0, 1 readings" in line for line in lines[-3:-2])
    assert all("   900.0 W, 900.0 to 900.0, 0 readings" in line for line in lines[-2:])


def ask(names: dict[str, Any], *arguments: Any) -> None:
    with names["Server"](names["SERVER"], names["PORT"]) as server:
        server.stream(["d", "hist"], names["PATH"], *arguments)


def test_the_heat_pump_of_the_guide() -> None:
    guide = (File(__file__).parents[2] / "docs" / "add-a-device.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```\n(.*?)```", guide, re.DOTALL)
    device, issues = parse_device("pump", json.loads(block))
    assert issues == []
    assert [point.key for point in device.points] == ["run", "load", "cop", "override"]


def test_the_first_description_is_the_programs() -> None:
    block = TEXT.partition("`device/hall`:\n\n```\n")[2].partition("```")[0]
    assert json.loads(block) == program(THERMOMETER)["DEVICE"]
