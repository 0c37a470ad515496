"""What one engine does, frame by frame."""

from typing import Any

import pytest

from firmware_bridge.link.errors import (
    DecodeError,
    EncodeError,
    RefusedError,
    RemoteError,
)
from firmware_bridge.link.frames import Frame, Reply
from firmware_bridge.link.path import Path
from firmware_bridge.link.rpc import (
    Answered,
    Credit,
    Ended,
    Engine,
    Exchange,
    Failed,
    Item,
    Opened,
    StreamEndedError,
    Warned,
)


class Side:
    """An engine and what it has sent."""

    def __init__(self, **limits: int) -> None:
        """Start with nothing."""
        self.frames: list[Frame] = []
        self.engine = Engine(lambda *frames: self.frames.extend(frames), **limits)

    def sent(self) -> list[Frame]:
        """Return what was sent since the last call."""
        frames, self.frames[:] = self.frames[:], []
        return frames

    def requested(self, *frame: Any) -> Exchange:
        """Let the other side call something."""
        event = self.engine.receive([*frame])
        assert isinstance(event, Opened)
        return event.exchange

    def streaming(self, window: int | None = None) -> Exchange:
        """Open a stream that the other side accepts."""
        exchange = self.engine.open(["s"], stream=True, window=window)
        assert self.engine.receive([-3]) == Answered(exchange, Reply())
        self.sent()
        return exchange


@pytest.fixture
def side() -> Side:
    """Return an engine under test."""
    return Side()


def test_call(side: Side) -> None:
    """A call is one frame each way."""
    exchange = side.engine.open(["d", "get"], [Path("a")])
    assert side.sent() == [[0, ["d", "get"], Path("a")]]
    assert not exchange.closed
    assert side.engine.receive([-4, 5, {"k": 1}]) == Ended(exchange, Reply((5,), {"k": 1}))
    assert exchange.closed
    assert len(side.engine) == 0
    assert side.sent() == []


def test_numbers_count_up_and_wrap() -> None:
    """Numbers are not reused before they have all been used, and never while open."""
    side = Side(numbers=3)
    held = side.engine.open(["x"])
    for number in (1, 2, 1, 2):
        exchange = side.engine.open(["x"])
        assert exchange.number == number
        exchange.cancel()
    assert held.number == 0


def test_path_is_sent_as_plain_array(side: Side) -> None:
    """Satellites know no path tag; tuples in a path become arrays as well."""
    side.engine.open(Path("a", 1, ("b", (2, "c"))))
    assert side.sent() == [[0, ["a", 1, ["b", [2, "c"]]]]]


def test_path_may_come_tagged(side: Side) -> None:
    """A request may bring its path in either form."""
    event = side.engine.receive([0, Path("a", 1), "x"])
    assert isinstance(event, Opened)
    assert event.path == ("a", 1)
    assert event.reply == Reply(("x",))
    assert not event.stream


@pytest.mark.parametrize(
    ("arguments", "keywords", "frame"),
    [
        ((), {}, [-4]),
        ((None,), {}, [-4, None]),
        (({"m": 1},), {}, [-4, {"m": 1}, {}]),
        ((), {"m": 1}, [-4, {"m": 1}]),
        (({"m": 1},), {"k": 2}, [-4, {"m": 1}, {"k": 2}]),
        ((1, {}), {}, [-4, 1, {}, {}]),
    ],
)
def test_keyword_map(side: Side, arguments: Any, keywords: Any, frame: Frame) -> None:
    """A last map that is no keyword map is followed by one."""
    side.requested(0, ["x"]).finish(arguments, keywords)
    assert side.sent() == [frame]
    exchange = side.engine.open(["x"])
    assert side.engine.receive(frame) == Ended(exchange, Reply(tuple(arguments), keywords))


