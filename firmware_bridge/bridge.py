"""The bridge: drivers below, the link above, and one service that obeys commands."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable

from .announce import announced
from .catalogue import SET, Catalogue
from .commands import checked
from .config import Config
from .driver import Batch
from .link.client import Link
from .link.clock import Clock, SystemClock
from .link.codec import Value
from .link.config import LinkConfig
from .link.errors import LinkError, NotFoundError, RefusedError
from .link.path import Path
from .link.services import Command
from .link.transport import BrokerConfig
from .publisher import Publisher
from .refusals import Refusals
from .runner import Runner

_LOGGER = logging.getLogger(__name__)

HOSTS = Path("run", "host")
VERSION = "0.1.0"


class Bridge:
    """Everything that one bridge process does."""

    def __init__(self, config: Config, link: Link, *, clock: Clock | None = None) -> None:
        """Take the configuration and a link that `run` will run."""
        self.service = HOSTS / config.host / config.name
        """Where the bridge announces itself."""
        self._config = config
        self._link = link
        self._clock = clock or SystemClock()
        self._catalogue = Catalogue(config.prefix, self.service)
        self._publisher = Publisher(
            link, self._catalogue, self._clock, prefix=config.prefix, service=self.service
        )
        self._runners = {
            name: Runner(
                name,
                opener,
                self._clock,
                on_open=self._on_open,
                on_batch=self._on_batch,
                on_fault=self._on_fault,
            )
            for name, opener in config.drivers.items()
        }
        self._stopping: asyncio.Future[str] | None = None
        self._stopped: str | None = None
        self._ready = False

    async def run(self, *, forget: bool = False) -> str:
        """Run until told to stop; return why. `forget`: remove at the end what was published."""
        self._stopping = asyncio.get_running_loop().create_future()
        if self._stopped is not None:  # before it ran
            self._stopping.set_result(self._stopped)
        unsubscribe = self._link.on_terminate(lambda: self.stop("ordered to end"))
        unheard = self._link.on_status(Refusals(self._link).look)
        commands: dict[str, Command] = {
            SET: self.set,
            "devices": self.devices,
            "refresh": self.refresh,
        }
        service = self._link.serve(
            Path(self._config.name), commands, value=self._state, on_stop=self.stop
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                link = tasks.create_task(self._link.run(), name="link")
                ours = [
                    tasks.create_task(self._publisher.run(), name="publisher"),
                    tasks.create_task(self._supervise(service.update), name="drivers"),
                    tasks.create_task(self._announce(), name="announcement"),
                ]
                reason = await self._stopping
                _LOGGER.info("Stopping: %s", reason)
                for task in ours:
                    task.cancel()
                await asyncio.wait(ours)
                if forget:
                    await self._forget()
                link.cancel()
        finally:
            unsubscribe()
            unheard()
        return reason

    def stop(self, reason: str) -> None:
        """Let `run` end orderly, even if it has not begun."""
        if self._stopping is None:
            self._stopped = reason
        elif not self._stopping.done():
            self._stopping.set_result(reason)

    async def set(self, device: str, key: str, value: Value = None) -> Value:
        """Set a point or pull a trigger; RefusedError with the reason."""
        if not isinstance(device, str) or not isinstance(key, str):
            raise RefusedError("device and key are texts")
        entry = self._catalogue.get(device)
        point = entry.points.get(key) if entry is not None else None
        if entry is None or point is None:
            raise NotFoundError(f"there is no {device[:64]}.{key[:64]}")
        try:
            await self._runners[entry.driver].write(device, key, checked(point, value))
        except RefusedError as err:
            _LOGGER.info("Refused %s.%s = %.100r: %s", device, key, value, err)
            raise
        _LOGGER.info("Set %s.%s = %.100r", device, key, value)
        return True

    async def devices(self) -> Value:
        """Return what there is: a map of name, driver and fault by device id."""
        return {
            entry.description.id: {
                "name": entry.description.name,
                "driver": entry.driver,
                "fault": self._runners[entry.driver].fault,
            }
            for entry in self._catalogue.entries
        }

    async def refresh(self) -> Value:
        """Publish everything anew."""
        self._publisher.everything()
        return True

    @property
    def _state(self) -> Value:
        """Return what the announcement tells besides."""
        return {
            "version": VERSION,
            "prefix": self._config.prefix,
            "devices": len(self._catalogue.entries),
            "drivers": {name: runner.fault for name, runner in self._runners.items()},
        }

    async def _supervise(self, announce: Callable[[Value], None]) -> None:
        """Run the drivers as soon as it is known what was published before."""
        await self._publisher.informed.wait()
        self._sweep()
        async with asyncio.TaskGroup() as tasks:
            for runner in self._runners.values():
                tasks.create_task(runner.run(), name=f"driver {runner.name}")
            while True:
                announce(self._state)
                await asyncio.sleep(1)

    async def _announce(self) -> None:
        """Be found on the local network."""
        async with announced(self._config):
            await asyncio.Event().wait()

    def _on_open(self, runner: Runner) -> None:
        self._take_offers(runner)
        known = self._publisher.known(runner.name)
        if runner.driver is not None and known:
            runner.driver.restore(known)
        self._sweep()

    def _sweep(self) -> None:
        """Remove what was left by drivers that are not there any more, once all have spoken."""
        if not self._ready and all(each.offered for each in self._runners.values()):
            self._ready = True
            self._publisher.sweep()
            if self._runners:
                count, place = len(self._catalogue.entries), self._config.prefix
                _LOGGER.info("Ready: %d devices at %s", count, place)

    def _on_batch(self, runner: Runner, batch: Batch) -> None:
        self._take_offers(runner)
        self._publisher.receive(batch)

    def _on_fault(self, runner: Runner) -> None:
        self._publisher.fault(runner.name, runner.fault)

    def _take_offers(self, runner: Runner) -> None:
        if runner.driver is None:
            return
        changes = self._catalogue.replace(runner.name, runner.driver.offers())
        if changes.published or changes.removed or changes.problems:
            self._publisher.changed(changes)

    async def _forget(self) -> None:
        with contextlib.suppress(TimeoutError, LinkError):
            await self._publisher.forget()
            return
        _LOGGER.warning("Not everything that was published could be removed")


def link_config(config: Config) -> LinkConfig:
    """Return what the link needs of the configuration; raises OSError on unreadable files."""
    return LinkConfig(
        broker=BrokerConfig(
            host=config.broker_host,
            port=config.broker_port,
            username=config.username,
            password=config.password,
            tls=config.tls.context() if config.tls else None,
        ),
        root=config.root,
        name=config.name,
        host=config.host,
        endpoint=config.endpoint,
        token=config.token,
        server_tls=ssl.create_default_context(cafile=config.server_ca),
        use_server=config.use_server,
    )
