"""What a link needs to know, and what it tells about itself."""

import ssl
from dataclasses import dataclass, field
from socket import gethostname
from typing import Protocol, TypedDict, Unpack

from .direct import Endpoint
from .errors import LinkError
from .path import Path
from .transport import BrokerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """Which installation, and who we are in it.

    `endpoint` names one server to try first, or the `only` one; `token` is for it, and for servers
    that announce none on its machine or the broker's; it goes over no plain connection to those
    that encrypt. `server_tls` is what they are recognised by (None: they are not used); times are in
    seconds. `grace` is how long something the broker has forgotten still counts, while there is no
    server to ask.
    """

    broker: BrokerConfig
    root: Path
    name: str = "homeassistant"
    host: str = field(default_factory=gethostname)
    endpoint: Endpoint | None = None
    only: bool = False
    token: str | None = field(default=None, repr=False)
    server_tls: ssl.SSLContext | None = None
    use_server: bool = True
    grace: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """How the link is.

    `error` is why it is not connected, or what the broker denies us; `server_error` why there is no
    server; `skew` how many seconds the server's clock is ahead of ours, as far as is known.
    """

    connected: bool = False
    server: str | None = None
    ready: bool = False
    error: LinkError | None = None
    server_error: LinkError | None = None
    skew: float | None = None

    @property
    def degraded(self) -> bool:
        """Whether we do without a server."""
        return self.connected and self.server is None


@dataclass(slots=True, eq=False)
class Statistics:
    """What has happened since the link was made.

    `broken` tells of some undecodable topics what was wrong, `denied` what the broker did not let us
    do, by topic or filter (`+` in place of our id).
    """

    received: int = 0
    undecodable: int = 0
    dropped_old: int = 0
    sent: int = 0
    reconnects: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)


class Changes(TypedDict, total=False):
    """Some fields of a LinkStatus."""

    connected: bool
    server: str | None
    ready: bool
    error: LinkError | None
    server_error: LinkError | None
    skew: float | None


class Tell(Protocol):
    """Whoever keeps the status."""

    def __call__(self, **changes: Unpack[Changes]) -> None:
        """Take note of what has changed."""
