"""A disk that fills up, fails, or loses its power, for those who write through the module `os`."""

import errno
import os
from collections.abc import Callable
from pathlib import Path as File
from typing import Any


class PowerCut(BaseException):
    """Nothing happens any more."""


class Disk:
    """Stands in for the module `os`; knows what would survive a power failure.

    `error`: what every operation fails with. `fuse`: after so many operations, `blow` comes true.
    """

    def __init__(self) -> None:
        """Begin with a disk that works."""
        self.error: int | None = None
        self.fuse: int | None = None
        self.blow: int | type[PowerCut] = PowerCut
        self.dead = False
        self._safe: dict[int, int] = {}

    def __getattr__(self, name: str) -> Any:
        """Offer everything else unchanged."""
        return getattr(os, name)

    def open(self, *arguments: Any) -> int:
        """Open a file."""
        self._operate()
        number = os.open(*arguments)
        if arguments[1] & os.O_TRUNC:
            self._safe[os.fstat(number).st_ino] = 0
        return number

    def write(self, number: int, data: memoryview) -> int:
        """Write; what fails may have been done in part."""
        try:
            self._operate()
        except OSError:
            os.write(number, data[: len(data) // 2])
            raise
        return os.write(number, data[: max(1, len(data) - 7)])

    def fsync(self, number: int) -> None:
        """Make safe what has been written."""
        self._operate()
        found = os.fstat(number)
        self._safe[found.st_ino] = found.st_size

    def cut_power(self) -> None:
        """Let nothing happen any more."""
        self.dead = True

    def repair(self, directory: File) -> None:
        """Work again; everything in a directory is safe."""
        self.error = self.fuse = None
        self.dead = False
        for file in directory.rglob("*"):
            found = file.stat()
            self._safe[found.st_ino] = found.st_size

    def survivors(self, directory: File, choose: Callable[[int, int], int]) -> dict[str, bytes]:
        """Return what is in each file after a power failure: `choose` between the safe size and all."""
        found = {}
        for file in sorted(directory.rglob("*")):
            if file.is_file():
                data = file.read_bytes()
                safe = min(self._safe.get(file.stat().st_ino, 0), len(data))
                found[file.relative_to(directory).as_posix()] = data[: choose(safe, len(data))]
        return found

    def _operate(self) -> None:
        if self.dead:
            raise PowerCut
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                self._fail()
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))

    def _fail(self) -> None:
        if isinstance(self.blow, int):
            raise OSError(self.blow, os.strerror(self.blow))
        self.dead = True
        raise PowerCut


ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
