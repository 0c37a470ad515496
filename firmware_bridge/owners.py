"""Who else describes a device of ours, and whether that somebody is alive.

An announcement alone proves nothing: whoever was killed leaves it behind. Signs of life do; everybody
sends one every ten seconds.
"""

from .link.client import Link
from .link.clock import Clock
from .link.codec import ABSENT, Value
from .link.describe import DescriptionError, parse_device
from .link.errors import NotFoundError
from .link.identity import PING, PING_INTERVAL
from .link.message import Message
from .link.path import Path

PATIENCE = 2.5 * PING_INTERVAL
"""Seconds of silence after which somebody counts as dead."""
MOST_GONE = 1_000
"""Dead ones that are remembered."""


class Owners:
    """Listens to the signs of life of everybody on the link."""

    def __init__(self, link: Link, clock: Clock) -> None:
        """Prepare; `begin` starts listening."""
        self._link = link
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._gone: dict[str, None] = {}
        self._since = float("inf")
        self._own = ""

    def begin(self) -> None:
        """Start anew: there is a connection now, and who we were on the last one is gone."""
        if self._own:
            self._bury((PING / self._own).topic)
        self._own = self._link.id
        self._heard.clear()
        self._since = self._clock.monotonic()

    def listen(self, message: Message) -> None:
        """Take a sign of life, or of death."""
        if len(message.path) != len(PING) + 1:
            return
        match message.value:
            case {"up": True}:
                self._gone.pop(message.topic, None)
                self._heard[message.topic] = self._clock.monotonic()
            case _:
                self._bury(message.topic)

    async def alive(self, owner: Path) -> bool | None:
        """Return whether the owner that announces itself there lives; None: not known yet."""
        try:
            announced = (await self._link.get(owner)).value
        except NotFoundError:
            return False
        match announced:
            case {"id": str(client)}:
                return self.lives(client)
        return False

    def lives(self, client: str) -> bool | None:
        """Return whether a client lives; None: not known yet."""
        ping = (PING / client).topic
        heard = self._heard.get(ping)
        now = self._clock.monotonic()
        if heard is not None and now - heard < PATIENCE:
            return True
        if ping in self._gone:
            return False
        return False if now - self._since > PATIENCE else None

    def _bury(self, ping: str) -> None:
        self._heard.pop(ping, None)
        self._gone[ping] = None
        if len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]


def owner_of(device: str, value: Value) -> Path | None:
    """Return where the owner of a description announces itself."""
    if value is ABSENT:
        return None
    try:
        return parse_device(device, value)[0].alive
    except DescriptionError:
        return None
