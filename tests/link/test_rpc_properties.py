"""Two engines, back to back: whatever happens in whatever order, both ends agree."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from firmware_bridge.link.codec import FrameReader, encode_frame
from firmware_bridge.link.frames import Frame
from firmware_bridge.link.rpc import (
    Answered,
    Ended,
    Engine,
    Exchange,
    Failed,
    Item,
    Opened,
    StreamEndedError,
)
from tests.support.effort import examples


@dataclass(eq=False)
class End:
    """One side's view of one exchange."""

    tag: int
    exchange: Exchange
    window: int | None
    sent: list[Any] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)
    unread: int = 0
    said: Any = None
    heard: Any = None
    left: bool = False


class Side:
    """An engine, its way out as bytes, and a model of what it should know."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.out: deque[bytes] = deque()
        self.reader = FrameReader()
        self.engine = Engine(self._send)
        self.ends: dict[int, End] = {}
        self.opened: dict[int, End] = {}

    def _send(self, *frames: Frame) -> None:
        self.out.extend(map(encode_frame, frames))

    def take(self, data: bytes) -> None:
        """Feed bytes of the other side."""
        for frame in self.reader.feed(data):
            event = self.engine.receive(frame)
            if isinstance(event, Opened):
                tag = event.reply.arguments[0]
                assert isinstance(tag, int)
                self.ends[tag] = End(tag, event.exchange, None)
            elif event is not None:
                self._note(event)

    def _note(self, event: Any) -> None:
        end = next(
            each
            for each in (*self.ends.values(), *self.opened.values())
            if each.exchange is event.exchange
        )
        if isinstance(event, Item):
            end.received.append(event.reply.value)
            end.unread += 1
            assert end.window is None or end.unread <= end.window
        elif isinstance(event, Ended):
            assert end.heard is None
            end.heard = event.reply.value
        elif isinstance(event, Failed):
            end.heard = "cancelled" if event.cancelled else "error"
        elif isinstance(event, Answered):
            assert event.reply.value == -end.tag


class World:
    """Both sides and the wires between them."""

    def __init__(self) -> None:
        """Start connected."""
        self.sides = (Side(), Side())
        self.count = 0

    def step(self, choice: int) -> None:
        """Do one of all the things that can be done now."""
        actions = [*self.wires(), *self.actions()]
        action, *arguments = actions[choice % len(actions)]
        action(*arguments, choice // len(actions))

    def wires(self) -> Iterator[tuple[Any, ...]]:
        """Deliver something, or open something while there is not much going on."""
        for side, other in (self.sides, self.sides[::-1]):
            if other.out:
                yield from [(self.transfer, other, side)] * 12
            if len(side.engine) < 4:
                yield from [(self.open, side)] * 3

    def actions(self) -> Iterator[tuple[Any, ...]]:
        """Do something with an exchange that is open."""
        for side in self.sides:
            for end in (*side.ends.values(), *side.opened.values()):
                exchange = end.exchange
                if not (exchange.ours or exchange.done or exchange.answered):
                    yield from [(self.accept, end)] * 10
                if exchange.can_send:
                    yield from [(self.send, end)] * 30
                elif not exchange.closed:
                    yield self.send_against_the_rules, end
                if end.unread:
                    yield from [(self.consume, end)] * 15
                if not exchange.done:
                    yield self.finish, end
                    yield self.fail, end
                if exchange.ours and not exchange.done:
                    yield self.leave, end
                if not exchange.closed:
                    yield self.cancel, end

    def transfer(self, source: Side, target: Side, size: int) -> None:
        """Move some bytes, perhaps a part of a frame."""
        data = source.out.popleft()
        cut = 1 + size % (2 * len(data))
        if data[cut:]:
            source.out.appendleft(data[cut:])
        target.take(data[:cut])

    def open(self, side: Side, size: int) -> None:
        """Call something."""
        self.count += 1
        window = (None, 0, 1, 2, 3, 12)[size % 6]
        stream = window is not None or size % 4 == 0
        exchange = side.engine.open(["x"], [self.count], stream=stream, window=window)
        side.opened[self.count] = End(self.count, exchange, window)

    def accept(self, end: End, size: int) -> None:
        """Answer with a stream."""
        end.window = (None, 0, 1, 2, 3, 12)[size % 6]
        end.exchange.accept([-end.tag], window=end.window)

    def send(self, end: End, _: int) -> None:
        """Send an item."""
        self.count += 1
        end.exchange.send([self.count])
        end.sent.append(self.count)

    def send_against_the_rules(self, end: End, _: int) -> None:
        """An item too many is refused."""
        with pytest.raises(StreamEndedError):
            end.exchange.send([0])

    def consume(self, end: End, size: int) -> None:
        """Make room for some items."""
        count = 1 + size % end.unread
        end.unread -= count
        end.exchange.consumed(count)

    def finish(self, end: End, _: int) -> None:
        """Say the last word."""
        self.count += 1
        end.said = self.count
        end.exchange.finish([self.count])
        end.left = end.left or not end.exchange.ours

    def fail(self, end: End, _: int) -> None:
        """Say the last word, an error."""
        end.said = "error"
        end.exchange.fail(["Error"])
        end.left = end.left or not end.exchange.ours

    def leave(self, end: End, _: int) -> None:
        """Lose interest."""
        end.exchange.leave()
        end.left = True

    def cancel(self, end: End, _: int) -> None:
        """Give up."""
        if not end.exchange.done:
            end.said = "cancelled"
        end.exchange.cancel()
        end.left = True

    def flow(self) -> None:
        """Once everything is delivered and consumed, everybody may send again."""
        for _ in range(3):
            for side, other in (self.sides, self.sides[::-1]):
                while other.out:
                    side.take(other.out.popleft())
                for end in (*side.ends.values(), *side.opened.values()):
                    end.exchange.consumed(end.unread)
                    end.unread = 0
        for side, other in (self.sides, self.sides[::-1]):
            for tag, opener in side.opened.items():
                for sender, reader in ((opener, other.ends[tag]), (other.ends[tag], opener)):
                    open_ = sender.exchange.answered and not sender.exchange.done
                    if open_ and not reader.left and reader.window != 0:
                        assert sender.exchange.can_send

    def settle(self) -> None:
        """Let everything come to its end."""
        while any(len(side.engine) or side.out for side in self.sides):
            for side, other in (self.sides, self.sides[::-1]):
                while other.out:
                    side.take(other.out.popleft())
                for end in (*side.ends.values(), *side.opened.values()):
                    if end.unread:
                        end.exchange.consumed(end.unread)
                        end.unread = 0
                    if not end.exchange.done:
                        self.count += 1
                        end.said = self.count
                        end.exchange.finish([self.count])

    def check(self) -> None:
        """Compare what was said with what was heard."""
        for side, other in (self.sides, self.sides[::-1]):
            assert set(side.opened) == set(other.ends)
            for tag, opener in side.opened.items():
                self.compare(opener, other.ends[tag])
                self.compare(other.ends[tag], opener)

    def compare(self, sender: End, receiver: End) -> None:
        """Check one direction of one exchange."""
        assert receiver.exchange.closed
        assert receiver.received == sender.sent[: len(receiver.received)]
        complete = receiver.heard not in {"cancelled", "error"} and receiver.heard == sender.said
        if complete and not receiver.left and sender.said is not None:
            assert receiver.received == sender.sent
        if receiver.heard is not None and sender.said is not None:
            assert receiver.heard in {sender.said, "cancelled", "error"}


@settings(max_examples=examples(150))
@given(st.integers(0, 1 << 64), st.integers(20, 400))
def test_every_exchange_ends_on_both_sides(seed: int, steps: int) -> None:
    """Nothing is lost, doubled, or left behind; credit is never exceeded."""
    choices, world = random.Random(seed), World()
    for _ in range(steps):
        world.step(choices.getrandbits(32))
    world.flow()
    world.settle()
    world.check()


FRAMES = st.lists(
    st.lists(
        st.one_of(
            st.integers(-40, 40),
            st.none(),
            st.booleans(),
            st.text(max_size=3),
            st.lists(st.text(max_size=2), max_size=2),
            st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
        ),
        min_size=1,
        max_size=4,
    ).filter(lambda frame: type(frame[0]) is int),
    max_size=60,
)


@settings(max_examples=examples(200))
@given(FRAMES, st.lists(st.booleans(), max_size=20))
def test_no_frame_does_harm(frames: list[Frame], streams: list[bool]) -> None:
    """Whatever the other side sends, the engine goes on, and its state stays bounded."""
    sent: list[Frame] = []
    engine = Engine(lambda *each: sent.extend(each), max_exchanges=8, max_queue=4)
    for stream in streams[:8]:
        engine.open(["x"], stream=stream, window=2 if stream else None)
    for frame in frames:
        event = engine.receive(frame)
        if isinstance(event, Opened) and event.stream:
            event.exchange.accept(window=2)
        elif isinstance(event, Opened):
            event.exchange.finish()
        assert len(engine) <= 16
        assert all(encode_frame(each) for each in sent)