def test_map_with_other_keys_is_positional(side: Side) -> None:
    """Keywords are text; any other map is a value."""
    exchange = side.engine.open(["x"])
    assert side.engine.receive([-4, {1: 2}]) == Ended(exchange, Reply(({1: 2},)))


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (Reply(), None),
        (Reply((5,)), 5),
        (Reply((5, 6), {"a": 1}), 5),
        (Reply((), {"m": "hi"}), {"m": "hi"}),
        (Reply(({"m": "hi"},)), {"m": "hi"}),
    ],
)
def test_value(reply: Reply, value: Any) -> None:
    """One map is the same value whichever way it comes."""
    assert reply.value == value


def test_stream(side: Side) -> None:
    """Receive a stream: credit, request, opening reply, items, result, our last word."""
    exchange = side.engine.open(["s"], stream=True, window=4)
    assert side.sent() == [[3, 4], [1, ["s"]]]
    assert side.engine.receive([-1, 20]) == Credit(exchange)
    assert not exchange.can_send
    assert side.engine.receive([-3, "start"]) == Answered(exchange, Reply(("start",)))
    assert exchange.can_send
    assert side.engine.receive([-3, 1]) == Item(exchange, Reply((1,)))
    exchange.consumed()
    assert side.sent() == [[3, 1]]
    assert side.engine.receive([-4, None]) == Ended(exchange, Reply((None,)))
    assert side.sent() == [[0, None]]
    assert exchange.closed
    exchange.consumed()
    assert side.engine.receive([-2, -3]) is None
    assert side.sent() == []
    assert side.engine.late == 1


def test_large_windows_are_topped_up_in_blocks(side: Side) -> None:
    """One credit frame for more than half a window."""
    exchange = side.streaming(window=20)
    for _ in range(20):
        side.engine.receive([-3, 1])
        exchange.consumed()
    assert side.sent() == [[3, 11]]


def test_stream_answered_plainly(side: Side) -> None:
    """A plain command called as a stream has a plain result."""
    exchange = side.engine.open(["d", "get"], stream=True)
    side.sent()
    assert side.engine.receive([-4, 5]) == Ended(exchange, Reply((5,)))
    assert side.sent() == [[0, None]]
    assert exchange.closed


def test_stream_answered_with_an_error(side: Side) -> None:
    """A refused stream is closed with the one frame that can never be misunderstood."""
    exchange = side.engine.open(["d", "set"], stream=True)
    side.sent()
    event = side.engine.receive([-2, "KeyError", "x"])
    assert isinstance(event, Failed)
    assert str(event.error) == "KeyError: x"
    assert not event.cancelled
    assert side.sent() == [[2, -3]]
    assert exchange.closed


def test_call_answered_with_a_stream(side: Side) -> None:
    """A command that must be streamed fails; its producer is stopped for good."""
    exchange = side.engine.open(["d", "walk"])
    side.sent()
    assert side.engine.receive([-1, 20]) == Credit(exchange)
    event = side.engine.receive([-3])
    assert isinstance(event, Failed)
    assert isinstance(event.error, RemoteError)
    assert event.error.name == "_CMSErr"
    assert side.sent() == [[2, -2], [2, -3]]
    assert exchange.closed
    assert [side.engine.receive(frame) for frame in ([-3, 1], [-4, None], [-1, 3])] == [None] * 3
    assert side.engine.late == 3


def test_serve_a_stream(side: Side) -> None:
    """Send a stream: credit kept from before the request, never exceeded."""
    assert side.engine.receive([3, 1]) is None
    assert side.engine.receive([3, 1]) is None
    exchange = side.requested(1, ["s"])
    assert exchange.credit == 2
    assert not exchange.can_send
    exchange.accept(["hello"], window=20)
    assert side.sent() == [[-1, 20], [-3, "hello"]]
    exchange.send([1])
    exchange.send([{"a": 2}])
    assert not exchange.can_send
    with pytest.raises(StreamEndedError):
        exchange.send([3])
    assert side.engine.receive([3, 5]) == Credit(exchange)
    exchange.send([3], {"k": 1})
    assert side.sent() == [[-3, 1], [-3, {"a": 2}, {}], [-3, 3, {"k": 1}]]
    exchange.finish([None])
    assert side.sent() == [[-4, None]]
    assert not exchange.closed
    assert side.engine.receive([0, None]) == Ended(exchange, Reply((None,)))
    assert exchange.closed
    assert len(side.engine) == 0


