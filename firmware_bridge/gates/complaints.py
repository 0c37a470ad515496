"""What a gate cannot translate, as errors of the installation: one a topic, until it is well again."""

import asyncio
import logging
from typing import Final

from ..link.client import Link
from ..link.codec import Value
from ..link.errors import EncodeError, LinkError, RefusedError
from ..link.path import Path

_LOGGER = logging.getLogger(__name__)

MOST: Final = 1_000
"""Errors that are reported at a time; more are only counted."""
_SHOWN: Final = 1_000  # bytes of a payload
_RETRY: Final = 5.0


class Complaints:
    """Reports errors, and clears them, one after the other."""

    def __init__(self, link: Link) -> None:
        """Report through this link."""
        self._link = link
        self._reported: set[Path] = set()
        self._waiting: dict[Path, tuple[str, dict[str, Value]] | None] = {}
        self._wake = asyncio.Event()

    def raised(self, path: Path, problem: str, **fields: Value) -> None:
        """Report an error, unless it is reported."""
        if path not in self._reported and len(self._reported) < MOST:
            self._reported.add(path)
            self._waiting[path] = (problem, fields)
            self._wake.set()

    def cleared(self, path: Path) -> None:
        """Clear an error."""
        if path in self._reported:
            self._reported.discard(path)
            self._waiting[path] = None
            self._wake.set()

    def recall(self, path: Path) -> None:
        """Take note of an error that was reported earlier."""
        self._reported.add(path)

    async def run(self) -> None:
        """Report for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._say()
            except LinkError:
                await asyncio.sleep(_RETRY)
                self._wake.set()

    async def _say(self) -> None:
        while self._waiting:
            path = next(iter(self._waiting))
            said = self._waiting[path]
            try:
                if said is None:
                    await self._link.clear_error(path)
                else:
                    await self._link.report_error(path, said[0], level=3, **said[1])
            except (EncodeError, RefusedError) as err:
                _LOGGER.warning("Not reported: %s: %s", path, err)
            if self._waiting.get(path) is said:
                del self._waiting[path]


def shown(payload: bytes) -> bytes:
    """Return as much of a payload as fits into a report."""
    return payload[:_SHOWN]
