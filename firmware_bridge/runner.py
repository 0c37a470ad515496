"""Keeps one driver running: opens it, forwards what it reads, starts it again when its bus fails."""

import asyncio
import logging
from collections.abc import Callable

from .driver import Batch, Driver, DriverError, Opener
from .link.clock import Backoff, Clock
from .link.codec import Value
from .link.errors import LinkError, RefusedError

_LOGGER = logging.getLogger(__name__)

WRITE_TIMEOUT = 4.0  # s; whoever asks waits 5 s


class Runner:
    """One driver, for as long as the bridge runs."""

    def __init__(
        self,
        name: str,
        opener: Opener,
        clock: Clock,
        *,
        on_open: Callable[[Runner], None],
        on_batch: Callable[[Runner, Batch], None],
        on_fault: Callable[[Runner], None],
        backoff: Backoff | None = None,
    ) -> None:
        """Take what makes the driver, and who is to be told."""
        self.name = name
        self.driver: Driver | None = None
        self.fault: str | None = None
        self.offered = False  # has told at least once which devices there are
        self._proven = False  # has read something since it was opened
        self._opener = opener
        self._clock = clock
        self._on_open = on_open
        self._on_batch = on_batch
        self._on_fault = on_fault
        self._backoff = backoff or Backoff()

    async def run(self) -> None:
        """Run for ever."""
        while True:
            try:
                await self._run_once()
            except DriverError as err:
                self._failed(str(err))
            except Exception as err:  # the one supervisor of drivers: one's bug is not the others'
                _LOGGER.exception("Driver %s has a bug", self.name)
                self._failed(f"{type(err).__name__}: {err}")
            finally:
                self.driver = None
            await asyncio.sleep(self._backoff.wait())

    async def write(self, device: str, key: str, value: Value) -> None:
        """Pass a command on; raise RefusedError within a few seconds if nothing comes of it."""
        if self.driver is None:
            raise RefusedError(f"{device} cannot be reached: {self.fault or 'starting'}")
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                await self.driver.write(device, key, value)
        except TimeoutError:
            raise RefusedError(f"{device} did not answer within {WRITE_TIMEOUT:g} s") from None
        except DriverError as err:
            raise RefusedError(f"{device} cannot be reached: {err}") from err
        except LinkError:
            raise
        except Exception as err:  # as above
            _LOGGER.exception("Driver %s has a bug in writing %s.%s", self.name, device, key)
            raise RefusedError(f"the driver failed: {type(err).__name__}") from err

    async def _run_once(self) -> None:
        async with self._opener(self._clock) as driver:
            self.driver = driver
            self.offered = True
            self._on_open(self)
            async for batch in driver.readings():
                if not self._proven:
                    self._works()
                self._backoff.reset()
                self._on_batch(self, batch)
        raise DriverError("the driver ended")

    def _works(self) -> None:
        """Tell that there is no fault (any more); one may be left from before our start."""
        if self.fault is not None:
            _LOGGER.info("Driver %s is back", self.name)
        self.fault = None
        self._proven = True
        self._on_fault(self)

    def _failed(self, reason: str) -> None:
        self._proven = False
        if self.fault is None:
            _LOGGER.warning("Driver %s failed: %s", self.name, reason)
        if self.fault != reason:
            self.fault = reason
            self._on_fault(self)
