"""Which message wins, what a snapshot proves gone, and whom a message concerns."""

import logging

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.codec import ABSENT, Value
from firmware_bridge.link.message import Message
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.watch import EARLY, FUTURE, GRAVES, Watch, Watches
from tests.support.recorder import Recorder

NOW = 1_000_000.0


def message(topic: str, value: Value, time: float, *, retained: bool = True) -> Message:
    """Make a message of somebody's."""
    return Message(topic, value, Meta("x", time), retained)


def watch(*prefix: str) -> tuple[Watch, Recorder]:
    """Make a watch of a path, `a` by default, and what records it."""
    recorder = Recorder()
    return Watch(Path(*prefix or ("a",)), recorder, recorder.mark), recorder


def test_newer_wins() -> None:
    """Newer is taken, equal and older is not, whatever the value."""
    one, seen = watch()
    assert one.deliver(message("a/b", 1, 10), NOW)
    assert not one.deliver(message("a/b", 2, 10), NOW)
    assert not one.deliver(message("a/b", 3, 9), NOW)
    assert one.deliver(message("a/b", 1, 11), NOW)
    assert seen.values == [("a/b", 1), ("a/b", 1)]
    assert one.messages["a/b"].time == 11
    assert one.seen("a/b") == 11
    assert one.seen("a/c") is None
    assert one.dropped == 2


def test_deletion_is_a_message() -> None:
    """A deleted node stays deleted for older writes, and comes back with a newer one."""
    one, seen = watch()
    one.deliver(message("a/b", 1, 10), NOW)
    assert one.deliver(message("a/b", ABSENT, 12), NOW)
    assert "a/b" not in one.messages
    assert not one.deliver(message("a/b", 2, 11), NOW)
    assert one.deliver(message("a/b", 3, 13), NOW)
    assert [value for _, value in seen.values] == [1, ABSENT, 3]


@given(st.permutations([(value, 10.0 + value) for value in range(6)]))
def test_order_does_not_matter(writes: list[tuple[int, float]]) -> None:
    """Whatever the order of arrival, the newest stays."""
    one, _ = watch()
    for value, time in [*writes, *writes]:
        one.deliver(message("a", value, time), NOW)
    assert one.messages["a"].value == 5


def test_future_blocks_nobody() -> None:
    """A message from the future is shown, and gives way to whatever is said after it."""
    one, seen = watch()
    future = message("a", "future", NOW + 3600)
    assert one.deliver(message("a", 1, NOW - 5), NOW)
    assert one.deliver(future, NOW)
    assert not one.deliver(message("a", "older than its arrival", NOW - 1), NOW + 1)
    assert one.deliver(message("a", 2, NOW + 1), NOW + 2)
    assert one.deliver(message("a", 3, NOW + 2), NOW + 3)
    assert not one.deliver(future, NOW + 4)
    assert one.deliver(message("a", "future again", NOW + 3610), NOW + 10)
    assert one.deliver(message("a", 4, NOW + 11), NOW + 12)
    assert [value for _, value in seen.values] == [1, "future", 2, 3, "future again", 4]


def test_clock_set_back() -> None:
    """What came while our clock was ahead gives way to what is said now, and stays away."""
    one, seen = watch()
    ahead = message("a", "ahead", NOW + 3600)
    assert one.deliver(ahead, NOW + 3600)
    assert not one.deliver(message("a", "old", NOW - 3600), NOW)
    assert one.deliver(message("a", 1, NOW), NOW)
    assert not one.deliver(ahead, NOW + 1)
    assert one.deliver(message("a", 2, NOW + 1), NOW + 1)
    assert [value for _, value in seen.values] == ["ahead", 1, 2]


def test_future_that_has_come() -> None:
    """Once the time has come, a message from the former future is like any other."""
    one, _ = watch()
    one.deliver(message("a", "future", NOW + 3600), NOW)
    one.deliver(message("a", 2, NOW + 1), NOW + 2)
    assert one.deliver(message("a", "future", NOW + 3600), NOW + 3600)
    assert not one.deliver(message("a", 3, NOW + 3500), NOW + 3601)
    assert one.seen("a") == NOW + 3600


