"""For people at a terminal: `moat-bridge link get|set|delete|list|walk|monitor|history|errors|call`."""

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path as File
from typing import Any

from .link.client import Link, LinkConfig
from .link.codec import ABSENT, Value
from .link.errors import DecodeError, LinkError
from .link.message import Message
from .link.path import Path
from .link.session import BrokerConfig

type Action = Callable[[Link, argparse.Namespace], Coroutine[Any, Any, None]]

_PATIENCE = 10.0
_BOLD, _DIM, _RED, _PLAIN = "\033[1m", "\033[2m", "\033[31m", "\033[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of an installation."""
    add = parser.add_argument
    add("--host", default="localhost", help="of the broker (%(default)s)")
    add("--port", type=int, default=1883, help="of the broker (%(default)s)")
    add("--username", help="at the broker")
    add("--password-file", metavar="FILE", type=File, help="holds the password at the broker")
    add("--root", type=_path, default=Path("moat"), help="of the installation (%(default)s)")
    add("--token-file", metavar="FILE", type=File, help="holds the token for the server")
    add("--ca", metavar="FILE", help="authority of servers that encrypt (the system's)")
    add("--json", action="store_true", help="one JSON value a line, for programs")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: Action, text: str) -> Callable[..., argparse.Action]:
        sub = commands.add_parser(name, help=text)
        sub.set_defaults(action=action)
        return sub.add_argument

    add = command("get", _get, "show a node's value")
    add("path", type=_path)
    add = command("set", _set, "write a node")
    add("path", type=_path)
    add("value", type=_value, help="JSON, or else text")
    add = command("delete", _delete, "delete a node")
    add("path", type=_path)
    add("-r", "--recursive", action="store_true", help="with everything below")
    add = command("list", _list, "show the names below a node")
    add("path", type=_path, nargs="?", default=Path())
    add = command("walk", _walk, "show a subtree")
    add("path", type=_path, nargs="?", default=Path())
    add = command("monitor", _monitor, "show a subtree, and what changes")
    add("path", type=_path, nargs="?", default=Path())
    add = command("history", _history, "show what a node was (with a server that remembers)")
    add("path", type=_path)
    add("--last", type=float, default=24.0, metavar="HOURS", help="(%(default)g)")
    add("-n", type=int, help="the newest few")
    add("--step", type=float, metavar="S", help="samples: mean, lowest, highest, count")
    add("--item", action="append", type=_value, default=[], help="where in the value")
    command("errors", _errors, "show the current errors")
    add = command("call", _call, "call a command of a service")
    add("service", type=_path, help="path of its announcement, below run.host")
    add("command", type=_path)
    add("arguments", type=_value, nargs="*", help="JSON, or else text")


def execute(options: argparse.Namespace) -> int:
    """Do it; return the exit code: 0 done, 1 failed, with the reason told."""
    try:
        asyncio.run(_execute(options))
    except KeyboardInterrupt:
        return 0
    except (LinkError, OSError) as err:
        colour = sys.stderr.isatty()
        start, end = (_RED, _PLAIN) if colour else ("", "")
        sys.stderr.write(f"{start}{err}{end}\n")
        return 1
    return 0


async def _execute(options: argparse.Namespace) -> None:
    async with _linked(options) as link:
        await options.action(link, options)


@asynccontextmanager
async def _linked(options: argparse.Namespace) -> AsyncIterator[Link]:
    password, token = (
        file and file.read_text().strip() for file in (options.password_file, options.token_file)
    )
    broker = BrokerConfig(
        host=options.host, port=options.port, username=options.username, password=password
    )
    tls = ssl.create_default_context(cafile=options.ca)
    config = LinkConfig(broker=broker, root=options.root, name="cli", token=token, server_tls=tls)
    link = Link(config)
    task = asyncio.create_task(link.run())
    try:
        await link.wait_ready(_PATIENCE)
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _get(link: Link, options: argparse.Namespace) -> None:
    _show(await link.get(options.path), options)


async def _set(link: Link, options: argparse.Namespace) -> None:
    await link.set(options.path, options.value)


async def _delete(link: Link, options: argparse.Namespace) -> None:
    await link.delete(options.path, recursive=options.recursive)


async def _list(link: Link, options: argparse.Namespace) -> None:
    for name in await link.list(options.path):
        _say(json.dumps(_plain(name)) if options.json else str(Path(name)))


async def _walk(link: Link, options: argparse.Namespace) -> None:
    async for message in link.walk(options.path):
        _show(message, options)


async def _monitor(link: Link, options: argparse.Namespace) -> None:
    link.watch(options.path, lambda message: _show(message, options))
    await asyncio.Event().wait()


async def _history(link: Link, options: argparse.Namespace) -> None:
    start = time.time() - options.last * 3600
    if options.step is None:
        async for message in link.history(options.path, start, newest=options.n):
            _show(message, options)
        return
    async for each in link.samples(options.path, options.step, start, item=options.item):
        row = [each.start, each.mean, each.low, each.high, each.count]
        when = time.strftime("%F %T", time.localtime(each.start))
        numbers = f"{each.mean:12g} {each.low:12g} {each.high:12g} {each.count:6d}"
        _say(json.dumps(row) if options.json else f"{when} {numbers}")


async def _errors(link: Link, options: argparse.Namespace) -> None:
    async for message in link.walk(Path("error")):
        _show(message, options)


async def _call(link: Link, options: argparse.Namespace) -> None:
    service = Path("run", "host", *options.service)
    reply = await link.call(service, options.command.elements, *options.arguments)
    for value in (*reply.arguments, *([dict(reply.keywords)] if reply.keywords else [])):
        _say(json.dumps(_plain(value), ensure_ascii=False))


def _show(message: Message, options: argparse.Namespace) -> None:
    """Print a node: its path, its value, and who said it when."""
    deleted = message.value is ABSENT
    value = _plain(message.value)
    if options.json:
        known = {} if deleted else {"value": value}
        about = {"path": str(message.path), **known, "origin": message.meta.origin}
        _say(json.dumps({**about, "time": message.time}, ensure_ascii=False))
        return
    bold, dim, plain = (_BOLD, _DIM, _PLAIN) if sys.stdout.isatty() else ("", "", "")
    text = "(deleted)" if deleted else json.dumps(value, ensure_ascii=False)
    when = time.strftime("%F %T", time.localtime(message.time))
    _say(f"{bold}{message.path}{plain} {text} {dim}{message.meta.origin} {when}{plain}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    """Make anything fit for JSON."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple() | frozenset():
            return [_plain(each) for each in value]
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _path(text: str) -> Path:
    try:
        return Path.parse(text)
    except DecodeError as err:
        raise argparse.ArgumentTypeError(str(err)) from err


def _value(text: str) -> Value:
    try:
        value: Value = json.loads(text)
    except ValueError:
        return text
    return value
