"""Files that may change while the server runs: tokens and certificates."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path as File
from typing import Final

_EVERY: Final = 2.0  # seconds between two looks

type Read = Callable[[], Awaitable[None]]
type Signature = tuple[int, int, int, int] | None


@dataclass(slots=True, eq=False)
class _Group:
    """Files that belong together, and how to read them."""

    files: tuple[File, ...]
    read: Read
    known: tuple[Signature, ...]
    seen: tuple[Signature, ...]


class Watcher:
    """Looks at files again and again; a change counts as soon as two looks agree on it."""

    def __init__(self) -> None:
        self._groups: list[_Group] = []
        self._asked = asyncio.Event()

    def add(self, files: Iterable[File], read: Read) -> None:
        """Take files that count as read by now."""
        found = tuple(files)
        now = _signatures(found)
        self._groups.append(_Group(found, read, now, now))

    def ask(self) -> None:
        """Have everything read now, whether it has changed or not."""
        self._asked.set()

    async def run(self, every: float = _EVERY) -> None:
        """Look, for ever."""
        while True:
            try:
                async with asyncio.timeout(every):
                    await self._asked.wait()
            except TimeoutError:
                pass
            asked = self._asked.is_set()
            self._asked.clear()
            for group in await asyncio.to_thread(self._changed, asked):
                await group.read()

    def _changed(self, asked: bool) -> list[_Group]:
        found = []
        for group in self._groups:
            now = _signatures(group.files)
            settled, group.seen = now == group.seen, now
            if asked or (settled and now != group.known):
                group.known = now
                found.append(group)
        return found


def _signatures(files: Iterable[File]) -> tuple[Signature, ...]:
    return tuple(map(_signature, files))


def _signature(file: File) -> Signature:
    """Return what tells one version of a file from another; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode
