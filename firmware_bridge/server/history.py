"""What values were: kept for some time below chosen prefixes, in a file of its own."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import batched
from pathlib import Path as File
from typing import Final

from ..link.clock import Clock
from ..link.errors import RefusedError
from .archive import Archive, Entry, Row, damaged
from .records import Record
from .retention import Keep, Rules
from .store import RUN, Levels

_LOGGER = logging.getLogger(__name__)

_BATCH: Final = 1.0
_CLEANING: Final = 3600.0
_AGAIN: Final = 60.0  # seconds until cleaning is tried again
_WAITING: Final = 200_000  # entries that may wait for the disk
_WAITING_SIZE: Final = 64 << 20  # and bytes of them
_SLICE: Final = 500  # paths, or nodes, in one go
_PORTION: Final = 10_000  # entries that are written in one go at the start
_PORTION_SIZE: Final = 8 << 20
_SLACK: Final = 0.02  # what is forgotten beyond the limit, so that it need not be done all the time

type Snapshot = Callable[[], Iterable[tuple[Levels, Record]]]
type Report = Callable[[str, str | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """What is kept, by topic prefix (the longest counts), and how many bytes in all."""

    file: File
    keep: Mapping[str, Keep] = field(default_factory=dict)
    size: int = 1 << 30


class History:
    """Takes every change below the prefixes; `append` never fails and never waits.

    The file belongs to one thread. What goes wrong with it is reported: as `damage` (the file was put
    aside, and a new one begun) or as `disk` (nothing can be written just now; it is tried again).
    """

    def __init__(
        self,
        config: HistoryConfig,
        clock: Clock,
        *,
        snapshot: Snapshot = tuple,
        report: Report = lambda _, __: None,
    ) -> None:
        """`snapshot` returns what there is at the start; `report` gets a kind, and a text or None."""
        self._config = config
        self._clock = clock
        self._snapshot = snapshot
        self._report = report
        self._rules = Rules(config.keep)
        self._waiting: list[Entry] = []
        self._size = 0
        """Bytes that wait."""
        self._lost = 0
        self._archive = Archive(config.file)
        self._thread = ThreadPoolExecutor(1, "history")
        self._renewing = asyncio.Lock()
        self._renewals = 0
        self._sizes: dict[str | None, int] | None = None
        self._problem: str | None = None
        self._unclean = False
        self._ongoing: set[asyncio.Task[None]] = set()

    @property
    def problem(self) -> str | None:
        """Why nothing is kept just now."""
        return self._problem

    @property
    def sizes(self) -> Mapping[str | None, int]:
        """Bytes on the disk by prefix, as far as is known."""
        return dict(self._sizes or {})

    def remembers(self, topic: str) -> bool:
        """Whether anything is kept of a topic."""
        return topic.split("/", 1)[0] != RUN and self._rules.prefix(topic) is not None

    def append(self, levels: Levels, record: Record, time: float) -> None:
        """Take a change."""
        topic = "/".join(levels)
        if not self.remembers(topic):
            return
        if len(self._waiting) >= _WAITING or self._size >= _WAITING_SIZE:
            self._lost += 1
            return
        self._waiting.append((topic, time, record))
        self._size += len(topic) + len(record)

    async def run(self) -> None:
        """Write what has come, and forget what is too old or too much, for ever."""
        await self._begin()
        due = self._clock.monotonic()
        while True:
            await asyncio.sleep(_BATCH)
            await self.flush()
            now = self._clock.monotonic()
            if now >= due and (self._problem is None or self._unclean):
                await self.clean()
                due = now + (_AGAIN if self._unclean else _CLEANING)

    async def flush(self) -> None:
        """Write what has come; what cannot be written waits for the next attempt."""
        if self._waiting:
            await self._finish(self._flush())

    async def read[T](self, work: Callable[[Archive], T]) -> T:
        """Have something read, after all that has come is written. RefusedError if it fails."""
        await self.flush()
        try:
            return await self._do(partial(work, self._archive))
        except (OSError, sqlite3.Error) as err:
            raise RefusedError(f"the history cannot be read: {err}") from err

    async def rows(self, topic: str, after: float, end: float) -> list[Row]:
        """Return the next rows after a time, before another; none if there are no more."""
        return await self.read(lambda archive: archive.rows(topic, after, end))

    async def clean(self) -> None:
        """Forget what is older, or more, than its prefix allows; make the file smaller."""
        try:
            for some in batched(await self._do(self._archive.paths), _SLICE, strict=False):
                await self._do(partial(self._forget, some))
            self._sizes = None
            await self._limit()
            while await self._do(self._archive.tidy):
                pass
        except (OSError, sqlite3.Error) as err:
            self._unclean = True
            self._failed(err)
        else:
            self._unclean = False
            if not self._waiting:
                self._works()

    async def close(self) -> None:
        """Write what is left, and close the file."""
        while self._ongoing:
            await asyncio.wait(self._ongoing)
        await self.flush()
        with contextlib.suppress(sqlite3.Error):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._archive.close)
        self._thread.shutdown()

    async def _begin(self) -> None:
        """Take what there is: values older than the file, or lost when the last process died."""
        for some in batched(self._snapshot(), _SLICE, strict=False):
            for levels, record in some:
                self.append(levels, record, record.time)
            if len(self._waiting) > _PORTION or self._size > _PORTION_SIZE:
                await self.flush()
            await asyncio.sleep(0)

    async def _flush(self) -> None:
        entries, self._waiting = self._waiting, []
        size, self._size = self._size, 0
        try:
            await self._write(entries)
        except (OSError, sqlite3.Error) as err:
            self._waiting = entries + self._waiting
            self._size += size
            self._failed(err)
        else:
            if not self._unclean:
                self._works()

    async def _finish(self, work: Coroutine[None, None, None]) -> None:
        """Do something to its end, even if whoever waits for it is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._ongoing.add(task)
        task.add_done_callback(self._ongoing.discard)
        await asyncio.shield(task)

    async def _write(self, entries: Sequence[Entry]) -> None:
        await self._do(partial(self._archive.write, entries))
        if self._sizes is not None:
            for topic, _, record in entries:
                prefix = self._rules.prefix(topic)
                self._sizes[prefix] = self._sizes.get(prefix, 0) + 2 * len(record) + 48
        await self._limit()

    async def _limit(self) -> None:
        """Forget the oldest where there is too much; the file is asked only if that may be."""
        if self._sizes is None or self._too_much(self._sizes):
            self._sizes = await self._do(self._usage)
        while found := self._too_much(self._sizes):
            for prefix, size in found.items():
                await self._do(partial(self._trim, prefix, size))
            self._sizes = await self._do(self._usage)

    def _too_much(self, sizes: Mapping[str | None, int]) -> dict[str, int]:
        """Return how many bytes have to go, by prefix; of all together if there is too much."""
        found = {}
        for prefix, size in sizes.items():
            limit = None if prefix is None else self._rules[prefix].size
            if prefix is not None and limit is not None and size > limit:
                found[prefix] = size - int(limit * (1 - _SLACK))
        total = sum(sizes.values()) - sum(found.values())
        if total > self._config.size:
            found[_ALL] = total - int(self._config.size * (1 - _SLACK))
        return found

    async def _do[T](self, work: Callable[[], T]) -> T:
        """Do something in the thread; a damaged file is put aside, and it is done with a new one."""
        loop = asyncio.get_running_loop()
        renewals = self._renewals
        try:
            return await loop.run_in_executor(self._thread, work)
        except (OSError, sqlite3.Error) as err:
            if not damaged(err):
                raise
            await self._finish(self._renew(err, renewals))
        return await loop.run_in_executor(self._thread, work)

    async def _renew(self, reason: Exception, renewals: int) -> None:
        """Begin a new file, and say why; unless others who found out have done so since."""
        async with self._renewing:
            if renewals != self._renewals:
                return
            loop = asyncio.get_running_loop()
            aside = await loop.run_in_executor(self._thread, self._archive.put_aside, reason)
            self._renewals += 1
        text = f"{self._config.file}: {reason}; put aside as {aside.name}"
        _LOGGER.error("The history cannot be used, a new one is begun: %s", text)
        self._sizes = None
        self._report("damage", text)

    def _failed(self, error: Exception) -> None:
        text = f"{self._config.file}: {error}"
        if self._problem is None:
            _LOGGER.error("No history can be kept: %s", text)
        if self._problem != text:
            self._problem = text
            self._report("disk", text)

    def _works(self) -> None:
        if self._problem is not None:
            _LOGGER.info("History is kept again; %d values are lost", self._lost)
            self._lost = 0
            self._problem = None
            self._report("disk", None)

    # In the thread

    def _usage(self) -> dict[str | None, int]:
        return self._archive.usage(self._rules.prefix)

    def _trim(self, prefix: str, size: int) -> None:
        paths = self._archive.paths()
        ids = [id_ for id_, topic in paths if prefix in (_ALL, self._rules.prefix(topic))]
        self._archive.trim(ids, size)

    def _forget(self, paths: Iterable[tuple[int, str]]) -> None:
        """Forget what is too old; everything of paths that are not remembered any more."""
        now = self._clock.time()
        groups: dict[str | None, list[int]] = {}
        for known, topic in paths:
            groups.setdefault(self._rules.prefix(topic), []).append(known)
        self._archive.drop(groups.pop(None, ()))
        for prefix, ids in groups.items():
            if prefix is not None and (age := self._rules[prefix].age) is not None:
                self._archive.forget(ids, now - age)


_ALL: Final = "#"  # no topic
