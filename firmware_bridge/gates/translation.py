"""The table of a gate, as it is on MoaT-Link now: `conv.<set>` and the codecs it names."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Final

from ..link.client import Link, Watch
from ..link.codec import Value
from ..link.errors import DecodeError
from ..link.path import Path
from .complaints import Complaints
from .table import Table

CONV = Path("conv")
CODEC = Path("codec")
MOST_ROWS: Final = 2_000
"""Rows of a table, and codecs that they may name."""


class Translation:
    """Follows a table; `on_change` is told when there is another one to be made."""

    def __init__(
        self, link: Link, place: Path, complaints: Complaints, on_change: Callable[[], None]
    ) -> None:
        """Take the path of the table below `conv`."""
        self._link = link
        self._place = CONV / place
        self._complaints = complaints
        self._on_change = on_change
        self._problems: set[Path] = set()
        self._watches: list[Watch] = []
        self.last_problem: str | None = None

    @property
    def size(self) -> int:
        """How many rows and codecs there are, as far as they are looked at."""
        return sum(min(len(watch.messages), MOST_ROWS) for watch in self._watches)

    @contextmanager
    def followed(self) -> Iterator[asyncio.Event]:
        """Follow it for as long as the context lasts; the event tells that all of it is known."""
        known = asyncio.Event()

        def marked() -> None:
            if all(watch.complete for watch in self._watches):
                known.set()
                self._on_change()

        def changed(_: object) -> None:
            if known.is_set():
                self._on_change()

        for place in (self._place, CODEC):
            self._watches.append(self._link.watch(place, changed, on_mark=marked))
        try:
            yield known
        finally:
            for watch in self._watches:
                watch.close()
            self._watches.clear()

    def table(self) -> Table:
        """Make the table, and report what is wrong with it."""
        rows, codecs = (_nodes(watch) for watch in self._watches)
        table = Table(rows, codecs)
        wrong = {_below(self._place, topic): text for topic, text in table.problems.items()}
        if any(len(watch.messages) > MOST_ROWS for watch in self._watches):
            wrong[self._place] = f"more than {MOST_ROWS} rows or codecs: the others are left out"
        for path in self._problems - wrong.keys():
            self._complaints.cleared(path)
        for path, text in wrong.items():
            self._complaints.raised(path, f"{path}: {text}")
        self._problems = set(wrong)
        self.last_problem = next((f"{path}: {text}" for path, text in wrong.items()), None)
        return table


def _nodes(watch: Watch) -> Mapping[str, Value]:
    """Return the values below a watched path, by their topic below it; not too many."""
    prefix = watch.prefix.topic
    return {
        topic.removeprefix(prefix).removeprefix("/"): message.value
        for topic, message in islice(watch.messages.items(), MOST_ROWS)
    }


def _below(place: Path, topic: str) -> Path:
    if not topic:
        return place
    try:
        return place / Path.from_topic(topic)
    except DecodeError:
        return place / topic
