"""What values were, in real files."""

import asyncio
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.errors import RefusedError
from firmware_bridge.link.meta import Meta
from firmware_bridge.server import history as history_module
from firmware_bridge.server.archive import Archive
from firmware_bridge.server.history import History, HistoryConfig
from firmware_bridge.server.records import Record, pack
from firmware_bridge.server.retention import Keep
from tests.bridge.server.clock import StoppedClock
from tests.support.running import running
from tests.support.wait import until

NOW = 1_800_000_000.0
EVER = 1e12


class Told(list[tuple[str, str | None]]):
    """What was reported."""

    def report(self, kind: str, text: str | None) -> None:
        self.append((kind, text))


def record(value: Any, time: float) -> Record:
    return pack(encode(value), Meta("me", time))


def keep(history: History, name: str, value: Any, time: float) -> None:
    history.append(name.split("."), record(value, time), time)


async def values(history: History, name: str) -> list[Any]:
    topic = name.replace(".", "/")
    found: list[Any] = []
    after = -EVER
    while rows := await history.rows(topic, after, EVER):
        found += [Record(record).value for _, record in rows]
        after = rows[-1][0]
    return found


async def eventually(history: History, name: str, expected: list[Any]) -> None:
    async with asyncio.timeout(10):
        while await values(history, name) != expected:
            await asyncio.sleep(0.01)


def make(file: File, clock: StoppedClock | None = None, **options: Any) -> History:
    more = {name: options.pop(name) for name in ("snapshot", "report") if name in options}
    options = {"keep": {"": Keep()}} | options
    return History(HistoryConfig(file=file, **options), clock or StoppedClock(NOW), **more)


async def test_kept(tmp_path: File) -> None:
    """Only below the prefixes, never below run; in order, in portions; the file is there again."""
    file = tmp_path / "new" / "h.db"
    rules = {"a": Keep(), "run": Keep()}
    history = make(file, keep=rules)
    for number in range(2500):
        keep(history, "a.b", number, NOW + number)
    keep(history, "ab", 1, NOW)
    keep(history, "run.x", 1, NOW)
    assert not history.remembers("ab")
    assert not history.remembers("run/x")
    assert await values(history, "a.b") == list(range(2500))
    assert await values(history, "ab") == []
    assert await values(history, "run.x") == []
    keep(history, "a.b", "again", NOW)
    assert (await values(history, "a.b"))[0] == 0, "what is there stays"
    await history.close()
    again = make(file, keep=rules)
    assert len(await values(again, "a.b")) == 2500
    await again.close()


async def test_large_values_in_small_portions(tmp_path: File) -> None:
    history = make(tmp_path / "h.db")
    for number in range(50):
        keep(history, "a", "x" * 60_000, NOW + number)
    assert len(await history.rows("a", 0, EVER)) == 18
    assert len(await values(history, "a")) == 50
    await history.close()


async def test_cancelled(tmp_path: File) -> None:
    """Who asks and goes away again, and a process that ends, take nothing with them."""
    history = make(tmp_path / "h.db")
    busy, going = threading.Event(), threading.Event()

    def slow(_: Archive) -> None:
        busy.set()
        going.wait(10)

    reading = asyncio.create_task(history.read(slow))
    await asyncio.to_thread(busy.wait)
    keep(history, "a", 1, NOW)
    keep(history, "b", 2, NOW)
    asking = asyncio.create_task(values(history, "a"))
    await asyncio.sleep(0.01)  # it waits for the thread
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    going.set()
    await reading
    await history.close()
    again = make(tmp_path / "h.db")
    assert [await values(again, "a"), await values(again, "b")] == [[1], [2]]
    await again.close()


async def test_private(tmp_path: File) -> None:
    """Values may be secret: what belongs to the history is for its owner alone."""
    folder = tmp_path / "data"
    history = make(folder / "h.db")
    keep(history, "a", 1, NOW)
    await history.flush()
    assert sorted(each.name for each in folder.iterdir()) == ["h.db", "h.db-shm", "h.db-wal"]
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    await history.close()


