"""How to get in touch: broker, root and server, from the command line, the environment or a file."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path as File

from ..access import UsageError, broker, root, secret, server_tls
from ..config import read
from ..drivers import DRIVERS
from ..link.client import Link, LinkConfig
from ..link.direct import Endpoint
from ..link.discover import find_roots, is_root
from ..link.errors import (
    AuthenticationError,
    LinkError,
    NotAuthorizedError,
    RefusedError,
)
from ..link.path import Path
from ..server.config import ServerConfigError, parse_place
from .show import Screen
from .trouble import FailedError, unreachable

_ENCRYPTED = "tls://"


def settings(options: argparse.Namespace, environ: Mapping[str, str]) -> LinkConfig:
    """Return how to connect; the command line counts most, then the environment, then the file.

    UsageError, ConfigError, OSError.
    """
    file = options.config or environ.get("MOAT_CONFIG")
    config = read(File(file), DRIVERS) if file else None
    return LinkConfig(
        broker=broker(options, environ, config),
        root=root(options, environ, config),
        name="cli",
        endpoint=_endpoint(options, environ),
        server_tls=server_tls(options, config),
        token=secret("token", options, environ) or (config.token if config else None),
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
