"""Numbered exchanges over a stream of frames, without I/O: calls, streams, credit, cancel.

A frame is a list led by an integer: the exchange's number, which side opened it, and the kind.
Both sides are alike; the engine serves clients, servers and satellites.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, override

from .errors import DecodeError, LinkError, RefusedError
from .frames import (
    ERROR,
    FINAL,
    STREAM,
    WARNING,
    CommandPath,
    Frame,
    Reply,
    command,
    compose,
    take_apart,
)
from .path import Path
from .remote import (
    CANCELLED,
    MUST_STREAM,
    NOT_A_STREAM,
    OVERRUN,
    decode_error,
    encode_error,
    is_cancel,
)

if TYPE_CHECKING:
    from .codec import Value

__all__ = [
    "NOBODY",
    "Answered",
    "CommandPath",
    "Credit",
    "Ended",
    "Engine",
    "Event",
    "Exchange",
    "Failed",
    "Frame",
    "Item",
    "Opened",
    "Owner",
    "Reply",
    "StreamEndedError",
    "Warned",
]

_CREDIT_LIMIT: Final = 1 << 31
_PATIENCE: Final = 1000  # unread items of a caller who does not care for credit
_HEAD_LIMIT: Final = 1 << 62
_LONGEST_PATH: Final = 256  # elements of a command's path
_FREE: Final = 32  # open exchanges that everybody may have


class StreamEndedError(RefusedError):
    """The other side takes no more items."""


@dataclass(slots=True)
class Event:
    """Something the other side did with an exchange."""

    exchange: Exchange


@dataclass(slots=True)
class Opened(Event):
    """The other side calls a command, perhaps as a stream."""

    path: tuple[Value, ...]
    reply: Reply
    stream: bool


@dataclass(slots=True)
class Answered(Event):
    """The opening reply to a stream of ours."""

    reply: Reply


@dataclass(slots=True)
class Item(Event):
    """An item of a stream; call `Exchange.consumed` when done with it."""

    reply: Reply


@dataclass(slots=True)
class Ended(Event):
    """The other side's last word: the result."""

    reply: Reply


@dataclass(slots=True)
class Failed(Event):
    """The other side's last word: an error."""

    error: LinkError
    cancelled: bool = False


@dataclass(slots=True)
class Credit(Event):
    """We may send more items."""


@dataclass(slots=True)
class Warned(Event):
    """An application's warning, out of band."""

    reply: Reply


class Owner(Protocol):
    """Whoever wants to know what happens to an exchange; let go of when it is closed."""

    def on_event(self, event: Event) -> None:
        """Take note of what the other side did."""


class _Nobody(Owner):
    """The owner of exchanges that nobody owns."""

    @override
    def on_event(self, event: Event) -> None:
        """Let it pass."""


NOBODY: Final = _Nobody()


