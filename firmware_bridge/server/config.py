"""What a server needs to know."""

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as File

from ..link.path import Path
from ..link.session import BrokerConfig
from .clients import Limits
from .journal import JournalConfig


class ServerConfigError(ValueError):
    """The server cannot be run like this; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where clients can connect: host and port (0: any), or the path of a Unix socket."""

    name: str = "main"
    host: str = "127.0.0.1"
    port: int = 27587
    path: str | None = None
    mode: int = 0o600
    announce: str | None = None
    """The host to announce, if it is another one."""
    tls: ssl.SSLContext | None = None

    @property
    def wide(self) -> bool:
        """Whether others than this machine can connect."""
        if self.path is not None or self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One server of one installation."""

    broker: BrokerConfig
    root: Path
    name: str = field(default_factory=lambda: f"bridge-{socket.gethostname()}")
    listeners: tuple[Listener, ...] = (Listener(),)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    anonymous: bool = True
    announce_token: bool = True
    """Whether those who may read at the broker may connect."""
    limits: Limits = field(default_factory=Limits)
    journal: JournalConfig | None = None

    def __post_init__(self) -> None:
        """Check that nobody is let in unasked."""
        if not self.name or not self.name.isprintable() or set(self.name) & set("/\\+#"):
            raise ServerConfigError(f"{self.name!r} is not fit as a server's name")
        for listener in self.listeners:
            if not listener.wide:
                continue
            if self.anonymous:
                raise ServerConfigError(
                    f"listening at {listener.host} lets everybody in the network in: "
                    "switch anonymous clients off"
                )
            if not self.tokens and not self.announce_token:
                raise ServerConfigError(f"listening at {listener.host} needs a token")


def read_tokens(file: File) -> dict[str, str]:
    """Read named tokens, one in each line: `name token`. Raise OSError, ServerConfigError."""
    tokens: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        name, _, token = line.partition(" ")
        if not (token := token.strip()):
            raise ServerConfigError(f"{file}:{number}: write `name token`")
        if name in tokens:
            raise ServerConfigError(f"{file}:{number}: {name} is there already")
        if len(token) < 12:
            raise ServerConfigError(f"{file}:{number}: the token of {name} is too short")
        tokens[name] = token
    return tokens
