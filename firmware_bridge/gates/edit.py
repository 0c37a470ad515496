"""Gates for people at a terminal: list, add and remove entries."""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from typing import Final

from ..link.alike import alike
from ..link.client import Link, LinkConfig
from ..link.codec import Key, Value
from ..link.errors import (
    AuthenticationError,
    DecodeError,
    LinkError,
    NotFoundError,
    RefusedError,
    TlsError,
)
from ..link.message import Message
from ..link.path import Path
from ..linkcli.trouble import kept_out, unreachable
from ..terminal import safe
from .circles import Circles
from .entry import DRIVER, Entry, EntryError, is_ours, parse
from .job import PLACE, SERVICES
from .show import COUNTS
from .topics import dotted
from .translation import CONV

ERRORS: Final = Path("error") / PLACE
_PATIENCE: Final = 10.0
_SOON: Final = 5.0
"""Seconds within which a gate that somebody drives usually runs."""
_LOOK: Final = 0.2


def add_commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Add the commands, and return them."""
    commands = parser.add_subparsers(metavar="COMMAND")
    show = commands.add_parser("list", help="show the gates, and how they are")
    show.set_defaults(edit=_list, level=logging.ERROR)
    add = commands.add_parser("add", help="add a gate, or change it")
    add.set_defaults(edit=_add, level=logging.ERROR)
    add.add_argument("name", type=_path)
    add.add_argument("src", type=_path, help="MoaT data, dotted: home.plugs")
    add.add_argument("dst", type=_topics, help="plain topics, dotted: zigbee2mqtt")
    codec = add.add_mutually_exclusive_group(required=True)
    codec.add_argument("--codec", type=_codec, help='json, bool, … or {"kind": …} in JSON')
    codec.add_argument("--table", type=_path, help="path of a table below conv, dotted")
    add.add_argument("--speed", type=float, metavar="S", help="take a value every so often at most")
    add.add_argument(
        "--timeout", type=float, metavar="S", help="of silence, after which all is read"
    )
    add.add_argument("--no-retain", action="store_true", help="let nothing stay that is sent out")
    add.add_argument("--broker", metavar="HOST[:PORT]", help="of the plain topics, if another one")
    add.add_argument("--broker-tls", action="store_true", help="encrypt the connection to it")
    add.add_argument("--broker-username")
    add.add_argument("--broker-password-file", metavar="FILE", type=File)
    remove = commands.add_parser("remove", help="remove a gate; its data stay on both sides")
    remove.set_defaults(edit=_remove, level=logging.ERROR)
    remove.add_argument("name", type=_name)
    return [show, add, remove]


def edit(options: argparse.Namespace, config: LinkConfig) -> int:
    """Do it; return 0 done, 1 failed, with the reason told."""
    try:
        asyncio.run(_edit(options, config))
    except KeyboardInterrupt:
        return 0
    except (LinkError, OSError, ValueError) as err:
        sys.stderr.write(f"{safe(str(err), lines=True)}\n")
        return 1
    return 0


async def _edit(options: argparse.Namespace, config: LinkConfig) -> None:
    async with _linked(config) as link:
        await options.edit(link, options)


@asynccontextmanager
async def _linked(config: LinkConfig) -> AsyncIterator[Link]:
    """Have a link that is ready. LinkError with a hint; also if a server refuses our token."""
    link = Link(config)
    task = asyncio.create_task(link.run())
    try:
        try:
            await link.wait_ready(_PATIENCE)
        except LinkError as err:
            raise unreachable(err, config) from err
        error = link.status.server_error
        if config.token is not None and isinstance(error, AuthenticationError | TlsError):
            raise kept_out(error, token=config.token)
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _list(link: Link, options: argparse.Namespace) -> None:
    there = [
        (message.path.relative_to(PLACE), message.value)
        async for message in link.walk(PLACE, min_depth=1)
        if isinstance(message.value, dict) and "driver" in message.value
    ]
    services, errors, counts = [await _maps(link, at) for at in (SERVICES, ERRORS, COUNTS)]
    for name, entry in there:
        state: object = services.get(name, {}).get("value")
        if state is None:
            reason = errors[name].get("msg") if name in errors else "nothing drives it"
            state = f"not running: {reason!s}"
        line = f"{name}: {entry.get('src')!s} <-> {entry.get('dst')!s}, "
        line += f"{_shown(entry.get('codec'))}: {state!s}"
        if count := counts.get(name):
            line += "".join(f", {key} {count.get(key)!s}" for key in ("in", "out", "errors"))
        sys.stdout.write(f"{safe(line)}\n")
    if not there:
        sys.stdout.write("No gates.\n")


async def _maps(link: Link, place: Path) -> dict[Path, dict[Key, Value]]:
    """Return the maps below a place, by what they are about."""
    return {
        message.path.relative_to(place): message.value
        async for message in link.walk(place, min_depth=1)
        if isinstance(message.value, dict)
    }


async def _add(link: Link, options: argparse.Namespace) -> None:
    entry: dict[Key, Value] = {"driver": DRIVER, "src": options.src, "dst": options.dst}
    entry["codec"] = options.table if options.table is not None else options.codec
    entry |= {key: it for key in ("speed", "timeout") if (it := getattr(options, key)) is not None}
    if options.no_retain:
        entry["retain"] = False
    if options.broker is not None:
        entry["backend"] = _backend(options)
    wanted = parse(options.name, entry, link.config.root, link.config.broker)
    if isinstance(wanted.codec, Path):
        await _check_table(link, wanted.codec)
    known = await _check_rivals(link, options.name, wanted)
    same = known is not None and alike(known.value, entry)
    written = await link.set(PLACE / options.name, entry)
    done = "added" if known is None else "changed"
    told = f"{options.name} {done}: {wanted.src} <-> {wanted.dst}"
    sys.stdout.write(f"{safe(told)}\n")
    state = await _state(link, options.name, 0.0 if same else written.meta.time)
    sys.stdout.write(f"{safe(state)}\n")


async def _state(link: Link, name: Path, since: float) -> str:
    """Return how a gate is, in a sentence; wait for it if it is just being started."""
    said: Value = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SOON):
            while True:
                error, service = [await _newer(link, at / name, since) for at in (ERRORS, SERVICES)]
                if isinstance(service, dict):
                    said = service.get("value")
                if said == "running":
                    return "It runs."
                if isinstance(error, dict):
                    return f"It does not run: {error.get('msg')!s}"
                await asyncio.sleep(_LOOK)
    if said is not None:
        return f"It does not run yet: {said!s}"
    return "Nothing drives it now: `moat-bridge gates` does, and a server of ours."


async def _newer(link: Link, path: Path, since: float) -> Value:
    """Return what has been written at a node since then; None if nothing has."""
    with contextlib.suppress(NotFoundError):
        message = await link.get(path)
        return message.value if message.meta.time > since else None
    return None


async def _check_table(link: Link, table: Path) -> None:
    """NotFoundError if there is no such table."""
    async for _ in link.walk(CONV / table, min_depth=1):
        return
    raise NotFoundError(f"there is no table at {CONV / table}: write its patterns there first")


async def _check_rivals(link: Link, path: Path, wanted: Entry) -> Message | None:
    """RefusedError if it would loop with other gates; return the entry that is there already."""
    there = [each async for each in link.walk(PLACE, min_depth=1) if is_ours(each.value)]
    known, circles = None, Circles()
    for message in sorted(there, key=lambda each: (each.meta.time, each.topic)):
        name = message.path.relative_to(PLACE)
        if name == path:
            known = message
            continue
        with contextlib.suppress(EntryError):
            other = parse(name, message.value, link.config.root, link.config.broker)
            circles.add(name, other)
    if (problem := circles.add(path, wanted)) is not None:
        raise RefusedError(problem)
    return known


def _backend(options: argparse.Namespace) -> dict[Key, Value]:
    host, colon, port = options.broker.rpartition(":")
    if not colon or options.broker.endswith("]"):
        host, colon, port = options.broker, "", ""
    backend: dict[Key, Value] = {"host": host.removeprefix("[").removesuffix("]")}
    if colon:
        if not port.isdecimal():
            raise ValueError(f"--broker {options.broker}: write HOST or HOST:PORT")
        backend["port"] = int(port)
    if options.broker_tls:
        backend["ssl"] = True
    if options.broker_username:
        backend["username"] = options.broker_username
    if options.broker_password_file:
        backend["password"] = options.broker_password_file.read_text().strip()
    return backend


async def _remove(link: Link, options: argparse.Namespace) -> None:
    try:
        await link.get(PLACE / options.name)
    except NotFoundError:
        raise NotFoundError(f"there is no gate {options.name}") from None
    await link.delete(PLACE / options.name)
    with contextlib.suppress(NotFoundError):
        await link.get(ERRORS / options.name)
        await link.clear_error(PLACE / options.name)
    sys.stdout.write(f"{safe(str(options.name))} removed\n")


def _shown(codec: Value) -> str:
    return f"table {codec}" if isinstance(codec, Path) else f"{codec!s}"


def _path(text: str) -> Path:
    try:
        return dotted(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(str(err)) from err


def _name(text: str) -> Path:
    """Read the name of a gate that is there, whoever has named it."""
    try:
        path = Path.parse(text)
    except DecodeError as err:
        raise argparse.ArgumentTypeError(str(err)) from err
    if not path:
        raise argparse.ArgumentTypeError("must not be empty")
    return path


def _topics(text: str) -> Path:
    path = _path(text)
    if "+" in path:
        raise argparse.ArgumentTypeError(f"{text!r}: write what is before +, which is for tables")
    return path


def _codec(text: str) -> Value:
    if not text.startswith("{"):
        return text
    try:
        codec: Value = json.loads(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"not JSON: {err}") from err
    return codec
