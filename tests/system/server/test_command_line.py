"""Our command line with the real server."""

import asyncio
import json
from typing import Any

import pytest

from firmware_bridge.__main__ import main
from tests.support.moat import ROOT, MoatServer
from tests.support.mosquitto import Mosquitto


async def test_with_the_real_server(
    broker: Mosquitto, real: MoatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything but the history works; what the real tools write is shown, and the other way round."""

    async def ask(*words: str, code: int = 0) -> tuple[list[str], list[str]]:
        fixed = ["link", "--port", str(broker.port), "--root", ROOT]
        assert await asyncio.to_thread(main, [*fixed, *words]) == code
        said = capsys.readouterr()
        return said.out.splitlines(), said.err.splitlines()

    await asyncio.to_thread(real.start, first=True)
    await real.link("data", "home.temp", "set", "-f", "-s", ":", "=21.5")
    assert await ask("get", "--value", "home.temp") == (["21.5"], [])
    out, _ = await ask("set", "home.lamp", '{"on": true}')
    assert out == ['home.lamp = {"on": true}  stored by real']
    assert await real.ask("data", "home.lamp", "get") == {"on": True}
    out, _ = await ask("--json", "walk", "home")
    assert {each["path"]: each["value"] for each in map(json.loads, out)} == {
        "home.temp": 21.5,
        "home.lamp": {"on": True},
    }
    assert (await ask("list", "home"))[0] == ["temp", "lamp"]
    _, err = await ask("set", "home.lamp", "5", "--if-missing", code=1)
    assert err[0].startswith('home.lamp was not written: there is {"on": true} of ')
    _, err = await ask("get", "home.tmep", code=1)
    assert err == ["nothing at home.tmep; there is home.temp"]
    _, err = await ask("history", "home.temp", code=1)
    assert err[0] == "the server real keeps no history"
    assert "moat-bridge server --history" in err[1]
    await errors(ask, real)
    assert (await ask("delete", "-r", "home"))[0] == ["home deleted and what is below: 2 in all"]
    assert "temp" not in str(await real.link("data", ":", "get", "-r"))


async def errors(ask: Any, real: MoatServer) -> None:
    await real.link("cmd", "e.info", ".plant.fan", "~x", "-s", "msg", "~dusty", "-s", "level", "=2")
    out, _ = await ask("errors")
    assert out[0].startswith("warning  plant.fan  dusty  since 20")
    assert (await ask("errors", "ack", "plant.fan"))[0] == ["plant.fan acknowledged"]
    assert (await ask("errors"))[0] == ["No errors."]
    assert (await ask("errors", "clear", "plant.fan"))[0] == ["plant.fan cleared"]
    assert (await ask("errors", "--all"))[0] == ["No errors."]
