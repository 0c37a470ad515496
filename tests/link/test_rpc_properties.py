"""Two engines, back to back: whatever happens in whatever order, both ends agree."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

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

    def step(self, who: int, action: int, pick: int, size: int) -> None:
        """Do one thing, chosen by numbers."""
        side, other = self.sides[who], self.sides[1 - who]
        if action < 6:
            self.transfer(other, side, size)
            return
        if action == 6:
            self.open(side, None)
        elif action == 7:
            self.open(side, size % 13 if size % 3 else None)
        ends = [*side.ends.values(), *side.opened.values()]
        if ends and action > 7:
            self.act(ends[pick % len(ends)], action - 8, size)

    def transfer(self, source: Side, target: Side, size: int) -> None:
        """Move some bytes, perhaps a part of a frame."""
        if source.out:
            data = source.out.popleft()
            cut = 1 + size % len(data)
            if data[cut:]:
                source.out.appendleft(data[cut:])
            target.take(data[:cut])

    def open(self, side: Side, window: int | None) -> None:
        """Call something."""
        self.count += 1
        stream = window is not None
        exchange = side.engine.open(["x"], [self.count], stream=stream, window=window)
        side.opened[self.count] = End(self.count, exchange, window)

    def act(self, end: End, action: int, size: int) -> None:
        """Do something with an exchange."""
        exchange = end.exchange
        self.count += 1
        match action:
            case 0 if not exchange.ours and not exchange.done and not exchange.answered:
                end.window = size % 7
                exchange.accept([-end.tag], window=end.window)
            case 1 | 2 | 3 | 4 if exchange.can_send:
                exchange.send([self.count])
                end.sent.append(self.count)
            case 1:
                try:
                    exchange.send([0])
                except StreamEndedError:
                    return
                raise AssertionError("sent against the rules")
            case 5 | 6 | 7 if end.unread:
                end.unread -= 1
                exchange.consumed()
            case 8 | 9 | 10 | 11 | 12:
                self.end(end, action)

    def end(self, end: End, action: int) -> None:
        """End an exchange in one of all ways."""
        exchange, was_done = end.exchange, end.exchange.done
        match action:
            case 8 | 9:
                exchange.finish([self.count])
                said: Any = self.count
            case 10:
                exchange.fail(["Error", self.count])
                said = "error"
            case 11:
                exchange.cancel()
                said = "cancelled"
            case _:
                if not exchange.ours:
                    return
                exchange.leave()
                said = None
        end.left = end.left or action > 10 or not exchange.ours
        end.said = end.said if was_done else said

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
            for tag, opener in side.opened.items():
                assert opener.exchange.closed
                if tag not in other.ends:
                    continue  # cancelled before it was seen: impossible, frames keep their order
                responder = other.ends[tag]
                assert responder.exchange.closed
                for sender, receiver in ((opener, responder), (responder, opener)):
                    assert receiver.received == sender.sent[: len(receiver.received)]
                    if not receiver.left and receiver.heard not in ("cancelled", "error"):
                        assert receiver.received == sender.sent
                    if isinstance(receiver.heard, int) and receiver.heard is not None:
                        assert sender.said in (receiver.heard, None)
            assert set(side.opened) == set(other.ends)


STEPS = st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 5), st.integers(0, 40))


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=150))
def test_every_exchange_ends_on_both_sides(steps: list[tuple[int, int, int, int]]) -> None:
    """Nothing is lost, doubled, or left behind; credit is never exceeded."""
    world = World()
    for step in steps:
        world.step(*step)
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


@settings(max_examples=300, deadline=None)
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
