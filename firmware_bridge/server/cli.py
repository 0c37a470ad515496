"""The command line of the server: `moat-bridge server`."""

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path as File
from typing import Final

from ..access import UsageError, add_broker, add_root, broker, root
from ..alongside import alongside
from .config import ELECTION, MOST_DATA, STAND_BACK, ServerConfig, ServerConfigError, ServerOptions
from .explain import described, reason
from .retention import Keep, parse_rule, parse_size
from .server import Server
from .tokencli import add_commands

_LOGGER = logging.getLogger(__name__)

_ABOUT: Final = """\
Run a MoaT-Link server: it keeps the installation's data and their history, carries calls between
clients, and gives the broker back what it has lost. Beside a real server it stands back."""
_EXAMPLES: Final = """\
examples:
  moat-bridge server --root moat.home --save /var/lib/moat --history :=30,1G
  moat-bridge server --unix /run/moat.sock --listen-tls 0.0.0.0:27587 --certificate server.pem \\
      --token-file tokens --no-anonymous

SIGTERM and SIGINT end it in order; SIGHUP reads tokens and certificates again.
Exit codes: 0 ended in order, 1 failed, 2 wrong configuration; the reason is on the standard error."""

type Add = Callable[..., argparse.Action]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be said about a server, and about the broker."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = _ABOUT
    parser.epilog = _EXAMPLES
    parser.add_argument("--check", action="store_true", help="check the options and stop")
    for title, add_group in _GROUPS.items():
        add_group(parser.add_argument_group(title).add_argument)
    commands = parser.add_subparsers(metavar="token")
    add_commands(commands.add_parser("token", help="make tokens, and take them back"))


def configure(options: argparse.Namespace) -> ServerConfig:
    """Make a configuration of the command line. UsageError, ServerConfigError, OSError."""
    given = ServerOptions(
        name=options.name,
        listen=options.listen,
        listen_tls=options.listen_tls,
        unix=options.unix,
        announce=options.announce,
        tokens={},
        token_file=options.token_file,
        anonymous=not options.no_anonymous,
        announce_token=not options.no_announced_token,
        forget_errors=options.forget_errors,
        save=options.save,
        history=dict(map(_history, options.history or ())),
        most_data=_size("--most-data", options.most_data, MOST_DATA),
        history_size=_size("--history-size", options.history_size, 1 << 30),
        sync=options.sync,
        certificate=options.certificate,
        key=options.key,
        server_ca=options.server_ca,
        peer_token=options.peer_token,
        election=options.election,
        cycle=options.cycle,
        gap=options.gap,
    )
    return given.on(broker(options), root(options))


type Beside = Callable[[Server], AbstractAsyncContextManager[object]]


def execute(options: argparse.Namespace, beside: Beside | None = None) -> int:
    """Run a server, and something beside it; return 0 orderly, 1 failed, 2 wrong configuration."""
    try:
        config = configure(options)
    except (UsageError, ServerConfigError) as err:
        sys.stderr.write(f"{err}\n")
        return 2
    except OSError as err:
        sys.stderr.write(f"{reason(err)}\n")
        return 2
    if options.check:
        sys.stdout.writelines(f"{line}\n" for line in _told(config, beside))
        return 0
    for line in _told(config, beside):
        _LOGGER.info("%s", line)
    try:
        asyncio.run(_run(config, beside))
    except OSError as err:
        sys.stderr.write(f"{reason(err)}\n")
        return 1
    return 0


def _told(config: ServerConfig, beside: Beside | None) -> list[str]:
    gates = "Leaves gates to others" if beside is None else "Drives the installation's gates"
    return [*described(config), gates]


async def _run(config: ServerConfig, beside: Beside | None) -> None:
    server = Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    gc.set_threshold(50_000, 20, 100)  # the tree has no cycles
    async with nullcontext() if beside is None else alongside(_follow(server, beside)):
        await server.run()


async def _follow(server: Server, beside: Beside) -> None:
    """Have something run beside a server as soon as it serves."""
    await server.serving.wait()
    async with beside(server):
        await asyncio.Event().wait()


def _add_installation(add: Add) -> None:
    add_broker(add)
    add_root(add)
    add("--name", help="of the server, unique at the broker (bridge-HOST-ROOT)")
    add(
        "--election",
        choices=ELECTION,
        default=STAND_BACK,
        help="beside real servers, wait until they are gone, or take turns (%(default)s)",
    )
    add("--cycle", type=float, default=50, metavar="S", help="of turns (%(default)s)")
    add("--gap", type=float, default=5, metavar="S", help="between turns (%(default)s)")


def _add_clients(add: Add) -> None:
    add(
        "--listen",
        action="append",
        metavar="HOST:PORT",
        help="where clients connect; may be repeated (127.0.0.1:27587, unless --unix is given)",
    )
    add("--listen-tls", action="append", metavar="HOST:PORT", help="the same, encrypted")
    add("--unix", action="append", metavar="PATH", help="a Unix socket for clients")
    add("--announce", metavar="HOST", help="how others reach this machine (its address)")
    add("--token-file", metavar="FILE", type=File, help="who gets in: see `server token`")
    add("--no-anonymous", action="store_true", help="let only those in who have a token")
    add("--no-announced-token", action="store_true", help="put no token on the broker")
    add("--certificate", metavar="FILE", type=File, help="to encrypt with (PEM)")
    add(
        "--key", metavar="FILE", type=File, help="of the certificate, if it is in a file of its own"
    )


def _add_peers(add: Add) -> None:
    add("--server-ca", metavar="FILE", type=File, help="authority of those that encrypt (system's)")
    add("--peer-token", metavar="NAME", help="the token, of those in the file, for other servers")


def _add_data(add: Add) -> None:
    add("--most-data", metavar="SIZE", help="of all data in memory; more is refused (512M)")
    add("--save", metavar="DIR", type=File, help="keep the data there")
    add("--sync", type=float, default=1.0, metavar="S", help="between two fsync (%(default)s)")
    add(
        "--history",
        action="append",
        metavar="PREFIX=DAYS[,SIZE]",
        help="remember values below a dotted prefix (: for all) for so many days, or as many as "
        "there is room for (500M, 2G), the oldest go first; may be repeated; needs --save",
    )
    add("--history-size", metavar="SIZE", help="of the whole history on the disk (1G)")
    add(
        "--forget-errors",
        type=float,
        default=30.0,
        metavar="DAYS",
        help="after which errors that somebody has acknowledged are cleared (%(default)g)",
    )


_GROUPS: Final[dict[str, Callable[[Add], None]]] = {
    "the broker and the installation": _add_installation,
    "its clients": _add_clients,
    "other servers": _add_peers,
    "its data": _add_data,
}


def _history(text: str) -> tuple[str, Keep]:
    prefix, _, rule = text.rpartition("=")
    try:
        return prefix, parse_rule(rule)
    except ValueError as err:
        raise ServerConfigError(f"--history {text}: {err}; write PREFIX=DAYS[,SIZE]") from err


def _size(option: str, text: str | None, usual: int) -> int:
    try:
        return usual if text is None else parse_size(text)
    except ValueError as err:
        raise ServerConfigError(f"{option}: {err}") from err
