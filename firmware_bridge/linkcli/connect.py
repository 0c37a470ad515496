"""How to get in touch: broker, root and server, from the command line, the environment or a file."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path as File

from ..access import UsageError, broker, endpoint, root, secret, server_tls
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
    TlsError,
)
from ..link.path import Path
from .show import Screen
from .trouble import FailedError, kept_out, no_server, unreachable


def settings(options: argparse.Namespace, environ: Mapping[str, str]) -> LinkConfig:
    """Return how to connect; the command line counts most, then the environment, then the file.

    UsageError, ConfigError, OSError.
    """
    file = options.config or environ.get("MOAT_CONFIG")
    config = read(File(file), DRIVERS) if file else None
    only = _endpoint(options, environ)
    return LinkConfig(
        broker=broker(options, environ, config),
        root=root(options, environ, config),
        name="cli",
        endpoint=only or (config.endpoint if config else None),
        only=only is not None,
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
        await _check_server(link, config, options.timeout, screen)
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _check_server(link: Link, config: LinkConfig, timeout: float, screen: Screen) -> None:
    """Without a server, see whether that may be, and whether this is an installation at all."""
    if config.only:
        await _decided(link, timeout)
    if link.status.server is not None:
        return
    error = link.status.server_error
    if config.only and config.endpoint is not None:
        raise await no_server(config.endpoint, error, timeout)
    if config.token is not None and isinstance(error, AuthenticationError | TlsError):
        raise kept_out(error, token=config.token)
    if isinstance(error, AuthenticationError):
        screen.note(str(kept_out(error)).replace("\n", " "))
    elif config.use_server:
        screen.note("No server: this is what the broker holds.")
    await _check_root(link, config, screen)


async def _decided(link: Link, timeout: float) -> None:
    """Wait until there is a server, or a reason why not."""
    changed = asyncio.Event()
    unsubscribe = link.on_status(changed.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while link.status.server is None and link.status.server_error is None:
                    changed.clear()
                    await changed.wait()
    finally:
        unsubscribe()


async def _check_root(link: Link, config: LinkConfig, screen: Screen) -> None:
    """See whether this is an installation at all."""
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
    if options.unix:
        return Endpoint(path=options.unix)
    return endpoint(place) if place else None
