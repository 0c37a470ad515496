"""What values were: kept for some time below chosen prefixes, in a file of its own."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as File
from typing import Final

from ..link.clock import Clock
from ..link.codec import ABSENT, Value
from ..link.errors import DecodeError
from ..link.server import Sample
from .records import Record
from .store import RUN, Levels

_LOGGER = logging.getLogger(__name__)

_BATCH: Final = 1.0
_ROWS: Final = 1000
_CLEANING: Final = 3600.0
_WAITING: Final = 200_000  # entries that may wait for the disk
_TABLES: Final = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS path (id INTEGER PRIMARY KEY, topic TEXT UNIQUE NOT NULL);
    CREATE TABLE IF NOT EXISTS entry (
        path INTEGER NOT NULL, time REAL NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (path, time)) WITHOUT ROWID;
"""

type Row = tuple[float, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """What is kept, how long (seconds, by topic prefix; the longest prefix counts), and how much."""

    file: File
    keep: dict[str, float] = field(default_factory=dict)
    size: int = 1 << 30


class History:
    """Takes every change below the prefixes; `append` never fails and never waits."""

    def __init__(self, config: HistoryConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._prefixes = sorted(config.keep.items(), key=lambda each: len(each[0]), reverse=True)
        self._waiting: list[tuple[str, float, bytes]] = []
        self._thread = ThreadPoolExecutor(1, "history")
        self._base: sqlite3.Connection | None = None
        self._ids: dict[str, int] = {}
        self.problem: str | None = None
        """Why nothing is kept just now."""

    def append(self, levels: Levels, record: Record, time: float) -> None:
        """Take a change."""
        topic = "/".join(levels)
        if levels[:1] == [RUN] or self._lifetime(topic) is None or len(self._waiting) > _WAITING:
            return
        self._waiting.append((topic, time, record))

    async def run(self) -> None:
        """Write what has come, and forget what is old, for ever."""
        cleaned = -_CLEANING
        while True:
            await asyncio.sleep(_BATCH)
            await self.flush()
            if (now := self._clock.monotonic()) - cleaned > _CLEANING:
                cleaned = now
                await self._guarded(self._clean)

    async def flush(self) -> None:
        """Write what has come."""
        if self._waiting:
            entries, self._waiting = self._waiting, []
            await self._guarded(partial(self._write, entries))

    async def read(
        self, levels: Levels, start: float, end: float, newest: int | None = None
    ) -> AsyncIterator[tuple[float, Record]]:
        """Deliver what a node was from `start` to before `end`, oldest first."""
        await self.flush()
        topic = "/".join(levels)
        rows = await self._guarded(partial(self._rows, topic, start, end, newest)) or []
        while rows:
            for time, record in rows:
                yield time, Record(record)
            if newest is not None or len(rows) < _ROWS:
                return
            later = rows[-1][0]
            rows = (
                await self._guarded(partial(self._rows, topic, later, end, None, after=True)) or []
            )

    async def close(self) -> None:
        """Write what is left, and close the file."""
        await self.flush()
        await self._guarded(self._close)
        self._thread.shutdown()

    def _lifetime(self, topic: str) -> float | None:
        for prefix, lifetime in self._prefixes:
            if not prefix or topic == prefix or topic.startswith(f"{prefix}/"):
                return lifetime
        return None

    async def _guarded[T](self, work: Callable[[], T]) -> T | None:
        """Do something in the thread; what is wrong with the disk is told once."""
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as err:
            if self.problem is None:
                _LOGGER.warning("No history: %s: %s", self._config.file, err)
            self.problem = str(err)
            return None
        self.problem = None
        return result

    # In the thread

    def _open(self) -> sqlite3.Connection:
        if self._base is None:
            self._config.file.parent.mkdir(parents=True, exist_ok=True)
            base = sqlite3.connect(self._config.file, check_same_thread=False)
            base.executescript(_TABLES)
            self._base = base
        return self._base

    def _close(self) -> None:
        if self._base is not None:
            self._base.close()

    def _write(self, entries: Sequence[tuple[str, float, bytes]]) -> None:
        base = self._open()
        with base:
            rows = [(self._id(base, topic), time, record) for topic, time, record in entries]
            base.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", rows)

    def _id(self, base: sqlite3.Connection, topic: str) -> int:
        if (known := self._ids.get(topic)) is None:
            base.execute("INSERT OR IGNORE INTO path (topic) VALUES (?)", (topic,))
            (known,) = base.execute("SELECT id FROM path WHERE topic = ?", (topic,)).fetchone()
            assert isinstance(known, int)
            self._ids[topic] = known
        return known

    def _rows(
        self, topic: str, start: float, end: float, newest: int | None, *, after: bool = False
    ) -> list[Row]:
        query = (
            "SELECT time, record FROM entry JOIN path ON path.id = entry.path "
            "WHERE topic = ? AND time >= ? AND time > ? AND time < ? ORDER BY time "
        )
        given = (topic, start, start if after else start - 1, end)
        if newest is None:
            return self._open().execute(f"{query} LIMIT {_ROWS}", given).fetchall()
        rows = self._open().execute(f"{query} DESC LIMIT ?", (*given, newest)).fetchall()
        return rows[::-1]

    def _clean(self) -> None:
        """Forget what is older than its prefix allows, and the oldest when there is too much."""
        base = self._open()
        now = self._clock.time()
        with base:
            for known, topic in base.execute("SELECT id, topic FROM path").fetchall():
                lifetime = self._lifetime(topic) or 0.0
                base.execute(
                    "DELETE FROM entry WHERE path = ? AND time < ?", (known, now - lifetime)
                )
        for _ in range(20):
            pages, free, size = (
                base.execute(f"PRAGMA {what}").fetchone()[0]
                for what in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size <= self._config.size:
                return
            with base:
                base.execute(
                    "DELETE FROM entry WHERE time < (SELECT min(time) + "
                    "(max(time) - min(time)) * 0.1 + 1e-3 FROM entry)"
                )


class Sampler:
    """Puts values together, interval by interval."""

    def __init__(self, step: float, item: Sequence[Value]) -> None:
        """`item` is where in a map or list the number is."""
        self._step = step
        self._item = item
        self._start = 0.0
        self._numbers: list[float] = []

    def add(self, time: float, record: Record) -> Iterator[Sample]:
        """Take a value; deliver the interval before if it is over. What is no number is left out."""
        with suppress(DecodeError):
            value = picked(record.value, self._item)
            if isinstance(value, bool) or not isinstance(value, int | float):
                return
            start = time // self._step * self._step
            if start != self._start:
                yield from self.rest()
            self._start = start
            self._numbers.append(float(value))

    def rest(self) -> Iterator[Sample]:
        """Deliver the interval that is under way."""
        numbers, self._numbers = self._numbers, []
        if numbers:
            mean = sum(numbers) / len(numbers)
            yield Sample(self._start, mean, min(numbers), max(numbers), len(numbers))


def picked(value: Value, item: Sequence[Value]) -> Value:
    """Step into maps and lists; ABSENT if there is nothing."""
    for step in item:
        if isinstance(value, dict) and isinstance(step, str | int):
            value = value.get(step, ABSENT)
        elif isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
        else:
            return ABSENT
    return value
