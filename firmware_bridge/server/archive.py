"""The file that holds former values: SQLite, used by one thread at a time."""

import contextlib
import heapq
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path as File
from typing import Final

PAGE: Final = 1000
"""Rows in one portion."""
_PORTION: Final = 1 << 20  # bytes in one portion
_CHUNK: Final = 64  # rows of each path that are looked at in one go when the oldest are wanted
_VERSION: Final = 1  # of the tables
_OVERHEAD: Final = 24  # bytes that a row takes besides its record; also in the tables
_NAME: Final = 20  # bytes that a path takes, in its table and the index together
_LETTER: Final = 2.2  # and for each byte of its name
_FREE: Final = 256  # pages given back in one go
_SETTINGS: Final = """
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA journal_size_limit = 4194304;
    PRAGMA synchronous = NORMAL;
"""
_TABLES: Final = """
    BEGIN;
    CREATE TABLE path (
        id INTEGER PRIMARY KEY, topic TEXT UNIQUE NOT NULL, size INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE entry (
        path INTEGER NOT NULL, time REAL NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (path, time)) WITHOUT ROWID;
    CREATE TRIGGER came AFTER INSERT ON entry BEGIN
        UPDATE path SET size = size + length(new.record) + 24 WHERE id = new.path; END;
    CREATE TRIGGER went AFTER DELETE ON entry BEGIN
        UPDATE path SET size = size - length(old.record) - 24 WHERE id = old.path; END;
    PRAGMA user_version = 1;
    COMMIT;
"""
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

type Row = tuple[float, bytes]
type Entry = tuple[str, float, bytes]


def damaged(error: Exception) -> bool:
    """Whether the file is not what it should be, rather than the disk full or read-only."""
    code = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, UnknownFileError) or (code & 0xFF) in _DAMAGED


class UnknownFileError(OSError):
    """This is a data base, but not one of ours."""


