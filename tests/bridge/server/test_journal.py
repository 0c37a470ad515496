"""The journal: what was written is there again, whatever happens to files and disk."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.clock import SystemClock
from firmware_bridge.link.codec import encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.server import segment as segment_module
from firmware_bridge.server.journal import Journal, JournalConfig
from firmware_bridge.server.loader import Loaded, load
from firmware_bridge.server.lock import LockedError
from firmware_bridge.server.savefile import read
from firmware_bridge.server.segment import Segment
from firmware_bridge.server.store import Store
from tests.bridge.server.clock import StoppedClock
from tests.support.running import running
from tests.support.wait import until


class Keeper:
    """A store and its journal."""

    def __init__(self, directory: File, clock: Any = None, **options: Any) -> None:
        self.clock = clock or StoppedClock()
        self.store = Store()
        self.reports: list[str | None] = []
        config = JournalConfig(
            directory=directory, **{"sync": 0.01, "flush": 0.001, "rotate": 10.0, **options}
        )
        self.journal = Journal(
            config, self.clock, snapshot=self.snapshot, report=self.reports.append
        )

    def snapshot(self) -> Iterator[tuple[list[str], Any]]:
        path: list[str] = []
        for kept, added, record in self.store.walk([], deleted=True):
            path = path[:kept] + added
            yield path, record

    def load(self) -> Loaded:
        return self.journal.load(lambda levels, value, meta: self.apply(levels, value, meta))

    def apply(self, levels: list[str], value: Any, meta: Meta) -> None:
        self.store.merge(levels, encode(value), meta)

    def write(self, name: str, value: Any) -> None:
        time = getattr(self.clock, "now", 0.0) + value / 1000
        levels = name.split(".")
        self.store.merge(levels, encode(value), Meta("me", time))
        node = self.store.find(levels)
        assert node is not None
        assert node.record is not None
        self.journal.append(levels, node.record)

    def values(self) -> dict[str, Any]:
        found = {}
        path: list[str] = []
        for kept, added, record in self.store.walk([]):
            path = path[:kept] + added
            found[".".join(path)] = record.value
        return found

    def files(self) -> list[File]:
        return [
            self.journal._config.directory / name for chain in self.journal.files for name in chain
        ]


@asynccontextmanager
async def keeping(directory: File, clock: Any = None, **options: Any):
    keeper = Keeper(directory, clock, **options)
    keeper.loaded = keeper.load()  # type: ignore[attr-defined]
    keeper.journal.start()
    try:
        async with running(keeper.journal.run()):
            await until(lambda: keeper.files() and not keeper.journal._stale)
            yield keeper
    finally:
        keeper.journal.close("Shutdown")


def content(file: File) -> bytes:
    return file.read_bytes() if file.exists() else b""


async def test_written_and_read_again(tmp_path: File) -> None:
    """A new directory gets a full file; the next start finds everything, and goes on."""
    clock = StoppedClock()
    async with keeping(tmp_path / "new", clock) as keeper:
        for number in range(20):
            keeper.write(f"a.{number}", number)
        (file,) = keeper.files()
        await until(lambda: content(file).count(b"bme") == 20 or len(content(file)) > 300)
    contents = read(file.read_bytes(), lambda *_: None)
    assert contents.complete
    assert contents.ended
    assert contents.entries == 20
    clock.advance(5)
    async with keeping(tmp_path / "new", clock) as again:
        assert again.loaded.complete
        assert again.loaded.entries == 20
        assert again.values() == keeper.values()
        assert [len(chain) for chain in again.journal.files] == [2], "it goes on"
        again.write("a.5", 99)
    third = Keeper(tmp_path / "new", clock)
    third.load()
    assert third.values() == {**keeper.values(), "a.5": 99}
    third.journal.close("")


async def test_private(tmp_path: File) -> None:
    """What others on the machine may not read; a directory that is there stays as it is."""
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    shared.chmod(0o755)
    for directory, mode in ((tmp_path / "new", 0o700), (shared, 0o755)):
        async with keeping(directory) as keeper:
            keeper.write("a", 1)
            await until(lambda: keeper.journal.files)
        assert directory.stat().st_mode & 0o777 == mode
        files = [each for each in directory.rglob("*") if each.is_file()]
        assert files
        assert {each.stat().st_mode & 0o777 for each in files} == {0o600}


async def test_rotation_and_compaction(tmp_path: File) -> None:
    """Segments follow each other; after some, the tree is written anew; old chains go."""
    clock = StoppedClock()
    async with keeping(tmp_path, clock, rewrite=3, keep=2) as keeper:
        number = 0
        while len(keeper.journal.files) < 2 or len(keeper.journal.files[-1]) < 3:
            before = keeper.files()
            keeper.write("x", number := number + 1)
            clock.advance(11)
            await until(lambda before=before: keeper.files() != before)
        first = keeper.files()[0]
        while first in keeper.files():
            before = keeper.files()
            keeper.write("x", number := number + 1)
            clock.advance(11)
            await until(lambda before=before: keeper.files() != before)
        await until(lambda: not first.exists())
    kept = keeper.files()
    assert sorted(tmp_path.rglob("*.moat")) == kept
    chain = [read(file.read_bytes(), lambda *_: None) for file in kept]
    assert all(contents.ended for contents in chain)
    assert [contents.mode for contents in chain[:4]] == ["full", "incr", "incr", "full"]
    assert [contents.prev for contents in chain[1:]] == [
        file.relative_to(tmp_path).as_posix() for file in kept[:-1]
    ]
    store = Keeper(tmp_path, clock)
    store.load()
    assert store.values() == {"x": number}
    store.journal.close("")


async def test_large_segment_ends_early(tmp_path: File) -> None:
    async with keeping(tmp_path, size=1000) as keeper:
        keeper.write("a", 1)
        await until(lambda: keeper.files()[-1].stat().st_size > 100)
        for number in range(100):
            keeper.write(f"b{number}", number)
        await until(lambda: len(keeper.files()) > 1)


async def test_nothing_to_rotate(tmp_path: File) -> None:
    """An idle segment goes on."""
    clock = StoppedClock()
    async with keeping(tmp_path, clock) as keeper:
        current = keeper.journal._current
        assert current is not None
        clock.advance(11)
        await until(lambda: current.begun == clock.monotonic())
        assert len(keeper.files()) == 1


async def test_synced_at_once(tmp_path: File) -> None:
    """No interval at all: every change is synced as soon as it is written, and nothing is in between."""
    async with keeping(tmp_path, SystemClock(), sync=0.0) as keeper:
        current = keeper.journal._current
        assert current is not None
        before = current.safe
        keeper.write("a", 1)
        await until(lambda: current.safe > before)
        assert current.safe == current.size


async def test_torn_tail_is_cut(tmp_path: File) -> None:
    clock = StoppedClock()
    async with keeping(tmp_path, clock) as keeper:
        keeper.write("a", 1)
        (file,) = keeper.files()
    good = file.stat().st_size
    with file.open("ab") as target:
        target.write(b"\x85\x00\xd8")
    loaded = load(tmp_path, lambda *_: None)
    assert loaded.complete
    assert not loaded.damaged
    assert file.stat().st_size == good


async def test_damaged_file(tmp_path: File) -> None:
    """It is reported, read as far as it goes, and put aside as soon as everything is safe."""
    clock = StoppedClock()
    async with keeping(tmp_path, clock) as keeper:
        keeper.write("a", 1)
        (file,) = keeper.files()
    with file.open("ab") as target:
        target.write(b"\xff" * 20)
    (tmp_path / "other.moat").write_bytes(b"\xff\xff")
    (tmp_path / "empty.moat").write_bytes(b"")
    clock.advance(1)
    async with keeping(tmp_path, clock) as again:
        assert again.values() == {"a": 1}
        assert set(again.loaded.damaged) == {"other.moat", file.relative_to(tmp_path).as_posix()}
        await until(lambda: not file.exists())
        assert file.with_suffix(".moat.bad").exists()
        assert (tmp_path / "other.moat.bad").exists()


async def test_incomplete_chain(tmp_path: File) -> None:
    """Without its full file, a segment counts for what it has, and older files are read, too."""
    clock = StoppedClock()
    async with keeping(tmp_path, clock) as keeper:
        keeper.write("a", 1)
        keeper.write("b", 2)
        await until(lambda: not len(keeper.journal._current._pending))
        clock.advance(11)
        await until(lambda: len(keeper.files()) == 2)
        keeper.write("b", 30)
        full, _ = keeper.files()
    clock.advance(5)
    async with keeping(tmp_path, clock, keep=1, rewrite=2) as again:
        await until(lambda: not full.exists())
        newest = again.files()
    assert again.values() == {"a": 1, "b": 30}
    os.truncate(newest[0], newest[0].read_bytes().index(b"Mchg") - 1)  # the tree is not whole
    survivor = Keeper(tmp_path)
    loaded = survivor.load()
    assert not loaded.complete
    assert survivor.values() == again.values()
    survivor.journal.close("")


def test_locked(tmp_path: File) -> None:
    """Two servers cannot have one directory."""

    async def both() -> None:
        one, other = Keeper(tmp_path), Keeper(tmp_path)
        one.load()
        with pytest.raises(LockedError):
            other.load()
        one.journal.close("")
        other.load()
        other.journal.close("")

    asyncio.run(both())


async def test_full_disk(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported; as soon as there is room, everything is written, and that is told."""
    monkeypatch.setattr("firmware_bridge.server.journal._RETRY", 0.01)
    real = os.write
    full = False

    def write(number: int, data: bytes) -> int:
        if full:
            real(number, data[:3])
            raise OSError(28, "No space left on device")
        return real(number, data)

    monkeypatch.setattr(segment_module.os, "write", write)
    async with keeping(tmp_path) as keeper:
        keeper.write("a", 1)
        await until(lambda: keeper.files()[-1].stat().st_size > 100)
        full = True
        keeper.write("b", 2)
        await until(lambda: keeper.reports)
        assert keeper.journal.problem is not None
        assert "No space" in keeper.journal.problem
        keeper.write("c", 3)
        await asyncio.sleep(0.05)
        full = False
        await until(lambda: keeper.journal.problem is None)
        keeper.write("d", 4)
        assert keeper.reports[-1] is None
    other = Keeper(tmp_path)
    other.load()
    assert other.values() == {"a": 1, "b": 2, "c": 3, "d": 4}
    other.journal.close("")


