"""What happens to the tree, on disk: segments that are synced, rotated and compacted."""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Final

from ..link.clock import Clock
from .loader import Loaded, load
from .records import Record
from .savefile import FULL, INCREMENTAL, SUFFIX, Apply
from .segment import Segment
from .store import Levels

_LOGGER = logging.getLogger(__name__)

_SLICE: Final = 500  # nodes written in one turn of the loop
_RETRY: Final = 5.0

type Snapshot = Callable[[], Iterable[tuple[Levels, Record]]]
type Report = Callable[[str | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalConfig:
    """Where the files are, and how they are kept; times in seconds."""

    directory: File
    name: str = "%Y-%m/%d/%H-%M-%S.moat"
    sync: float = 1.0
    """What may be lost when the machine dies."""
    flush: float = 0.05
    """What may be lost when the process dies."""
    rotate: float = 1000.0
    rewrite: int = 5
    """Segments until the whole tree is written anew."""
    size: int = 16 << 20
    """Bytes after which a segment ends early."""
    keep: int = 2
    """Chains kept."""


class LockedError(OSError):
    """Another server uses the directory."""


class Journal:
    """The files of one server. `append` never fails: what goes wrong is reported, and repaired."""

    def __init__(
        self, config: JournalConfig, clock: Clock, *, snapshot: Snapshot, report: Report
    ) -> None:
        """`snapshot` returns all nodes; `report` gets what is wrong with the disk, or None."""
        self._config = config
        self._clock = clock
        self._snapshot = snapshot
        self._report = report
        self._current: Segment | None = None
        self._next: Segment | None = None
        self._chains: list[list[str]] = []
        self._damaged: dict[str, str] = {}
        self._problem: str | None = None
        self._stale = True  # the files do not have everything
        self._lock: int | None = None
        self._dirty = asyncio.Event()

    @property
    def problem(self) -> str | None:
        """Why nothing is written just now."""
        return self._problem

    @property
    def files(self) -> list[list[str]]:
        """The names of all files, oldest first, in chains."""
        return [list(chain) for chain in self._chains]

    def load(self, apply: Apply) -> Loaded:
        """Read what is there; the directory is made if need be, and ours from now on. OSError."""
        directory = self._config.directory
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            self._unlock()
            raise LockedError(err.errno, "used by another server", str(directory)) from err
        for leftover in directory.rglob("*.moat.tmp"):
            leftover.unlink()
        loaded = load(directory, apply)
        self._chains = loaded.files
        self._damaged = loaded.damaged
        return loaded

    def start(self) -> None:
        """Begin to write; the whole tree follows in the course of `run`."""
        if not self._chains:
            self._guarded(self._begin_first)
        else:
            self._guarded(self._begin_next)

    def append(self, levels: Levels, record: Record) -> None:
        """Note that a node has changed."""
        for segment in (self._current, self._next):
            if segment is not None:
                segment.append(levels, record)
        self._dirty.set()

    async def run(self) -> None:
        """Write, sync, rotate and compact, for ever."""
        while True:
            await self._work()

    def close(self, reason: str) -> None:
        """End the files in order."""
        if self._current is not None:
            self._guarded(lambda: self._end(reason=reason))
        self._unlock()

    async def _work(self) -> None:
        """Do what is due: write in good time, sync from time to time, rotate now and then."""
        if self._stale:
            await self._compact()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.sync):
                    await self._dirty.wait()
        await asyncio.sleep(self._config.flush if self._problem is None else _RETRY)
        self._dirty.clear()
        current = self._current
        if current is None:
            self._stale = True
            return
        self._guarded(current.flush)
        now = self._clock.monotonic()
        if now - current.synced >= self._config.sync:
            current.synced = now
            await self._sync(current)
        if now - current.begun > self._config.rotate or current.size > self._config.size:
            if len(self._chains[-1]) >= self._config.rewrite:
                self._stale = True
            elif current.entries:
                self._guarded(self._rotate)
            else:
                current.begun = now

    async def _sync(self, segment: Segment) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, segment.sync)
        except OSError as err:
            self._failed(err)

    async def _compact(self) -> None:
        """Write the whole tree into a new file, while changes go to both."""
        config = self._config
        segment: Segment | None = None
        try:
            name = self._name()
            segment = Segment(config.directory, name, self._clock, mode=FULL, prev=self._last)
            self._next = segment
            for count, (levels, record) in enumerate(self._snapshot()):
                segment.append(levels, record)
                if count % _SLICE == _SLICE - 1:
                    segment.flush()
                    if self._current is not None:
                        self._guarded(self._current.flush)
                    await asyncio.sleep(0)
            segment.mark()
            segment.flush()
            await asyncio.get_running_loop().run_in_executor(None, segment.sync)
            segment.flush()
            segment.publish()
        except BaseException as err:
            if segment is not None:
                segment.discard()
            if not isinstance(err, OSError):
                raise
            self._failed(err)
            return
        finally:
            self._next = None
        if self._current is not None:
            self._guarded(lambda: self._end(name=name, mode="restart"))
        self._current = segment
        self._chains.append([name])
        self._stale = False
        self._works()
        self._guarded(self._clean)

    def _begin_first(self) -> None:
        """Begin a full file of a tree that has nothing yet."""
        name = self._name()
        segment = Segment(self._config.directory, name, self._clock, mode=FULL, prev=None)
        for levels, record in self._snapshot():
            segment.append(levels, record)
        segment.mark()
        segment.flush()
        segment.publish()
        self._current = segment
        self._chains.append([name])
        self._stale = False

    def _begin_next(self) -> None:
        """Begin an incremental file."""
        name = self._name()
        segment = Segment(
            self._config.directory, name, self._clock, mode=INCREMENTAL, prev=self._last
        )
        segment.flush()
        segment.publish()
        self._current = segment
        self._chains[-1].append(name)

    def _rotate(self) -> None:
        former, self._current = self._current, None
        assert former is not None
        self._begin_next()
        former.end(name=self._chains[-1][-1], mode="next")

    def _end(self, **why: str) -> None:
        former, self._current = self._current, None
        assert former is not None
        former.end(**why)

    def _clean(self) -> None:
        """Put damaged files aside, and remove what is older than the chains to keep."""
        directory = self._config.directory
        for name in self._damaged:
            with contextlib.suppress(FileNotFoundError):
                (directory / name).rename(directory / f"{name}.bad")
        old, self._chains = self._chains[: -self._config.keep], self._chains[-self._config.keep :]
        for name in (name for chain in old for name in chain if name not in self._damaged):
            file = directory / name
            file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty
                while (file := file.parent) != directory:
                    file.rmdir()
        self._damaged = {}

    @property
    def _last(self) -> str | None:
        return self._chains[-1][-1] if self._chains else None

    def _name(self) -> str:
        """Return a name for a new file, after all others in order."""
        time = self._clock.time()
        last = self._last or ""
        for later in range(60):
            name = datetime.fromtimestamp(time + later, UTC).strftime(self._config.name)
            if name > last and not (self._config.directory / name).exists():
                return name
        return f"{last.removesuffix(SUFFIX)}_{SUFFIX}"  # the clock has gone back

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as err:
            self._failed(err)

    def _failed(self, error: OSError) -> None:
        """Write nothing more to what may be broken; the next attempt is a new file."""
        if self._current is not None:
            self._current.abandon()
            self._current = None
        self._stale = True
        text = f"{error.filename or self._config.directory}: {error.strerror or error}"
        if self._problem is None:
            _LOGGER.error("Nothing can be saved: %s", text)
        if self._problem != text:
            self._problem = text
            self._report(text)

    def _works(self) -> None:
        if self._problem is not None:
            _LOGGER.info("Saving works again")
            self._problem = None
            self._report(None)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
