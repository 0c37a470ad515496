"""Reading what is on disk at the start: the newest file and what it builds on."""

import contextlib
import logging
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Final

from .savefile import SUFFIX, Apply, Contents, Reader, read_header

_LOGGER = logging.getLogger(__name__)

_HEADER_SIZE: Final = 4096
_PIECE: Final = 32768  # bytes read between two looks at anything else


@dataclass(slots=True, kw_only=True)
class Loaded:
    """What was read."""

    files: list[list[str]] = field(default_factory=list)
    """Names, oldest first, in chains that each begin with a full file."""
    entries: int = 0
    complete: bool = False
    """Whether a whole chain was there, or nothing at all."""
    refused: dict[str, str] = field(default_factory=dict)
    """Names of files with entries that nobody could take, and why."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Names of files with something wrong in them, and what."""
    empty: list[str] = field(default_factory=list)
    """Names of files in which there is not even a header."""

    @property
    def problem(self) -> str | None:
        """What is wrong, in one text."""
        found = [
            f"{name}: {problem}" for name, problem in sorted((self.refused | self.damaged).items())
        ]
        if not self.complete:
            found.append("no chain of files is complete: nodes may be missing")
        return "; ".join(found) or None


def load(directory: File, apply: Apply) -> Loaded:
    """Read the newest chain that is complete; everything newer, too. Torn ends are cut off."""
    loaded = Loaded()
    for _ in steps(directory, apply, loaded):
        pass
    return loaded


def steps(directory: File, apply: Apply, loaded: Loaded) -> Iterator[None]:
    """Do what `load` does, piece by piece."""
    known: dict[str, Contents] = {}
    for file in directory.rglob(f"*{SUFFIX}"):
        _look(file, file.relative_to(directory).as_posix(), known, loaded)
        yield
    loaded.files = _chains(known)
    loaded.complete = not known and not loaded.damaged
    waiting = sorted(known, reverse=True)
    done: set[str] = set()
    while waiting and not loaded.complete:
        name: str | None = waiting.pop(0)
        while name in known and name not in done:
            done.add(name)
            contents = yield from _read(directory, name, apply, loaded)
            loaded.complete = contents.complete
            if contents.complete:
                waiting = _beside(known, contents)
                break
            name = contents.prev
    for name in waiting:
        if name not in done:
            yield from _read(directory, name, apply, loaded)


def _look(file: File, name: str, known: dict[str, Contents], loaded: Loaded) -> None:
    """Look at the beginning of a file."""
    if not file.is_file():  # to open a pipe may take for ever
        loaded.damaged[name] = "no file"
        return
    try:
        with file.open("rb") as source:
            beginning = source.read(_HEADER_SIZE)
    except OSError as err:
        loaded.damaged[name] = str(err)
        return
    contents = read_header(beginning)
    if contents.mode:
        known[name] = contents
    elif contents.torn or not beginning:
        loaded.empty.append(name)
    else:
        loaded.damaged[name] = contents.damage or "no header"


def _beside(known: dict[str, Contents], full: Contents) -> list[str]:
    """Return what is newer than a full file by its header, whatever it is called."""
    before: set[str] = set()
    name = full.prev
    while name in known and name not in before:
        before.add(name)
        name = known[name].prev
    return sorted(
        name for name, contents in known.items() if name not in before and contents.time > full.time
    )


def _chains(known: dict[str, Contents]) -> list[list[str]]:
    chains: list[list[str]] = []
    for name in sorted(known):
        if not chains or known[name].mode != "incr":
            chains.append([])
        chains[-1].append(name)
    return chains


def _read(
    directory: File, name: str, apply: Apply, loaded: Loaded
) -> Generator[None, None, Contents]:
    file = directory / name
    reader = Reader(apply)
    try:
        with file.open("rb") as source:
            while piece := source.read(_PIECE):
                reader.feed(piece)
                yield
    except OSError as err:
        _LOGGER.warning("%s cannot be read: %s", file, err)
        loaded.damaged[name] = str(err)
        return reader.found
    contents = reader.finish()
    loaded.entries += contents.entries
    if contents.refused:
        loaded.refused[name] = f"{contents.refused} entries left out, the first: {contents.refusal}"
        _LOGGER.warning("%s: %s", file, loaded.refused[name])
    if contents.damage is not None:
        _LOGGER.error("%s is damaged %s; what stands before has been read", file, contents.damage)
        loaded.damaged[name] = contents.damage
    elif contents.torn:
        _LOGGER.warning("%s ends within an entry, which is cut off", file)
        with contextlib.suppress(OSError):
            os.truncate(file, contents.good)
    return contents
