"""Numbers that clients publish: one that has come back proves that all before it has been read."""

import asyncio

from ..link.errors import RefusedError


class Stamps:
    """Counts from 1; whoever waits is told when a number, or a later one, is back from the broker."""

    def __init__(self) -> None:
        self._given = 0
        self._heard = 0
        self._waiters: dict[asyncio.Future[None], int] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def new(self) -> int:
        """Return the next number for somebody to publish."""
        self._given += 1
        return self._given

    def heard(self, stamp: int) -> None:
        """Take a number that is back; one that was never given counts as the last that was."""
        self._heard = max(self._heard, min(stamp, self._given))
        for waiter, wanted in self._waiters.items():
            if wanted <= self._heard and not waiter.done():
                waiter.set_result(None)

    async def wait(self, stamp: int) -> None:
        """Wait until this number, or a later one, is back. RefusedError if it was never given."""
        if stamp > self._given:
            raise RefusedError(f"the stamp {stamp} was never given")
        if self._heard >= stamp:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = stamp
        try:
            await waiter
        finally:
            del self._waiters[waiter]
