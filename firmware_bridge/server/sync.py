"""Agreeing with another server: each takes what is newer at the other one, deletions too.

A real server tells no deletions. But whoever offers it a node that it has deleted later is refused, and
then finds nothing there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from ..link.clock import STEP
from ..link.codec import ABSENT, Value
from ..link.connection import Connection, Stream
from ..link.errors import DecodeError, EncodeError, NoAnswerError, NotFoundError, RefusedError
from ..link.frames import Reply
from ..link.meta import Meta, meta_in, meta_object, meta_of
from ..link.path import MAX_LEVELS, Path
from .reach import check_time_told
from .records import Record
from .store import PASSING, RUN, Levels, levels_of
from .tree import Tree

_LOGGER = logging.getLogger(__name__)

_PATIENCE: Final = 30.0  # seconds for an answer
_GLANCE: Final = 1000  # nodes compared before others have their turn
_MOST: Final = 1_000_000  # nodes of another server
_LENGTH: Final = 100  # characters of a path, on the average of so many
_MOST_EVENTS: Final = 100_000  # nodes that it says are events: ours name 20,000
_BREATH: Final = 0.004  # seconds of taking nodes before others have their turn
_SLICE: Final = 100  # nodes offered before the other server has a rest
_REST: Final = 0.05
_DEEPEST: Final = 5 * MAX_LEVELS  # nobody means that
_OWN: Final = ["error", "link", "server"]
"""Where servers report what is wrong with themselves: nobody else needs it again."""

type Times = dict[str, float]


@dataclass(slots=True)
class Agreement:
    """What came of it, in nodes."""

    taken: int = 0
    """Newer there."""
    given: int = 0
    """Newer here."""
    refused: int = 0
    """There, but of no use here."""
    refusal: str = ""
    """Why, of the first one."""
    deleted: int = 0
    """Deleted there, which it could not tell."""
    real: bool = False
    """Whether the other one is a real server: it tells no deletions."""


async def agree(
    connection: Connection, tree: Tree, name: str, learned: Callable[[Levels], None]
) -> Agreement:
    """Exchange what is newer with the server at the other end; `name` is ours. LinkError.

    `learned` is told what came from there, and may be missing at the broker.
    """
    result = Agreement()
    commands = await _commands(connection)
    result.real = "hist" not in commands
    passing = await _passing(connection) if "passing" in commands else frozenset()
    there = await _take(connection, tree, passing, learned, result)
    newer = await _newer_here(tree, there)
    for number, levels in enumerate(newer, 1):
        if not number % _SLICE:
            await asyncio.sleep(_REST)
        try:
            await _give(connection, tree, levels, result, name)
        except (DecodeError, EncodeError, RefusedError) as err:
            _LOGGER.debug("Not taken: %s: %s", "/".join(levels), err)
    return result


async def _commands(connection: Connection) -> list[Value]:
    """Return which streams of data the other one has: real servers lack some of ours. LinkError."""
    try:
        answer = await connection.request(("d", "dir_"), timeout=_PATIENCE)
    except RefusedError:
        return []
    commands = answer.keywords.get("s")
    return commands if isinstance(commands, list) else []


async def _passing(connection: Connection) -> Collection[str]:
    """Return the topics of events: what the broker does not retain, though it has had it. LinkError."""
    found: set[str] = set()
    length = 0
    async with connection.open_stream(("d", "passing"), timeout=_PATIENCE) as stream:
        async for item in _in_time(stream):
            match item.arguments:
                case (Path() | list() as path,):
                    topic = "/".join(levels_of(Path.of(path)))
                    length += len(topic)
                    if len(found) >= _MOST_EVENTS or length > _MOST_EVENTS * _LENGTH:
                        raise DecodeError(
                            f"more than {_MOST_EVENTS} events, or names too long for so many"
                        )
                    found.add(topic)
    return found


async def _take(
    connection: Connection,
    tree: Tree,
    passing: Collection[str],
    learned: Callable[[Levels], None],
    result: Agreement,
) -> Times:
    """Walk through the other tree, and take what is newer; return when what was written there."""
    there: Times = {}
    seen: set[str] = set()
    before: list[str] = []
    length = 0
    keywords: dict[str, Value] = {} if result.real else {"deleted": True}
    walk = connection.open_stream(("d", "walk"), (Path(),), keywords, timeout=_PATIENCE)
    async with walk as stream:
        async for item in _in_time(stream):
            match item.arguments:
                case (int(kept), Path() | list() as rest, value, *meta) if 0 <= kept <= len(before):
                    before = before[:kept] + levels_of(Path.of(rest))
                    if len(before) > _DEEPEST:
                        raise DecodeError(f"a walk {len(before)} levels deep")
                    if (place := "/".join(before)) in seen:
                        raise DecodeError(f"a walk that comes twice to {place or ':'}"[:200])
                    length += len(place)
                    if len(seen) >= _MOST or length > _MOST * _LENGTH:
                        raise DecodeError(f"more than {_MOST} nodes, or names too long for so many")
                    seen.add(place)
                    try:
                        known = _known(before, meta_in(meta, item.keywords))
                        event = "/".join(before) in passing
                        outcome = tree.receive(before, value, known, passing=event)
                    except (DecodeError, EncodeError) as err:
                        result.refused += 1
                        result.refusal = result.refusal or str(err)
                        continue
                    there[place] = known.time
                    if outcome.stored:
                        result.taken += 1
                        if not event:
                            learned(before)
                case _:
                    raise DecodeError("not an item of a walk")
    return there


def _known(levels: Levels, items: list[Value]) -> Meta:
    """Return an item's metadata. DecodeError if there are none, or if nobody walks there.

    EncodeError if nobody could write after it.
    """
    if levels[:1] == [RUN]:
        raise DecodeError("what is below run is not walked")
    meta = meta_of(items)
    check_time_told(meta.time)
    return meta


async def _in_time(stream: Stream) -> AsyncIterator[Reply]:
    """Go through a stream, whose items may not be long in coming. LinkError."""
    begin = perf_counter()
    while True:
        if perf_counter() - begin > _BREATH:
            await asyncio.sleep(0)  # items that are there would be taken without a pause
            begin = perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE):
                item = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise NoAnswerError(f"nothing more came within {_PATIENCE:g} s") from None
        yield item


async def _newer_here(tree: Tree, there: Times) -> list[Levels]:
    """Compare the trees; return what the other one lacks, or has in an older version."""
    found: list[Levels] = []
    for number, (levels, record) in enumerate(tree.snapshot(), 1):
        if not number % _GLANCE:
            await asyncio.sleep(0)
        time = there.get("/".join(levels))
        if (record.deleted if time is None else time >= record.meta.time) or levels[:3] == _OWN:
            continue
        found.append(levels)
    return found


async def _give(
    connection: Connection, tree: Tree, levels: Levels, result: Agreement, us: str
) -> None:
    """Offer a node with its metadata; if it was deleted there unsaid, do so here. LinkError."""
    node = tree.store.find(levels)
    record = _record(tree, levels)
    if node is None or record is None or node.kept == PASSING:
        return  # an event would be published there as a state
    path = Path.from_topic("/".join(levels)) if levels else Path()
    value, meta = record.unpack()
    said = meta_object(meta)
    if record.deleted:
        await connection.request(("d", "delete"), (path, said), timeout=_PATIENCE)
        result.given += 1
        return
    answer = await connection.request(("d", "set"), (path, value, said), timeout=_PATIENCE)
    if answer.value is True:
        result.given += 1
    elif answer.value is False and result.real and await _deleted(connection, path):
        if _record(tree, levels) is not record:
            return  # we have heard of it meanwhile
        tree.write(levels, ABSENT, Meta(us, meta.time + STEP))
        result.deleted += 1


async def _deleted(connection: Connection, path: Path) -> bool:
    """Tell whether there is nothing at a path of the other server. LinkError."""
    try:
        await connection.request(("d", "get"), (path,), timeout=_PATIENCE)
    except NotFoundError:
        return True
    except RefusedError:
        return False
    return False


def _record(tree: Tree, levels: Levels) -> Record | None:
    node = tree.store.find(levels)
    return None if node is None else node.record
