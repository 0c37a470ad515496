"""What happens to the tree, on disk: segments that are synced, rotated and compacted."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from pathlib import Path as File
from time import monotonic
from typing import Final

from ..link.clock import Clock
from .loader import Loaded, steps
from .lock import Lock, LockedError
from .names import next_name
from .records import Record
from .savefile import FULL, INCREMENTAL, Apply
from .segment import Segment
from .store import Levels

_LOGGER = logging.getLogger(__name__)

_SLICE: Final = 500  # nodes written in one turn of the loop
_RETRY: Final = 5.0
_EFFORT: Final = 10  # times as long as a failed attempt has taken
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE: Final = (errno.EROFS, *_NO_ROOM)

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


class Journal:
    """The files of one server. `append` never fails: what goes wrong is reported, and repaired.

    The disk is touched in threads of its own, so that a slow one keeps nobody waiting.
    """

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
        self.loaded = Loaded()
        """What was found at the start."""
        self._damaged: list[str] = []
        self._empty: list[str] = []
        self._problem: str | None = None
        self._stale = True  # the files do not have everything
        self._begun = False
        self._again = -inf  # when that is to be tried again (monotonic)
        self._lock = Lock(config.directory)
        self._dirty = asyncio.Event()
        self._trouble = asyncio.Event()
        self._quick = ThreadPoolExecutor(1, "journal")  # flushes what has changed, nothing else
        self._slow = ThreadPoolExecutor(1, "journal")

    @property
    def problem(self) -> str | None:
        """Why not everything can be written just now."""
        return self._problem

    @property
    def files(self) -> list[list[str]]:
        """The names of all files, oldest first, in chains."""
        return [list(chain) for chain in self._chains]

    def load(self, apply: Apply) -> Loaded:
        """Read what is there; the directory is made if need be, and ours from now on. OSError."""
        for _ in self.loading(apply):
            pass
        return self.loaded

    def loading(self, apply: Apply) -> Iterator[None]:
        """Do what `load` does, piece by piece."""
        directory = self._config.directory
        try:
            self._lock.take()
        except LockedError:
            raise
        except OSError as err:
            if err.errno not in _UNWRITABLE:
                raise
            _LOGGER.warning("%s cannot be locked: %s", directory, err)
        for leftover in directory.rglob("*.moat.tmp"):
            with contextlib.suppress(OSError):
                leftover.unlink()
        yield from steps(directory, apply, self.loaded)
        loaded = self.loaded
        self._chains = [list(chain) for chain in loaded.files]
        self._damaged, self._empty = list(loaded.damaged), loaded.empty
        self._stale = (
            not self._chains
            or loaded.problem is not None
            or len(self._chains[-1]) >= self._config.rewrite
        )

    def append(self, levels: Levels, record: Record) -> None:
        """Note that a node has changed."""
        for segment in (self._current, self._next):
            if segment is not None:
                segment.append(levels, record)
        self._dirty.set()

    def start(self) -> None:
        """Begin to write what changes; the whole tree, if that is needed, follows in the course of `run`."""
        self._begun = True
        if not self._chains:
            return
        try:
            self._use(self._begin_next())
        except OSError as err:
            self._failed(err)

    async def run(self) -> None:
        """Write, sync, rotate and compact, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_flushing())
            tasks.create_task(self._keep_working())

    async def work(self) -> None:
        """Do what is due; write the whole tree if that is needed, though it may have failed before."""
        if self._stale:
            await self._compact()
        await self._keep_up()

    def close(self, reason: str) -> None:
        """End the files in order; if there is none, try to write everything."""
        for thread in (self._quick, self._slow):
            thread.submit(_nothing).result()  # what it was at is over
        current, self._current = self._current, None
        try:
            if current is not None:
                current.end(reason=reason)
                current.finish()
            elif self._begun:
                self._write_all(reason)
        except OSError as err:
            self._failed(err)
        finally:
            self._begun = False
            self._quick.shutdown()
            self._slow.shutdown()
            self._lock.release()

    @property
    def _patience(self) -> float:
        """Seconds until something has to be done even if nothing happens."""
        current, config = self._current, self._config
        wait = config.sync
        if current is not None and current.size != current.safe:
            wait = min(wait, current.synced + wait - self._clock.monotonic())
        if self._stale:
            wait = min(wait, self._again - monotonic())
        return max(wait, config.flush)

    async def _keep_flushing(self) -> None:
        """Flush soon after every change, whatever else the disk is busy with."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(self._config.flush)
            self._dirty.clear()
            await self._flush()

    async def _keep_working(self) -> None:
        while True:
            await (self.work() if monotonic() >= self._again else self._keep_up())
            self._trouble.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._trouble.wait()

    async def _keep_up(self) -> None:
        """Save what has changed, in the files that there are."""
        await self._flush()
        await self._sync()
        await self._advance()

    async def _flush(self) -> None:
        current = self._current
        if current is None:
            self._stale = True
            return
        try:
            await _in(self._quick, current.flush)
        except OSError as err:
            if self._next is None or err.errno not in _NO_ROOM:
                self._failed(err)  # else it is tried again when the whole tree has made room

    async def _sync(self) -> None:
        """Sync if it is time for that."""
        current, now = self._current, self._clock.monotonic()
        if current is None or now - current.synced < self._config.sync:
            return
        if current.size != current.safe:
            current.synced = now
            try:
                await self._do(current.sync)
            except OSError as err:
                self._failed(err)

    async def _advance(self) -> None:
        """Rotate if it is time for that, or have the whole tree written."""
        current, now = self._current, self._clock.monotonic()
        if current is None or (
            now - current.begun <= self._config.rotate and current.size <= self._config.size
        ):
            return
        directory, chain = self._config.directory, self._chains[-1]
        if len(chain) >= self._config.rewrite or not await self._do(
            lambda: _exist(directory, chain)
        ):
            self._stale = True
        elif current.entries:
            try:
                segment = await self._do(self._begin_next)
                current.end(name=segment.name, mode="next")
                self._use(segment)
                await self._do(current.finish)
            except OSError as err:
                self._failed(err)
        else:
            current.begun = now

    async def _compact(self) -> None:
        """Write the whole tree into a new file, while changes go to both.

        If that fails they go on to the one that there is: there may be room for them.
        """
        segment: Segment | None = None
        begun = monotonic()
        try:
            segment = await self._do(self._begin_full)
            self._next = segment
            for count, (levels, record) in enumerate(self._snapshot(), 1):
                segment.append(levels, record)
                if not count % _SLICE:
                    await self._do(segment.flush)
                    await self._sync()
            segment.mark()
            await self._do(segment.complete)
        except BaseException as err:
            discarded = self._slow.submit(_nothing if segment is None else segment.discard)
            if not isinstance(err, OSError):
                raise
            await asyncio.shield(asyncio.wrap_future(discarded))
            self._again = monotonic() + max(_RETRY, _EFFORT * (monotonic() - begun))
            self._complain(err)
            return
        finally:
            self._next = None
        former = self._current
        self._chains.append([])
        self._use(segment)
        self._stale = False
        if former is not None:
            former.end(name=segment.name, mode="restart")
            with contextlib.suppress(OSError):  # all that it has is in the new one
                await self._do(former.finish)
        self._works()
        await self._clean()

    async def _clean(self) -> None:
        """Put damaged files aside, and remove what is older than the chains to keep."""
        directory, keep = self._config.directory, self._config.keep
        old, self._chains = self._chains[:-keep], self._chains[-keep:]
        damaged, self._damaged = self._damaged, []
        useless, self._empty = [*self._empty, *(name for chain in old for name in chain)], []
        await self._do(lambda: _put_aside(directory, damaged))
        await self._do(lambda: _remove(directory, useless))

    def _write_all(self, reason: str) -> None:
        """Write the whole tree into a new file, and that is all."""
        segment = self._begin_full()
        try:
            for levels, record in self._snapshot():
                segment.append(levels, record)
            segment.mark()
            segment.end(reason=reason)
            segment.complete()
        finally:
            segment.discard()

    def _begin_full(self) -> Segment:
        """Begin a full file, in a thread; it gets its name when it is complete."""
        self._lock.take()
        segment = self._new(FULL)
        segment.open()
        return segment

    def _begin_next(self) -> Segment:
        """Begin an incremental file, in a thread."""
        segment = self._new(INCREMENTAL)
        try:
            segment.open()
            segment.flush()
            segment.publish()
        except OSError:
            segment.discard()
            raise
        return segment

    def _use(self, segment: Segment) -> None:
        """Have changes go to another file from now on."""
        self._current = segment
        self._chains[-1].append(segment.name)

    def _new(self, mode: str) -> Segment:
        directory = self._config.directory
        last = self._chains[-1][-1] if self._chains and self._chains[-1] else None
        name = next_name(
            self._config.name,
            self._clock.time(),
            last or "",
            lambda name: (directory / name).exists(),
        )
        return Segment(directory, name, self._clock, mode=mode, prev=last)

    async def _do[T](self, work: Callable[[], T]) -> T:
        return await _in(self._slow, work)

    def _failed(self, error: OSError) -> None:
        """Write nothing more to what may be broken; the next attempt is a new file."""
        if self._current is not None:
            self._slow.submit(self._current.close)
            self._current = None
        self._stale = True
        self._again = monotonic() + _RETRY
        self._trouble.set()
        self._complain(error)

    def _complain(self, error: OSError) -> None:
        text = f"{error.filename or self._config.directory}: {error.strerror or error}"
        if self._problem is None:
            _LOGGER.error("Not everything can be saved: %s", text)
        if self._problem != text:
            self._problem = text
            self._report(text)

    def _works(self) -> None:
        if self._problem is not None:
            _LOGGER.info("Saving works again")
            self._problem = None
            self._report(None)


async def _in[T](thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Have a thread do something; it is not given up half-way, nor left out."""
    return await asyncio.shield(asyncio.wrap_future(thread.submit(work)))


def _exist(directory: File, names: Iterable[str]) -> bool:
    return all((directory / name).exists() for name in names)


def _put_aside(directory: File, names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            (directory / name).rename(directory / f"{name}.bad")


def _remove(directory: File, names: Iterable[str]) -> None:
    """Remove files, and the folders that are empty then."""
    for name in names:
        file = directory / name
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
            while (file := file.parent) != directory:
                file.rmdir()


def _nothing() -> None:
    """Be done when everything before is."""
