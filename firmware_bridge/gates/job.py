"""Drives one entry: waits until nobody else does, announces it, and starts it again when it fails."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from ..link.client import Link, Service
from ..link.clock import Clock
from ..link.errors import CannotConnectError, ConnectionLostError, LinkError, NoAnswerError
from ..link.identity import HOSTS
from ..link.path import Path
from .counters import Counters
from .entry import DRIVER, Entry
from .gate import Gate

_LOGGER = logging.getLogger(__name__)

PLACE: Final = Path("gate")
"""Of entries, of their announcements below `run.host`, and of their errors below `error`."""
HOST: Final = "gate"
SERVICES: Final = HOSTS / HOST
"""Where gates are announced."""
FIRST: Final = 5.0
FACTOR: Final = 1.4
LONGEST: Final = 900.0
LONGEST_AWAY: Final = 60.0
"""Seconds between attempts to reach a broker that is not there."""
PROVEN: Final = 35.0
"""Seconds after which a gate that runs counts as well."""
_LOOK: Final = 1.0  # seconds between two looks at somebody else
_SETTLED: Final = 0.1
"""Seconds within which the installation is seen to be lost, too, if it is: then nothing else is wrong."""
_AWAY: Final = (CannotConnectError, ConnectionLostError, NoAnswerError)


class Job:
    """One entry, until `run` is cancelled."""

    def __init__(
        self,
        name: Path,
        entry: Entry | str,
        link: Link,
        clock: Clock,
        *,
        is_free: Callable[[Path], bool],
        on_state: Callable[[Job], None],
    ) -> None:
        """Take the entry at `gate.<name>`, or why it cannot be driven.

        `is_free` knows whether nobody else is announced at a path; `on_state` is told when `state` has
        changed.
        """
        self.name = name
        self.state = "starting"
        """starting, waiting, running, backoff, invalid or stopped."""
        self.counters = Counters()
        self.announced = False
        self._entry = entry
        self._link = link
        self._is_free = is_free
        self._clock = clock
        self._on_state = on_state
        self._gate: Gate | None = None
        self._service: Service | None = None
        self._delay = FIRST

    @property
    def service(self) -> Path:
        """Where it is announced."""
        return SERVICES / self.name

    async def run(self) -> None:
        """Drive it for ever."""
        entry = self._entry
        if isinstance(entry, str):
            self.counters.last_error = entry
            self._become("invalid")
            await self._report(entry)
            await asyncio.Event().wait()
            return
        while self.state != "stopped":
            await self._connected()
            if await self._free() or self._gate is None:
                self._gate = Gate(entry, self._link, self._clock, self.counters)
            await self._serve(self._gate)
        await asyncio.Event().wait()

    # Whose turn it is

    async def _connected(self) -> None:
        """Wait for the installation."""
        changed = asyncio.Event()
        unsubscribe = self._link.on_status(changed.set)
        try:
            while not self._link.status.ready:
                changed.clear()
                await changed.wait()
        finally:
            unsubscribe()

    async def _free(self) -> bool:
        """Wait until nobody else drives it; return whether somebody did."""
        waited = False
        while not self._link.status.ready or not self._is_free(self.service):
            waited = True
            self._become("waiting")
            await asyncio.sleep(_LOOK)
        return waited

    async def _serve(self, gate: Gate) -> None:
        """Run the gate until the installation is lost, or somebody stops us or takes over."""
        ended = asyncio.Event()

        def on_status() -> None:
            if not self._link.status.connected:
                ended.set()

        def on_stop(reason: str) -> None:
            if not reason.startswith("superseded"):
                self._become("stopped")
            _LOGGER.info("Gate %s: %s", self.name, reason)
            ended.set()

        service = self._link.serve(self.name, {}, host=HOST, up=False, on_stop=on_stop)
        self._service = service
        unsubscribe = self._link.on_status(on_status)
        self.announced = True
        self._become("starting")
        driving = asyncio.ensure_future(self._drive(gate, service))
        waiting = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait([driving, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            unsubscribe()
            driving.cancel()
            waiting.cancel()
            await asyncio.wait([driving, waiting])
            service.close()
            self.announced = False
            self._service = None
            self._on_state(self)

    # Running, failing, running again

    async def _drive(self, gate: Gate, service: Service) -> None:
        while True:
            reason, longest = await self._attempt(gate, service)
            await asyncio.sleep(_SETTLED)
            delay = self._delay
            self._delay = min(self._delay * FACTOR, longest)
            self.counters.last_error = reason
            self._become("backoff")
            service.update(f"backoff {delay:.0f}: {reason}", up=False)
            await self._report(reason)
            await asyncio.sleep(delay)

    async def _attempt(self, gate: Gate, service: Service) -> tuple[str, float]:
        """Run the gate once; return why it has ended, and how long to wait at most."""
        up = asyncio.Event()

        def on_running() -> None:
            self._become("running")
            service.update("running")
            up.set()

        proving = asyncio.ensure_future(self._prove(up))
        try:
            await gate.run(on_running)
        except _AWAY as err:
            return str(err), LONGEST_AWAY
        except LinkError as err:
            return str(err), LONGEST
        except Exception as err:  # the one supervisor of gates: one's bug is not the others'
            _LOGGER.exception("Gate %s has a bug", self.name)
            return f"{type(err).__name__}: {err}", LONGEST
        finally:
            proving.cancel()
            await asyncio.wait([proving])
        return "it ended", LONGEST

    async def _prove(self, up: asyncio.Event) -> None:
        """When the gate has run for long enough, forget what was wrong before."""
        await up.wait()
        await asyncio.sleep(PROVEN)
        self._delay = FIRST
        with contextlib.suppress(LinkError):
            await self._link.clear_error(PLACE / self.name)

    async def _report(self, reason: str) -> None:
        _LOGGER.warning("Gate %s: %s", self.name, reason)
        with contextlib.suppress(LinkError):
            await self._connected()
            await self._link.report_error(PLACE / self.name, reason, level=3, driver=DRIVER)

    def _become(self, state: str) -> None:
        if state != self.state:
            self.state = state
            _LOGGER.info("Gate %s: %s", self.name, state)
        self._on_state(self)
