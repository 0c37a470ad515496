"""Our place among the servers: announced to the others, whom we hear, and at times the main server."""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from ..link.clock import Clock
from ..link.codec import ABSENT, Key, Value
from ..link.errors import DecodeError, LinkError
from ..link.identity import CONNECTION, MAIN, SERVERS, fresh_name
from ..link.message import Message
from ..link.meta import Meta
from .ballot import Ballot, Hist, Vers, decode_ballot, encode_ballot
from .broker import Broker
from .config import ServerConfig
from .doors import Address
from .election import Election
from .peers import Peers
from .ring import Ring
from .sync import Agreement
from .tokens import Tokens
from .tree import Tree
from .turns import Turns

_LOGGER = logging.getLogger(__name__)

_TOKEN_LIFE: Final = 900.0
_TOKEN_GRACE: Final = 30.0
_TURN: Final = 0.5  # seconds between two looks at whether it is our turn
_BREATH: Final = 1.0  # seconds between two announcements, whatever others do to them
_FORMER: Final = 1000  # tokens that are known again; ten days
_COMPLAINT: Final = 600.0  # seconds between two complaints about the same


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
        self.election = _part(config, clock.monotonic())
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
        self._stir = asyncio.Event()
        self._unsaid = True
        """Whether the announcement has to be made again."""
        self._sessions: dict[str, int] = {}
        self._near: set[str] = set()
        """Servers on this machine."""
        self._complaints: dict[str, float] = {}
        self._supplied = False
        self._former: deque[str] = deque(maxlen=_FORMER)
        """Tokens that we have announced."""
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

    def is_ours(self, announcement: Value) -> bool:
        """Whether this is what we have announced, now or before: a broker may have kept that."""
        match announcement:
            case {"auth": {"token": str(token)}}:
                return token in self._former or token in self._tokens.announced
        return announcement == self.announcement()

    async def run(self) -> None:
        """Say where we are, and as the main server say so again and again; for ever."""
        self._open = True
        renewed = announced = self._clock.monotonic()
        await self._announce()
        while True:
            now = self._clock.monotonic()
            if now - renewed > _TOKEN_LIFE:
                renewed = now
                await self.renew()
            if self._unsaid and now - announced >= _BREATH:
                announced = now
                await self._announce()
            if self._broker.connected and not self._unsaid:  # only who can be found may be main
                await self._take_part()
            await self._pause()

    def connected(self) -> None:
        """Say again who we are, to a broker that may have forgotten everything."""
        now = self._clock.monotonic()
        for name in self.election.others:
            if self._sessions.get(name) != self._broker.sessions:
                self._announced(name, ABSENT, now)
        self._unsaid, self._supplied = True, False
        self.election.renew(now)
        if self.election.main:
            self._supply()
        self._stir.set()

    def linked(self, name: str, *, up: bool) -> None:
        """Take note whether another server can be reached; on this machine, who cannot is dead."""
        now = self._clock.monotonic()
        self.election.linked(name, up=up, now=now)
        if not up and name in self._near:
            self.election.dead(name, now)

    def agreed(self, name: str, result: Agreement) -> None:
        """Take note of what kind another server is."""
        if result.real:
            self.election.real(name)

    def hear(self, channel: str, message: Message) -> None:
        """Listen to what servers tell each other."""
        now = self._clock.monotonic()
        match channel.split("/"), message.value:
            case ["server", _], value:
                if (name := str(message.path[-1])) != self.name:
                    self._announced(name, value, now)
                elif not self._broker.is_own(message.meta):
                    self._about_us(value)
            case ["conn"], dict():
                self.election.claimed(message.meta.origin, now)
            case ["conn"], _:
                self.election.repeat(now)
            case ["down"], str(name) if name != self.name:
                self._announced(name, ABSENT, now)
            case ["ping"], value if not message.retained:  # those are never meant to stay
                if not self._broker.is_own(message.meta):
                    self._hear_ballot(value, now)
        self._stir.set()

    async def renew(self) -> None:
        """Announce another token; the former one is good for a little longer."""
        if not self._config.announce_token:
            return
        former = self._tokens.announced[:1]
        self._former.extend(former)
        self._tokens.announced = [fresh_name(20), *former]

        def expire() -> None:
            self._tokens.announced = self._tokens.announced[:1]

        asyncio.get_running_loop().call_later(_TOKEN_GRACE, expire)
        await self._announce()
        if self.election.main and not self._unsaid:
            self._claim()  # real clients take the token from there

    # Inside

    async def _pause(self) -> None:
        """Wait until something may have to be done."""
        wait = self.election.wake - self._clock.monotonic() if self._broker.connected else _TURN
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait, 0), _TURN)):
                await self._stir.wait()
        self._stir.clear()

    async def _take_part(self) -> None:
        was_main = self.election.main
        for ballot in self.election.ballots(self._clock.monotonic()):
            with contextlib.suppress(LinkError):
                await self._broker.confirm(MAIN / "ping", encode_ballot(ballot), retain=False)
        if self.election.due(self._clock.monotonic()):
            self._claim()
        if self.election.main and not was_main:
            _LOGGER.info("Server %s is the main server now", self.name)
            self._supply()

    async def _announce(self) -> None:
        self._unsaid = False
        try:
            await self._broker.confirm(SERVERS / self.name, self.announcement())
        except LinkError as err:
            self._unsaid = True
            _LOGGER.debug("Not announced: %s", err)

    def _claim(self) -> None:
        levels = CONNECTION.topic.split("/")
        with contextlib.suppress(LinkError):
            meta = Meta(self.name, self._tree.stamp(levels))
            self._broker.send(levels, self.announcement(), meta, retain=True)
            self._tree.receive(levels, self.announcement(), meta)

    def _supply(self) -> None:
        """Have the broker supplied once a session: whoever takes turns is main again and again."""
        if not self._supplied:
            self._supplied = True
            self._on_main()

    def _announced(self, name: str, announcement: Value, now: float) -> None:
        """Take that another server is there, or gone."""
        self.election.announced(name, there=announcement is not ABSENT, now=now)
        self._sessions.pop(name, None)
        self._near.discard(name)
        if name in self.election.others:
            self._sessions[name] = self._broker.sessions
            if isinstance(announcement, dict) and announcement.get("node") == socket.gethostname():
                self._near.add(name)
        self._peers.announced(name, announcement)

    def _about_us(self, value: Value) -> None:
        """Correct what others say about this server, but not for ever: they may have its name."""
        if not self._open or value == self.announcement():
            return
        self._unsaid = True
        if value is not ABSENT:
            self._complain("name", "Somebody else announces itself as server %s", self.name)

    def _hear_ballot(self, value: Value, now: float) -> None:
        try:
            ballot = decode_ballot(value)
        except DecodeError as err:
            self._complain("ballot", "Ignored in the election of servers: %s", err)
            return
        if ballot.node == self.name:
            if not isinstance(ballot, Hist):  # that stands for us, and is somebody else's
                self._complain("name", "Another server takes part in the election as %s", self.name)
            return
        self.election.heard(ballot, now)
        self._compare(ballot)

    def _compare(self, ballot: Ballot) -> None:
        """Complain about servers whose turns are as long as no others'."""
        turns = self._config.turns
        if turns is None or not isinstance(ballot, Vers):
            return
        theirs = ballot.parameters
        if theirs.version == turns.version and theirs != turns:
            self._complain(
                "turns",
                "Server %s takes turns with a cycle of %s s and a gap of %s s, ours of %s s and %s s",
                *(ballot.node, theirs.cycle, theirs.gap, turns.cycle, turns.gap),
            )

    def _complain(self, what: str, text: str, *arguments: object) -> None:
        now = self._clock.monotonic()
        if now - self._complaints.get(what, float("-inf")) >= _COMPLAINT:
            self._complaints[what] = now
            _LOGGER.warning(text, *arguments)


def _part(config: ServerConfig, now: float) -> Election:
    """Return the part that this server plays in the election."""
    if config.turns is None:
        return Election(config.name, now)
    ring = Ring(config.name, Random(), config.turns)
    ring.join(now)
    return Turns(config.name, now, ring=ring)
