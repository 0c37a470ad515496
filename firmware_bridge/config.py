"""The bridge's configuration: one TOML file, checked as a whole before anything starts.

Secrets are not written into it: `password = { env = "NAME" }` or `password = { file = "path" }`.
"""

import os
import socket
import ssl
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, override

import voluptuous as vol

from .driver import Configure, Opener
from .gates.config import GatesOptions, gates_table
from .link.direct import Endpoint
from .link.errors import DecodeError
from .link.path import Path
from .serve import server_table
from .server.config import ServerOptions

DEFAULT_NAME = "bridge"
DEFAULT_PREFIX = "ems"


class ConfigError(Exception):
    """The configuration cannot be used; the text names file, key and problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """How the broker is recognised, and how it recognises us."""

    ca: str | None = None
    client_cert: str | None = None
    client_key: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return what the connection is encrypted with; raises OSError on unreadable files."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.client_cert is not None:
            context.load_cert_chain(self.client_cert, self.client_key)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that is configured."""

    broker_host: str = "localhost"
    broker_port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: TlsConfig | None = None
    root: Path
    use_server: bool = True
    endpoint: Endpoint | None = None
    """Where the installation's server is, if it is not to be looked for."""
    token: str | None = None
    server_ca: str | None = None
    host: str = field(default_factory=socket.gethostname)
    name: str = DEFAULT_NAME
    prefix: Path = field(default_factory=lambda: Path(DEFAULT_PREFIX))
    discovery: bool = True
    server: ServerOptions | None = None
    gates: GatesOptions | None = None
    """None: they are driven if the bridge is the server."""
    drivers: Mapping[str, Opener]

    @property
    def drives_gates(self) -> bool:
        """Whether to drive the installation's gates."""
        return self.server is not None if self.gates is None else self.gates.enabled

    @override
    def __repr__(self) -> str:
        """Show nothing that is secret."""
        return f"Config(root={self.root}, broker={self.broker_host}:{self.broker_port})"