async def test_age(tmp_path: File) -> None:
    """Each prefix its own; what still held then stays, unless it was deleted."""
    clock = StoppedClock(NOW)
    rules = {"a": Keep(age=100.0), "a/long": Keep(age=1000.0)}
    history = make(tmp_path / "h.db", clock, keep=rules)
    for name in ("a.x", "a.long.x"):
        for age in (5000, 2000, 500, 50):
            keep(history, name, age, NOW - age)
    keep(history, "a.gone", 1, NOW - 300)
    keep(history, "a.gone", ABSENT, NOW - 200)
    await history.flush()
    await history.clean()
    assert await values(history, "a.x") == [500, 50]
    assert await values(history, "a.long.x") == [2000, 500, 50]
    assert await values(history, "a.gone") == []
    await history.close()
    less = make(tmp_path / "h.db", clock, keep={"a/long": Keep(age=1000.0)})
    await less.clean()
    assert await less.read(Archive.paths) == [(2, "a/long/x")], "no rule, no values"
    await less.close()


async def test_size_by_prefix(tmp_path: File) -> None:
    """The oldest go first, of that prefix alone; the file becomes smaller."""
    file = tmp_path / "h.db"
    limit = 300_000
    rules = {"": Keep(), "big": Keep(size=limit), "big/own": Keep()}
    history = make(file, keep=rules)
    for number in range(500):
        keep(history, "other.a", "y" * 90, NOW - 90_000 + number)
        keep(history, "big.own", "y" * 90, NOW - 90_000 + number)
    most = 0
    for batch in range(20):
        for number in range(1000):
            at = NOW + batch * 1000 + number
            keep(history, f"big.n{number % 7}", f"{int(at - NOW):06} {'x' * 90}", at)
        await history.flush()
        sizes = await history.read(lambda archive: archive.usage(history._rules.prefix))
        most = max(most, sizes["big"])
    assert most <= limit
    kept = [await values(history, f"big.n{number}") for number in range(7)]
    times = sorted(int(each[:6]) for some in kept for each in some)
    assert times[-1] == 19_999
    assert times == list(range(times[0], 20_000)), "no gaps: the oldest went first"
    assert len(times) > 1500
    assert len(await values(history, "other.a")) == 500
    assert len(await values(history, "big.own")) == 500
    await history.clean()
    assert file.stat().st_size < 2 * limit
    await history.close()


async def test_size_of_all(tmp_path: File) -> None:
    """There is a limit for everything together; a file that was larger shrinks."""
    file = tmp_path / "h.db"
    history = make(file)
    for number in range(20_000):
        keep(history, f"a{number % 50}", "x" * 100, NOW + number)
    await history.flush()
    await history.close()
    assert file.stat().st_size > 2_000_000
    smaller = make(file, size=500_000)
    await smaller.clean()
    assert file.stat().st_size < 600_000
    assert len(await values(smaller, "a49")) > 10
    await smaller.close()


async def test_names_are_not_values(tmp_path: File) -> None:
    """Where there are many paths, their names are larger than what can be forgotten; it stays."""
    limit = 200_000
    history = make(tmp_path / "h.db", keep={"a": Keep(size=limit)})
    names = [f"a.{'b' * 150}.{number}" for number in range(2000)]
    for number, name in enumerate(names):
        keep(history, name, number, NOW + number)
    await history.flush()
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) > 2 * limit
    assert [await values(history, name) for name in names[:3]] == [[0], [1], [2]]
    for number in range(6000):
        keep(history, names[-1], number, NOW + 5000 + number)
    await history.flush()
    assert await values(history, names[0]) == [], "the limit is one all the same"
    assert 0.8 * limit < history.sizes["a"] <= limit
    await history.close()


async def test_sizes_are_counted_as_they_change(tmp_path: File) -> None:
    """What is on the disk, by prefix."""
    history = make(tmp_path / "h.db", keep={"a": Keep(), "b": Keep()})
    assert history.sizes == {}
    for number in range(1000):
        keep(history, "a", "x" * 100, NOW + number)
    await history.flush()
    assert history.sizes == {"a": pytest.approx(145_000, rel=0.2)}
    keep(history, "b", 1, NOW)
    await history.flush()
    assert set(history.sizes) == {"a", "b"}
    await history.close()


