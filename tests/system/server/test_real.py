"""Our server among the real ones, and with the real tools."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.meta import Meta
from tests.support.moat import MoatServer
from tests.support.wait import until

type Start = Callable[..., Any]


async def settled(real: MoatServer) -> Any:
    """Return what the real command line finds below home."""
    return await real.link("data", "home", "get", "-r")


async def test_real_command_line(serve: Start, real: MoatServer) -> None:
    """`moat link` works with ours as with its own."""
    server = await serve(socket=real.socket)
    await until(lambda: server.election.main)
    await real.link("data", "home.temp", "set", "-f", "-s", ":", "=21.5")
    await real.link("data", "home.lamp", "set", "-s", "on", "=True", "-s", "name", "~Küche")
    assert await real.ask("data", "home.temp", "get") == 21.5
    assert await real.ask("data", "home.lamp", "get") == {"on": True, "name": "Küche"}
    assert server.tree.store.find(["home", "temp"]).record.value == 21.5
    await real.link("data", "home.lamp", "delete")
    assert not server.tree.store.find(["home", "lamp"]).alive
    assert "乓" in await real.link("cmd", "i.ping", "1")
    server.tree.write(["error", "x"], {"msg": "trouble"}, Meta("x", time.time()))
    assert (await real.link("error", ":", "list")).split()[-1] == "x"
    async with real.monitor("home") as monitor:
        server.tree.write(["home", "temp"], 22, Meta("x", time.time()))
        await until(lambda: monitor.values("temp") == [22], timeout=10)


async def test_history_with_their_client(serve: Start, real: MoatServer) -> None:
    """What the real tools write is remembered, and the real client can read it."""
    server = await serve(socket=real.socket)
    await until(lambda: server.election.main)
    for value in ("=20", "=22"):
        await real.link("data", "home.temp", "set", "-f", "-s", ":", value)
    await real.link("data", "home.temp", "delete")
    async with real.program(Path(__file__).with_name("past.py"), "home.temp") as program:
        await until(lambda: program.said.count("---") == 2, timeout=20)
    values, samples = program.said[: program.said.index("---")], program.said[4:-1]
    assert [each[0] for each in values[:2]] == ["20", "22"]
    assert len(values) == 3
    assert [float(each[2]) for each in samples][-1] in (20, 22)


async def test_beside_a_real_one(serve: Start, real: MoatServer) -> None:
    """Ours stands back, has the same tree, takes over at a kill, and stands back again."""
    await asyncio.to_thread(real.start, first=True)
    await real.link("data", "home.a", "set", "-f", "-s", ":", "=5")
    ours = await serve()
    await until(lambda: "real" in ours.peers.agreed, timeout=10)
    assert ours.election.owner == "real"
    assert not ours.election.main
    await real.link("data", "home.b", "set", "-f", "-s", ":", "=6")
    await until(lambda: ours.tree.store.find(["home", "b"]))
    ours.tree.write(["home", "c"], 7, Meta("x", time.time()))
    ours.tree.write(["home", "a"], ABSENT, Meta("x", time.time()))
    found = await settled(real)
    async with asyncio.timeout(20):
        while "7" not in found or "!P a" in found:
            found = await settled(real)
    assert "b" in found
    await asyncio.to_thread(real.kill)
    await until(lambda: ours.election.main, timeout=15)
    await asyncio.to_thread(real.start)
    await until(lambda: not ours.election.main, timeout=30)
    assert await settled(real) == found


async def test_files_of_each_other(serve: Start, real: MoatServer, tmp_path: Any) -> None:
    """The real server starts from our files, and ours from its."""
    ours = await serve()
    for number in range(200):
        ours.tree.write(["home", f"n{number}"], {"v": number}, Meta("x", time.time()))
    meta = Meta("x", 5.0, ("more", None, 7), {"gw": "y"})
    ours.tree.write(["home", "full"], 1, meta)
    ours.tree.write(["home", "n5"], ABSENT, Meta("x", time.time()))
    ours.stop()
    await ours.task
    shutil.rmtree(real.save)
    shutil.copytree(tmp_path / "ours", real.save)
    await asyncio.to_thread(real.start)
    found = await settled(real)
    assert "n199" in found
    assert "n5:" not in found
    await real.link("data", "home.more", "set", "-f", "-s", ":", "=5")
    await real.link("data", "home.n6", "delete")
    await asyncio.to_thread(real.stop)
    shutil.rmtree(tmp_path / "ours")
    shutil.copytree(real.save, tmp_path / "ours")
    again = await serve()
    assert again.tree.store.find(["home", "more"]).record.value == 5
    assert again.tree.store.find(["home", "n7"]).record.value == {"v": 7}
    assert again.tree.store.find(["home", "full"]).record.unpack() == (1, meta)
    assert not again.tree.store.find(["home", "n5"]).alive
    assert not again.tree.store.find(["home", "n6"]).alive