def test_without_credit_there_is_no_limit(side: Side) -> None:
    """Whoever never grants credit gets everything; zero is credit, too."""
    exchange = side.requested(1, ["s"])
    exchange.accept()
    assert side.sent() == [[-3]]
    for number in range(100):
        exchange.send([number])
    assert len(side.sent()) == 100
    side.engine.receive([3, 0])
    assert not exchange.can_send


def test_accept_once(side: Side) -> None:
    """There is one opening reply, from the side that was called, while it is wanted."""
    exchange = side.requested(1, ["s"])
    exchange.accept()
    with pytest.raises(StreamEndedError):
        exchange.accept()
    gone = side.requested(5, ["s"])
    side.engine.receive([6, -3])
    with pytest.raises(StreamEndedError):
        gone.accept()
    with pytest.raises(StreamEndedError):
        side.engine.open(["s"], stream=True).accept()


def test_early_credit_is_bounded() -> None:
    """Credit for requests that never come makes room for newer credit."""
    side = Side(max_exchanges=2)
    for number in (1, 2, 3):
        side.engine.receive([number * 4 + 3, 7])
    side.engine.receive([3 * 4 + 3, 1 << 40])
    known = [side.requested(number * 4 + 1, ["s"]).credit for number in (2, 3)]
    assert known == [7, 1 << 31]
    assert side.engine.receive([1 * 4 + 1, ["s"]]) is None


def test_number_is_reused_by_the_other_side(side: Side) -> None:
    """The real software takes low numbers again."""
    for _ in range(3):
        side.engine.receive([3, 9])
        exchange = side.requested(1, ["s"])
        assert exchange.credit == 9
        exchange.accept()
        side.engine.receive([2, -3])
        side.engine.receive([2, -3])
        assert exchange.closed
    assert side.engine.late == 3


def test_both_number_spaces(side: Side) -> None:
    """The same number may be open on both sides."""
    ours = side.engine.open(["x"])
    theirs = side.requested(0, ["y"])
    assert len(side.engine) == 2
    theirs.finish([1])
    assert side.sent() == [[0, ["x"]], [-4, 1]]
    assert not ours.closed
    assert len(side.engine) == 1


def test_cancel_call(side: Side) -> None:
    """Giving up on a call says so; a late answer is ignored."""
    exchange = side.engine.open(["x"])
    exchange.cancel()
    assert side.sent()[1:] == [[2, -3]]
    assert exchange.closed
    exchange.cancel()
    assert side.sent() == []
    assert side.engine.receive([-4, 1]) is None


def test_cancelled_by_the_caller(side: Side) -> None:
    """The caller's cancel ends the work, and nothing more is said."""
    exchange = side.requested(0, ["x"])
    event = side.engine.receive([2, -3])
    assert isinstance(event, Failed)
    assert event.cancelled
    assert exchange.closed
    exchange.finish([1])
    exchange.fail([-1])
    exchange.cancel()
    exchange.warn(["w"])
    assert side.sent() == []


def test_cancelled_by_the_responder(side: Side) -> None:
    """The opener of a stream always has the last word."""
    exchange = side.streaming()
    event = side.engine.receive([-2, -3])
    assert isinstance(event, Failed)
    assert event.cancelled
    assert side.sent() == [[2, -3]]
    assert exchange.closed


def test_responder_gives_up(side: Side) -> None:
    """A responder's cancel leaves the number taken until the opener has ended, too."""
    exchange = side.requested(1, ["s"])
    exchange.accept()
    exchange.cancel()
    exchange.cancel()
    assert side.sent()[1:] == [[-2, -3]]
    assert not exchange.closed
    assert side.engine.receive([1, ["looks", "like"], "a request"]) is None
    assert isinstance(side.engine.receive([0, None]), Ended)
    assert exchange.closed


def test_responder_ignores_items_after_its_result(side: Side) -> None:
    """Nobody reads them any more; they do not count."""
    exchange = side.requested(1, ["s"])
    exchange.accept(window=5)
    exchange.finish()
    side.sent()
    for _ in range(10):
        assert side.engine.receive([1, "item"]) is None
    assert side.sent() == []


