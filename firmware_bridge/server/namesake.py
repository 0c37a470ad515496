"""Another server of our name: two would throw each other off the broker for ever."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Collection
from math import inf
from typing import Final

from ..link.clock import Backoff
from ..link.codec import ABSENT, Value, decode_payload
from ..link.direct import Endpoint, endpoints, greeting
from ..link.errors import AuthenticationError, DecodeError, LinkError, RefusedError
from ..link.identity import SERVERS, fresh_id
from ..link.meta import decode_meta
from ..link.path import Path
from ..link.session import BrokerConfig, Publish, Session

_LOGGER = logging.getLogger(__name__)

_MOST: Final = 4  # end points that are tried
_PATIENCE: Final = 3.0  # seconds for each
_FIRST: Final = 30.0  # seconds until we look again, and at most
_LONGEST: Final = 600.0

type Ours = Callable[[Value], bool]


class Namesake:
    """Finds out whether our name is free, before it is used at the broker."""

    def __init__(
        self,
        config: BrokerConfig,
        root: Path,
        name: str,
        *,
        ours: Ours,
        addresses: Callable[[], Collection[tuple[str, int]]],
    ) -> None:
        """`ours` tells our own announcements, `addresses` is where we listen ourselves."""
        self._config = config
        self._topic = Path(*root, *SERVERS, name).topic
        self._name = name
        self._ours = ours
        self._addresses = addresses
        self._backoff = Backoff(_FIRST, _LONGEST)
        self._since = inf
        self._told = False

    def settled(self, now: float) -> None:
        """Take note that the name is ours: who announces itself by it after `now` is another one.

        What is older may come back with a broker that was restored.
        """
        self._since = now

    async def free(self) -> None:
        """Return as soon as nobody else has our name. LinkError."""
        self._backoff.reset()
        while (holder := await self._holder()) is not None:
            self._tell(holder)
            await asyncio.sleep(self._backoff.wait())
        if self._told:
            _LOGGER.warning("Nobody else is server %s any more", self._name)
        self._told = False

    def _tell(self, holder: str) -> None:
        if not self._told:
            self._told = True
            _LOGGER.error(
                "There is another server %s at the broker (%s): give one of them another name; "
                "this one stays off the broker until then",
                *(self._name, holder),
            )

    async def _holder(self) -> str | None:
        """Return where a server of our name is; None if there is none. LinkError."""
        announcement, time = await self._announced()
        if announcement is ABSENT or self._ours(announcement):
            return None
        found = endpoints(announcement, server=self._name, encrypted=True)
        places = ", ".join(map(str, found)) or "nowhere"
        if time > self._since:
            return places
        own = self._addresses()
        for endpoint in found[:_MOST]:
            if (endpoint.host, endpoint.port) not in own and await self._answers(endpoint):
                return str(endpoint)
        return None

    async def _answers(self, endpoint: Endpoint) -> bool:
        """Tell whether a server of our name is at an end point, whether or not it would let us in."""
        try:
            return await greeting(endpoint, timeout=_PATIENCE, tls=_anybody()) == self._name
        except AuthenticationError:
            return True  # whoever speaks our language is no leftover
        except LinkError:
            return False

    async def _announced(self) -> tuple[Value, float]:
        """Read the announcement at our name, and its time, as somebody else. LinkError."""
        found: list[tuple[Value, float]] = []

        def take(packet: Publish) -> None:
            with contextlib.suppress(DecodeError):
                value = decode_payload(packet.payload, packet.text)
                found.append((value, inf if packet.meta is None else decode_meta(packet.meta).time))

        session = await Session.open(
            self._config, client_id=fresh_id(), on_publish=take, on_closed=lambda _: None
        )
        try:
            await session.subscribe(self._topic)
            await session.barrier()
        except RefusedError:
            return ABSENT, inf
        finally:
            await session.close()
        return found[-1] if found else (ABSENT, inf)


def _anybody() -> ssl.SSLContext:
    """Return what accepts any certificate: it is only asked for a name, and is told nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
