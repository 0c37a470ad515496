"""How to get in touch: broker, root and server, from the command line, the environment or a file."""

import argparse
import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path as File

from ..config import Config, TlsConfig, read
from ..drivers import DRIVERS
from ..link.client import Link, LinkConfig
from ..link.direct import Endpoint
from ..link.discover import find_roots, is_root
from ..link.errors import (
    AuthenticationError,
    DecodeError,
    LinkError,
    NotAuthorizedError,
    RefusedError,
)
from ..link.path import Path
from ..link.session import BrokerConfig
from ..server.config import ServerConfigError, parse_place
from .show import Screen
from .trouble import FailedError, unreachable
from .usage import UsageError

_TLS_PORT = 8883
_ENCRYPTED = "tls://"


def settings(options: argparse.Namespace, environ: Mapping[str, str]) -> LinkConfig:
    """Return how to connect; the command line counts most, then the environment, then the file.

    UsageError, ConfigError, OSError.
    """
    file = options.config or environ.get("MOAT_CONFIG")
    config = read(File(file), DRIVERS) if file else None
    root = options.root or environ.get("MOAT_ROOT") or (config.root if config else "moat")
    return LinkConfig(
        broker=_broker(options, environ, config),
        root=_root(root if options.root is None else options.root),
        name="cli",
        endpoint=_endpoint(options, environ),
        server_tls=ssl.create_default_context(
            cafile=options.server_ca or (config.server_ca if config else None)
        ),
        token=_secret(options, environ, "token") or (config.token if config else None),
        use_server=not options.no_server,
    )


@asynccontextmanager
async def connected(
    config: LinkConfig, options: argparse.Namespace, screen: Screen
) -> AsyncIterator[Link]:
    """Have a link that is ready; say so if there is no server. LinkError with a hint."""
    link = Link(config)
    task = asyncio.create_task(link.run())
    try:
        try:
            await link.wait_ready(options.timeout)
        except LinkError as err:
            raise unreachable(err, config) from err
        if link.status.error is not None:
            screen.note(f"The broker denies us something: {link.status.error}")
        await _check_server(link, config, screen)
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _check_server(link: Link, config: LinkConfig, screen: Screen) -> None:
    """Without a server, see whether this is an installation at all."""
    status = link.status
    if status.server is not None:
        return
    if config.endpoint is not None:
        raise RefusedError(
            f"no connection to the server at {config.endpoint}: {status.server_error}"
        )
    if isinstance(status.server_error, AuthenticationError):
        screen.note(f"The server does not let us in: {status.server_error} See --token-file.")
    elif config.use_server:
        screen.note("No server: this is what the broker holds.")
    try:
        if await is_root(config.broker, config.root, besides=link.id):
            return
        if {*await link.list(Path())} - {"run"}:
            return  # plain values
    except NotAuthorizedError as err:
        raise RefusedError(f"the broker does not let us read below {config.root}: {err}") from err
    if found := await find_roots(config.broker):
        roots = "\n".join(f"  --root {each.root}" for each in found)
        raise FailedError(f"nothing of MoaT is below {config.root}; there is\n{roots}")
    screen.note(f"Nothing of MoaT is below {config.root}, nor elsewhere on this broker.")


def _broker(
    options: argparse.Namespace, environ: Mapping[str, str], config: Config | None
) -> BrokerConfig:
    tls = config.tls if config else None
    if options.tls or options.ca or options.client_cert:
        tls = TlsConfig(
            ca=options.ca, client_cert=options.client_cert, client_key=options.client_key
        )
    port = options.port or _port(environ) or (config and config.broker_port)
    return BrokerConfig(
        host=options.host
        or environ.get("MOAT_HOST")
        or (config.broker_host if config else "localhost"),
        port=port or (_TLS_PORT if tls else 1883),
        username=options.username
        or environ.get("MOAT_USERNAME")
        or (config.username if config else None),
        password=_secret(options, environ, "password") or (config.password if config else None),
        tls=tls.context() if tls else None,
    )


def _endpoint(options: argparse.Namespace, environ: Mapping[str, str]) -> Endpoint | None:
    place = options.server or (None if options.unix else environ.get("MOAT_SERVER"))
    if options.server and options.unix:
        raise UsageError("--server and --unix are two servers: give one")
    if options.no_server and (options.server or options.unix):
        raise UsageError("--no-server, and yet a server: give one of them")
    if options.no_server:
        return None
    if options.unix or (place and place.startswith("/")):
        return Endpoint(path=options.unix or place)
    if not place:
        return None
    try:
        host, port = parse_place(place.removeprefix(_ENCRYPTED))
    except ServerConfigError as err:
        raise UsageError(f"--server {err}") from err
    return Endpoint(host=host, port=port, tls=place.startswith(_ENCRYPTED))


def _root(given: Path | str) -> Path:
    try:
        root = given if isinstance(given, Path) else Path.parse(given)
    except DecodeError as err:
        raise UsageError(f"MOAT_ROOT: {err}") from err
    if not root:
        raise UsageError("--root must not be empty")
    return root


def _port(environ: Mapping[str, str]) -> int | None:
    if not (text := environ.get("MOAT_PORT")):
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UsageError(f"MOAT_PORT: {text} is no port")
    return int(text)


def _secret(options: argparse.Namespace, environ: Mapping[str, str], name: str) -> str | None:
    """Read what a file holds; UsageError names the option."""
    option = f"{name}_file"
    file = getattr(options, option) or environ.get(f"MOAT_{option.upper()}")
    if not file:
        return None
    try:
        return File(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else err
        raise UsageError(f"--{name}-file {file}: {reason}") from err
