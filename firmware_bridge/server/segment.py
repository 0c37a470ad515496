"""One file of the journal, while it is written."""

import contextlib
import errno
import os
from collections import deque
from pathlib import Path as File
from threading import Lock

from ..link.clock import Clock
from .records import Record
from .savefile import Encoder, encode_changes, encode_end, encode_header
from .store import Levels


class Segment:
    """A file that grows. It has its name only after `publish`.

    What is said of it waits in memory until `flush`. All that touches the disk may be done in other
    threads, and may raise OSError.
    """

    def __init__(
        self, directory: File, name: str, clock: Clock, *, mode: str, prev: str | None
    ) -> None:
        """Describe the file; `open` makes it."""
        self.name = name
        self._directory = directory
        self._file = directory / name
        self._temporary = directory / f"{name}.tmp"
        self._clock = clock
        self._encoder = Encoder()
        self._pending = deque([encode_header(name, clock.time(), mode=mode, prev=prev)])
        self._number: int | None = None
        self._writing = Lock()
        self.begun = self.synced = clock.monotonic()
        self.size = 0
        self.safe = 0
        """Bytes that were synced."""
        self.entries = 0

    # What is said of it

    def append(self, levels: Levels, record: Record) -> None:
        """Add an entry."""
        self._pending.append(self._encoder.entry(levels, record))
        self.entries += 1

    def mark(self) -> None:
        """Say that the tree is whole, and that changes follow."""
        self._pending.append(encode_changes(self._clock.time()))

    def end(self, **why: str) -> None:
        """Say that this is all."""
        self._pending.append(encode_end(self._clock.time(), **why))

    # The disk

    def open(self) -> None:
        """Make the file under a temporary name."""
        _make_folder(self._file.parent, self._directory)
        self._number = os.open(
            self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )

    def flush(self) -> None:
        """Hand everything to the operating system; if that fails, all of it still waits."""
        with self._writing:
            waiting: list[bytes] = []
            while self._pending:
                waiting.append(self._pending.popleft())
            if not waiting:
                return
            data = b"".join(waiting)
            try:
                self._write(data)
            except OSError:
                self._pending.appendleft(data)
                raise

    def sync(self) -> None:
        """Wait until what was flushed is on the disk, and see that the file is still there."""
        size = self.size
        os.fsync(self._opened)
        if not os.fstat(self._opened).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "somebody has removed it", str(self._file))
        self.safe = size

    def publish(self) -> None:
        """Give the file its name."""
        self._temporary.rename(self._file)
        _sync_folder(self._file.parent)

    def complete(self) -> None:
        """Write and sync everything, and give the file its name."""
        self.flush()
        self.sync()
        self.publish()

    def finish(self) -> None:
        """Write and sync everything, and close."""
        try:
            self.flush()
            self.sync()
        finally:
            self.close()

    def close(self) -> None:
        """Close, whatever the disk says to that."""
        with self._writing:
            number, self._number = self._number, None
            if number is not None:
                with contextlib.suppress(OSError):
                    os.close(number)

    def discard(self) -> None:
        """Close, and remove what has no name yet."""
        self.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        number = self._opened
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(number, view) :]
        except OSError:
            os.ftruncate(number, self.size)
            os.lseek(number, self.size, os.SEEK_SET)
            raise
        self.size += len(data)

    @property
    def _opened(self) -> int:
        if self._number is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), str(self._file))
        return self._number


def _make_folder(folder: File, base: File) -> None:
    """Make a folder below another, so that a power failure does not undo it."""
    if folder.is_dir():
        return
    if folder != base:
        _make_folder(folder.parent, base)
    folder.mkdir(0o700, parents=folder == base, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: File) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
