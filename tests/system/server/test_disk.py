"""A disk that is full, read-only, or gone: serving goes on, that is told, and everything is saved later."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server import journal as journal_module
from firmware_bridge.server.config import ServerConfig
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.loader import Loaded, load
from firmware_bridge.server.server import Server
from firmware_bridge.server.store import Store
from tests.support.installation import ROOT, other
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until

TOPIC = "error/link/server/small/disk"
SIZE = 1 << 20


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@pytest.fixture
def small(tmp_path: File) -> Iterator[File]:
    """Mount a disk of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place))
    except (OSError, subprocess.CalledProcessError) as err:
        pytest.skip(f"mounting is not allowed here: {err}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
async def keep(
    broker: Mosquitto, small: File, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """Return what runs a server that keeps its data there."""
    monkeypatch.setattr(journal_module, "_RETRY", 0.05)

    def make() -> Server:
        return Server(
            ServerConfig(
                broker=BrokerConfig(host=broker.host, port=broker.port),
                root=ROOT,
                name="small",
                listeners=(),
                journal=JournalConfig(directory=small / "save", flush=0.001, sync=0.05),
            )
        )

    return make


def saved(directory: File) -> tuple[dict[str, Any], Loaded]:
    """Read what the files say."""
    store = Store()
    loaded = load(
        directory, lambda levels, value, meta: void(store.merge(levels, encode(value), meta))
    )
    found = {}
    path: list[str] = []
    for kept, added, record in store.walk(["n"]):
        path = path[:kept] + added
        found["/".join(path)] = record.value
    return found, loaded


def void(_: object) -> None:
    """Return nothing."""


async def test_full(keep: Any, small: File, broker: Mosquitto) -> None:
    """Nothing is lost in memory; the broker is told everything; when there is room, all is saved."""
    server = keep()
    async with running(server.run()) as task, other(broker) as peer:
        await until(server.serving.is_set, timeout=15)
        server.tree.write(["n", "before"], 1, Meta("x", 1.0))
        await until(lambda: saved(small / "save")[0] == {"before": 1})
        filler = small / "filler"
        with filler.open("wb", buffering=0) as target, pytest.raises(OSError, match="space"):
            while True:
                target.write(bytes(4096))
        for number in range(2000):
            server.tree.write(["n", str(number)], "x" * 50, Meta("x", 2.0))
        await until(lambda: peer.last(TOPIC) is not ABSENT)
        said: Any = peer.last(TOPIC)
        assert "No space" in said["msg"]
        await until(lambda: peer.last("n/1999") == "x" * 50)
        server.tree.write(["n", "meanwhile"], 2, Meta("x", 3.0))
        await until(lambda: peer.last("n/meanwhile") == 2)
        filler.unlink()
        await until(lambda: peer.last(TOPIC) is ABSENT)
        await until(lambda: len(saved(small / "save")[0]) == 2002)
        found, loaded = saved(small / "save")
        assert found["meanwhile"] == 2
        assert loaded.complete
        assert loaded.problem is None
        server.stop()
        await task
    assert not list(small.rglob("*.tmp"))


async def test_too_small_for_all(keep: Any, small: File, broker: Mosquitto) -> None:
    """What does not fit as a whole leaves what fitted before as it was."""
    server = keep()
    async with running(server.run()) as task, other(broker) as peer:
        await until(server.serving.is_set, timeout=15)
        server.tree.write(["n", "before"], 1, Meta("x", 1.0))
        await until(lambda: saved(small / "save")[0] == {"before": 1})
        for number in range(40):
            server.tree.write(["n", str(number)], "x" * 30_000, Meta("x", 2.0))
        await until(lambda: peer.last(TOPIC) is not ABSENT)
        assert saved(small / "save")[0]["before"] == 1
        for number in range(40):
            server.tree.write(["n", str(number)], ABSENT, Meta("x", 3.0))
        await until(lambda: peer.last(TOPIC) is ABSENT, timeout=15)
        await until(lambda: saved(small / "save")[0] == {"before": 1})
        server.stop()
        await task


async def test_read_only(keep: Any, small: File, broker: Mosquitto) -> None:
    """A disk that has become read-only, as worn cards do, at the start or later."""
    server = keep()
    async with running(server.run()) as task, other(broker) as peer:
        await until(server.serving.is_set, timeout=15)
        server.tree.write(["n", "before"], 1, Meta("x", 1.0))
        await until(lambda: saved(small / "save")[0] == {"before": 1})
        server.stop()
        await task
        mount("-o", "remount,ro", str(small))
        again = keep()
        async with running(again.run()) as task:
            await until(again.serving.is_set, timeout=15)
            assert again.tree.store.find(["n", "before"]).alive
            again.tree.write(["n", "more"], 2, Meta("x", 2.0))
            await until(lambda: peer.last(TOPIC) is not ABSENT)
            await until(lambda: peer.last("n/more") == 2)
            mount("-o", "remount,rw", str(small))
            await until(lambda: peer.last(TOPIC) is ABSENT)
            await until(lambda: saved(small / "save")[0] == {"before": 1, "more": 2})
            again.stop()
            await task


async def test_directory_removed(keep: Any, small: File, broker: Mosquitto) -> None:
    """Somebody removes everything: with the next change it is all there again."""
    server = keep()
    async with running(server.run()) as task:
        await until(server.serving.is_set, timeout=15)
        server.tree.write(["n", "before"], 1, Meta("x", 1.0))
        await until(lambda: saved(small / "save")[0] == {"before": 1})
        shutil.rmtree(small / "save")
        server.tree.write(["n", "after"], 2, Meta("x", 2.0))
        await until(lambda: saved(small / "save")[0] == {"before": 1, "after": 2})
        assert os.listdir(small / "save")  # noqa: PTH208
        server.stop()
        await asyncio.wait_for(task, 10)


async def test_told_and_not_taken_back(keep: Any, broker: Mosquitto) -> None:
    """What was reported by a server that is gone is taken back by the next, if all is well."""
    async with other(broker) as peer:
        await peer.say(TOPIC, {"msg": "full", "level": 4}, time=5.0)
        server = keep()
        async with running(server.run()) as task:
            await until(lambda: peer.last(TOPIC) is ABSENT, timeout=15)
            server.stop()
            await task
