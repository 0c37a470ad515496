"""The errors of the installation: shown, acknowledged, cleared, reported."""

import argparse
import time
from typing import Final

from ..access import UsageError
from ..link.client import Link
from ..link.codec import Value
from ..link.errors import NotFoundError
from ..link.identity import ERRORS
from ..link.message import Message
from ..link.path import Path
from ..terminal import shown
from .show import BOLD, BRIGHT_RED, DIM, RED, YELLOW, Screen, span, when
from .trouble import FailedError, missing

_LEVELS: Final = ("debug", "info", "warning", "error", "fatal")
_STYLES: Final = (DIM, "", YELLOW, RED, BRIGHT_RED)
_USUAL: Final = 3
NAMES: Final = ", ".join(_LEVELS)


def level(text: str) -> int:
    """Read a level by name or number."""
    if text in _LEVELS:
        return _LEVELS.index(text)
    if text.isdecimal() and int(text) < len(_LEVELS):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is none of {NAMES}")


async def show(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Show the errors that nobody has acknowledged, or all of them; the worst first."""
    found = [each async for each in link.walk(ERRORS, min_depth=1)]
    bad = [each for each in found if _level(each) >= options.worse_than]
    wanted = [each for each in bad if options.all or not _acknowledged(each)]
    for message in sorted(wanted, key=lambda each: (-_level(each), -each.time)):
        _show(screen, message)
    if screen.json:
        return
    if not wanted:
        screen.say("No errors.")
    if hidden := len(bad) - len(wanted):
        screen.note(f"{hidden} acknowledged: see errors --all")


async def acknowledge(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Note that somebody takes care of some errors."""
    for path in await _known(link, options.paths):
        await link.ack_error(path)
        _done(screen, path, "acknowledged")


async def clear(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Note that some errors are over."""
    for path in await _known(link, options.paths):
        await link.clear_error(path)
        _done(screen, path, "cleared")


async def report(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Raise an error."""
    path = _below(options.path)
    if not path:
        raise UsageError("an error needs a path: name what has it")
    level = options.severity
    if level is None:
        level = await _former_level(link, path)
    await link.report_error(path, options.message, level=level)
    _done(screen, path, "reported")


async def _former_level(link: Link, path: Path) -> int:
    """Return how bad an error is by now; the usual level if there is none."""
    try:
        return _level(await link.get(ERRORS / path))
    except NotFoundError:
        return _USUAL


def _done(screen: Screen, path: Path, what: str) -> None:
    if screen.json:
        screen.dump({"path": str(path), what: True})
    else:
        screen.say(f"{screen.paint(str(path), BOLD)} {what}")


async def _known(link: Link, paths: list[Path]) -> list[Path]:
    """Return the paths of errors that hold; FailedError if one does not."""
    found = [_below(path) for path in paths]
    for path in found:
        try:
            await link.get(ERRORS / path)
        except NotFoundError as err:
            raise FailedError(await missing(link, ERRORS / path, ERRORS, "no error")) from err
    return found


def _below(path: Path) -> Path:
    """Take a path with or without `error` before it."""
    path = path.resolve()
    return path.relative_to(ERRORS) if path.starts_with(ERRORS) else path


def _show(screen: Screen, message: Message) -> None:
    path = message.path.relative_to(ERRORS)
    fields = message.value if isinstance(message.value, dict) else {"data": message.value}
    number = _level(message)
    first, count = _number(fields.get("first"), message.time), _number(fields.get("n"), 1)
    told = fields.get("msg")
    if screen.json:
        screen.dump(
            {
                "path": str(path),
                "level": number,
                "message": told,
                "first": first,
                "time": message.time,
                "count": count,
                "acknowledged": _acknowledged(message),
                "origin": message.meta.origin,
                "fields": fields,
            }
        )
        return
    times = f", {count:g} times, last {when(message.time)}" if count > 1 else ""
    taken = ", acknowledged" if _acknowledged(message) else ""
    since = f"since {when(first)} ({span(time.time() - first)}){times}{taken}"
    screen.say(
        screen.paint(f"{_LEVELS[number]:7}", _STYLES[number]),
        screen.paint(str(path), BOLD),
        screen.paint(told, "") if isinstance(told, str) else shown(fields),
        screen.paint(since, DIM),
    )


def _level(message: Message) -> int:
    number = message.item(("level",))
    if isinstance(number, int) and 0 <= number < len(_LEVELS):
        return int(number)
    return _USUAL


def _acknowledged(message: Message) -> bool:
    return message.item(("ack",)) is True


def _number(value: Value, default: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return default
