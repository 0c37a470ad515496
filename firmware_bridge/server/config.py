"""What a server needs to know."""

import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File

from ..link.errors import DecodeError
from ..link.path import Path
from ..link.session import BrokerConfig
from .clients import Limits
from .history import HistoryConfig
from .journal import JournalConfig
from .retention import Keep

_DEFAULT = "127.0.0.1:27587"


class ServerConfigError(ValueError):
    """The server cannot be run like this; the text says why."""


def default_name() -> str:
    """Return a name that is unique as long as each machine has one server."""
    return f"bridge-{socket.gethostname()}"


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
    name: str = field(default_factory=default_name)
    listeners: tuple[Listener, ...] = (Listener(),)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    anonymous: bool = True
    announce_token: bool = True
    """Whether those who may read at the broker may connect."""
    limits: Limits = field(default_factory=Limits)
    journal: JournalConfig | None = None
    history: HistoryConfig | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """A server as somebody configures it."""

    name: str | None = None
    listen: Sequence[str] | None = None
    """`HOST:PORT`; this machine alone, if neither this nor `unix` is given."""
    unix: Sequence[str] | None = None
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    anonymous: bool = True
    announce_token: bool = True
    save: File | None = None
    history: Mapping[str, Keep] = field(default_factory=dict)
    """What is remembered below a prefix (dotted); needs `save`."""
    history_size: int = 1 << 30
    sync: float = 1.0
    certificate: File | None = None
    key: File | None = None

    def on(self, broker: BrokerConfig, root: Path) -> ServerConfig:
        """Return the configuration of a server on a broker. ServerConfigError, OSError."""
        journal = None
        if self.save is not None:
            journal = JournalConfig(directory=self.save, sync=self.sync)
        history = None
        if self.history:
            if self.save is None:
                raise ServerConfigError("history needs a directory to save it in")
            keep = {_topic(prefix): rule for prefix, rule in self.history.items()}
            file = self.save / "history.db"
            history = HistoryConfig(file=file, keep=keep, size=self.history_size)
        return ServerConfig(
            broker=broker,
            root=root,
            name=self.name or default_name(),
            listeners=self._listeners(),
            tokens=self.tokens,
            anonymous=self.anonymous,
            announce_token=self.announce_token,
            journal=journal,
            history=history,
        )

    def _listeners(self) -> tuple[Listener, ...]:
        tls = None
        if self.certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(self.certificate, self.key)
        found = [
            Listener(name="local" if not number else f"local{number}", path=path)
            for number, path in enumerate(self.unix or ())
        ]
        places = self.listen or ([] if self.unix else [_DEFAULT])
        for number, place in enumerate(places):
            host, port = parse_place(place)
            name = "main" if not number else f"main{number}"
            found.append(Listener(name=name, host=host, port=port, tls=tls))
        return tuple(found)


def _topic(prefix: str) -> str:
    try:
        return Path.parse(prefix).topic
    except DecodeError as err:
        raise ServerConfigError(f"history: {err}") from err


def parse_place(place: str) -> tuple[str, int]:
    """Read `HOST:PORT`. ServerConfigError."""
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ServerConfigError(f"{place}: write HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


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
