"""The real server and ours are asked the same, and say the same, except for what is listed."""

import asyncio
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.path import Path
from tests.support.moat import MoatServer
from tests.support.wait import until

from .cases import ALL, OURS
from .differential import join, play

type Start = Callable[..., Any]


@pytest.mark.timeout(240)
async def test_same_answers(serve: Start, real: MoatServer, tmp_path: File) -> None:
    """Every call of the table, in one row, as the calls build on each other."""
    await asyncio.to_thread(real.start, first=True)
    await serve(socket=tmp_path / "ours.sock", root=Path("elsewhere"))
    theirs, ours = await join(real.socket), await join(tmp_path / "ours.sock")
    differing = {}
    for case in ALL:
        there, here = await play(theirs, case), await play(ours, case)
        if there != here:
            differing[case.title] = (there, here)
    await theirs.close()
    await ours.close()
    assert {title: each for title, each in differing.items() if title not in OURS} == {}
    assert set(OURS) <= set(differing), "these do not differ any more"


async def test_calls_between_servers(serve: Start, real: MoatServer, tmp_path: File) -> None:
    """A client of ours and one of the real server call each other, with streams both ways."""
    await asyncio.to_thread(real.start, first=True)
    server = await serve(socket=tmp_path / "ours.sock")
    theirs, mine = await join(real.socket, "_theirs"), await join(tmp_path / "ours.sock", "_mine")
    await until(lambda: "real" in server.peers.agreed, timeout=10)
    await until(lambda: "real" in server.clients.names, timeout=10)
    for caller, owner, route in (
        (theirs, mine, ["srv", "ours", "cl", "_mine"]),
        (mine, theirs, ["srv", "real", "cl", "_theirs"]),
    ):
        asked = asyncio.create_task(owner.until(lambda frame: frame[1:2] == [["do", "it"]]))
        answer = asyncio.create_task(caller.call([*route, "do", "it"], 5, {"k": Path("a")}))
        frame: Any = (await asked)[-1]
        assert frame[2:] == [5, {"k": Path("a")}]
        owner.send([-frame[0] - 4, "done"])
        assert await answer == ["done"]
        caller.send([4001 * 4 + 1, [*route, "flow"]])
        frame = (await owner.until(lambda frame: frame[1:2] == [["flow"]]))[-1]
        back = -frame[0] - 2
        owner.send([back])
        await caller.until(lambda frame: frame[0] == -4002 * 4 + 1)
        for number in range(30):
            owner.send([back, number])
        heard = await caller.until(lambda frame: frame == [-4002 * 4 + 1, 19])
        caller.send([4001 * 4 + 3, 50])
        heard += await caller.until(lambda frame: frame == [-4002 * 4 + 1, 29])
        assert [each[1] for each in heard if each[0] == -4002 * 4 + 1] == [*range(30)]
        caller.send([4001 * 4 + 1, "up"])
        assert (await owner.until(lambda each, n=frame[0]: each[0] == n))[-1][1:] == ["up"]
        caller.send([4001 * 4, None])
        await owner.until(lambda each, n=frame[0]: each[0] == n - 1)
        owner.send([back - 1, "over"])
        last = (await caller.until(lambda each: each[0] in (-4002 * 4, -4002 * 4 + 2)))[-1]
        assert last[0] == -4002 * 4, last
        nobody = await caller.call([*route[:3], "_nobody", "x"])
        assert nobody[0] is None
    await theirs.close()
    await mine.close()