def test_leave(side: Side) -> None:
    """An opener that has lost interest ends its side, and waits for the other side to follow."""
    exchange = side.streaming(window=5)
    exchange.leave()
    exchange.leave()
    assert side.sent() == [[0, None]]
    assert side.engine.receive([-3, 1]) is None
    exchange.consumed()
    assert not exchange.closed
    assert isinstance(side.engine.receive([-2, "StopError"]), Failed)
    assert exchange.closed
    assert side.sent() == []


def test_leave_with_an_error(side: Side) -> None:
    """The other side learns why."""
    exchange = side.streaming()
    exchange.leave(["ValueError", "x"])
    assert side.sent() == [[2, "ValueError", "x"]]
    assert isinstance(side.engine.receive([-4, None]), Ended)
    assert exchange.closed


def test_caller_takes_no_stream(side: Side) -> None:
    """An error other than cancel stops a responder, who still has a last word."""
    exchange = side.requested(0, ["s"])
    exchange.accept()
    event = side.engine.receive([2, -2])
    assert isinstance(event, Failed)
    assert not event.cancelled
    assert not exchange.closed
    side.sent()
    exchange.finish()
    assert side.sent() == [[-4, None]]
    assert exchange.closed


def test_late_frames_of_an_open_exchange(side: Side) -> None:
    """What comes after a side's last word does not count."""
    exchange = side.requested(1, ["s"])
    side.engine.receive([0, None])
    assert side.engine.receive([1, "item"]) is None
    assert side.engine.receive([0, None]) is None
    assert not exchange.closed
    ours = side.engine.open(["x"])
    assert ours.number == 0
    assert side.engine.late == 2


def test_late_error_of_an_open_stream(side: Side) -> None:
    """Once the responder has ended, its redundant errors do not count, even in a stream."""
    exchange = side.requested(1, ["s"])
    side.engine.receive([2, "ValueError", "x"])
    assert isinstance(side.engine.receive([2, -3]), Failed)
    assert exchange.closed
    ours = side.streaming()
    ours.finish()
    side.engine.receive([-4, None])
    assert side.engine.receive([-2, -3]) is None


def test_warnings(side: Side) -> None:
    """A lone integer is credit; an application's is followed by a map."""
    exchange = side.streaming()
    exchange.warn([5])
    exchange.warn([True])
    exchange.warn([5, 6])
    exchange.warn(["x"], {"k": 1})
    exchange.warn([-5])
    assert side.sent() == [[3, 5, {}], [3, True, {}], [3, 5, 6], [3, "x", {"k": 1}], [3, -5, {}]]
    assert side.engine.receive([-1, 5, {}]) == Warned(exchange, Reply((5,)))
    assert side.engine.receive([-1, True]) == Warned(exchange, Reply((True,)))
    assert side.engine.receive([-1, -5]) == Warned(exchange, Reply((-5,)))
    assert exchange.credit is None


def test_overrun_of_our_stream() -> None:
    """Too many items that nobody reads end a stream."""
    side = Side(max_queue=3)
    exchange = side.streaming()
    for _ in range(3):
        assert isinstance(side.engine.receive([-3, 1]), Item)
    event = side.engine.receive([-3, 1])
    assert isinstance(event, Failed)
    assert isinstance(event.error, RemoteError)
    assert event.error.name == "_COVErr"
    assert side.sent() == [[2, -8], [2, -3]]
    assert exchange.closed


def test_overrun_by_the_caller() -> None:
    """The same for a stream into us; its number stays taken until the caller ends."""
    side = Side(max_queue=3)
    exchange = side.requested(1, ["s"])
    exchange.accept(window=5)
    side.sent()
    for _ in range(5):
        assert isinstance(side.engine.receive([1, 1]), Item)
    assert isinstance(side.engine.receive([1, 1]), Failed)
    assert side.sent() == [[-2, -8]]
    assert side.engine.receive([1, 1]) is None
    side.engine.receive([2, -3])
    assert exchange.closed