async def test_no_room_for_everything(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the whole tree does not fit any more, changes that do are saved and synced."""
    monkeypatch.setattr("firmware_bridge.server.journal._RETRY", 0.01)
    real = Segment.complete
    full = False

    def complete(segment: Segment) -> None:
        if full:
            raise OSError(28, "No space left on device")
        real(segment)

    monkeypatch.setattr(Segment, "complete", complete)
    async with keeping(tmp_path, rewrite=1) as keeper:
        full = True
        keeper.write("a", 1)
        await until(lambda: b"aa" in content(keeper.files()[-1]))
        keeper.clock.advance(11.0)
        await until(lambda: keeper.reports)
        keeper.write("b", 2)
        (file,) = keeper.files()
        await until(lambda: b"\x61b\x02" in content(file))
        keeper.clock.advance(0.02)
        current = keeper.journal._current
        assert current is not None
        await until(lambda: current.safe == len(content(file)))
        assert keeper.journal.problem is not None
        full = False
        await until(lambda: keeper.journal.problem is None)
        assert keeper.files() != [file]
        keeper.write("c", 3)
    other = Keeper(tmp_path)
    assert other.load().complete
    assert other.values() == {"a": 1, "b": 2, "c": 3}
    other.journal.close("")


async def test_no_room_while_everything_is_written(
    tmp_path: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the whole tree has taken is free again when it is given up: changes wait for that."""
    real = os.write
    filled, missed = threading.Event(), threading.Event()
    full = False

    def write(number: int, data: bytes) -> int:
        if not full:
            return real(number, data)
        if File(f"/proc/self/fd/{number}").readlink().suffix == ".tmp":
            filled.set()
            missed.wait(10)
        elif not filled.is_set() or missed.is_set():
            return real(number, data)
        else:
            real(number, data[:3])
            missed.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(segment_module.os, "write", write)
    async with keeping(tmp_path, rewrite=1) as keeper:
        full = True
        keeper.write("a", 1)
        keeper.clock.advance(11.0)
        await until(filled.is_set)
        keeper.write("b", 2)
        await until(lambda: keeper.reports)
        (file,) = keeper.files()
        await until(lambda: b"\x61b\x02" in content(file))
        assert keeper.journal.problem is not None
        keeper.write("c", 3)
    assert missed.is_set()
    other = Keeper(tmp_path)
    assert other.load().complete
    assert other.values() == {"a": 1, "b": 2, "c": 3}
    other.journal.close("")


async def test_clock_goes_back(tmp_path: File) -> None:
    """New files come after old ones nevertheless."""
    clock = StoppedClock()
    async with keeping(tmp_path, clock) as keeper:
        keeper.write("a", 1)
    clock.advance(-5000)
    async with keeping(tmp_path, clock) as again:
        again.write("a", 10_000_000)
        assert len(again.files()) == 2
        assert sorted(again.files()) == again.files()
    third = Keeper(tmp_path, clock)
    third.load()
    assert third.values() == again.values()
    third.journal.close("")


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.bridge.server.test_journal import Keeper
from firmware_bridge.link.clock import SystemClock
async def main():
    keeper = Keeper(Path(sys.argv[1]), SystemClock(), rotate=0.05, rewrite=3)
    keeper.clock.now = 1_900_000_000.0
    keeper.load()
    keeper.journal.start()
    number = max([0, *keeper.values().values()])
    print(number, flush=True)
    work = keeper.journal.work
    async def tell():
        before = number
        await work()
        print(before, flush=True)
    keeper.journal.work = tell
    task = asyncio.create_task(keeper.journal.run())
    while True:
        number += 1
        keeper.write(f"n{number % 100}", number)
        if number % 50 == 0:
            await asyncio.sleep(0.01)
asyncio.run(main())
"""


def test_killed_again_and_again(tmp_path: File) -> None:
    """Whenever the process is killed, all is there but what it was just at, and it starts again."""
    last = 0
    for turn in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            started = int(process.stdout.readline())
            assert started >= last, "what it was done with is lost"
            for _ in range(50 + 7 * turn):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
    keeper = Keeper(tmp_path)
    loaded = keeper.load()
    assert loaded.complete
    assert not loaded.damaged
    assert max(keeper.values().values()) >= last > 1000
    assert len(keeper.values()) == 100
    keeper.journal.close("")
