"""The command line of gates: `moat-bridge gates [list|add|remove]`."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path as File

from ..access import (
    UsageError,
    add_broker,
    add_root,
    broker,
    endpoint,
    root,
    secret,
    server_tls,
    unseen,
)
from ..link.client import LinkConfig
from .config import add_limits, limits
from .edit import add_commands, edit
from .gates import driving
from .show import LANGUAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be said about the installation whose gates are driven."""
    add = parser.add_argument
    _add_connection(add)
    add_limits(add)
    parser.set_defaults(edit=None)
    for command in add_commands(parser):
        _add_connection(unseen(command))
    add("--language", choices=LANGUAGES, default="en", help="of what is shown (%(default)s)")


def execute(options: argparse.Namespace) -> int:
    """Drive gates, or edit them; return the exit code: 0 orderly, 1 failed, 2 wrong configuration."""
    try:
        config = _configure(options)
    except UsageError as err:
        sys.stderr.write(f"{err}\n")
        return 2
    if options.edit is not None:
        return edit(options, config)
    asyncio.run(_run(config, options))
    return 0


def _add_connection(add: Callable[..., argparse.Action]) -> None:
    add_broker(add)
    add_root(add)
    add("--server", metavar="HOST:PORT", help="at first this one; tls://HOST:PORT: encrypted")
    add("--token-file", metavar="FILE", type=File, help="holds the token for the server")
    add("--server-ca", metavar="FILE", help="authority of servers that encrypt (the system's)")
    add("--no-server", action="store_true", help="do without the installation's server")


def _configure(options: argparse.Namespace) -> LinkConfig:
    return LinkConfig(
        broker=broker(options),
        root=root(options),
        name="gates",
        endpoint=endpoint(options.server) if options.server else None,
        token=secret("token", options),
        server_tls=server_tls(options),
        use_server=not options.no_server,
    )


async def _run(config: LinkConfig, options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.set_threshold(50_000, 20, 100)  # what is known of the nodes has no cycles
    async with driving(config, language=options.language, limits=limits(options)):
        await stop.wait()
