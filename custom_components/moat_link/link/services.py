"""What we offer to others: services with commands, announced below `run.host`."""

import asyncio
import inspect
import logging
from annotationlib import Format
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from .alike import alike
from .errors import DecodeError, LinkError, NotFoundError, RefusedError
from .identity import HOSTS, STOPS, announcement, fresh_name
from .path import Path
from .rpc import Reply

if TYPE_CHECKING:
    from .codec import Value

_LOGGER = logging.getLogger(__name__)

AT_ONCE: Final = 32  # commands that run at the same time
WAITING: Final = 64  # commands that wait for their turn

type Command = Callable[..., Awaitable[Value | Reply]]
type OnStop = Callable[[str], None]

_SUPERSEDED: Final = "superseded"
_PING: Final = (Path("i", "ping"), Path("i", "乒"))
_DIRECTORY: Final = Path("dir_")


class Service:
    """A service of ours; `path` is where it is announced, `key` where its commands are called."""

    def __init__(
        self,
        path: Path,
        commands: Mapping[str, Command],
        value: Value,
        on_stop: OnStop | None,
        changed: Callable[[Service], None],
        *,
        up: bool = True,
    ) -> None:
        """Offer commands by their (dotted) name; `changed` is told when there is news to announce."""
        self.path = path
        self.key = fresh_name()
        self.value = value
        self.up = up
        self.stopped: str | None = None
        self._commands = {Path.parse(name): each for name, each in commands.items()}
        self._on_stop = on_stop
        self._changed = changed

    @property
    def superseded(self) -> bool:
        """Whether the announcement is somebody else's by now."""
        return self.stopped == _SUPERSEDED

    @property
    def stop_path(self) -> Path:
        """Where others ask this service to stop."""
        return STOPS / self.path.relative_to(HOSTS)

    def announce(self, client_id: str) -> Value:
        """Return what to say about this service now."""
        return announcement(client_id, Path(self.key), self.value, up=self.up)

    def update(self, value: Value, *, up: bool = True) -> None:
        """Announce another value, and whether the service is ready."""
        if not alike(value, self.value) or up is not self.up:
            self.value = value
            self.up = up
            self._changed(self)

    def close(self) -> None:
        """Withdraw the service."""
        if self.stopped is None:
            self.stopped = "closed"
            self._changed(self)

    def stop(self, reason: str) -> None:
        """Tell the owner that somebody wants the service to end, or took it over."""
        if self._on_stop is not None and self.stopped is None:
            try:
                self._on_stop(reason)
            except Exception:
                _LOGGER.exception("Stopping %s failed", self.path)

    def supersede(self, by: str) -> None:
        """End without touching the announcement: it is somebody else's now."""
        self.stop(f"superseded by {by}")
        self.stopped = _SUPERSEDED

    def command(self, name: Path) -> Command | None:
        """Find a command, while the service lasts; `i.ping` and `dir_` exist in every one."""
        if self.stopped is not None:
            return None
        if name in _PING:
            return _pong
        if name == _DIRECTORY:
            return self._list
        return self._commands.get(name)

    async def _list(self, *_: Value) -> Value:
        """Say which commands there are."""
        return {"c": [str(name) for name in self._commands]}


class Services:
    """All services of a link; runs their commands, a bounded number at a time."""

    def __init__(self) -> None:
        """Start without any."""
        self._services: dict[str, Service] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    def __iter__(self) -> Iterator[Service]:
        """Go through the services that are offered."""
        return iter([service for service in self._services.values() if service.stopped is None])

    @property
    def announced(self) -> list[Service]:
        """Return the services whose announcement is, or may still be, ours."""
        return [service for service in self._services.values() if not service.superseded]

    def add(self, service: Service) -> None:
        """Take calls for a service."""
        self._services[service.key] = service

    def remove(self, service: Service) -> None:
        """Take no more calls for it."""
        self._services.pop(service.key, None)

    async def execute(
        self, route: Sequence[Value], arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value | Reply:
        """Carry a request out, or raise the RefusedError it is answered with."""
        command = self._find(route)
        try:
            signature = inspect.signature(command, annotation_format=Format.STRING)
            signature.bind(*arguments, **keywords)
        except TypeError as err:
            raise RefusedError(f"wrong arguments: {err}") from err
        if self._waiting >= AT_ONCE + WAITING:
            raise RefusedError("too many commands at once")
        self._waiting += 1
        try:
            async with self._turns:
                return await command(*arguments, **keywords)
        except RefusedError:
            raise
        except LinkError as err:
            raise RefusedError(str(err) or type(err).__name__) from err
        except Exception as err:
            # The command's own code: its bug is its caller's answer, and ours to log.
            _LOGGER.exception("Command %s failed", ".".join(map(str, route[1:])))
            raise RefusedError(f"failed: {type(err).__name__}") from err
        finally:
            self._waiting -= 1

    def _find(self, route: Sequence[Value]) -> Command:
        try:
            name = Path.of(route)
        except DecodeError:
            name = Path()
        if name in _PING:
            return _pong
        service = self._services.get(str(name[0])) if name else None
        command = service.command(name[1:]) if service is not None else None
        if command is None:
            raise NotFoundError(f"no such command: {name[1:]}")
        return command


async def _pong(*arguments: Value, **keywords: Value) -> Reply:
    """Show that we are alive."""
    return Reply(("乓", *arguments), keywords)