class Exchange:
    """One numbered conversation; ends when both sides have sent a final or an error."""

    __slots__ = (
        "_answered",
        "_engine",
        "_head",
        "_key",
        "_limit",
        "_plain",
        "_queued",
        "_silent",
        "_used",
        "_window",
        "credit",
        "done",
        "number",
        "ours",
        "owner",
        "peer_done",
    )

    def __init__(self, engine: Engine, number: int, *, ours: bool, done: bool) -> None:
        """Take the number and who opened it; `done` tells if the opener's side ended at once."""
        self._engine = engine
        self._head = number << 2 if ours else (-number - 1) << 2
        self._key = -number - 1 if ours else number
        self._plain = ours and done
        self._answered = False
        self._silent = False
        self._window: int | None = None
        self._limit = engine.max_queue if ours else min(engine.max_queue, _PATIENCE)
        self._queued = 0
        self._used = 0
        self.number = number
        self.ours = ours
        self.done = ours and done
        self.peer_done = done and not ours
        self.credit: int | None = None
        self.owner: Owner = NOBODY

    @property
    def closed(self) -> bool:
        """Whether both sides have had their last word."""
        return self.done and self.peer_done

    @property
    def answered(self) -> bool:
        """Whether the opening reply of the stream has passed."""
        return self._answered

    @property
    def can_send(self) -> bool:
        """Whether `send` is possible just now: stream open, credit left."""
        return self._answered and not self.done and self.credit != 0

    # What the local side may do

    def accept(
        self,
        arguments: Iterable[Value] = (),
        keywords: Mapping[str, Value] | None = None,
        *,
        window: int | None = None,
    ) -> None:
        """Answer a request with a stream; `window` items may come before we consume any."""
        if self.ours or self._answered:
            raise StreamEndedError("this exchange has its opening reply")
        if self.done:
            raise StreamEndedError("the other side has gone")
        opening = compose(self._head + STREAM, arguments, keywords)
        if window is None:
            self._engine.send(opening)
        else:
            self._engine.send([self._head + WARNING, window], opening)
            self.open_window(window)
        self._answered = True

    def send(
        self, arguments: Iterable[Value] = (), keywords: Mapping[str, Value] | None = None
    ) -> None:
        """Send one stream item; needs `can_send`."""
        if not self.can_send:
            raise StreamEndedError("no item can be sent now")
        self._engine.send(compose(self._head + STREAM, arguments, keywords))
        if self.credit is not None:
            self.credit -= 1

    def warn(
        self, arguments: Iterable[Value] = (), keywords: Mapping[str, Value] | None = None
    ) -> None:
        """Send an application's warning. Never do this to a satellite: it may drop the link."""
        frame = compose(self._head + WARNING, arguments, keywords)
        if len(frame) == 2 and isinstance(frame[1], int):
            frame.append({})  # a lone integer would be credit
        if not self.closed:
            self._engine.send(frame)

    def finish(
        self, arguments: Iterable[Value] = (None,), keywords: Mapping[str, Value] | None = None
    ) -> None:
        """Say the last word of this side: a result. Nothing happens if it was said before."""
        if not self.done:
            self._engine.send(compose(self._head + FINAL, arguments, keywords))
            self._end()

    def fail(self, error: Iterable[Value]) -> None:
        """Say the last word of this side: an error (see `remote.encode_error`)."""
        if not self.done:
            self._engine.send([self._head + ERROR, *error])
            self._end()

    def cancel(self) -> None:
        """Give up at once; the opener hears nothing more, the responder's work is cancelled."""
        if self.closed or (self.done and not self.ours):
            return
        self._engine.send([self._head + ERROR, CANCELLED])
        self._silent = True
        if self.ours:
            self._close()
        else:
            self._end()

    def leave(self, error: Iterable[Value] | None = None) -> None:
        """Lose interest in what the other side still sends, and let it end by itself."""
        self._silent = True
        if error is None:
            self.finish()
        else:
            self.fail(error)

    def consumed(self, count: int = 1) -> None:
        """Make room for that many more items, and tell the other side in due time."""
        self._queued -= count
        if self._window is None or self.peer_done or self._silent:
            return
        self._used += count
        if self._used >= (1 if self._window < 10 else self._window // 2 + 1):
            used, self._used = self._used, 0
            self._engine.send([self._head + WARNING, used])

    # What the engine does with frames of the other side

    def receive(self, kind: int, frame: Frame) -> Event | None:
        """Take a frame of this exchange; for the engine."""
        if kind == STREAM:
            return self._receive_item(frame)
        if kind == FINAL:
            return self._receive_final(frame)
        if kind == ERROR:
            return self._receive_error(frame)
        if len(frame) == 2 and type(frame[1]) is int and frame[1] >= 0:
            return self.add_credit(frame[1])
        return Warned(self, take_apart(frame, 1))

    def add_credit(self, count: int) -> Credit:
        """Take the other side's permission for that many more items; for the engine."""
        self.credit = min((self.credit or 0) + count, _CREDIT_LIMIT)
        return Credit(self)

    def abandon(self) -> None:
        """Forget everything: the connection is gone; for the engine."""
        self.done = self.peer_done = True

    def open_window(self, window: int) -> None:
        """Remember that the other side was told to send so many items; for the engine."""
        self._window = window
        self._limit = max(window, self._limit)

    def _receive_item(self, frame: Frame) -> Event | None:
        if self.peer_done:
            self._engine.late += 1
            return None
        if self._plain:
            return self._abort(NOT_A_STREAM, MUST_STREAM)
        if self._silent:
            return None
        if self.ours and not self._answered:
            self._answered = True
            return Answered(self, take_apart(frame, 1))
        self._queued += 1
        if self._queued > self._limit:
            return self._abort(OVERRUN, OVERRUN)
        return Item(self, take_apart(frame, 1))

    def _receive_final(self, frame: Frame) -> Event | None:
        if self.peer_done:
            self._engine.late += 1
            return None
        self.peer_done = True
        if self.ours:
            self.finish()
        self._end_if_closed()
        return Ended(self, take_apart(frame, 1))

    def _receive_error(self, frame: Frame) -> Failed:
        cancelled = is_cancel(frame)
        if self.ours:
            if not self.done:
                self._engine.send([self._head + ERROR, CANCELLED])
            self._close()
        elif cancelled:
            self._close()
        else:
            self.peer_done = True
            self._end_if_closed()
        return Failed(self, decode_error(frame[1:]), cancelled)

    def _abort(self, code: int, reason: int) -> Failed:
        """End an exchange whose other side does what it must not do."""
        self._silent = True
        if self.ours:
            self._engine.send([self._head + ERROR, code], [self._head + ERROR, CANCELLED])
            self._close()
        else:
            self.fail([code])
        return Failed(self, decode_error([reason]))

    def _end(self) -> None:
        self.done = True
        self._silent = self._silent or not self.ours
        self._end_if_closed()

    def _close(self) -> None:
        self.done = self.peer_done = True
        self._end_if_closed()

    def _end_if_closed(self) -> None:
        if self.done and self.peer_done:
            self._engine.forget(self._key)
            self.owner = NOBODY


class Engine:
    """All exchanges of one connection. `send` takes frames that belong together.

    When `send` raises EncodeError for a frame, nothing has changed.
    """

    def __init__(
        self,
        send: Callable[..., None],
        *,
        max_exchanges: int = 4096,
        may_open: Callable[[int], bool] | None = None,
        max_queue: int = 65536,
        numbers: int = 1 << 28,
    ) -> None:
        """Take the way out, and the limits: open exchanges (each side), unread items, numbers.

        `may_open` is asked whether the other side, which has so many, may have one more.
        """
        self.send = send
        self.max_queue = max_queue
        self.late = 0
        self._max_exchanges = max_exchanges
        self._may_open = may_open
        self._numbers = numbers
        self._next = 0
        self._exchanges: dict[int, Exchange] = {}
        self._early: dict[int, int] = {}
        self._ours = 0

    def __len__(self) -> int:
        """How many exchanges are open."""
        return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        """Go through the exchanges that are open."""
        return iter(self._exchanges.values())

    @property
    def room(self) -> int:
        """How many more exchanges we may open."""
        return self._max_exchanges - self._ours

    def open(
        self,
        path: CommandPath,
        arguments: Iterable[Value] = (),
        keywords: Mapping[str, Value] | None = None,
        *,
        stream: bool = False,
        window: int | None = None,
    ) -> Exchange:
        """Call a command; as a stream if so, with credit for `window` items."""
        if self._ours >= self._max_exchanges:
            raise RefusedError("too many open exchanges")
        number = self._free_number()
        head = number << 2
        route = command(path if isinstance(path, Path) else list(path))
        opening = compose(head + stream, (route, *arguments), keywords)
        exchange = Exchange(self, number, ours=True, done=not stream)
        if stream and window is not None:
            exchange.open_window(window)
            self.send([head + WARNING, window], opening)
        else:
            self.send(opening)
        self._exchanges[-number - 1] = exchange
        self._ours += 1
        return exchange

    def receive(self, frame: Frame) -> Event | None:
        """Take a frame of the other side, and tell the exchange's owner what it means.

        Late and redundant frames are counted and ignored.
        """
        head = frame[0] if frame else None
        if type(head) is not int or not -_HEAD_LIMIT < head < _HEAD_LIMIT:
            raise DecodeError("a frame must start with an exchange number")
        exchange = self._exchanges.get(head >> 2)
        if exchange is None:
            return self._receive_unknown(head >> 2, head & 3, frame)
        owner = exchange.owner
        event = exchange.receive(head & 3, frame)
        if event is not None:
            owner.on_event(event)
        return event

    def close(self) -> list[Exchange]:
        """Forget all exchanges, the connection being gone; those still open are returned."""
        exchanges = list(self._exchanges.values())
        self._exchanges.clear()
        self._early.clear()
        self._ours = 0
        for exchange in exchanges:
            exchange.abandon()
        return exchanges

    def forget(self, key: int) -> None:
        """Drop an exchange that both sides have ended; for exchanges."""
        if self._exchanges.pop(key, None) is not None and key < 0:
            self._ours -= 1

    def _free_number(self) -> int:
        """Count up, so that late frames never meet a new exchange."""
        while True:
            number = self._next
            self._next = (number + 1) % self._numbers
            if -number - 1 not in self._exchanges:
                return number

    def _receive_unknown(self, key: int, kind: int, frame: Frame) -> Event | None:
        if key < 0 or kind == ERROR:
            self.late += 1
            return None
        if kind == WARNING:
            self._receive_early_credit(key, frame)
            return None
        credit = self._early.pop(key, None)
        path = command(frame[1]) if len(frame) > 1 else None
        if path is None:
            reason = "no command path"
        elif len(path) > _LONGEST_PATH:
            reason = "the command path is too long"
        elif not self._has_room():
            reason = "too many open exchanges"
        else:
            exchange = Exchange(self, key, ours=False, done=kind == FINAL)
            exchange.credit = credit
            self._exchanges[key] = exchange
            return Opened(exchange, tuple(path), take_apart(frame, 2), kind == STREAM)
        self.send([((-key - 1) << 2) + ERROR, *encode_error(RefusedError(reason))])
        return None

    def _has_room(self) -> bool:
        """Whether the other side may have one more exchange."""
        count = len(self._exchanges) - self._ours
        if count >= self._max_exchanges:
            return False
        return count < _FREE or self._may_open is None or self._may_open(count)

    def _receive_early_credit(self, key: int, frame: Frame) -> None:
        """Keep credit that precedes its request; the oldest goes when there is too much."""
        if len(frame) != 2 or type(frame[1]) is not int or frame[1] < 0:
            self.late += 1
            return
        if len(self._early) >= self._max_exchanges and key not in self._early:
            del self._early[next(iter(self._early))]
        self._early[key] = min(self._early.get(key, 0) + frame[1], _CREDIT_LIMIT)
