"""How the journal's files are called: in order, whatever the clock does."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from .savefile import SUFFIX

_LATER: Final = 61  # seconds that a name may be ahead: to the next minute
_COUNTED: Final = re.compile(r"_(\d{4})$")
_MOST: Final = 9999


def next_name(pattern: str, time: float, last: str, taken: Callable[[str], bool]) -> str:
    """Return a free name, by the time if possible, that comes after the last one (or "")."""
    name = ""
    for later in range(_LATER):
        name = datetime.fromtimestamp(time + later, UTC).strftime(pattern)
        if name > last and not taken(name):
            return name
    name = max(name, last)  # the clock has gone back
    while name == last or taken(name):
        name = _counted(name)
    return name


def _counted(name: str) -> str:
    stem = name.removesuffix(SUFFIX)
    match = _COUNTED.search(stem)
    if match is None or int(match[1]) == _MOST:
        return f"{stem}_0001{SUFFIX}"
    return f"{stem[: match.start()]}_{int(match[1]) + 1:04}{SUFFIX}"
