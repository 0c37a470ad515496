"""One file of the journal, while it is written."""

import os
from pathlib import Path as File

from ..link.clock import Clock
from .records import Record
from .savefile import Encoder, encode_changes, encode_end, encode_header
from .store import Levels


class Segment:
    """A file that grows. It has its name only after `publish`. Everything but `append` may raise OSError."""

    def __init__(
        self, directory: File, name: str, clock: Clock, *, mode: str, prev: str | None
    ) -> None:
        """Begin the file under a temporary name."""
        self._file = directory / name
        self._temporary = directory / f"{name}.tmp"
        self._clock = clock
        self._encoder = Encoder()
        self._pending: list[bytes] = [encode_header(name, clock.time(), mode=mode, prev=prev)]
        self.begun = self.synced = clock.monotonic()
        self.size = 0
        self.entries = 0
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._number = os.open(
            self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )

    def append(self, levels: Levels, record: Record) -> None:
        """Add an entry; it is written by the next `flush`."""
        self._pending.append(self._encoder.entry(levels, record))
        self.entries += 1

    def mark(self) -> None:
        """Say that the tree is whole, and that changes follow."""
        self._pending.append(encode_changes(self._clock.time()))

    def flush(self) -> None:
        """Hand everything to the operating system; what was written in part is taken back."""
        if not self._pending:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._number, view) :]
        except OSError:
            os.ftruncate(self._number, self.size)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Wait until what was flushed is on the disk; fit for another thread."""
        os.fsync(self._number)

    def publish(self) -> None:
        """Give the file its name."""
        self._temporary.rename(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def end(self, **why: str) -> None:
        """Write the end marker and close."""
        try:
            self._pending.append(encode_end(self._clock.time(), **why))
            self.flush()
            self.sync()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close without another word."""
        os.close(self._number)

    def discard(self) -> None:
        """Close, and remove what has no name yet."""
        self.abandon()
        self._temporary.unlink(missing_ok=True)
