"""Numbers that clients publish: one that has come back proves that all before it has been read."""

import asyncio


class Stamps:
    """Counts from 1; whoever waits is told when a number, or a later one, is back from the broker."""

    def __init__(self) -> None:
        self._given = 0
        self._heard = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def new(self) -> int:
        """Return the next number for somebody to publish."""
        self._given += 1
        return self._given

    def heard(self, stamp: int) -> None:
        """Take a number that is back; one that was never given counts as the last that was."""
        self._heard = max(self._heard, min(stamp, self._given))
        waiting, self._waiters = self._waiters, []
        for wanted, waiter in waiting:
            if waiter.done():
                continue
            if wanted <= self._heard:
                waiter.set_result(None)
            else:
                self._waiters.append((wanted, waiter))

    async def wait(self, stamp: int) -> None:
        """Wait until this number, or a later one, is back."""
        if self._heard < stamp:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((stamp, waiter))
            await waiter