def read(file: FilePath, drivers: Mapping[str, Configure]) -> Config:
    """Read a configuration file; raise ConfigError."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"{file}: {err.strerror or err}") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ConfigError(f"{file}: {err}") from err
    return parse(table, drivers, source=str(file), directory=file.parent)


def parse(
    table: Mapping[str, object],
    drivers: Mapping[str, Configure],
    *,
    source: str,
    directory: FilePath | None = None,
) -> Config:
    """Check a configuration; errors name `source`, relative file names start at `directory`."""
    try:
        checked = _schema(directory or FilePath.cwd())(dict(table))
        openers = {
            name: _opener(name, options, drivers) for name, options in checked["driver"].items()
        }
    except vol.Invalid as err:
        raise ConfigError(f"{source}: {_told(err)}") from err
    config = Config(
        **checked["broker"],
        **checked["link"],
        **checked["bridge"],
        server=checked["server"],
        gates=checked["gates"],
        drivers=openers,
    )
    if not config.drivers and config.server is None and not config.drives_gates:
        raise ConfigError(f"{source}: nothing to do: no [driver.NAME], no [server], no [gates]")
    return config


def _opener(name: str, options: Mapping[str, object], drivers: Mapping[str, Configure]) -> Opener:
    """Let the driver check its own table."""
    table = dict(options)
    kind = table.pop("type", None)
    if not isinstance(kind, str) or kind not in drivers:
        known = ", ".join(drivers)
        raise vol.Invalid(f"must be one of {known}", path=["driver", name, "type"])
    try:
        return drivers[kind](table)
    except vol.Invalid as err:
        err.prepend(["driver", name])
        raise


def _schema(directory: FilePath) -> vol.Schema:
    secret = _secret(directory)
    broker = {
        vol.Optional("host", default="localhost"): _WORD,
        vol.Optional("port", default=1883): _PORT,
        vol.Optional("username", default=None): vol.Any(None, _WORD),
        vol.Optional("password", default=None): secret,
        vol.Optional("tls", default=False): bool,
        vol.Optional("ca"): _file(directory),
        vol.Optional("client_cert"): _file(directory),
        vol.Optional("client_key"): _file(directory),
    }
    link = {
        vol.Required("root"): _path,
        vol.Optional("server", default=True): _place,
        vol.Optional("token", default=None): secret,
        vol.Optional("ca"): _file(directory),
        vol.Optional("host", default=socket.gethostname): _WORD,
    }
    bridge = {
        vol.Optional("name", default=DEFAULT_NAME): _WORD,
        vol.Optional("prefix", default=DEFAULT_PREFIX): _path,
        vol.Optional("discovery", default=True): bool,
    }
    return vol.Schema(
        {
            vol.Optional("broker", default=dict): vol.All(broker, _broker),
            vol.Required("link"): vol.All(link, _server, _renamed({"ca": "server_ca"})),
            vol.Optional("bridge", default=dict): bridge,
            vol.Optional("server", default=None): vol.Any(None, server_table(directory, secret)),
            vol.Optional("gates", default=None): vol.Any(None, gates_table),
            vol.Optional("driver", default=dict): {_NAME: dict},
        }
    )


def _broker(table: dict[str, Any]) -> dict[str, object]:
    """Gather what belongs to TLS."""
    ca, cert, key = (table.pop(name, None) for name in ("ca", "client_cert", "client_key"))
    if not table["tls"] and (ca or cert or key):
        raise vol.Invalid("must be true when certificates are given", path=["tls"])
    if key and not cert:
        raise vol.Invalid("is missing, but there is a client_key", path=["client_cert"])
    table["tls"] = TlsConfig(ca=ca, client_cert=cert, client_key=key) if table["tls"] else None
    return _renamed({"host": "broker_host", "port": "broker_port"})(table)


def _server(table: dict[str, Any]) -> dict[str, object]:
    """Take apart whether there is a server, and where."""
    place = table.pop("server")
    endpoint = place if isinstance(place, Endpoint) else None
    return table | {"use_server": bool(place), "endpoint": endpoint}


def _renamed(names: Mapping[str, str]) -> Callable[[dict[str, object]], dict[str, object]]:
    return lambda table: {names.get(key, key): value for key, value in table.items()}


def _path(value: object) -> Path:
    if not isinstance(value, str):
        raise vol.Invalid("must be a dotted path like moat.home")
    try:
        path = Path.parse(value)
    except DecodeError as err:
        raise vol.Invalid(f"is not a dotted path: {err}") from None
    if not path:
        raise vol.Invalid("must not be empty")
    return path


def _place(value: object) -> bool | Endpoint:
    """Read whether there is a server, or where it is."""
    if isinstance(value, bool):
        return value
    try:
        return Endpoint.parse(str(value))
    except DecodeError as err:
        raise vol.Invalid(f"must be true, false or an address; {err}") from None


def _secret(directory: FilePath) -> Callable[[object], str | None]:
    """Read a secret: a text, `{ env = NAME }` or `{ file = PATH }`."""

    def resolve(value: object) -> str | None:
        match value:
            case None | str():
                return value
            case {"env": str(name), **rest} if not rest:
                if (text := os.environ.get(name)) is None:
                    raise vol.Invalid(f"the environment has no variable {name}")
                return text
            case {"file": str(name), **rest} if not rest:
                try:
                    return (directory / name).read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError) as err:
                    raise vol.Invalid(f"cannot read {directory / name}: {err}") from None
            case _:
                raise vol.Invalid('must be a text, { env = "NAME" } or { file = "path" }')

    return resolve


def _file(directory: FilePath) -> Callable[[object], str]:
    """Read the name of a file that can be read now."""

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise vol.Invalid("must be the name of a file")
        file = directory / value
        if not os.access(file, os.R_OK) or not file.is_file():
            raise vol.Invalid(f"there is no readable file {file}")
        return str(file)

    return check


def _told(err: vol.Invalid) -> str:
    """Say which key is wrong, and what about it; always the same of several."""
    errors = err.errors if isinstance(err, vol.MultipleInvalid) else [err]
    first = max(errors, key=lambda each: [str(step) for step in each.path])
    return f"{'.'.join(map(str, first.path)) or 'configuration'}: {first.error_message}"


_WORD = vol.All(str, vol.Length(min=1, max=255))
_NAME = vol.All(str, vol.Match("^[A-Za-z0-9_-]{1,64}$"))
_PORT = vol.All(int, vol.Range(1, 65535))
