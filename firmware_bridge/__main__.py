"""The command line: `python -m firmware_bridge`."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path as FilePath

from . import linkcli
from .access import UsageError, add_broker, add_root, broker_table
from .bridge import Bridge, link_config
from .config import Config, ConfigError, parse, read
from .drivers import DRIVERS
from .gates import cli as gates_cli
from .gates.config import GatesOptions, add_limits, limits
from .gates.gates import Gates, driving
from .link.client import Link, LinkConfig
from .server import cli
from .server.config import ServerConfig, ServerConfigError
from .server.explain import described, reason
from .server.server import Server, serving
from .terminal import LogFormatter

_LOGGER = logging.getLogger(__name__)

OK, FAILED, USAGE = 0, 1, 2
_EXAMPLE = FilePath(__file__).parent / "packaging" / "bridge.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 orderly, 1 failed, 2 wrong configuration."""
    options = _parser().parse_args(arguments)
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else options.level, handlers=[handler]
    )
    try:
        code: int = options.execute(options)
    except Exception:  # a bug: whoever watches the process is to see it end
        _LOGGER.critical("Ended by a bug", exc_info=True)
        return FAILED
    return code


def _bridge(options: argparse.Namespace) -> int:
    where = "broker.tls"
    try:
        config = options.configure(options)
        settings = link_config(config)
        where = "server"
        server = config.server and config.server.on(settings.broker, config.root)
    except (UsageError, ConfigError, ServerConfigError) as err:
        sys.stderr.write(f"{err}\n")
        return USAGE
    except OSError as err:
        sys.stderr.write(f"{where}: {reason(err)}\n")
        return USAGE
    if options.check:
        sys.stdout.write(f"Right: {len(config.drivers)} driver(s), root {config.root}\n")
        sys.stdout.writelines(f"{line}\n" for line in _told(config, server))
        return OK
    for line in _told(config, server):
        _LOGGER.info("%s", line)
    try:
        asyncio.run(_run(config, settings, server, forget=options.forget))
    except OSError as err:
        sys.stderr.write(f"server: {reason(err)}\n")
        return FAILED
    return OK


def _told(config: Config, server: ServerConfig | None) -> list[str]:
    """Say what is done beside the drivers."""
    gates = ["Drives the installation's gates"] if config.drives_gates else []
    return [*(described(server) if server else ()), *gates]


