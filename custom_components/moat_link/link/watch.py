"""A watched subtree: which message wins, what is known now, what is gone. Pure.

The rules for one node (docs/wire.md, "Which message wins"):

* A newer time wins; equal or older is dropped. A deletion is a message like any other.
* A time more than FUTURE seconds ahead of our clock is taken, but counts as its arrival for what
  comes after it: a source with a wrong clock locks nobody out. When such a message has been
  overtaken, a replay of it is dropped for as long as it still lies in the future.
* What lies that far in the future only because our clock has been set back since counts as having
  come FUTURE seconds ago: neither does it lock anybody out.
* Below `run`, what is not retained is an event: delivered as it comes, never part of the state.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from .alike import alike
from .codec import ABSENT
from .message import Message
from .meta import Meta
from .mirror import Mirror
from .path import Path
from .subscriptions import Interest

_LOGGER = logging.getLogger(__name__)

FUTURE: Final = 60.0
GRAVES: Final = 10_000  # deleted nodes whose time is remembered, per watch
EARLY: Final = 1_000  # nodes whose message from the future is remembered, per watch
ROUTES: Final = 200_000  # topics whose watches are remembered

type MessageCallback = Callable[[Message], None]


class Watch:
    """A subtree somebody follows; `messages` is its state now, by relative topic."""

    def __init__(
        self,
        prefix: Path,
        callback: MessageCallback,
        on_mark: Callable[[], None] | None = None,
        *,
        snapshot: bool = True,
        subtree: bool = True,
        on_close: Callable[[Watch], None] | None = None,
    ) -> None:
        """Call `callback` with every message that wins, `on_mark` after every complete snapshot."""
        self.prefix = prefix
        self.snapshot = snapshot
        self.complete = False  # a snapshot has been delivered on this connection
        self.dropped = 0
        self._callback = callback
        self._on_mark = on_mark
        self._on_close = on_close
        self.interest = Interest(prefix, subtree)
        self._topic = prefix.topic
        self._below = f"{prefix.topic}/" if prefix else ""
        self._mirror = Mirror()
        self.messages: Mapping[str, Message] = self._mirror
        self._times: dict[str, float] = {}
        self._graves: dict[str, None] = {}
        self._early: dict[str, tuple[float, float]] = {}
        self._mentioned: set[str] | None = None
        self._doomed: set[str] = set()
        self._failed = False

    def close(self) -> None:
        """Stop following; nothing is delivered any more."""
        self._callback = _ignore
        self._on_mark = None
        if self._on_close is not None:
            on_close, self._on_close = self._on_close, None
            on_close(self)

    def covers(self, topic: str) -> bool:
        """Tell whether a relative topic lies in this subtree."""
        if topic == self._topic:
            return True
        return self.interest.subtree and topic.startswith(self._below)

    def seen(self, topic: str) -> float | None:
        """Return the newest time received for a node, deletions and future times included."""
        time = self._times.get(topic)
        if time is not None and topic in self._early:
            return max(time, self._early[topic][0])
        return time

    def deliver(self, message: Message, now: float) -> bool:
        """Take a message if it wins over what is known, and pass it on."""
        topic = message.topic
        if self._mentioned is not None:
            self._mentioned.add(topic)
        if self._doomed:
            self._doomed.discard(topic)
        if message.retained or not topic.startswith("run/"):
            if not self._wins(topic, message.meta.time, now):
                self.dropped += 1
                return False
            self._store(topic, message)
        self._call(self._callback, message)
        return True

    def repeats(self, message: Message) -> bool:
        """Tell whether a replayed message without metadata is one that we know already."""
        known = self._mirror.get(message.topic)
        return (
            known is not None
            and alike(known.value, message.value)
            and known.meta.origin.startswith("via:")
        )

    def mention(self, topic: str) -> None:
        """Note that a node exists although its message cannot be read."""
        if self._mentioned is not None:
            self._mentioned.add(topic)
        self._doomed.discard(topic)

    @property
    def mentioned(self) -> int:
        """How many nodes the snapshot that is going on has mentioned."""
        return len(self._mentioned or ())

    def begin(self) -> None:
        """Start a snapshot: from here on, take note of what exists."""
        self._mentioned = set()
        self._doomed = set()

    def abort(self) -> set[str]:
        """Give a snapshot up; nothing follows from what it did not mention."""
        self._mentioned = None
        return set()

    def end(self, *, retained_only: bool) -> set[str]:
        """End a snapshot: the known nodes that neither it nor a live message mentioned.

        `retained_only`: nodes that were never retained cannot be missed from retained messages.
        """
        mentioned, self._mentioned = self._mentioned or set(), None
        return {
            topic
            for topic in self._mirror.topics(retained_only=retained_only)
            if topic not in mentioned
        }

    def doom(self, topics: Iterable[str]) -> None:
        """Mark nodes as gone unless they are heard of before `bury`."""
        self._doomed = set(topics)

    @property
    def doomed(self) -> bool:
        """Whether nodes wait for their owner to publish them again."""
        return bool(self._doomed)

    def bury(self, origin: str, now: float) -> None:
        """Delete the doomed nodes."""
        doomed, self._doomed = self._doomed, set()
        self.forget(doomed, origin, now)

    def forget(self, topics: Iterable[str], origin: str, now: float) -> None:
        """Delete nodes that are gone; their last message, or any newer one, brings them back."""
        for topic in sorted(topics):
            if topic in self._mirror:
                last = self._times[topic]
                self._bury(topic, math.nextafter(last, -math.inf))
                message = Message(topic, ABSENT, Meta(origin, now), retained=True)
                self._call(self._callback, message)

    def mark(self) -> None:
        """Tell that the snapshot is complete."""
        self.complete = True
        if self._on_mark is not None:
            self._call(self._on_mark)

    def _wins(self, topic: str, time: float, now: float) -> bool:
        last = self._times.get(topic)
        early = self._early.get(topic) if self._early else None
        if last is not None and time <= last:
            if early is None or early[0] != last:
                if last <= now + FUTURE:
                    return False
                early = self._note_early(topic, last, now - FUTURE)
            # Overtaken: what is there lies in the future, and this is younger than its arrival.
            return early[1] < time < last
        if time > now + FUTURE:
            if early is not None and early[0] == time:
                return False
            self._note_early(topic, time, now)
        elif early is not None and early[0] <= time:
            del self._early[topic]
        return True

    def _note_early(self, topic: str, time: float, arrival: float) -> tuple[float, float]:
        """Remember a message from the future, and when it came."""
        self._early[topic] = early = (time, arrival)
        if len(self._early) > EARLY:
            del self._early[next(iter(self._early))]
        return early

    def _store(self, topic: str, message: Message) -> None:
        if message.value is ABSENT:
            self._bury(topic, message.meta.time)
            return
        self._times[topic] = message.meta.time
        self._mirror.put(message)
        if self._graves:
            self._graves.pop(topic, None)

    def _bury(self, topic: str, time: float) -> None:
        """Forget the value, but not the time: older writes must stay without effect."""
        self._times[topic] = time
        self._mirror.drop(topic)
        self._graves.pop(topic, None)
        self._graves[topic] = None
        if len(self._graves) > GRAVES:
            oldest = next(iter(self._graves))
            del self._graves[oldest], self._times[oldest]

    def _call[*Ts](self, callback: Callable[[*Ts], object], *arguments: *Ts) -> None:
        try:
            callback(*arguments)
        except Exception:
            # Somebody else's code: its failure must not stop the others, nor fill the log.
            if not self._failed:
                self._failed = True
                _LOGGER.exception("A callback for %s failed (logged once)", self.prefix)


class Watches:
    """All watches of a link, and which of them a topic concerns."""

    def __init__(self) -> None:
        """Start without any."""
        self._watches: dict[Watch, None] = {}
        self._routes: dict[str, tuple[Watch, ...]] = {}
        self._groups: dict[tuple[Watch, ...], tuple[Watch, ...]] = {}  # one of each for all topics

    def __iter__(self) -> Iterator[Watch]:
        """Go through them in the order of their start."""
        return iter(tuple(self._watches))

    def add(self, watch: Watch) -> None:
        """Start routing to a watch."""
        self._watches[watch] = None
        self._reroute()

    def remove(self, watch: Watch) -> None:
        """Stop routing to a watch."""
        self._watches.pop(watch, None)
        self._reroute()

    def concerned(self, topic: str) -> tuple[Watch, ...]:
        """Return the watches a relative topic lies in."""
        watches = self._routes.get(topic)
        if watches is None:
            watches = tuple(watch for watch in self._watches if watch.covers(topic))
            watches = self._groups.setdefault(watches, watches)
            if len(self._routes) >= ROUTES:
                self._routes.clear()
            self._routes[topic] = watches
        return watches

    def seen(self, topic: str) -> float | None:
        """Return the newest time any watch has received for a node."""
        times = [time for watch in self.concerned(topic) if (time := watch.seen(topic)) is not None]
        return max(times, default=None)

    def known(self, topic: str) -> Message | None:
        """Return what a complete watch holds for a node."""
        for watch in self.concerned(topic):
            if watch.complete and (message := watch.messages.get(topic)) is not None:
                return message
        return None

    def _reroute(self) -> None:
        self._routes.clear()
        self._groups.clear()


def _ignore(_: Message) -> None:
    """Deliver nothing: the watch is closed."""