def test_own_writes_outdo_the_future() -> None:
    """What others may still hold counts when we choose a time."""
    one, _ = watch()
    one.deliver(message("a", "future", NOW + 3600), NOW)
    one.deliver(message("a", 2, NOW + 1), NOW + 2)
    assert one.seen("a") == NOW + 3600


def test_a_little_ahead_is_normal() -> None:
    """Clocks differ a little; such times count as they are."""
    one, _ = watch()
    one.deliver(message("a", 1, NOW + FUTURE - 1), NOW)
    assert not one.deliver(message("a", 2, NOW + 1), NOW + 1)


def test_our_clock_jumps_back() -> None:
    """With our clock far behind, everything is from the future, and the newest still wins."""
    one, seen = watch()
    one.deliver(message("a", 0, NOW), NOW)
    for step in range(1, 4):
        assert one.deliver(message("a", step, NOW + step), float(step))
    assert not one.deliver(message("a", 3, NOW + 3), 5.0)
    assert [value for _, value in seen.values] == [0, 1, 2, 3]


def test_events_are_not_state() -> None:
    """Below run, what is not retained passes through and is not kept."""
    one, seen = watch("run")
    assert one.deliver(message("run/ping/id/x", 1, 10, retained=False), NOW)
    assert one.deliver(message("run/ping/id/x", 2, 10, retained=False), NOW)
    assert one.deliver(message("run/id/x", 3, 10), NOW)
    assert len(seen.values) == 3
    assert list(one.messages) == ["run/id/x"]


def test_unretained_data_is_state() -> None:
    """Elsewhere, servers keep it, and so do we."""
    one, _ = watch()
    assert one.deliver(message("a", 1, 10, retained=False), NOW)
    assert not one.deliver(message("a", 1, 10, retained=False), NOW)
    assert one.messages["a"].value == 1


def test_snapshot_tells_what_is_gone() -> None:
    """Known nodes that neither the snapshot nor a live message mentioned are gone."""
    one, seen = watch()
    for name in "bcde":
        one.deliver(message(f"a/{name}", name, 10), NOW)
    one.begin()
    one.deliver(message("a/b", "b", 10), NOW)
    one.deliver(message("a/c", "new", 11), NOW)
    one.mention("a/d")
    missing = one.end(retained_only=False)
    assert missing == {"a/e"}
    one.forget(missing, "me", NOW)
    one.mark()
    assert seen.values[-1] == ("a/e", ABSENT)
    assert seen.messages[-1].meta == Meta("me", NOW)
    assert seen.marks == [6]
    assert one.complete


def test_gone_comes_back_with_its_last_message() -> None:
    """Forgetting proves nothing about time: the owner may repeat what it said last."""
    one, _ = watch()
    one.deliver(message("a", 1, 10), NOW)
    one.forget({"a", "a/unknown"}, "me", NOW)
    assert not one.deliver(message("a", 0, 9), NOW)
    assert one.deliver(message("a", 1, 10), NOW)


def test_unretained_is_not_missed_at_the_broker() -> None:
    """The broker never had it."""
    one, _ = watch()
    one.deliver(message("a/b", 1, 10, retained=False), NOW)
    one.begin()
    assert one.end(retained_only=True) == set()
    one.begin()
    assert one.end(retained_only=False) == {"a/b"}


def test_aborted_snapshot_proves_nothing() -> None:
    """Nothing is gone, and mentions are no longer taken down."""
    one, _ = watch()
    one.deliver(message("a", 1, 10), NOW)
    one.begin()
    assert one.abort() == set()
    one.mention("a/b")
    assert one.end(retained_only=False) == {"a"}


def test_grace() -> None:
    """Doomed nodes that are heard of live on, the others are deleted in the end."""
    one, seen = watch()
    for name in "bcd":
        one.deliver(message(f"a/{name}", name, 10), NOW)
    one.doom({"a/b", "a/c", "a/d"})
    one.deliver(message("a/b", "b", 10), NOW)
    one.mention("a/c")
    assert one.doomed
    one.bury("me", NOW)
    assert seen.values[3:] == [("a/d", ABSENT)]
    assert not one.doomed


