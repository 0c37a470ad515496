"""The commands that change something."""

import argparse

from ..access import UsageError
from ..link.alike import alike
from ..link.client import Link
from ..link.codec import ABSENT
from ..link.errors import NotFoundError, OutOfDateError
from ..link.identity import HOSTS
from ..link.message import Message
from ..link.path import Path
from ..terminal import shown
from . import words
from .show import BOLD, DIM, Screen, about, when
from .trouble import FailedError, in_the_way, missing


async def put(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Write a node, and make sure that it is there."""
    path: Path = options.path
    value = options.value if options.text else words.value(options.value)
    if not path:
        raise UsageError("the root itself has no value: name a path")
    expected = _expected(options)
    if expected is not None and options.no_retain:
        raise UsageError("--no-retain, and yet a condition: an event has none")
    try:
        written = await link.set(path, value, retain=not options.no_retain, expected_time=expected)
    except (OutOfDateError, NotFoundError) as err:
        raise FailedError(await in_the_way(link, path, "written")) from err
    if not options.no_retain:
        await _confirm(link, written)
    if screen.json:
        screen.dump(about(written))
    else:
        by = f"stored by {link.status.server}" if link.status.server else "stored by the broker"
        how = "sent" if options.no_retain else by
        screen.say(f"{screen.paint(str(path), BOLD)} = {shown(value)}", screen.paint(how, DIM))


async def delete(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Delete a node, with everything below it on demand."""
    path: Path = options.path
    if not path:
        raise UsageError("the root cannot be deleted: name a path")
    found = [each async for each in link.walk(path, max_depth=None if options.recursive else 0)]
    if not found:
        raise FailedError(await missing(link, path))
    try:
        await link.delete(path, recursive=options.recursive, expected_time=_expected(options))
    except (OutOfDateError, NotFoundError) as err:
        raise FailedError(await in_the_way(link, path, "deleted")) from err
    if screen.json:
        screen.dump({"path": str(path), "deleted": len(found)})
    else:
        more = f" and what is below: {len(found)} in all" if options.recursive else ""
        screen.say(f"{screen.paint(str(path), BOLD)} deleted{more}")


async def call(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Call a command of a service; show what it answers."""
    service: Path = options.service
    if not service.starts_with(HOSTS):
        options.service = service = HOSTS / service
    keywords = dict(options.keywords)
    if len(keywords) < len(options.keywords):
        raise UsageError("-k gives the same name twice")
    reply = await link.call(
        service,
        options.command.elements,
        *options.arguments,
        timeout=options.timeout,
        **keywords,
    )
    if screen.json:
        screen.dump({"arguments": list(reply.arguments), "keywords": dict(reply.keywords.items())})
        return
    for value in reply.arguments:
        screen.say(shown(value))
    for name, value in reply.keywords.items():
        screen.say(f"{screen.paint(str(name), BOLD)} = {shown(value)}")


def _expected(options: argparse.Namespace) -> float | bool | None:
    """Return what must be there."""
    missing = getattr(options, "if_missing", False)
    if (options.if_time is not None) + options.if_exists + missing > 1:
        raise UsageError("of --if-time, --if-exists and --if-missing only one makes sense")
    if missing:
        return False
    return True if options.if_exists else options.if_time


async def _confirm(link: Link, written: Message) -> None:
    """Read it back: where somebody's clock is ahead, what we say is taken for old."""
    try:
        there = await link.get(written.path)
    except NotFoundError:
        there = None
    if there is not None and there.time >= written.time and alike(there.value, written.value):
        return
    if there is None or there.value is ABSENT:
        raise FailedError(f"{written.path} was not stored: it was deleted by somebody else")
    raise FailedError(
        f"{written.path} was not stored: what is there is newer, "
        f"of {there.meta.origin} at {when(there.time)}; see whether all clocks are right"
    )