async def test_from_the_start(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is at the start is taken, too, once; it is cleaned at once and then every hour."""
    monkeypatch.setattr(history_module, "_BATCH", 0.01)
    monkeypatch.setattr(history_module, "_PORTION", 100)
    clock = StoppedClock(NOW)
    there = [(["a", str(number)], record(number, NOW - 50)) for number in range(1200)]
    options: dict[str, Any] = {"keep": {"a": Keep(age=100.0)}, "snapshot": lambda: there}
    for _ in range(2):
        history = make(tmp_path / "h.db", clock, **options)
        async with running(history.run()):
            await eventually(history, "a.7", [7])
            keep(history, "a.7", ABSENT, NOW - 200)
        await history.close()
    again = make(tmp_path / "h.db", clock, keep={"a": Keep(age=100.0)})
    async with running(again.run()):
        await eventually(again, "a.7", [7])
        clock.advance(3600)
        keep(again, "a.7", 8, NOW + 3000)
        keep(again, "a.7", 9, NOW + 3599)
        await eventually(again, "a.7", [8, 9])
    await again.close()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_full_disk(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is reported once, what comes waits as far as possible, and is written when there is room."""
    monkeypatch.setattr(history_module, "_WAITING", 3000)
    told = Told()
    history = make(tmp_path / "h.db", report=told.report)
    keep(history, "a", "first", NOW)
    await history.flush()
    with full_disk(40_000):
        for number in range(1, 2001):
            keep(history, "a", f"{number:>100}", NOW + number)
        await history.flush()
        assert history.problem is not None
        assert history.problem.startswith(str(tmp_path / "h.db"))
        assert await values(history, "a") == ["first"], "reading goes on"
        for number in range(2001, 4001):
            keep(history, "a", f"{number:>100}", NOW + number)
        await history.flush()
        assert [kind for kind, _ in told] == ["disk"]
    await history.flush()
    assert history.problem is None
    assert told[-1] == ("disk", None)
    found = await values(history, "a")
    assert found[0] == "first"
    assert [int(each) for each in found[1:]] == list(range(1, 3001))
    await history.close()


async def test_large_values_on_a_full_disk(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is limited in bytes; what there was at the start is no flood."""
    monkeypatch.setattr(history_module, "_WAITING_SIZE", 100_000)
    monkeypatch.setattr(history_module, "_PORTION_SIZE", 50_000)
    monkeypatch.setattr(history_module, "_SLICE", 10)
    monkeypatch.setattr(history_module, "_BATCH", 0.001)
    told = Told()
    there = [([f"a{number}"], record("x" * 1000, NOW)) for number in range(1000)]
    history = make(tmp_path / "h.db", report=told.report, snapshot=lambda: there)
    async with running(history.run()):
        await eventually(history, "a999", ["x" * 1000])
        for number in range(1000):
            assert await values(history, f"a{number}") == ["x" * 1000]
    with full_disk(40_000):
        for number in range(1000):
            keep(history, "b", f"{number:>1000}", NOW + number)
            if number == 50:
                await history.flush()
                assert history.problem is not None
        await history.flush()
        assert len(history._waiting) < 100
    await history.flush()
    assert history.problem is None
    assert len(await values(history, "b")) < 100
    keep(history, "b", "after", NOW + 2000)
    await history.flush()
    assert (await values(history, "b"))[-1] == "after"
    await history.close()


async def test_cleaning_fails(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is a problem until cleaning works, whatever is written; it is tried again soon."""
    monkeypatch.setattr(history_module, "_BATCH", 0.001)
    told, clock = Told(), StoppedClock(NOW)
    history = make(tmp_path / "h.db", clock, report=told.report)
    attempts: list[Archive] = []
    vacuum = Archive.tidy

    def fails(archive: Archive) -> bool:
        attempts.append(archive)
        raise sqlite3.OperationalError("no room to clean")

    monkeypatch.setattr(Archive, "tidy", fails)
    async with running(history.run()):
        await until(lambda: told)
        for number in range(3):
            keep(history, "a", number, NOW + number)
            await eventually(history, "a", list(range(number + 1)))
        assert [kind for kind, _ in told] == ["disk"]
        assert "no room to clean" in str(history.problem)
        assert len(attempts) == 1
        clock.advance(60)
        await until(lambda: len(attempts) == 2)
        monkeypatch.setattr(Archive, "tidy", vacuum)
        clock.advance(60)
        await until(lambda: history.problem is None)
        assert told[1:] == [("disk", None)]
    await history.close()


async def test_no_directory(tmp_path: File) -> None:
    """A disk that fails costs nothing but the history; questions get the reason."""
    (tmp_path / "file").write_text("")
    told = Told()
    history = make(tmp_path / "file" / "h.db", report=told.report)
    keep(history, "a", 1, NOW)
    await history.flush()
    await history.clean()
    with pytest.raises(RefusedError, match=r"cannot be read.*file"):
        await values(history, "a")
    assert [kind for kind, _ in told] == ["disk"]
    await history.close()


async def test_not_a_data_base(tmp_path: File) -> None:
    """What is no history is put aside, reported, and a new one begun."""
    file = tmp_path / "h.db"
    for content in (b"something else " * 1000, b"", b"SQLite format 3\0 and so on" * 100):
        told = Told()
        file.write_bytes(content)
        history = make(file, report=told.report)
        keep(history, "a", 1, NOW)
        assert await values(history, "a") == [1]
        assert [kind for kind, _ in told] == ["damage"] * bool(content)
        await history.close()
        file.unlink()
    assert (tmp_path / "h.db.bad").read_bytes().startswith(b"SQLite format 3\0 and")


async def test_damage_found_by_many(tmp_path: File) -> None:
    """The file is put aside once, whoever finds out at the same time; the new one stays."""
    file = tmp_path / "h.db"
    content = b"something else " * 1000
    file.write_bytes(content)
    told = Told()
    history = make(file, report=told.report)
    await asyncio.gather(*(history.read(lambda archive: archive.paths()) for _ in range(3)))
    assert [kind for kind, _ in told] == ["damage"]
    assert (tmp_path / "h.db.bad").read_bytes() == content
    await history.close()


async def test_damaged_inside(tmp_path: File) -> None:
    """Pages that make no sense are found when they are needed; nothing that comes is lost."""
    file = tmp_path / "h.db"
    first = make(file)
    for number in range(20_000):
        keep(first, "a", number, NOW + number)
    await first.close()
    content = bytearray(file.read_bytes())
    content[3 * 4096 :] = b"\x55" * (len(content) - 3 * 4096)
    file.write_bytes(content)
    told = Told()
    history = make(file, report=told.report)
    keep(history, "a", "new", NOW + 30_000)
    await history.flush()
    assert await values(history, "a") == ["new"]
    assert [kind for kind, _ in told] == ["damage"]
    assert "h.db.bad" in str(told[0][1])
    assert (tmp_path / "h.db.bad").stat().st_size == len(content)
    assert history.problem is None
    await history.close()


async def test_somebody_elses_data_base(tmp_path: File) -> None:
    file = tmp_path / "h.db"
    with sqlite3.connect(file) as base:
        base.execute("CREATE TABLE precious (x)")
    base.close()
    told = Told()
    history = make(file, report=told.report)
    keep(history, "a", 1, NOW)
    assert await values(history, "a") == [1]
    assert "unknown version 0" in str(told[0][1])
    await history.close()
    with sqlite3.connect(tmp_path / "h.db.unknown") as base:
        assert base.execute("SELECT * FROM precious").fetchall() == []
    base.close()


async def test_newer_version(tmp_path: File) -> None:
    """What a newer program has written is there when it comes back, however often that happens."""
    file = tmp_path / "h.db"
    for turn in range(2):
        history = make(file)
        keep(history, "a", turn, NOW)
        await history.close()
        with sqlite3.connect(file) as base:
            base.execute("PRAGMA user_version = 2")
        base.close()
    history = make(file)
    assert await values(history, "a") == []
    await history.close()
    kept = sorted(tmp_path.glob("*.unknown*"))
    assert [each.name for each in kept] == ["h.db.unknown", "h.db.unknown1"]
    for turn, aside in enumerate(kept):
        with sqlite3.connect(aside) as base:
            base.execute("PRAGMA user_version = 1")
        base.close()
        history = make(aside)
        assert await values(history, "a") == [turn]
        await history.close()
