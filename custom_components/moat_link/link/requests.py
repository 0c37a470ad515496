"""Calls without a server: MQTT 5 request and response, both ends (docs/wire.md, "Requests").

A request is executed once or not at all. It says when it was sent; whoever receives it later than
its lifetime refuses, because its caller has given up by then. As that needs comparable clocks, the
refusal tells the time of the refusing side, and the caller asks once more in that side's time.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from .clock import Clock
from .codec import decode_payload
from .errors import DecodeError, EncodeError, LinkError, NotFoundError, OutOfDateError, RefusedError
from .identity import REPLIES, REQUESTS
from .meta import Meta, decode_meta
from .mqtt_packets import Publish
from .path import Path
from .presence import Presence
from .remote import decode_error, encode_error
from .rpc import Reply

if TYPE_CHECKING:
    from .codec import Key, Value

_LOGGER = logging.getLogger(__name__)

LIFETIME: Final = 5.0  # seconds within which a request must arrive
REMEMBERED: Final = 1_000  # requests that are recognised when they come again
RUNNING: Final = 128  # requests under way at once

type Execute = Callable[
    [Sequence[Value], Sequence[Value], Mapping[str, Value]], Awaitable[Value | Reply]
]


class Requester:
    """The asking side; `on_reply` must be given what arrives at `path`."""

    def __init__(self, presence: Presence, clock: Clock) -> None:
        """Ask through this session."""
        self.path = REPLIES / presence.id
        self._presence = presence
        self._clock = clock
        self._topic = (presence.root / self.path).topic
        self._waiting: dict[bytes, asyncio.Future[Value]] = {}
        self._offsets: dict[str, float] = {}

    def on_reply(self, packet: Publish) -> None:
        """Take an answer; one that nobody waits for (any more) is dropped."""
        future = self._waiting.pop(packet.correlation or b"", None)
        if future is None or future.done():
            return
        try:
            future.set_result(decode_payload(packet.payload, packet.text))
        except DecodeError as err:
            future.set_exception(err)

    async def ask(
        self,
        client_id: str,
        route: Sequence[Value],
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Reply:
        """Have the client execute a command; there is no time limit in here."""
        request = pack_request(route, arguments, keywords)
        try:
            return await self._ask(client_id, request)
        except OutOfDateError as err:
            if err.meta is None or err.meta.origin != client_id:
                raise
            offset = err.meta.time - self._clock.time()
            if abs(offset - self._offsets.get(client_id, 0.0)) < LIFETIME / 2:
                raise  # it was late indeed
            _LOGGER.debug("The clock of %s is %.1f s ahead of ours", client_id, offset)
            self._offsets[client_id] = offset
        return await self._ask(client_id, request)

    async def _ask(self, client_id: str, request: Value) -> Reply:
        time = self._clock.time() + self._offsets.get(client_id, 0.0)
        packet = self._presence.event(REQUESTS / client_id, request, time)
        packet.response_topic = self._topic
        packet.correlation = correlation = secrets.token_bytes(8)
        answer: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._waiting[correlation] = answer
        try:
            if not await self._presence.confirm(packet, expiry=int(LIFETIME), timeout=LIFETIME):
                raise NotFoundError("nobody is there to carry it out")
            return unpack_answer(await answer)
        finally:
            self._waiting.pop(correlation, None)
            answer.cancel()


class Responder:
    """The answering side; `on_request` must be given what arrives at `path`."""

    def __init__(
        self,
        presence: Presence,
        clock: Clock,
        execute: Execute,
        spawn: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        """Have requests carried out by `execute`, in tasks that `spawn` owns."""
        self.path = REQUESTS / presence.id
        self._presence = presence
        self._clock = clock
        self._execute = execute
        self._spawn = spawn
        self._replies = f"{(presence.root / REPLIES).topic}/"
        self._seen: dict[tuple[str, bytes], None] = {}
        self._running = 0

    def on_request(self, packet: Publish) -> None:
        """Take a request; the same one again, and one without a way back, is dropped."""
        back = (packet.response_topic or "", packet.correlation or b"")
        if back in self._seen or not back[0].startswith(self._replies):
            return
        self._seen[back] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._spawn(self._respond(packet))

    async def _respond(self, packet: Publish) -> None:
        self._running += 1
        try:
            answer = pack_answer(await self._carry_out(packet))
        except LinkError as err:
            answer = pack_answer(err)
        finally:
            self._running -= 1
        try:
            await self._answer(packet, answer)
        except EncodeError as err:
            failed = RefusedError(f"done, but the answer cannot be sent: {err}")
            await self._answer(packet, pack_answer(failed))
        except LinkError as err:
            _LOGGER.debug("A request could not be answered: %s", err)

    async def _carry_out(self, packet: Publish) -> Value | Reply:
        now = self._clock.time()
        sent = decode_meta(packet.meta or "", now).time
        if abs(now - sent) > LIFETIME:
            late = f"sent {now - sent:.0f} s ago"
            raise OutOfDateError(late, Meta(self._presence.id, now))
        if self._running > RUNNING:
            raise RefusedError("too many requests at once")
        request = decode_payload(packet.payload, packet.text)
        return await self._execute(*unpack_request(request))

    async def _answer(self, request: Publish, answer: Value) -> None:
        path = Path.from_topic(request.response_topic or "").relative_to(self._presence.root)
        packet = self._presence.event(path, answer, self._clock.time())
        packet.correlation = request.correlation
        await self._presence.confirm(packet, expiry=int(LIFETIME), timeout=LIFETIME)


def pack_request(
    route: Sequence[Value], arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> Value:
    """Return what a request says."""
    return [list(route), *arguments, dict(keywords.items())]


def unpack_request(value: Value) -> tuple[list[Value], list[Value], dict[str, Value]]:
    """Take a request apart: route, arguments, keywords; DecodeError if it is none."""
    match value:
        case [Path() | [*_] as route, *arguments, dict(keywords)]:
            return [*route], arguments, _keywords(keywords)
    raise DecodeError("not a request")


def pack_answer(outcome: Value | Reply | LinkError) -> Value:
    """Return what an answer says: `[true, result…, {…}]` or `[false, error]`."""
    if isinstance(outcome, LinkError):
        return [False, *encode_error(outcome)]
    if isinstance(outcome, Reply):
        return [True, *outcome.arguments, dict(outcome.keywords.items())]
    return [True, outcome, {}]


def unpack_answer(value: Value) -> Reply:
    """Return the reply an answer holds, or raise the error it holds; DecodeError if it is none."""
    match value:
        case [True, *arguments, dict(keywords)]:
            return Reply(tuple(arguments), _keywords(keywords))
        case [False, *error]:
            raise decode_error(error)
    raise DecodeError("not an answer")


def _keywords(keywords: Mapping[Key, Value]) -> dict[str, Value]:
    if not all(isinstance(key, str) for key in keywords):
        raise DecodeError("keywords must be text")
    return {str(key): value for key, value in keywords.items()}
