"""Says everything on the link that there is to say: descriptions, values, events, faults.

Nothing is queued while the connection is away: afterwards everything is said anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping

from .catalogue import DEVICES, Catalogue, Changes, Entry
from .driver import Batch, Reading
from .link.client import Link
from .link.clock import Clock
from .link.codec import ABSENT
from .link.describe import DescriptionError, parse_device
from .link.errors import EncodeError, LinkError, RefusedError
from .link.identity import PING
from .link.message import Message
from .link.path import Path
from .outlet import Outlet, find
from .owners import Owners, owner_of

_LOGGER = logging.getLogger(__name__)

TICK = 0.25  # s, between two looks at what became due
RETRY = 5.0  # s, until the next attempt to say what was not taken, or is somebody else's
SNAPSHOT_TIMEOUT = 10.0  # s, for what was published before we started
CLOCK_STEP = 2.0  # s, that a clock may go back without being noticed
_LATER = 0.001  # s, between two events of one point


class Publisher:
    """The way up, from the drivers' batches to the link."""

    def __init__(
        self, link: Link, catalogue: Catalogue, clock: Clock, *, prefix: Path, service: Path
    ) -> None:
        """Publish what is in the catalogue; our values are below `prefix`."""
        self.informed = asyncio.Event()
        """Set when what was published before is known, or will not be known soon."""
        self._link = link
        self._catalogue = catalogue
        self._clock = clock
        self._prefix = prefix
        self._service = service
        self._before: dict[str, Message] = {}
        self._describe: dict[str, None] = {}
        self._delete: dict[Path, None] = {}
        self._faults: dict[str, str | None] = {}
        self._unsaid_faults: dict[str, None] = {}
        self._judged: set[str] = set()  # devices of which it is known whether they are ours
        self._held: dict[str, list[tuple[str, Reading]]] = {}  # events of the others
        self._shunned: dict[str, Path | None] = {}
        self._reconsidered = 0.0
        self._owners = Owners(link, clock)
        self._events: dict[Path, float] = {}
        self._unfit: set[Path] = set()
        self._sweep_wanted = False  # since every driver has said what there is
        self._sweep_due = False
        self._surveyed = asyncio.Event()
        self._wall = float("-inf")
        self._connected = asyncio.Event()
        self._wake = asyncio.Event()
        self._id = ""

    async def run(self) -> None:
        """Publish for ever."""
        forget = self._link.on_status(self._on_status)
        devices = self._link.watch(DEVICES, self._on_description, on_mark=self._on_survey)
        pings = self._link.watch(PING, self._owners.listen, snapshot=False)
        self._on_status()
        try:
            await self._look_back()
            while True:
                await self._connected.wait()
                pause = TICK
                try:
                    await self._settle(devices.messages)
                except LinkError as err:
                    _LOGGER.debug("Not everything was said: %s", err)
                    pause = RETRY
                except TimeoutError:
                    _LOGGER.debug("Nobody says who describes what")
                    self._take_all()
                    pause = RETRY
                self._wake.clear()
                self._flush(
                    outlet
                    for entry in self._catalogue.entries
                    if self._speaks_for(entry.description.id)
                    for outlet in entry.all_outlets
                )
                await self._pause(pause)
        finally:
            forget()
            devices.close()
            pings.close()

    def receive(self, batch: Batch) -> None:
        """Take what a driver read, and publish what is worth it."""
        self._check_clock()
        touched: dict[Outlet, None] = {}
        now = self._clock.monotonic()
        for reading in batch:
            entry = self._catalogue.get(reading.device)
            if entry is None:
                continue
            speaks = self._speaks_for(reading.device)
            for key, value in reading.values.items():
                if (outlet := entry.outlets.get(key)) is not None:
                    outlet.update(key, value, reading.time, now)
                    if speaks:
                        touched[outlet] = None
                elif key in entry.events and speaks:
                    self._event(entry, key, reading)
                elif key in entry.events and reading.device not in self._judged:
                    self._hold(key, reading)
        self._flush(touched)

    def changed(self, changes: Changes) -> None:
        """Take note of devices that came, changed or went."""
        for problem in changes.problems:
            _LOGGER.error("Wrong description: %s", problem)
        for entry in changes.removed:
            self._describe.pop(entry.description.id, None)
            self._judged.discard(entry.description.id)
            self._held.pop(entry.description.id, None)
            self._remove(entry.description.id, entry.state_paths)
        for entry in changes.published:
            self._describe[entry.description.id] = None
            for path in (entry.path, *entry.state_paths):
                self._delete.pop(path, None)
            for outlet in entry.all_outlets:
                outlet.again()
        self._wake.set()

    def sweep(self) -> None:
        """Remove descriptions of ours whose device is not in the catalogue: all are in it."""
        self._sweep_wanted = self._sweep_due = True
        self._wake.set()

    def everything(self) -> None:
        """Say everything anew."""
        for entry in self._catalogue.entries:
            self._describe[entry.description.id] = None
            for outlet in entry.all_outlets:
                outlet.again()
        self._unsaid_faults.update(dict.fromkeys(key for key, said in self._faults.items() if said))
        self._wake.set()

    def fault(self, driver: str, problem: str | None) -> None:
        """Tell the installation that a driver does not work, or (None) works again."""
        self._faults[driver] = problem
        self._unsaid_faults[driver] = None
        self._wake.set()

    def known(self, driver: str) -> list[Reading]:
        """Return what a driver's devices had published last."""
        known = []
        for entry in self._catalogue.entries:
            if entry.driver != driver:
                continue
            for key, outlet in entry.outlets.items():
                before = self._before.get(outlet.path.topic)
                value = outlet.value() if outlet.known else before.value if before else None
                time = outlet.time if outlet.known else before.time if before else 0.0
                found = find(value, entry.points[key].item)
                if found is not None and found is not ABSENT:
                    known.append(
                        Reading(device=entry.description.id, values={key: found}, time=time)
                    )
        return known

    async def forget(self) -> None:
        """Delete everything that we have published, as far as the connection lets us."""
        for entry in self._catalogue.entries:
            self._remove(entry.description.id, entry.state_paths)
        self._connected.clear()  # nothing more is published
        async with asyncio.timeout(SNAPSHOT_TIMEOUT):
            while self._delete:
                path = next(iter(self._delete))
                await self._link.delete(path)
                self._delete.pop(path, None)
            for driver, problem in self._faults.items():
                if problem is not None:
                    await self._link.clear_error(self._fault_path(driver))

    def _flush(self, outlets: Iterable[Outlet]) -> None:
        """Publish those that are due."""
        if not self._connected.is_set() or not self.informed.is_set():
            return
        now = self._clock.monotonic()
        for outlet in outlets:
            if outlet.due(now) and not self._publish(outlet, now):
                return

    def _publish(self, outlet: Outlet, now: float) -> bool:
        """Publish one state path; return whether it makes sense to go on."""
        value, time = outlet.take(now)
        try:
            self._link.publish(outlet.path, value, time=time)
        except EncodeError as err:
            if outlet.path not in self._unfit:
                self._unfit.add(outlet.path)
                _LOGGER.warning("A driver's value cannot be sent: %s", err)
        except LinkError:
            outlet.again()
            return False
        return True

    def _event(self, entry: Entry, key: str, reading: Reading) -> None:
        path = entry.points[key].path
        if path is None or not self._connected.is_set() or reading.values[key] is None:
            return
        time = max(reading.time, self._events.get(path, 0.0) + _LATER)
        self._events[path] = time
        try:
            self._link.publish(path, reading.values[key], retain=False, time=time)
        except LinkError as err:
            _LOGGER.debug("An event was lost: %s", err)

    def _hold(self, key: str, reading: Reading) -> None:
        """Keep an event until it is known whose device it comes from, which is soon."""
        if self._connected.is_set():
            self._held.setdefault(reading.device, []).append((key, reading))

    def _speaks_for(self, device: str) -> bool:
        """Return whether a device is known to be ours."""
        return device in self._judged and device not in self._shunned

    def _judge(self, entry: Entry, owner: Path | None, *, ours: bool) -> None:
        """Take note whose a device is; what has happened meanwhile is said now, or never."""
        device = entry.description.id
        self._judged.add(device)
        held = self._held.pop(device, [])
        if not ours:
            self._shunned[device] = owner
            return
        self._shunned.pop(device, None)
        for key, reading in held:
            self._event(entry, key, reading)

    def _take_all(self) -> None:
        """Take devices of which nobody says whose they are for ours."""
        for entry in self._catalogue.entries:
            if entry.description.id not in self._judged:
                self._judge(entry, None, ours=True)

    def _on_status(self) -> None:
        if not self._link.status.connected:
            self._connected.clear()
            self._surveyed.clear()
        elif not self._connected.is_set() or self._link.id != self._id:
            self._id = self._link.id
            self._owners.begin()
            self._connected.set()
            self.everything()

    async def _pause(self, longest: float) -> None:
        try:
            async with asyncio.timeout(longest):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _look_back(self) -> None:
        """Read what was published below our prefix; without it after a while."""
        try:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT):
                await self._connected.wait()
                async for message in self._link.walk(self._prefix):
                    self._before[message.topic] = message
        except (TimeoutError, LinkError) as err:
            _LOGGER.warning("What was published before is not known: %s", err or "no connection")
        self.informed.set()

    def _on_survey(self) -> None:
        """All descriptions of the installation are known."""
        self._surveyed.set()
        self._sweep_due = self._sweep_wanted
        self._wake.set()

    def _check_clock(self) -> None:
        """Notice when the clock was set back: new readings then look older than old ones."""
        wall = self._clock.time()
        if wall < self._wall - CLOCK_STEP:
            _LOGGER.warning("The clock was set back by %.0f s", self._wall - wall)
            for entry in self._catalogue.entries:
                for outlet in entry.all_outlets:
                    outlet.set_back(wall - CLOCK_STEP)
        self._wall = wall

    async def _settle(self, described: Mapping[str, Message]) -> None:
        """Say and delete what has to be confirmed."""
        async with asyncio.timeout(SNAPSHOT_TIMEOUT):
            await self._surveyed.wait()
        now = self._clock.monotonic()
        if self._shunned and now - self._reconsidered > RETRY:
            self._reconsidered = now
            self._describe.update(dict.fromkeys(self._shunned))
        if self._sweep_due:
            self._sweep_due = False
            self._sweep_out(described.values())
        while self._delete:
            path = next(iter(self._delete))
            await self._confirm(self._link.delete(path))
            self._delete.pop(path, None)
        while self._describe:
            device = next(iter(self._describe))
            entry = self._catalogue.get(device)
            if entry is not None and await self._is_ours(entry, described):
                await self._confirm(self._link.set(entry.path, entry.value))
            self._describe.pop(device, None)
        while self._unsaid_faults:
            driver = next(iter(self._unsaid_faults))
            problem, path = self._faults.get(driver), self._fault_path(driver)
            if problem is None:
                await self._confirm(self._link.clear_error(path))
            else:
                await self._confirm(self._link.report_error(path, problem))
            self._unsaid_faults.pop(driver, None)

    async def _confirm(self, said: Awaitable[object]) -> None:
        """Wait until it is said; what is refused for good is logged and not tried again."""
        try:
            await said
        except (RefusedError, EncodeError) as err:
            _LOGGER.warning("Not said: %s", err)

    def _sweep_out(self, described: Iterable[Message]) -> None:
        for message in list(described):
            device = message.path[-1]
            if not isinstance(device, str) or self._catalogue.get(device) is not None:
                continue
            if (paths := self._stale(device, message)) is not None:
                _LOGGER.info("Removing %s, which is not there any more", message.path)
                self._remove(device, paths)

    def _stale(self, device: str, message: Message) -> frozenset[Path] | None:
        """Return the state paths of a device that we have described, None for others' devices."""
        try:
            description, _ = parse_device(device, message.value)
        except DescriptionError:
            return None
        if description.alive != self._service:
            return None
        paths = (point.path for point in description.points if point.path is not None)
        return frozenset(path for path in paths if path.starts_with(self._prefix))

    def _remove(self, device: str, state_paths: Iterable[Path]) -> None:
        """Delete a description of ours and its values, soon."""
        if device in self._shunned:
            del self._shunned[device]
            return
        self._delete[DEVICES / device] = None
        used = {path for entry in self._catalogue.entries for path in entry.state_paths}
        mine = self._catalogue.get(device)
        used -= mine.state_paths if mine is not None else frozenset()
        self._delete.update(dict.fromkeys(path for path in state_paths if path not in used))

    async def _is_ours(self, entry: Entry, described: Mapping[str, Message]) -> bool:
        """Return whether nobody else who is alive describes a device of this id."""
        device = entry.description.id
        message = described.get(entry.path.topic)
        owner = owner_of(device, message.value) if message is not None else None
        alive = owner not in (None, self._service) and await self._owners.alive(owner)
        if alive and self._shunned.get(device) != owner:
            _LOGGER.error("%s belongs to %s; it is not published", entry.path, owner)
        self._judge(entry, owner if alive else None, ours=alive is False)
        return alive is False

    def _on_description(self, message: Message) -> None:
        """Notice when somebody else describes a device of ours."""
        device = message.path[-1]
        if not isinstance(device, str) or self._catalogue.get(device) is None:
            return
        owner = owner_of(device, message.value)
        if owner not in (None, self._service) and device not in self._shunned:
            _LOGGER.warning("%s is described by %s, too", message.path, owner)

    def _fault_path(self, driver: str) -> Path:
        return self._service[2:] / "driver" / driver