def test_replay_without_metadata() -> None:
    """A replay that has no time of its own is recognised by its value."""
    one, _ = watch()
    known = Message("a", 1, Meta("via:me", NOW), retained=True)
    assert not one.repeats(known)
    one.deliver(known, NOW)
    assert one.repeats(Message("a", 1, Meta("via:me", NOW + 1), retained=True))
    for other in (2, True, 1.0):
        assert not one.repeats(Message("a", other, Meta("via:me", NOW + 1), retained=True))
    one.deliver(message("a", 1, NOW + 2), NOW + 2)
    assert not one.repeats(Message("a", 1, Meta("via:me", NOW + 3), retained=True))


def test_memory_is_bounded() -> None:
    """Deletions and messages from the future are remembered only so many at a time."""
    one, _ = watch()
    for number in range(GRAVES + 5):
        one.deliver(message(f"a/{number}", ABSENT, 10), NOW)
    assert one.seen("a/0") is None
    assert one.seen("a/5") == 10
    for number in range(EARLY + 5):
        one.deliver(message(f"a/f{number}", 1, NOW + 1000), NOW)
        one.deliver(message(f"a/f{number}", 1, NOW), NOW)
        one.deliver(message(f"a/f{number}", 2, NOW + 1), NOW)
    assert one.seen("a/f0") == NOW + 1
    assert one.seen("a/f5") == NOW + 1000


def test_failing_callback(caplog: pytest.LogCaptureFixture) -> None:
    """Its failure is logged once, and the state goes on."""

    def fail(_: object = None) -> None:
        raise ValueError("somebody else's bug")

    one = Watch(Path("a"), fail, fail)
    with caplog.at_level(logging.ERROR):
        one.deliver(message("a", 1, 10), NOW)
        one.deliver(message("a", 2, 11), NOW)
        one.mark()
    assert len(caplog.records) == 1
    assert one.messages["a"].value == 2


def test_close() -> None:
    """Nothing is delivered any more; whoever keeps it is told once."""
    closed: list[Watch] = []
    recorder = Recorder()
    one = Watch(Path("a"), recorder, recorder.mark, on_close=closed.append)
    one.close()
    one.close()
    one.deliver(message("a", 1, 10), NOW)
    one.mark()
    assert closed == [one]
    assert recorder.values == []
    assert recorder.marks == []
    Watch(Path("a"), recorder).close()


def test_covers() -> None:
    """The node itself and everything below, or only the node."""
    one, _ = watch("a", "b")
    covered = ["a/b", "a/b/c", "a/b/"]
    assert [topic for topic in [*covered, "a", "a/bc", "b"] if one.covers(topic)] == covered
    everything = Watch(Path(), print)
    assert everything.covers("x/y")
    assert everything.covers("")
    node = Watch(Path("a"), print, subtree=False)
    assert node.covers("a")
    assert not node.covers("a/b")


def test_routes() -> None:
    """A message concerns the watches it lies in, also after they have changed."""
    watches = Watches()
    outer, _ = watch()
    inner, _ = watch("a", "b")
    watches.add(outer)
    assert watches.concerned("a/b/c") == (outer,)
    watches.add(inner)
    assert watches.concerned("a/b/c") == (outer, inner)
    assert watches.concerned("x") == ()
    assert list(watches) == [outer, inner]
    outer.deliver(message("a/b/c", 1, 10), NOW)
    inner.deliver(message("a/b/c", 2, 12), NOW)
    assert watches.seen("a/b/c") == 12
    assert watches.seen("a/x") is None
    assert watches.known("a/b/c") is None
    inner.mark()
    assert watches.known("a/b/c") == inner.messages["a/b/c"]
    watches.remove(outer)
    watches.remove(outer)
    assert watches.concerned("a/b/c") == (inner,)


def test_routes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever invents topics does not fill the memory."""
    monkeypatch.setattr("firmware_bridge.link.watch.ROUTES", 3)
    watches = Watches()
    one, _ = watch()
    watches.add(one)
    assert [watches.concerned(f"a/{number}") for number in range(10)] == [(one,)] * 10
