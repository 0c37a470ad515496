"""What can be said on the command line, and how it is read."""

import argparse
from collections.abc import Callable
from pathlib import Path as File
from typing import Final

from ..access import add_broker, add_root, unseen
from ..link.path import Path
from . import errors, reading, words, writing

_ABOUT: Final = """\
Paths are dotted and relative to the root: home.kitchen.lamp. A number as an element is home.floor:1,
a single : is the root itself. Values are JSON, and text where they are no JSON.

The environment has the defaults: MOAT_HOST, MOAT_PORT, MOAT_USERNAME, MOAT_PASSWORD_FILE, MOAT_ROOT,
MOAT_SERVER, MOAT_TOKEN_FILE, MOAT_CONFIG.

Exit codes: 0 done, 1 failed (the reason is told), 2 wrong usage.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of an installation."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _ABOUT
    _add_connection(lambda title: parser.add_argument_group(title).add_argument)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(
        name: str, action: Callable[..., object], text: str, *, endless: bool = False
    ) -> Callable[..., argparse.Action]:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.set_defaults(action=action, endless=endless)
        _repeat_connection(sub)
        return sub.add_argument

    add = command("get", reading.get, "show a node's value")
    add("path", type=words.path)
    add("--value", action="store_true", help="the value alone; text as it is, else JSON")
    add = command("list", reading.children, "show the names below a node")
    add("path", type=words.path, nargs="?", default=Path(), help="(the root, without run)")
    add("-l", "--values", action="store_true", help="with their values")
    add = command("walk", reading.walk, "show a subtree")
    add("path", type=words.path, nargs="?", default=Path(), help="(the root)")
    add("--depth", type=words.count, metavar="N", help="so many levels below the path")
    add = command("monitor", reading.monitor, "show a subtree, and what changes", endless=True)
    add("path", type=words.path, nargs="?", default=Path(), help="(the root)")
    add("--new", action="store_true", help="only what changes")
    add("-n", type=words.several, help="end after so many changes")
    _add_history(command("history", reading.history, "show what a node was, if a server remembers"))
    _add_writing(command)
    _add_errors(commands)


def _add_connection(group: Callable[[str], Callable[..., argparse.Action]]) -> None:
    """Add what can be said about the connection and the output, in groups with these titles."""
    add = group("the broker")
    add_broker(add)
    add("-c", "--config", metavar="FILE", type=File, help="connect as this bridge.toml says")
    add = group("the installation and its server")
    add_root(add)
    add("--server", metavar="HOST:PORT", help="only with this one; tls://HOST:PORT: encrypted")
    add("--unix", metavar="PATH", help="only with the server at this socket")
    add(
        *("--token-file",),
        metavar="FILE",
        type=File,
        help="holds the token for the server: alone, or as a line `name token`",
    )
    add("--server-ca", metavar="FILE", help="authority of servers that encrypt (the system's)")
    add("--no-server", action="store_true", help="do without: read what the broker holds")
    add = group("output")
    add("--json", action="store_true", help="one JSON value a line, for programs")
    add(
        *("--colour", "--color"),
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: on a terminal, unless NO_COLOR is set",
    )
    add(
        "--timeout", type=words.duration, default=10.0, metavar="TIME", help="to wait at most (10s)"
    )


def _repeat_connection(command: argparse.ArgumentParser) -> None:
    """Take after the command what stands before it as well."""
    _add_connection(lambda _: unseen(command))


def _add_history(add: Callable[..., argparse.Action]) -> None:
    add("path", type=words.path)
    add("--last", type=words.duration, metavar="TIME", help="15m, 24h, 7d (24h)")
    add(
        "--from",
        dest="start",
        type=words.moment,
        metavar="TIME",
        help="2026-11-28, 2026-11-28T12:30",
    )
    add("--to", dest="end", type=words.moment, metavar="TIME", help="(now)")
    add("-n", type=words.several, help="the newest few")
    add("--step", type=words.duration, metavar="TIME", help="means, lowest, highest: 15m, 1h, 1d")
    add(
        "--item",
        action="append",
        type=words.value,
        default=[],
        help="where in the value; repeatable",
    )


def _add_writing(command: Callable[..., Callable[..., argparse.Action]]) -> None:
    add = command("set", writing.put, "write a node")
    add("path", type=words.path)
    add("value", type=words.given, help="JSON, or else text; - reads it from the standard input")
    add("--text", action="store_true", help="the value is text, whatever it looks like")
    add("--no-retain", action="store_true", help="as an event: nobody who comes later sees it")
    _add_condition(add)
    add = command("delete", writing.delete, "delete a node")
    add("path", type=words.path)
    add("-r", "--recursive", action="store_true", help="with everything below")
    _add_condition(add, missing=False)
    add = command("call", writing.call, "call a command of a service")
    add("service", type=words.path, help="path of its announcement, below run.host")
    add("command", type=words.path)
    add("arguments", type=words.value, nargs="*", metavar="argument", help="JSON, or else text")
    add(
        "-k", dest="keywords", action="append", type=words.keyword, default=[], metavar="NAME=VALUE"
    )


def _add_condition(add: Callable[..., argparse.Action], *, missing: bool = True) -> None:
    add(
        "--if-time",
        type=words.stamp,
        metavar="T",
        help="only if it still has this time (see --json)",
    )
    add("--if-exists", action="store_true", help="only if there is a value")
    if missing:
        add("--if-missing", action="store_true", help="only if there is none")


def _add_errors(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "show the errors of the installation, acknowledge or clear them"
    parser = commands.add_parser("errors", help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(action=errors.show, endless=False, all=False, worse_than=0)
    actions = parser.add_subparsers(metavar="ACTION", title="actions (show)")
    show = actions.add_parser("show", help="those that nobody has acknowledged, worst first")
    for each in (parser, show):
        _repeat_connection(each)
        # what is said before the action must not be undone by the defaults after it
        each.add_argument(
            *("-a", "--all"),
            action="store_true",
            default=argparse.SUPPRESS,
            help="acknowledged ones, too",
        )
        each.add_argument(
            *("--level",),
            dest="worse_than",
            type=errors.level,
            default=argparse.SUPPRESS,
            metavar="LEVEL",
            help=f"or worse: {errors.NAMES}",
        )
    for name, action, what in (
        ("ack", errors.acknowledge, "note that somebody takes care"),
        ("clear", errors.clear, "note that an error is over"),
    ):
        sub = actions.add_parser(name, help=what, description=f"{what.capitalize()}.")
        _repeat_connection(sub)
        sub.add_argument("paths", type=words.path, nargs="+", metavar="path")
        sub.set_defaults(action=action)
    report = actions.add_parser("report", help="raise an error, or count it once more")
    _repeat_connection(report)
    report.add_argument("path", type=words.path)
    report.add_argument("message")
    report.add_argument(
        *("--level",),
        dest="severity",
        type=errors.level,
        metavar="LEVEL",
        help=f"{errors.NAMES} (as before, else error)",
    )
    report.set_defaults(action=errors.report)