class Archive:
    """Rows by topic and time. Every method raises OSError or sqlite3.Error.

    `size` counts what the rows of a path take, kept up to date by the data base itself.
    """

    def __init__(self, file: File) -> None:
        """Nothing is opened before it is needed."""
        self.file = file
        self._opened: sqlite3.Connection | None = None
        self._ids: dict[str, int] = {}

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._ids.clear()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def put_aside(self, error: Exception) -> File:
        """Rename a file that cannot be used; the next use begins anew.

        A damaged one takes the place of an earlier one, one that somebody else may read does not.
        """
        self.close()
        aside = self._beside(".bad")
        if isinstance(error, UnknownFileError):
            aside = self._free_name("unknown")
            with contextlib.suppress(FileNotFoundError):
                self._beside("-wal").rename(aside.with_name(f"{aside.name}-wal"))
        self.file.replace(aside)
        for end in ("-wal", "-shm"):
            self._beside(end).unlink(missing_ok=True)
        return aside

    def write(self, entries: Iterable[Entry]) -> None:
        """Add rows; those that are there already stay as they are."""
        base = self._base()
        try:
            with base:
                rows = [(self._id(topic), time, record) for topic, time, record in entries]
                base.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?)", rows)
        except BaseException:
            self._ids.clear()  # new ones have not been kept
            raise

    def held(self, topic: str, time: float) -> Row | None:
        """Return the newest row up to a time."""
        return self._one(
            "SELECT time, record FROM entry JOIN path ON path.id = entry.path "
            "WHERE topic = ? AND time <= ? ORDER BY time DESC LIMIT 1",
            (topic, time),
        )

    def first(self, topic: str) -> float | None:
        """Return the time of the oldest row."""
        row = self._one(
            "SELECT time FROM entry JOIN path ON path.id = entry.path "
            "WHERE topic = ? ORDER BY time LIMIT 1",
            (topic,),
        )
        return None if row is None else row[0]

    def newest(self, topic: str, after: float, end: float, count: int) -> float | None:
        """Return the time of the last but `count` - 1 of the rows between two times."""
        row = self._one(
            "SELECT time FROM entry JOIN path ON path.id = entry.path "
            "WHERE topic = ? AND time > ? AND time < ? ORDER BY time DESC LIMIT 1 OFFSET ?",
            (topic, after, end, count - 1),
        )
        return None if row is None else row[0]

    def rows(self, topic: str, after: float, end: float) -> list[Row]:
        """Return the next rows after a time, before another; none if there are no more."""
        found: list[Row] = []
        size = 0
        cursor = self._base().execute(
            "SELECT time, record FROM entry JOIN path ON path.id = entry.path "
            "WHERE topic = ? AND time > ? AND time < ? ORDER BY time LIMIT ?",
            (topic, after, end, PAGE),
        )
        for row in cursor:
            found.append(row)
            size += len(row[1])
            if size > _PORTION:
                break
        cursor.close()
        return found

    def paths(self) -> list[tuple[int, str]]:
        """Return the ids and topics of all paths."""
        return self._base().execute("SELECT id, topic FROM path").fetchall()

    def usage(self, group: Callable[[str], str | None]) -> dict[str | None, int]:
        """Return the bytes on the disk that the rows of groups of topics take."""
        base = self._base()
        sums: dict[str | None, int] = {}
        for topic, size in base.execute("SELECT topic, size FROM path"):
            name = group(topic)
            sums[name] = sums.get(name, 0) + size
        share = self._share()
        return {name: int(size * share) for name, size in sums.items() if size}

    def forget(self, ids: Iterable[int], before: float) -> None:
        """Forget what was over before a time: what still held then stays, unless deleted."""
        with self._base() as base:
            for known in ids:
                base.execute(
                    "DELETE FROM entry WHERE path = ?1 AND time < "
                    "(SELECT max(time) FROM entry WHERE path = ?1 AND time <= ?2)",
                    (known, before),
                )
                base.execute(
                    "DELETE FROM entry WHERE path = ? AND time <= ? "
                    "AND substr(record, 2, 1) = x'f7'",
                    (known, before),
                )

    def drop(self, ids: Iterable[int]) -> None:
        """Forget paths altogether."""
        with self._base() as base:
            base.executemany("DELETE FROM entry WHERE path = ?", [(known,) for known in ids])

    def trim(self, ids: Sequence[int], size: int) -> None:
        """Forget the oldest rows of some paths together, worth so many bytes on the disk."""
        wanted = size / self._share()
        last = None
        for time, row in heapq.merge(*map(self._oldest, ids)):
            last = time
            if (wanted := wanted - row) <= 0:
                break
        with self._base() as base:
            base.executemany(
                "DELETE FROM entry WHERE path = ? AND time <= ?", [(known, last) for known in ids]
            )

    def tidy(self) -> bool:
        """Give some of the free space back; False if there is none left."""
        base = self._base()
        with base:
            self._ids.clear()
            base.execute("DELETE FROM path WHERE size = 0")
        base.execute(f"PRAGMA incremental_vacuum({_FREE})").fetchall()
        more: bool = self._pragma("freelist_count") > 0
        if not more:
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return more

    def _beside(self, end: str) -> File:
        return self.file.with_name(f"{self.file.name}{end}")

    def _free_name(self, end: str) -> File:
        names = (self._beside(f".{end}{number or ''}") for number in itertools.count())
        return next(name for name in names if not name.exists())

    def _base(self) -> sqlite3.Connection:
        if self._opened is None:
            self.file.parent.mkdir(0o700, parents=True, exist_ok=True)
            os.close(os.open(self.file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            base = sqlite3.connect(self.file, check_same_thread=False)
            try:
                self._prepare(base)
            except BaseException:
                base.close()
                raise
            self._opened = base
        return self._opened

    def _prepare(self, base: sqlite3.Connection) -> None:
        (version,) = base.execute("PRAGMA user_version").fetchone()
        (tables,) = base.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and version != _VERSION:
            raise UnknownFileError(f"{self.file} has the unknown version {version}")
        base.executescript(_SETTINGS)
        if not tables:
            base.executescript(_TABLES)

    def _id(self, topic: str) -> int:
        if (known := self._ids.get(topic)) is None:
            base = self._base()
            base.execute("INSERT OR IGNORE INTO path (topic) VALUES (?)", (topic,))
            (known,) = base.execute("SELECT id FROM path WHERE topic = ?", (topic,)).fetchone()
            assert isinstance(known, int)
            self._ids[topic] = known
        return known

    def _oldest(self, known: int) -> Iterator[tuple[float, int]]:
        """Go through a path's rows, oldest first: time, and bytes."""
        after = float("-inf")
        while rows := (
            self._base()
            .execute(
                "SELECT time, length(record) FROM entry WHERE path = ? AND time > ? "
                "ORDER BY time LIMIT ?",
                (known, after, _CHUNK),
            )
            .fetchall()
        ):
            for time, length in rows:
                yield time, length + _OVERHEAD
            after = rows[-1][0]

    def _one(self, query: str, given: tuple[object, ...]) -> tuple[float, bytes] | None:
        row: tuple[float, bytes] | None = self._base().execute(query, given).fetchone()
        return row

    def _share(self) -> float:
        """Return what rows take on the disk for each byte counted: pages are never quite full.

        The names of the paths are no rows: nothing that could be forgotten makes them less.
        """
        query = "SELECT sum(size), count(*), sum(length(CAST(topic AS BLOB))) FROM path"
        sums: tuple[int | None, int, int] = self._base().execute(query).fetchone()
        total, count, length = sums
        if not total:
            return 1.0
        names = count * _NAME + length * _LETTER
        return max(1.0, (self._used() - names) / total)

    def _used(self) -> int:
        pages = self._pragma("page_count") - self._pragma("freelist_count")
        return pages * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        (value,) = self._base().execute(f"PRAGMA {name}").fetchone()
        assert isinstance(value, int)
        return value
