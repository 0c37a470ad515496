"""The command `d.hist`, which is ours and not the reference's: what a node was."""

import math
from dataclasses import astuple, dataclass
from functools import partial
from typing import Final

from ..link.clock import Clock
from ..link.codec import Value
from ..link.connection import Answer, Request
from ..link.errors import RefusedError
from ..link.frames import Reply
from ..link.path import Path
from ..link.server import Sample
from .archive import Archive
from .arguments import argument, number, path_of, type_error, whole
from .history import History
from .records import Record, restored
from .samples import Sampler

MOST_SAMPLES: Final = 100_000
SHORTEST: Final = 0.001
_EVER: Final = 1e12  # seconds; no time is beyond
_MOST: Final = 1 << 53  # more than there can be
_TURN: Final = 64  # items sent in one go


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody wants to know: from `start` to before `end`, the newest few, or samples."""

    path: Path
    start: float | None
    end: float | None
    newest: int | None
    step: float | None
    item: tuple[Value, ...]

    @classmethod
    def of(cls, call: Reply) -> Question:
        """Read the arguments. RemoteError says what is wrong with them."""
        start, end = _moment(call, 1, "start"), _moment(call, 2, "end")
        newest, step = whole(call, 3, "n"), _moment(call, 4, "step")
        item = call.keywords.get("item")
        if start is not None and end is not None and end < start:
            raise type_error("end is before start")
        if step is not None and step < SHORTEST:
            raise type_error(f"step is at least {SHORTEST} seconds")
        if item is None:
            item = []
        return cls(
            path=path_of(argument(call, 0, "path")),
            start=start,
            end=end,
            newest=newest if newest is None else min(newest, _MOST),
            step=step,
            item=tuple(item) if isinstance(item, list) else (item,),
        )


class Past:
    """Answers questions about the past, if anything remembers it."""

    def __init__(self, clock: Clock) -> None:
        self.history: History | None = None
        self._clock = clock

    async def answer(self, caller: str, request: Request) -> Answer:
        """Send what a node was: all values, the newest `n`, or samples every `step` seconds.

        From `start` (or the beginning) to before `end` (or now). Items are those of `d.get`, the first
        one being what held at the start. A sample is start, mean, lowest, highest, count, seconds of
        the numbers at `item`.
        """
        question = Question.of(Reply(request.arguments, request.keywords))
        topic = question.path.topic
        if self.history is None:
            raise RefusedError("this server keeps no history")
        if not self.history.remembers(topic):
            raise RefusedError(f"no history is kept of {question.path}")
        if question.step is None:
            await self._values(self.history, topic, question, request)
        else:
            await self._samples(self.history, topic, question, question.step, request)
        return None

    async def _values(
        self, history: History, topic: str, question: Question, request: Request
    ) -> None:
        end = math.inf if question.end is None else question.end
        after, first = await history.read(partial(_first, question, topic, end))
        request.accept()
        left = _MOST if question.newest is None else question.newest
        if first is not None:
            await request.send(first)
            left -= 1
        while left > 0 and (rows := await history.rows(topic, after, end)):
            for turn, (_, record) in enumerate(rows[:left]):
                await _send(request, turn, restored(record))
            left -= len(rows)  # what has come meanwhile was not asked for
            after = rows[-1][0]

    async def _samples(
        self, history: History, topic: str, question: Question, step: float, request: Request
    ) -> None:
        now = self._clock.time()
        end = now if question.end is None else min(question.end, now)
        first = await history.read(lambda archive: archive.first(topic))
        if first is None or first >= end:
            request.accept()
            return
        start = question.start
        if start is None:
            start = first // step * step
        elif start < first:
            start += (first - start) // step * step  # before, there is nothing to tell
        intervals = math.ceil(max(end - start, 0.0) / step)
        if question.newest is not None and intervals > question.newest:
            start += (intervals - question.newest) * step
            intervals = question.newest
        if intervals > MOST_SAMPLES:
            raise type_error(f"step is too small: {intervals} samples, at most {MOST_SAMPLES}")
        sampler = Sampler(step, start, question.item)
        held = await history.read(lambda archive: archive.held(topic, start))
        request.accept()
        if held is not None and held[0] < start:
            sampler.carry(Record(held[1]))
        after: float | None = math.nextafter(start, -math.inf)
        turn = 0
        while after is not None:
            samples, after = await history.read(partial(_sampled, topic, after, end, sampler))
            for sample in samples:
                turn += 1
                await _send(request, turn, *astuple(sample))


def _first(
    question: Question, topic: str, end: float, archive: Archive
) -> tuple[float, Record | None]:
    """Return what held at the start, if it is wanted, and after which time the others are."""
    start = -math.inf if question.start is None else question.start
    if question.newest is not None:
        if question.newest == 0:
            return end, None
        newest = archive.newest(topic, start, end, question.newest)
        if newest is not None:
            return math.nextafter(newest, -math.inf), None
    held = archive.held(topic, start)
    if held is None or held[0] >= end or Record(held[1]).deleted:
        return start, None
    return start, restored(held[1])


def _sampled(
    topic: str, after: float, end: float, sampler: Sampler, archive: Archive
) -> tuple[list[Sample], float | None]:
    """Put the next rows together; return after which time the others are, None if these were all."""
    rows = archive.rows(topic, after, end)
    samples = [done for time, record in rows for done in sampler.add(time, Record(record))]
    if rows:
        return samples, rows[-1][0]
    return [*samples, *sampler.rest(end)], None


async def _send(request: Request, turn: int, *item: Value) -> None:
    """Send an item, waiting only now and then, or if the other side is slow."""
    if turn % _TURN and request.exchange.can_send:
        request.exchange.send(item)
    else:
        await request.send(*item)


def _moment(call: Reply, index: int, name: str) -> float | None:
    """Read a number that can be calculated with, if there is one."""
    value = number(call, index, name)
    if value is None:
        return None
    return min(max(float(value), -_EVER), _EVER)
