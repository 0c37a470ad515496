"""Our place among the servers: announced to the others, whom we hear, and at times the main server."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

from ..link.clock import Clock
from ..link.codec import ABSENT, Key, Value
from ..link.errors import LinkError
from ..link.identity import CONNECTION, SERVERS, fresh_name
from ..link.message import Message
from ..link.meta import Meta
from .broker import Broker
from .config import ServerConfig
from .doors import Address
from .election import Election
from .peers import Peers
from .tokens import Tokens
from .tree import Tree

_LOGGER = logging.getLogger(__name__)

_TOKEN_LIFE: Final = 900.0
_TOKEN_GRACE: Final = 30.0
_TURN: Final = 0.5  # seconds between two looks at whether it is our turn


class Office:
    """Announces the server, renews its token, and claims to be the main server when it should."""

    def __init__(
        self,
        config: ServerConfig,
        clock: Clock,
        tree: Tree,
        broker: Broker,
        peers: Peers,
        tokens: Tokens,
        *,
        on_main: Callable[[], None],
    ) -> None:
        """`on_main` is called whenever this becomes the main server."""
        self.name = config.name
        self.election = Election(config.name, clock.monotonic())
        self.addresses: Sequence[Address] = ()
        """Where clients can connect."""
        self._config = config
        self._clock = clock
        self._tree = tree
        self._broker = broker
        self._peers = peers
        self._tokens = tokens
        self._on_main = on_main
        self._open = False
        self._news = asyncio.Event()
        if config.announce_token:
            tokens.announced = [fresh_name(20)]

    @property
    def alone(self) -> bool:
        """Whether this is the main server, and there is no other one."""
        return self.election.main and not self.election.others

    def announcement(self) -> Value:
        """Return what is said about this server."""
        plain: list[Value] = []
        encrypted: list[Value] = []
        for each in self.addresses:
            (encrypted if each.tls else plain).append({"host": each.host, "port": each.port})
        said: dict[Key, Value] = {"node": socket.gethostname(), "link": plain}
        if encrypted:
            said["tls"] = encrypted
        if self._tokens.announced:
            said["auth"] = {"token": self._tokens.announced[0]}
        return said

    async def run(self) -> None:
        """Say where we are, and as the main server say so again and again; for ever."""
        self._open = True
        renewed = self._clock.monotonic()
        await self._announce()
        while True:
            if self._clock.monotonic() - renewed > _TOKEN_LIFE:
                renewed = self._clock.monotonic()
                await self.renew()
            if self._news.is_set():
                self._news.clear()
                await self._announce()
            was_main = self.election.main
            if self._broker.connected and self.election.due(self._clock.monotonic()):
                self._claim()
            self._broker.repairs = self.election.main
            if self.election.main and not was_main:
                _LOGGER.info("Server %s is the main server now", self.name)
                self._on_main()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TURN):
                    await self._news.wait()

    def connected(self) -> None:
        """Say again who we are, to a broker that may have forgotten everything."""
        self._news.set()
        if self.election.main:
            self.election.renew(self._clock.monotonic())
            self._on_main()

    def linked(self, name: str, *, up: bool) -> None:
        """Take note whether another server can be reached."""
        self.election.linked(name, up=up)

    def hear(self, channel: str, message: Message) -> None:
        """Listen to what servers tell each other."""
        now = self._clock.monotonic()
        match channel.split("/"), message.value:
            case ["server", self.name], value:
                if value is ABSENT and self._open:
                    self._news.set()
            case ["server", _], value:
                name = str(message.path[-1])
                self.election.announced(name, there=value is not ABSENT, now=now)
                self._peers.announced(name, value)
            case ["conn"], dict():
                self.election.claimed(message.meta.origin, now)
            case ["down"], str(name):
                self.election.down(name, now)
                self._peers.announced(name, ABSENT)
            case ["ping"], {"node": str(name)} | {"history": [str(name), *_]}:
                self.election.pinged(name, now)

    async def renew(self) -> None:
        """Announce another token; the former one is good for a little longer."""
        if not self._config.announce_token:
            return
        former = self._tokens.announced[:1]
        self._tokens.announced = [fresh_name(20), *former]

        def expire() -> None:
            self._tokens.announced = self._tokens.announced[:1]

        asyncio.get_running_loop().call_later(_TOKEN_GRACE, expire)
        await self._announce()

    async def _announce(self) -> None:
        with contextlib.suppress(LinkError):
            await self._broker.confirm(SERVERS / self.name, self.announcement())

    def _claim(self) -> None:
        levels = CONNECTION.topic.split("/")
        with contextlib.suppress(LinkError):
            meta = Meta(self.name, self._tree.stamp(levels))
            self._broker.send(levels, self.announcement(), meta, retain=True)
            self._tree.receive(levels, self.announcement(), meta)
