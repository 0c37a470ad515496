"""What a server needs to know."""

import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as File

from ..link.errors import DecodeError, TlsError
from ..link.path import Path
from ..link.session import BrokerConfig
from ..link.transport import tls_context
from .ballot import Parameters, fit_as_name
from .certificate import Certificate, CertificateError
from .clients import Limits
from .faults import EXPIRY
from .history import HistoryConfig
from .journal import JournalConfig
from .retention import Keep
from .store import RUN
from .tokens import TokenError, read_tokens

_LONGEST_SYNC = 3600
_DEFAULT = "127.0.0.1:27587"
MOST_DATA = 512 << 20
STAND_BACK = "stand-back"
ELECTION = (STAND_BACK, "turns")
"""What can be done where real servers elect one: wait until they are gone, or take turns with them."""


class ServerConfigError(ValueError):
    """The server cannot be run like this; the text says why."""


def default_name(root: Path) -> str:
    """Return a name that is unique as long as each machine has one server of an installation.

    It is the client id at the broker, which may serve several installations.
    """
    return "-".join(("bridge", socket.gethostname(), *root.topic.split("/")))


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
    certificate: Certificate | None = None
    """What to encrypt with, if at all."""

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
    name: str
    listeners: tuple[Listener, ...] = (Listener(),)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_file: File | None = None
    """More tokens; read again whenever it changes."""
    anonymous: bool = True
    announce_token: bool = True
    """Whether those who may read at the broker may connect."""
    limits: Limits = field(default_factory=Limits)
    forget_errors: float = EXPIRY
    """Seconds after which acknowledged errors are forgotten."""
    most_data: int = MOST_DATA
    """Bytes of memory for all data together; what does not fit is refused."""
    journal: JournalConfig | None = None
    history: HistoryConfig | None = None
    peer_token: str | None = None
    """Which of the tokens is for other servers that announce none."""
    peer_tls: ssl.SSLContext | None = field(default=None, repr=False)
    """What other servers that encrypt are recognised by."""
    turns: Parameters | None = None
    """How to take turns with the real servers as the main one; None: stand back."""

    def __post_init__(self) -> None:
        """Check that nobody is let in unasked."""
        if not fit_as_name(self.name):
            raise ServerConfigError(f"{self.name!r} is not fit as a server's name")
        for listener in self.listeners:
            if not listener.wide:
                continue
            if self.anonymous:
                raise ServerConfigError(
                    f"listening at {listener.host} lets everybody in the network in: "
                    "switch anonymous clients off (--no-anonymous, anonymous = false)"
                )
            if not self.tokens and self.token_file is None and not self.announce_token:
                raise ServerConfigError(f"listening at {listener.host} needs a token")

    def all_tokens(self) -> dict[str, str]:
        """Return all named tokens, reading the file (blocking). OSError, TokenError."""
        return {**(read_tokens(self.token_file) if self.token_file else {}), **self.tokens}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """A server as somebody configures it."""

    name: str | None = None
    listen: Sequence[str] | None = None
    """`HOST:PORT`; this machine alone, if neither this nor `unix` is given."""
    listen_tls: Sequence[str] | None = None
    """The same, encrypted; needs `certificate`."""
    unix: Sequence[str] | None = None
    announce: str | None = None
    """The host to announce, if listening at all addresses."""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_file: File | None = None
    anonymous: bool = True
    announce_token: bool = True
    forget_errors: float = EXPIRY / 86400
    """Days after which acknowledged errors are forgotten."""
    most_data: int = MOST_DATA
    save: File | None = None
    history: Mapping[str, Keep] = field(default_factory=dict)
    """What is remembered below a prefix (dotted); needs `save`."""
    history_size: int = 1 << 30
    sync: float = 1.0
    certificate: File | None = None
    key: File | None = None
    server_ca: File | None = None
    """The authority of other servers that encrypt; the system's, if left out."""
    peer_token: str | None = None
    """The name of the token for other servers that announce none."""
    election: str = STAND_BACK
    cycle: float = 50
    gap: float = 5
    """Seconds of the election, as all its servers have them."""

    def on(self, broker: BrokerConfig, root: Path) -> ServerConfig:
        """Return the configuration of a server on a broker. ServerConfigError, OSError."""
        journal = None
        if self.save is not None:
            if not 0 <= self.sync <= _LONGEST_SYNC:
                raise ServerConfigError(f"sync: {self.sync:g} s are not 0 to {_LONGEST_SYNC} s")
            if self.save.exists() and not self.save.is_dir():
                raise ServerConfigError(f"{self.save}: the data need a directory")
            journal = JournalConfig(directory=self.save, sync=self.sync)
        history = None
        if self.history:
            if self.save is None:
                raise ServerConfigError("history needs a directory to save it in (--save, save)")
            keep = {_topic(prefix): rule for prefix, rule in self.history.items()}
            file = self.save / "history.db"
            history = HistoryConfig(file=file, keep=keep, size=self.history_size)
        config = ServerConfig(
            broker=broker,
            root=root,
            name=self.name or default_name(root),
            listeners=self._listeners(),
            tokens=self.tokens,
            token_file=self.token_file,
            anonymous=self.anonymous,
            announce_token=self.announce_token,
            forget_errors=self.forget_errors * 86400,
            most_data=self.most_data,
            journal=journal,
            history=history,
            peer_token=self.peer_token,
            peer_tls=self._peer_tls(),
            turns=self._turns(),
        )
        try:
            tokens = config.all_tokens()
        except TokenError as err:
            raise ServerConfigError(str(err)) from err
        if self.peer_token is not None and self.peer_token not in tokens:
            raise ServerConfigError(f"peer token: there is no token {self.peer_token}")
        return config

    def _peer_tls(self) -> ssl.SSLContext:
        try:
            return tls_context(self.server_ca.read_text() if self.server_ca is not None else None)
        except (TlsError, UnicodeDecodeError) as err:
            raise ServerConfigError(f"{self.server_ca}: no certificate of an authority") from err

    def _turns(self) -> Parameters | None:
        try:
            found = Parameters(cycle=_whole(self.cycle), gap=_whole(self.gap))
        except ValueError as err:
            raise ServerConfigError(
                f"turns of {self.cycle:g} s with gaps of {self.gap:g} s: "
                "a cycle takes from a second to a day, a gap from 0.1 s to a third of that"
            ) from err
        return None if self.election == STAND_BACK else found

    def _listeners(self) -> tuple[Listener, ...]:
        found = [
            Listener(name=_numbered("local", number), path=path)
            for number, path in enumerate(self.unix or ())
        ]
        places = self.listen or ([] if self.unix or self.listen_tls else [_DEFAULT])
        found += [
            self._port(_numbered("main", number), place) for number, place in enumerate(places)
        ]
        certificate = self._certificate()
        found += [
            self._port(_numbered("tls", number), place, certificate)
            for number, place in enumerate(self.listen_tls or ())
        ]
        return tuple(found)

    def _port(self, name: str, place: str, certificate: Certificate | None = None) -> Listener:
        host, port = parse_place(place)
        listener = Listener(name=name, host=host, port=port, certificate=certificate)
        return replace(listener, announce=self.announce) if listener.wide else listener

    def _certificate(self) -> Certificate | None:
        if self.certificate is None:
            if self.listen_tls or self.key is not None:
                raise ServerConfigError("encrypted connections need a certificate")
            return None
        if not self.listen_tls:
            raise ServerConfigError("a certificate is for encrypted listeners: say where")
        try:
            return Certificate.read(self.certificate, self.key)
        except CertificateError as err:
            raise ServerConfigError(str(err)) from err


def _numbered(name: str, number: int) -> str:
    return f"{name}{number}" if number else name


def _whole(seconds: float) -> float:
    """Return an integer where possible: real servers say 50, not 50.0."""
    return int(seconds) if seconds.is_integer() else seconds


def _topic(prefix: str) -> str:
    try:
        path = Path.parse(prefix)
    except DecodeError as err:
        raise ServerConfigError(f"history: {err}") from err
    if path[:1] == Path(RUN):
        raise ServerConfigError(f"history: {path}: what is below {RUN} is not remembered")
    return path.topic


def parse_place(place: str) -> tuple[str, int]:
    """Read `HOST:PORT`. ServerConfigError."""
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ServerConfigError(f"{place}: write HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)
