"""The commands that show something."""

import argparse
import asyncio
import time
from collections.abc import Iterator
from itertools import islice

from ..access import UsageError
from ..link.client import Link
from ..link.codec import ABSENT, Value
from ..link.errors import AuthenticationError
from ..link.message import Message
from ..link.path import Path
from ..link.server import Sample
from ..terminal import shown
from .show import DIM, RED, Screen, about, when
from .trouble import FailedError, kept_out, missing

_DAY = 86400.0
_MOST = 8  # numbers that are offered


async def get(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Show a node."""
    message = await link.get(options.path)
    if not options.value:
        screen.message(message)
    elif screen.json or not isinstance(message.value, str):
        screen.dump(message.value)
    else:
        screen.text(message.value)


async def children(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Show the names below a node, with their values on demand."""
    path: Path = options.path
    names = [each for each in await link.list(path) if path or each != "run"]
    if not names and path:
        await link.get(path)  # or NotFoundError
    found: dict[Path, Message] = {}
    if options.values:
        async for message in link.walk(path, min_depth=1, max_depth=1):
            found[message.path] = message
    for name in names:
        message_there = found.get(path.resolve() / name)
        if message_there is not None:
            screen.message(message_there)
        elif screen.json:
            screen.dump(name if not options.values else {"path": str(path / name)})
        elif options.values:
            screen.say(f"{path / name}")
        else:
            screen.say(screen.paint(str(Path(name)), ""))


async def walk(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Show a subtree."""
    count = 0
    async for message in link.walk(options.path, max_depth=options.depth):
        screen.message(message)
        count += 1
    if not count and options.path:
        raise FailedError(await missing(link, options.path))


async def monitor(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Show a subtree, a mark, and what changes, until the user has seen enough."""
    changes: asyncio.Queue[tuple[Message | None, bool]] = asyncio.Queue()
    marked, live = False, options.new  # without a snapshot all is news, also before the mark

    def mark() -> None:
        nonlocal marked, live
        if not marked:
            marked = live = True
            changes.put_nowait((None, True))

    watch = link.watch(
        options.path,
        lambda message: changes.put_nowait((message, live)),
        on_mark=mark,
        snapshot=not options.new,
    )
    telling = _Telling(link, screen)
    lost = link.on_status(telling.changed)
    seen = count = 0
    try:
        while options.n is None or count < options.n:
            message, new = await changes.get()
            if message is None:
                if not screen.json:
                    screen.say(screen.paint(f"--- {seen} values; now what changes ---", DIM))
                continue
            seen += 1
            count += new
            sign = "-" if message.value is ABSENT else "*"
            screen.message(message, mark=f"{sign} " if new else "  ", live=new)
    finally:
        lost()
        watch.close()


class _Telling:
    """Tells once of each thing that happens to the connection."""

    def __init__(self, link: Link, screen: Screen) -> None:
        self._link = link
        self._screen = screen
        self._said = ""
        self._server = link.status.server

    def changed(self) -> None:
        """Look at the status."""
        status = self._link.status
        if not status.connected and status.error is not None:
            self._say(f"No connection: {status.error}. Trying again.")
        elif not status.ready:
            return
        elif isinstance(status.server_error, AuthenticationError):
            trouble = kept_out(status.server_error, token=self._link.config.token)
            why = str(trouble).replace("\n", " ")
            self._say(f"{why} This is what the broker says.")
        elif status.server is None and self._server is not None:
            self._say(f"No server: {status.server_error}. This is what the broker says.")
        elif self._said:
            self._say("Connected again.")
            self._said = ""
        self._server = status.server or self._server

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._screen.note(text)


async def history(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Show what a node was, or a number in intervals."""
    start, end, step = _times(options)
    if step is None:
        values = link.history(options.path, start, end, newest=options.n)
        known = False
        async for message in values:
            known = True
            _show_former(screen, message, tuple(options.item))
        if not known:
            await _nothing(link, screen, options)
        return
    head = True
    samples = link.samples(options.path, step, start, end, newest=options.n, item=options.item)
    async for sample in samples:
        if head and not screen.json:
            names = f"{'from':19}  {'mean':>12}  {'lowest':>12}  {'highest':>12}  {'count':>6}"
            screen.say(screen.paint(names, DIM))
        head = False
        _show_sample(screen, sample, step)
    if head:
        await _nothing(link, screen, options)


async def _nothing(link: Link, screen: Screen, options: argparse.Namespace) -> None:
    """Say that there was nothing; NotFoundError if there is nothing now either, or no number."""
    there = await link.get(options.path)
    if options.step is not None:
        _check_number(there, options)
    screen.note(f"Nothing is known of {options.path} in that time.")


def _check_number(there: Message, options: argparse.Namespace) -> None:
    """FailedError with what could be meant, if what is sampled is no number now."""
    said = "".join(f" --item {each}" for each in options.item)
    value = there.item(tuple(options.item))
    numbers = list(islice(_numbers(value, said), _MOST))
    if numbers == [said]:
        return
    if numbers:
        raise FailedError(f"{options.path}{said} is no number; there is{','.join(numbers)}")
    what = "" if isinstance(value, dict | list) else f", but {shown(value)}"
    raise FailedError(f"{options.path}{said} is no number{what}: --step needs one")


def _numbers(value: Value, said: str) -> Iterator[str]:
    """Find the numbers in a value (a switch counts as 0 and 1), and how to say which is meant."""
    match value:
        case bool() | int() | float():
            yield said
        case dict():
            for key, each in value.items():
                yield from _numbers(each, f"{said} --item {key!s}")
        case list():
            for index, each in enumerate(value):
                yield from _numbers(each, f"{said} --item {index}")


def _times(options: argparse.Namespace) -> tuple[float | None, float | None, float | None]:
    """Return start, end and step; intervals begin where those of the clock do."""
    start, end, last, step = options.start, options.end, options.last, options.step
    if start is not None and last is not None:
        raise UsageError("--from and --last are two starts: give one")
    if start is not None and end is not None and end < start:
        raise UsageError("--to is before --from")
    if start is None and (last is not None or options.n is None):
        start = (time.time() if end is None else end) - (last or _DAY)
        if step is not None:
            offset = time.localtime(start).tm_gmtoff
            start -= (start + offset) % step
    return start, end, step


def _show_former(screen: Screen, message: Message, item: tuple[str | int, ...]) -> None:
    """Print a value of the past, the time first: the path is always the same."""
    deleted = message.value is ABSENT
    value = message.item(item)
    if screen.json:
        screen.dump(about(message) | ({} if deleted else {"value": value}))
    else:
        said = screen.paint("(deleted)", RED) if deleted else shown(value)
        screen.say(when(message.time), said, screen.paint(message.meta.origin, DIM))


def _show_sample(screen: Screen, sample: Sample, step: float) -> None:
    if not screen.json:
        numbers = f"{sample.mean:12g}  {sample.low:12g}  {sample.high:12g}  {sample.count:6d}"
        screen.say(when(sample.start), numbers)
        return
    screen.dump(
        {
            "start": sample.start,
            "end": sample.start + step,
            "mean": sample.mean,
            "min": sample.low,
            "max": sample.high,
            "count": sample.count,
            "seconds": sample.seconds,
        }
    )
