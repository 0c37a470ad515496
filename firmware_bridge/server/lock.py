"""A directory that is one process's alone."""

import fcntl
import os
from pathlib import Path as File


class LockedError(OSError):
    """Another server uses the directory."""


class Lock:
    """Held for as long as the process lives, whatever ends it: no lock is left behind."""

    def __init__(self, directory: File) -> None:
        """Take nothing yet."""
        self._directory = directory
        self._number: int | None = None

    def take(self) -> None:
        """Make the directory if need be, and lock it, unless that is so already.

        LockedError if another process has it, OSError if it cannot be made.
        """
        if self._number is not None and not os.fstat(self._number).st_nlink:
            self.release()  # somebody has removed the directory
        if self._number is not None:
            return
        directory = self._directory
        directory.mkdir(0o700, parents=True, exist_ok=True)
        number = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            os.close(number)
            raise LockedError(err.errno, "used by another server", str(directory)) from err
        self._number = number

    def release(self) -> None:
        """Let others have it."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)
