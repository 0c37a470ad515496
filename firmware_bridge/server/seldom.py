"""What anybody can cause, and often, fills no log."""

import logging
from math import inf
from time import monotonic
from typing import Final

_QUIET: Final = 60.0  # seconds between two warnings


class Seldom:
    """Warns of something now and then; the rest is for those who debug."""

    def __init__(self, logger: logging.Logger) -> None:
        """Take where to log."""
        self._logger = logger
        self._next = -inf

    def warn(self, text: str, *arguments: object) -> None:
        """Log it, as a warning if the last one is long enough ago."""
        now, level = monotonic(), logging.DEBUG
        if now >= self._next:
            self._next, level = now + _QUIET, logging.WARNING
        self._logger.log(level, text, *arguments, stacklevel=2)