async def _run(
    config: Config, settings: LinkConfig, server: ServerConfig | None, *, forget: bool
) -> None:
    running = None if server is None else Server(server)
    if running is not None:
        settings = replace(settings, endpoint=running.endpoint)
    bridge = Bridge(config, Link(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bridge.stop, number.name)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # only a server has something to read again
    async with AsyncExitStack() as beside:
        if running is not None:
            await beside.enter_async_context(serving(running))
            loop.add_signal_handler(signal.SIGHUP, running.reload)
        if config.drives_gates:
            options = config.gates or GatesOptions()
            ours = replace(settings, name=f"{config.name}-gates")
            if running is not None:
                ours = replace(ours, use_server=True)
            await beside.enter_async_context(_driving(ours, options))
        await bridge.run(forget=forget)


def _server(options: argparse.Namespace) -> int:
    gates = GatesOptions(limits=limits(options))

    def beside(server: Server) -> AbstractAsyncContextManager[Gates]:
        config, name = server.config, f"{server.name}-gates"
        ours = LinkConfig(
            broker=config.broker, root=config.root, name=name, endpoint=server.endpoint
        )
        return _driving(ours, gates)

    return cli.execute(options, beside=None if options.no_gates else beside)


def _driving(config: LinkConfig, gates: GatesOptions) -> AbstractAsyncContextManager[Gates]:
    return driving(config, language=gates.language, limits=gates.limits)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--check", action="store_true", help="check the configuration and stop")
    common.add_argument(
        "--forget", action="store_true", help="remove what was published when stopping"
    )
    common.add_argument("-v", "--verbose", action="store_true", help="log details")
    parser = argparse.ArgumentParser(
        prog="moat-bridge", description="Brings devices onto MoaT-Link."
    )
    parser.set_defaults(level=logging.INFO)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", parents=[common], help="run as a configuration file says")
    run.add_argument("config", type=FilePath, metavar="CONFIG", help=f"TOML, see {_EXAMPLE}")
    run.set_defaults(execute=_bridge, configure=lambda options: read(options.config, DRIVERS))
    simulate = commands.add_parser("simulate", parents=[common], help="run a simulated home")
    _add_simulation(simulate)
    simulate.set_defaults(execute=_bridge, configure=_simulation)
    server = commands.add_parser("server", help="run a MoaT-Link server")
    server.add_argument("-v", "--verbose", action="store_true", help="log details")
    cli.add_arguments(server)
    group = server.add_argument_group("gates")
    group.add_argument("--no-gates", action="store_true", help="leave the gates to others")
    add_limits(group.add_argument)
    server.set_defaults(execute=_server)
    gates = commands.add_parser(
        "gates",
        help="translate between MoaT data and plain MQTT topics",
        description="Drives the installation's gates. With a command: lists, adds or removes them.",
    )
    gates.add_argument("-v", "--verbose", action="store_true", help="log details")
    gates_cli.add_arguments(gates)
    gates.set_defaults(execute=gates_cli.execute)
    link = commands.add_parser("link", help="look at an installation, and change it")
    link.add_argument("-v", "--verbose", action="store_true", help="log details")
    linkcli.add_arguments(link)
    link.set_defaults(level=logging.ERROR, execute=linkcli.execute)
    return parser


def _add_simulation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_broker(add)
    add_root(add)
    add("--prefix", help="of all values, dotted (ems)")
    add("--name", help="of the bridge, at run.host.HOST.NAME (bridge)")
    add("--as-host", metavar="HOST", help="announce as running on this host (this machine's name)")
    add("--with-server", action="store_true", help="be the installation's server as well")
    add("--listen", action="append", metavar="HOST:PORT", help="of the server, for clients")
    add("--unix", action="append", metavar="PATH", help="socket of the server, for clients")
    add("--save", metavar="DIR", help="keep the server's data there")
    add(
        "--history",
        action="append",
        metavar="PREFIX=DAYS[,SIZE]",
        help="remember values; may be repeated; needs --save",
    )
    add("--no-server", action="store_true", help="do without the installation's server")
    add("--no-discovery", action="store_true", help="do not announce on the network")
    add("--speed", type=float, help="times faster than real time (1)")
    add("--seed", type=int, help="one home per number (1)")
    add("--start", metavar="ISO", help="simulated date and time to start at (now)")
    add("--interval", type=float, metavar="S", help="seconds between two readings (1)")
    add("--devices", metavar="A,B", help="only these devices")
    add("--id-prefix", metavar="TEXT", help="before every device's id")
    add("--language", choices=("en", "de"), help="of all names (en)")
    add(
        "--fault",
        action="append",
        metavar="FAULT:DEVICE",
        help="silent, refuse, slow, duplicate, flap or crash; may be repeated",
    )


def _simulation(options: argparse.Namespace) -> Config:
    """Make a configuration of the command line."""
    driver = {
        "type": "simulator",
        "speed": options.speed,
        "seed": options.seed,
        "start": options.start,
        "interval": options.interval,
        "devices": options.devices.split(",") if options.devices else None,
        "id_prefix": options.id_prefix,
        "language": options.language,
        "faults": options.fault,
    }
    root = "moat" if options.root is None else options.root
    link = {"root": root, "host": options.as_host, "server": not options.no_server}
    bridge = {
        "name": options.name,
        "prefix": options.prefix,
        "discovery": not options.no_discovery,
    }
    table = {
        "broker": broker_table(options),
        "link": link,
        "bridge": bridge,
        "driver": {"home": driver},
    }
    given = {
        name: {key: value for key, value in section.items() if value is not None}
        for name, section in table.items()
    }
    if options.with_server:
        history = dict(map(_history, options.history)) if options.history else None
        server = {
            "listen": options.listen,
            "unix": options.unix,
            "save": options.save,
            "history": history,
        }
        given["server"] = {key: value for key, value in server.items() if value is not None}
    given["driver"] = {"home": {k: v for k, v in driver.items() if v is not None}}
    return parse(given, DRIVERS, source="command line")


def _history(text: str) -> tuple[str, dict[str, str]]:
    """Take `PREFIX=DAYS[,SIZE]` apart, as the configuration has it."""
    prefix, _, rule = text.rpartition("=")
    days, _, size = rule.partition(",")
    return prefix, {key: each for key, each in (("days", days), ("size", size)) if each}


if __name__ == "__main__":
    sys.exit(main())
