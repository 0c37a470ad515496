"""The command line of gates: `moat-bridge gates [list|add|remove]`."""

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path as File

from ..link.client import LinkConfig
from ..link.errors import DecodeError
from ..link.path import Path
from ..link.session import BrokerConfig
from .edit import add_commands, edit
from .gates import driving
from .show import LANGUAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be said about the installation whose gates are driven."""
    add = parser.add_argument
    add("--host", default="localhost", help="of the broker (%(default)s)")
    add("--port", type=int, default=1883, help="of the broker (%(default)s)")
    add("--username", help="at the broker")
    add("--password-file", metavar="FILE", type=File, help="holds the password at the broker")
    add("--root", default="moat", help="of the installation, dotted (%(default)s)")
    add("--token-file", metavar="FILE", type=File, help="holds the token for the server")
    add("--no-server", action="store_true", help="do without the installation's server")
    parser.set_defaults(edit=None)
    add_commands(parser)
    add("--language", choices=LANGUAGES, default="en", help="of what is shown (%(default)s)")


def execute(options: argparse.Namespace) -> int:
    """Drive gates, or edit them; return the exit code: 0 orderly, 1 failed, 2 wrong configuration."""
    try:
        config = _configure(options)
    except (ValueError, OSError, DecodeError) as err:
        sys.stderr.write(f"{err}\n")
        return 2
    if options.edit is not None:
        return edit(options, config)
    asyncio.run(_run(config, options.language))
    return 0


def _configure(options: argparse.Namespace) -> LinkConfig:
    root = Path.parse(options.root)
    if not len(root):
        raise ValueError("--root must not be empty")
    password, token = (
        file and file.read_text().strip() for file in (options.password_file, options.token_file)
    )
    broker = BrokerConfig(
        host=options.host, port=options.port, username=options.username, password=password
    )
    use_server = not options.no_server
    return LinkConfig(broker=broker, root=root, name="gates", token=token, use_server=use_server)


async def _run(config: LinkConfig, language: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.set_threshold(50_000, 20, 100)  # what is known of the nodes has no cycles
    async with driving(config, language=language):
        await stop.wait()
