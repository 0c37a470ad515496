"""What values were."""

from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server import history as history_module
from firmware_bridge.server.config import ServerConfigError, ServerOptions
from firmware_bridge.server.history import History, HistoryConfig
from firmware_bridge.server.records import pack
from tests.bridge.server.clock import StoppedClock
from tests.support.running import running
from tests.support.wait import until

NOW = 1_800_000_000.0


def keep(history: History, name: str, value: Any, time: float) -> None:
    history.append(name.split("."), pack(encode(value), Meta("me", time)), time)


async def values(history: History, name: str, *args: Any) -> list[Any]:
    return [record.value async for _, record in history.read(name.split("."), *args)]


async def test_range_and_newest(tmp_path: File) -> None:
    """Only below the prefixes, never below run; in order, within the times, or the newest few."""
    config = HistoryConfig(file=tmp_path / "new" / "h.db", keep={"a": 100.0, "run": 100.0})
    history = History(config, StoppedClock())
    for number in range(2500):
        keep(history, "a.b", number, NOW + number)
    keep(history, "ab", 1, NOW)
    keep(history, "run.x", 1, NOW)
    assert await values(history, "a.b", 0, 1e12) == list(range(2500))
    assert await values(history, "a.b", NOW + 5, NOW + 8) == [5, 6, 7]
    assert await values(history, "a.b", 0, NOW + 100, 3) == [97, 98, 99]
    assert await values(history, "ab", 0, 1e12) == []
    assert await values(history, "run.x", 0, 1e12) == []
    await history.close()
    again = History(config, StoppedClock())
    assert len(await values(again, "a.b", 0, 1e12)) == 2500
    await again.close()


async def test_retention(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """By age, each prefix its own; and by size."""
    monkeypatch.setattr(history_module, "_BATCH", 0.01)
    clock = StoppedClock(NOW)
    config = HistoryConfig(
        file=tmp_path / "h.db", keep={"a": 100.0, "a/long": 1000.0}, size=100_000
    )
    history = History(config, clock)
    for name in ("a.x", "a.long.x"):
        for age in (50, 500, 5000):
            keep(history, name, age, NOW - age)
    async with running(history.run()):
        await until(lambda: not history._waiting)
        clock.advance(1)
    await history._guarded(history._clean)
    assert await values(history, "a.x", 0, 1e12) == [50]
    assert await values(history, "a.long.x", 0, 1e12) == [500, 50]
    for number in range(2000):
        keep(history, "a.x", "x" * 100, NOW - number / 100)
    await history.flush()
    await history._guarded(history._clean)
    left = await values(history, "a.x", 0, 1e12)
    assert 0 < len(left) < 1500
    await history.close()


async def test_trouble(tmp_path: File) -> None:
    """A disk that fails is told once, and costs nothing but the history."""
    (tmp_path / "file").write_text("")
    history = History(
        HistoryConfig(file=tmp_path / "file" / "h.db", keep={"": 1.0}), StoppedClock()
    )
    keep(history, "a", 1, NOW)
    await history.flush()
    assert history.problem is not None
    assert await values(history, "a", 0, 1e12) == []
    await history.close()


async def test_command(serve: Callable[..., Any], join: Callable[..., Any], tmp_path: File) -> None:
    """All values, the newest, samples of a number in a map."""
    plain = await serve("plain")
    caller = await join(plain)
    assert (await caller.call(["d", "hist"], Path("a")))[1].name == "_ValErr"
    server = await serve(history=HistoryConfig(file=tmp_path / "h.db", keep={"": 1e12}))
    caller = await join(server)
    for number in range(10):
        server.tree.write(["a"], {"v": [number]}, Meta("me", NOW + number))
    server.tree.write(["a"], ABSENT, Meta("me", NOW + 20))
    server.tree.write(["a"], {"v": [True]}, Meta("me", NOW + 21))
    assert await caller.stream(["d", "hist"], Path("a"), NOW, NOW + 2) == [
        [{"v": [0]}, "me", NOW],
        [{"v": [1]}, "me", NOW + 1],
    ]
    newest = await caller.stream(["d", "hist"], Path("a"), {"n": 2})
    assert [item[2] for item in newest] == [NOW + 20, NOW + 21]
    samples = await caller.stream(["d", "hist"], Path("a"), NOW, {"step": 5, "item": ["v", 0]})
    assert samples == [[NOW, 2.0, 0.0, 4.0, 5], [NOW + 5, 7.0, 5.0, 9.0, 5]]
    assert await caller.stream(["d", "hist"], Path("a"), {"step": 5, "item": "x"}) == []
    assert (await caller.call(["d", "hist"], Path("a"), {"step": 0}))[1].name == "_rErr"


def test_options(tmp_path: File) -> None:
    broker, root = BrokerConfig(host="x"), Path("r")
    config = ServerOptions(save=tmp_path, history={"ems": 2, ":": 1}).on(broker, root)
    assert config.history is not None
    assert config.history.keep == {"ems": 172800.0, "": 86400.0}
    with pytest.raises(ServerConfigError, match="directory"):
        ServerOptions(history={"ems": 2}).on(broker, root)
    with pytest.raises(ServerConfigError, match="history"):
        ServerOptions(save=tmp_path, history={"a:": 2}).on(broker, root)
