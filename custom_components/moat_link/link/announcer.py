"""Announces our services, and defends or gives up their places, for the life of one session."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

from .codec import ABSENT, Value, decode_payload
from .data import Data
from .errors import ConnectionLostError, DecodeError, LinkError, NoAnswerError, NotFoundError
from .identity import IDS
from .mqtt_packets import Publish
from .presence import Presence
from .server import Server
from .services import Service, Services
from .subscriptions import Interest
from .watch import Watches

_LOGGER = logging.getLogger(__name__)

PATIENCE: Final = 1.0  # seconds before an announcement that somebody removed is repeated

type PacketHandler = Callable[[Publish], None]
type Spawn = Callable[[Coroutine[None, None, None]], object]


class Announcer:
    """Keeps `run.host.…` true about us."""

    def __init__(
        self,
        presence: Presence,
        services: Services,
        watches: Watches,
        data: Data,
        server: Callable[[], Server | None],
        handlers: dict[str, PacketHandler],
        spawn: Spawn,
    ) -> None:
        """Put the handlers of what concerns our services into `handlers`, by relative topic."""
        self._presence = presence
        self._services = services
        self._watches = watches
        self._data = data
        self._server = server
        self._handlers = handlers
        self._spawn = spawn
        self._announced: set[Service] = set()
        self._defended: set[Service] = set()
        self._lock = asyncio.Lock()

    async def begin(self) -> None:
        """Announce everything: there is a new session, and a new id."""
        for service in self._services:
            await self._guarded(service)

    def changed(self, service: Service) -> None:
        """Announce a service, or withdraw it."""
        self._spawn(self._guarded(service))

    async def _guarded(self, service: Service) -> None:
        try:
            async with self._lock:
                await (self._announce if service.stopped is None else self._withdraw)(service)
        except ConnectionLostError:
            _LOGGER.debug("%s waits for the next session", service.path)
        except NoAnswerError as err:
            _LOGGER.debug("%s is announced again: %s", service.path, err)
            self._spawn(self._defend(service, None))
        except LinkError as err:
            _LOGGER.warning("%s could not be announced: %s", service.path, err)

    async def _announce(self, service: Service) -> None:
        if service not in self._announced:
            self._announced.add(service)
            self._handlers[service.path.topic] = lambda packet: self._heard(service, packet)
            self._handlers[service.stop_path.topic] = lambda packet: _stop(service, packet)
            await self._presence.subscriptions.want(*_interests(service), qos=1)
        seen = self._watches.seen(service.path.topic)
        said = service.announce(self._presence.id)
        await self._presence.confirm(self._presence.compose(service.path, said, seen=seen)[1])

    async def _withdraw(self, service: Service) -> None:
        """Take an announcement back; if the link ends meanwhile, its goodbye does."""
        if service.superseded or service not in self._announced:
            self._services.remove(service)
        if service not in self._announced:
            return
        self._announced.discard(service)
        for topic in (service.path.topic, service.stop_path.topic):
            self._handlers.pop(topic, None)
        try:
            await self._presence.subscriptions.drop(*_interests(service))
            if not service.superseded:
                await self._data.set(service.path, ABSENT)
        except LinkError:
            self._services.remove(service)
            raise
        self._services.remove(service)

    def _heard(self, service: Service, packet: Publish) -> None:
        """Somebody announced something in a place of ours; most of the time it is our echo."""
        match _read(packet):
            case {"id": str(other)} if other == self._presence.id:
                return
            case {"id": str(other)}:
                self._spawn(self._defend(service, other))
            case _:
                self._spawn(self._defend(service, None))

    async def _defend(self, service: Service, rival: str | None) -> None:
        """Give a place of ours up if somebody else is alive there, else take it back; once at a time."""
        if service in self._defended:
            return
        self._defended.add(service)
        try:
            if rival is not None and await self._is_alive(rival):
                service.supersede(rival)
            else:
                await asyncio.sleep(PATIENCE)
        finally:
            self._defended.discard(service)
        if service in self._announced:
            await self._guarded(service)

    async def _is_alive(self, client_id: str) -> bool:
        try:
            return await self._alive(client_id)
        except LinkError as err:
            _LOGGER.debug("Nobody knows whether %s is alive: %s", client_id, err)
            return False

    async def _alive(self, client_id: str) -> bool:
        if (server := self._server()) is not None:
            return await server.alive(client_id)
        try:
            await self._data.get(IDS / client_id)
        except NotFoundError:
            return False
        return True


def _interests(service: Service) -> tuple[Interest, Interest]:
    return Interest(service.path, subtree=False), Interest(service.stop_path, subtree=False)


def _stop(service: Service, packet: Publish) -> None:
    match _read(packet):
        case {"reason": str(reason)}:
            service.stop(reason)
        case value if value is not ABSENT:
            service.stop("no reason given")


def _read(packet: Publish) -> Value:
    try:
        return decode_payload(packet.payload, packet.text)
    except DecodeError:
        return None
