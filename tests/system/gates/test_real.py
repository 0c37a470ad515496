"""Our gates and the real ones: the same entries, the same results, one after the other."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from firmware_bridge.link.path import Path
from tests.support.gates import Insider, Outsider, driven, entry, runs
from tests.support.moat import MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import ROOT

JSON = {
    "decode": "import json\nreturn json.loads(value)",
    "encode": "import json\nreturn json.dumps(value)",
    "kind": "json",
}
ONOFF = {
    "decode": "return {b'ON':True,b'OFF':False}[bytes(value)]",
    "encode": "return 'ON' if value else 'OFF'",
    "in": [["ON", True], ["OFF", False]],
    "out": [[True, "ON"], [False, "OFF"]],
    "kind": "bool",
    "true": "ON",
    "false": "OFF",
}
FLOAT = {"decode": "return float(value)", "encode": "return str(value)", "kind": "number"}


def real_gates(real: MoatServer) -> AbstractAsyncContextManager[Any]:
    """Run the real gates until the end of the context."""
    return real.process("gate", ":", "run")


@asynccontextmanager
async def driving(who: str, real: MoatServer, broker: Mosquitto) -> AsyncIterator[None]:
    """Run our gates, or the real ones."""
    ours = driven(broker, ROOT)
    async with {"ours": ours, "real": real_gates(real)}[who]:
        yield


async def set_up(inside: Insider, outside: Outsider) -> None:
    """Write two gates, the table that serves both ours and theirs, and some values."""
    for name, codec in (("json", JSON), ("onoff", ONOFF), ("num.float", FLOAT)):
        await inside.set(f"codec.{name}", codec)
    rows = {
        ("+", "POWER"): Path("onoff"),
        ("#",): Path("json"),
        ("+", "t"): Path("num", "float"),
        ("+", "drop"): "null",
    }
    for pattern, codec in rows.items():
        await inside.link.set(Path("conv", "tas", *pattern), {"codec": codec})
    values = {
        "home.temp": 23.5,
        "tas.lamp.POWER": True,
        "tas.lamp.t": 20.25,
        "tas.lamp.drop": 1,
        "tas.lamp.other": {"a": 1},
        "tas.both": "moat",
    }
    for path, value in values.items():
        await inside.set(path, value)
    for topic, payload in (
        ("tas/fan/POWER", "OFF"),
        ("tas/fan/t", "7.5"),
        ("tas/fan/drop", "1"),
        ("tas/fan2/POWER", "BAD"),
        ("js/pre", '{"k":[1,null,true]}'),
        ("tas/both", '"ext"'),
    ):
        await outside.say(f"ext/{topic}", payload)
    await inside.set("gate.js", entry(timeout=0.5))
    await inside.set("gate.tas", entry("tas", "ext.tas", codec=Path("tas"), timeout=0.5))


async def both_run(inside: Insider) -> None:
    """Wait for both gates."""
    await runs(inside, "js", 60)
    await runs(inside, "tas", 60)


@pytest.mark.parametrize("who", ["real", "ours"])
async def test_same_entries_same_results(
    who: str, real: MoatServer, broker: Mosquitto, inside: Insider, outside: Outsider
) -> None:
    """A table with program text for them and kinds for us means the same to both."""
    await set_up(inside, outside)
    async with driving(who, real, broker):
        await both_run(inside)
        await until(lambda: outside.payloads("ext/tas/lamp/POWER") == [b"ON"])
        await until(lambda: outside.payloads("ext/js/temp") == [b"23.5"])
        assert outside.payloads("ext/tas/lamp/t") == [b"20.25"]
        assert outside.payloads("ext/tas/lamp/other") == [b'{"a": 1}']
        assert outside.payloads("ext/tas/lamp/drop") == []
        assert all(each.text for each in outside.heard if "/lamp/" in each.topic)
        await until(lambda: inside.value("tas.fan.POWER") is False)
        await until(lambda: inside.value("home.pre") == {"k": [1, None, True]})
        assert inside.value("tas.fan.t") == 7.5
        assert inside.value("tas.both") == "ext"
        assert inside.message("tas.fan.drop") is None
        assert inside.message("tas.fan2.POWER") is None
        await outside.say("ext/tas/lamp/POWER", "OFF")
        await until(lambda: inside.value("tas.lamp.POWER") is False)
        await inside.set("tas.lamp.POWER", True)
        await until(lambda: outside.payloads("ext/tas/lamp/POWER") == [b"ON", b"OFF", b"ON"])
        await outside.say("ext/tas/fan/t", b"")
        await until(lambda: inside.message("tas.fan.t") is None)
        await inside.delete("tas.lamp.t")
        await until(lambda: outside.payloads("ext/tas/lamp/t")[1:] == [b""])
        meta = inside.message("tas.fan.POWER")
        assert meta is not None
        assert meta.meta.origin == "GATE.tas"
        assert outside.heard[-1].meta is not None
        assert outside.heard[-1].meta.startswith("GATE.tas\\")


async def test_takeover_both_ways(
    real: MoatServer, broker: Mosquitto, inside: Insider, outside: Outsider
) -> None:
    """Ours waits for the real gates and takes over when they are killed, and the other way round."""
    await set_up(inside, outside)
    async with real_gates(real) as process:
        await both_run(inside)
        async with driven(broker, ROOT) as gates:
            await until(lambda: [each.state for each in gates.jobs.values()] == ["waiting"] * 2, 10)
            process.kill()
            await until(lambda: {each.state for each in gates.jobs.values()} == {"running"}, 40)
            assert inside.value("tas.fan.POWER") is False
            heard = len(outside.heard)
            await inside.set("home.temp", 24)
            await until(lambda: outside.payloads("ext/js/temp")[-1] == b"24")
            assert len(outside.heard) == heard + 1  # nothing else was said again
            async with real_gates(real):
                await until(lambda: inside.value("run.host.gate.js"), 20)
                await inside.set("home.temp", 25)
                await until(lambda: outside.payloads("ext/js/temp")[-1] == b"25")
                ours = _owner(inside, "js")
                for name in ("js", "tas"):
                    await inside.set(f"run.stop.gate.{name}", {"reason": "test"}, retain=False)
                await until(lambda: _owner(inside, "js") not in {ours, None}, 30)
                await until(lambda: _owner(inside, "tas") not in {ours, None}, 30)
                await both_run(inside)
                await inside.set("home.temp", 26)
                await until(lambda: outside.payloads("ext/js/temp")[-1] == b"26")
                await outside.say("ext/tas/fan/POWER", "ON")
                await until(lambda: inside.value("tas.fan.POWER") is True)


async def test_the_real_one_takes_over_when_ours_is_killed(
    real: MoatServer, broker: Mosquitto, inside: Insider, outside: Outsider
) -> None:
    """A killed process leaves its announcement; the real gates are not fooled by it."""
    await set_up(inside, outside)
    ours = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware_bridge", "gates"),
        *("--port", str(broker.port), "--root", str(ROOT)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await both_run(inside)
        dead = _owner(inside, "js")
        async with real_gates(real):
            await inside.set("home.temp", 24)
            await until(lambda: outside.payloads("ext/js/temp")[-1:] == [b"24"])
            ours.kill()
            await ours.wait()
            await until(lambda: _owner(inside, "js") not in {dead, None}, 60)
            await both_run(inside)
            await inside.set("home.temp", 25)
            await until(lambda: outside.payloads("ext/js/temp")[-1:] == [b"25"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            ours.kill()
        await ours.wait()


def _owner(inside: Insider, name: str) -> object:
    said = inside.value(f"run.host.gate.{name}")
    return said.get("id") if isinstance(said, dict) else None


async def test_real_command_line_writes_a_gate(
    real: MoatServer, broker: Mosquitto, inside: Insider, outside: Outsider
) -> None:
    """What `moat link gate … set` writes is driven by ours."""
    async with driven(broker, ROOT):
        settings = {"src": ".home", "dst": ".ext.js", "codec": "~json"}
        words = [word for key, value in settings.items() for word in ("-s", key, value)]
        await real.link("gate", "js", "set", "-d", "mqtt", *words)
        await runs(inside, "js", 20)
        await inside.set("home.a", [1])
        await until(lambda: outside.payloads("ext/js/a") == [b"[1]"])
