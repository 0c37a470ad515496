"""How the command line says where an installation is: the broker, the root, what lets us in."""

import argparse
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path as File
from typing import Any, Final

from .config import Config, TlsConfig
from .link.direct import Endpoint
from .link.errors import DecodeError
from .link.path import Path
from .link.session import BrokerConfig
from .server.tokens import read_own_token

_PORT: Final = 1883
_TLS_PORT: Final = 8883
_NOWHERE: Final[Mapping[str, str]] = {}


class UsageError(Exception):
    """This cannot be meant; the text says why."""


def add_broker(add: Callable[..., argparse.Action]) -> None:
    """Add what can be said about the broker; `broker` reads it."""
    add("--host", help="of the broker (localhost)")
    add("--port", type=port, help="of the broker (1883, with TLS 8883)")
    add("--username", help="at the broker")
    add("--password-file", metavar="FILE", type=File, help="holds the password at the broker")
    add("--tls", action="store_true", help="encrypt the connection to the broker")
    add("--ca", metavar="FILE", help="the broker's authority, if the system does not know it")
    add("--client-cert", metavar="FILE", help="who we are at the broker (PEM)")
    add("--client-key", metavar="FILE", help="of that certificate, if it is in another file")


def add_root(add: Callable[..., argparse.Action]) -> None:
    """Add what says which installation of the broker is meant; `root` reads it."""
    add("--root", help="of the installation, dotted (moat)")


def unseen(parser: argparse.ArgumentParser) -> Callable[..., argparse.Action]:
    """Return what adds options to a command that stand before it, too: they are shown there."""

    def add(*names: str, **more: Any) -> argparse.Action:
        hidden = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        return parser.add_argument(*names, **more | hidden)

    return add


def broker(
    options: argparse.Namespace,
    environ: Mapping[str, str] = _NOWHERE,
    config: Config | None = None,
) -> BrokerConfig:
    """Read the files, and return the broker. UsageError.

    The command line counts most, then the environment, then the configuration.
    """
    tls = _tls(options) or (config.tls if config else None)
    known = options.port or _port(environ) or (config and config.broker_port)
    return BrokerConfig(
        host=options.host
        or environ.get("MOAT_HOST")
        or (config.broker_host if config else "localhost"),
        port=known or (_TLS_PORT if tls else _PORT),
        username=options.username
        or environ.get("MOAT_USERNAME")
        or (config.username if config else None),
        password=secret("password", options, environ) or (config.password if config else None),
        tls=_context(tls) if tls else None,
    )


def broker_table(options: argparse.Namespace) -> dict[str, object]:
    """Return the table `[broker]` of a configuration that says the same. UsageError."""
    tls = _tls(options)
    said = {
        "host": options.host,
        "port": options.port or (_TLS_PORT if tls else None),
        "username": options.username,
        "password": {"file": str(options.password_file)} if options.password_file else None,
        "tls": True if tls else None,
        "ca": options.ca,
        "client_cert": options.client_cert,
        "client_key": options.client_key,
    }
    return {key: value for key, value in said.items() if value is not None}


def root(
    options: argparse.Namespace,
    environ: Mapping[str, str] = _NOWHERE,
    config: Config | None = None,
) -> Path:
    """Return the installation's root. UsageError."""
    name, said = "--root", options.root
    if said is None and environ.get("MOAT_ROOT"):
        name, said = "MOAT_ROOT", environ["MOAT_ROOT"]
    if said is None:
        return config.root if config else Path("moat")
    try:
        found = Path.parse(said)
    except DecodeError as err:
        raise UsageError(f"{name}: {err}") from err
    if not found:
        raise UsageError(f"{name} must not be empty")
    return found


def secret(
    name: str, options: argparse.Namespace, environ: Mapping[str, str] = _NOWHERE
) -> str | None:
    """Return what the file of a `password` or `token` holds. UsageError names the option."""
    option = f"{name}_file"
    file = getattr(options, option) or environ.get(f"MOAT_{option.upper()}")
    if not file:
        return None
    try:
        return read_own_token(File(file)) if name == "token" else _text(File(file))
    except OSError as err:
        raise UsageError(f"--{name}-file {file}: {err.strerror}") from err
    except ValueError as err:
        raise UsageError(f"--{name}-file {file}: {err}") from err


def endpoint(place: str) -> Endpoint:
    """Return where `--server` says that the server is. UsageError."""
    try:
        return Endpoint.parse(place)
    except DecodeError as err:
        raise UsageError(f"--server {err}") from err


def server_tls(options: argparse.Namespace, config: Config | None = None) -> ssl.SSLContext:
    """Return what servers that encrypt are recognised by. UsageError."""
    ca = options.server_ca or (config.server_ca if config else None)
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as err:
        raise UsageError(f"--server-ca {ca}: {err.strerror or err}") from err


def port(text: str) -> int:
    """Read a port (a type of argparse)."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _text(file: File) -> str:
    return file.read_text(encoding="utf-8").strip()


def _port(environ: Mapping[str, str]) -> int | None:
    if not (text := environ.get("MOAT_PORT")):
        return None
    try:
        return port(text)
    except argparse.ArgumentTypeError:
        raise UsageError(f"MOAT_PORT: {text} is no port") from None


def _tls(options: argparse.Namespace) -> TlsConfig | None:
    if options.client_key and not options.client_cert:
        raise UsageError("--client-key is of no use without --client-cert")
    if not (options.tls or options.ca or options.client_cert):
        return None
    return TlsConfig(ca=options.ca, client_cert=options.client_cert, client_key=options.client_key)


def _context(tls: TlsConfig) -> ssl.SSLContext:
    try:
        return tls.context()
    except OSError as err:
        files = ", ".join(filter(None, (tls.ca, tls.client_cert, tls.client_key)))
        raise UsageError(f"TLS with {files}: {err.strerror or err}") from err
