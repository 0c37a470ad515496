"""A small JSON file that is replaced as a whole: after a power failure it is the former one or this."""

import contextlib
import json
import os
from pathlib import Path as File
from typing import Final

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def remember(file: File, said: object) -> None:
    """Replace the file, for our user alone. OSError."""
    temporary = file.with_name(f"{file.name}.tmp")
    with os.fdopen(os.open(temporary, _NEW, 0o600), "w") as target:
        json.dump(said, target)
        target.flush()
        os.fsync(target.fileno())
    temporary.rename(file)


def recall(file: File) -> object:
    """Return what the file says; None if that cannot be understood."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return json.loads(file.read_text())
    return None