def test_callers_must_care_for_credit(side: Side) -> None:
    """What an unlimited caller sends is kept only for a while; a large window is a promise."""
    careless, trusted = side.requested(1, ["s"]), side.requested(5, ["s"])
    careless.accept(window=20)
    trusted.accept(window=2000)
    for number in range(1001):
        event = side.engine.receive([1, number])
        assert isinstance(side.engine.receive([5, number]), Item)
    assert isinstance(event, Failed)


def test_too_many_of_ours() -> None:
    """There is a limit to what we have open."""
    side = Side(max_exchanges=2)
    side.engine.open(["x"])
    second = side.engine.open(["x"])
    with pytest.raises(RefusedError):
        side.engine.open(["x"])
    side.requested(0, ["x"])
    second.cancel()
    side.engine.open(["x"])


def test_too_many_of_theirs() -> None:
    """There is a limit to what they have open; the frames of refused streams do no harm."""
    side = Side(max_exchanges=1)
    first = side.requested(0, ["x"])
    assert side.engine.receive([5, ["x"]]) is None
    (refusal,) = side.sent()
    assert refusal[0] == -6
    assert side.engine.receive([6, -3]) is None
    first.finish()
    side.requested(9, ["x"])


@pytest.mark.parametrize("frame", [[0], [0, None], [1, "x"], [0, {"a": 1}], [4, 5]])
def test_no_command_path(side: Side, frame: Frame) -> None:
    """A request without a path is answered with an error."""
    assert side.engine.receive(frame) is None
    (refusal,) = side.sent()
    assert refusal[0] == -4 * (frame[0] >> 2) - 2
    assert len(side.engine) == 0


@pytest.mark.parametrize("frame", [[], ["x"], [True, ["x"]], [None], [1.0], [1 << 70], [-1 << 70]])
def test_malformed(side: Side, frame: Frame) -> None:
    """A frame without a number is the end of the connection."""
    with pytest.raises(DecodeError):
        side.engine.receive(frame)


@pytest.mark.parametrize(
    "frame",
    [[-4, 1], [-3], [-2, -3], [-1, 5], [2, -3], [2], [3, "early", "warning"], [3], [3, -1]],
)
def test_unknown_exchange(side: Side, frame: Frame) -> None:
    """Frames for exchanges that are no more are ignored."""
    assert side.engine.receive(frame) is None
    assert side.sent() == []
    assert side.engine.late == 1


def test_unsendable_changes_nothing() -> None:
    """When a frame cannot be encoded, the exchange goes on."""
    frames: list[Frame] = []

    def send(*wanted: Frame) -> None:
        if any("bad" in frame for frame in wanted):
            raise EncodeError("bad")
        frames.extend(wanted)

    engine = Engine(send)
    with pytest.raises(EncodeError):
        engine.open(["x"], ["bad"], stream=True, window=3)
    assert frames == []
    assert len(engine) == 0
    event = engine.receive([1, ["x"]])
    assert isinstance(event, Opened)
    with pytest.raises(EncodeError):
        event.exchange.accept(["bad"], window=3)
    event.exchange.accept(window=3)
    engine.receive([3, 1])
    with pytest.raises(EncodeError):
        event.exchange.send(["bad"])
    event.exchange.send(["good"])
    with pytest.raises(EncodeError):
        event.exchange.finish(["bad"])
    with pytest.raises(EncodeError):
        event.exchange.fail(["bad"])
    event.exchange.finish(["good"])
    assert frames == [[-1, 3], [-3], [-3, "good"], [-4, "good"]]


def test_close(side: Side) -> None:
    """When the connection is gone, everything is forgotten, and nothing can be said."""
    ours, theirs = side.engine.open(["x"], stream=True), side.requested(1, ["y"])
    side.engine.receive([7, 3])
    side.sent()
    assert side.engine.close() == [ours, theirs]
    for exchange in (ours, theirs):
        assert exchange.closed
        exchange.finish()
        exchange.cancel()
        exchange.warn(["x"])
    assert side.sent() == []
    assert len(side.engine) == 0
