"""Reading what is on disk at the start: the newest file and what it builds on."""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Final

from .savefile import SUFFIX, Apply, Contents, read

_LOGGER = logging.getLogger(__name__)

_HEADER_SIZE: Final = 4096


@dataclass(slots=True, kw_only=True)
class Loaded:
    """What was read."""

    files: list[list[str]] = field(default_factory=list)
    """Names, oldest first, in chains that each begin with a full file."""
    entries: int = 0
    complete: bool = False
    """Whether a whole chain was there."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Names of files with something wrong in them, and what."""

    @property
    def newest(self) -> str | None:
        """The file to go on from."""
        return self.files[-1][-1] if self.files else None


def load(directory: File, apply: Apply) -> Loaded:
    """Read the newest chain that is complete; everything newer, too. Torn ends are cut off."""
    loaded = Loaded()
    known = _headers(directory, loaded)
    loaded.files = _chains(known)
    waiting = sorted(known, reverse=True)
    done: set[str] = set()
    while waiting and not loaded.complete:
        name: str | None = waiting.pop(0)
        while name in known and name not in done:
            done.add(name)
            contents = _read(directory, name, apply, loaded)
            loaded.complete = contents.complete
            name = None if contents.complete else contents.prev
    return loaded


def _headers(directory: File, loaded: Loaded) -> dict[str, Contents]:
    """Look at the beginning of every file."""
    known: dict[str, Contents] = {}
    for file in directory.rglob(f"*{SUFFIX}"):
        name = file.relative_to(directory).as_posix()
        try:
            with file.open("rb") as source:
                beginning = source.read(_HEADER_SIZE)
        except OSError as err:
            loaded.damaged[name] = str(err)
            continue
        contents = read(beginning, lambda *_: None, header_only=True)
        if contents.mode:
            known[name] = contents
        elif beginning:
            loaded.damaged[name] = contents.damage or "no header"
    return known


def _chains(known: dict[str, Contents]) -> list[list[str]]:
    chains: list[list[str]] = []
    for name in sorted(known):
        if not chains or known[name].mode != "incr":
            chains.append([])
        chains[-1].append(name)
    return chains


def _read(directory: File, name: str, apply: Apply, loaded: Loaded) -> Contents:
    file = directory / name
    try:
        contents = read(file.read_bytes(), apply)
    except OSError as err:
        loaded.damaged[name] = str(err)
        return Contents()
    loaded.entries += contents.entries
    if contents.damage is not None:
        _LOGGER.error("%s is damaged %s; what stands before has been read", file, contents.damage)
        loaded.damaged[name] = contents.damage
    elif contents.torn:
        _LOGGER.warning("%s ends within an entry, which is cut off", file)
        os.truncate(file, contents.good)
    return contents
