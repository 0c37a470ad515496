"""Stamps increase, waiting times grow, and the skew is what the fastest message says."""

import math
import sys

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.clock import Backoff, Skew, Stamps, SystemClock


class Still:
    """A clock that shows what it is told."""

    now = 1000.0

    def time(self) -> float:
        """Return the time."""
        return self.now

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


def test_system_clock() -> None:
    """The machine's clocks run."""
    clock = SystemClock()
    assert clock.time() > 1_700_000_000
    assert clock.monotonic() <= clock.monotonic()


@given(
    st.lists(
        st.tuples(
            st.floats(-1e12, 1e12),
            st.none() | st.floats(-1e12, 1e18),
            st.none() | st.floats(-1e12, 1e18),
        )
    )
)
def test_always_newer(writes: list[tuple[float, float | None, float | None]]) -> None:
    """Whatever the clock, the source and others say, every write is newer than all before."""
    clock = Still()
    stamps = Stamps(clock)
    last = -math.inf
    for now, seen, source in writes:
        clock.now = now
        stamp = stamps.stamp("a", seen=seen, source=source)
        assert stamp > last
        assert seen is None or stamp > seen
        last = stamp


def test_source_time_is_kept() -> None:
    """A newer time of the source passes as it is, an older one is lifted."""
    stamps = Stamps(Still())
    assert stamps.stamp("a", source=5.0, content=1) == 5.0
    assert stamps.stamp("a", source=7.5, content=1) == 7.5
    assert stamps.stamp("a", source=7.5, content=2) == pytest.approx(7.501)
    assert stamps.stamp("a", source=3.0, content=2) == pytest.approx(7.502)
    assert stamps.stamp("b", source=3.0) == 3.0
    assert stamps.stamp("b", source=3.0) == 3.001


@pytest.mark.parametrize("seen", [sys.float_info.max, 1e308, 2e18])
def test_the_end_of_time(seen: float) -> None:
    """Somebody who writes a node at the end of time keeps nobody from writing it again."""
    stamps = Stamps(Still())
    assert stamps.stamp("a", seen=seen) == 1000.0
    assert stamps.stamp("a", seen=seen) == 1000.001


def test_repetition_is_the_same() -> None:
    """The same value with the same time is no new write."""
    stamps = Stamps(Still())
    assert stamps.stamp("a", source=5.0, content=1) == 5.0
    assert stamps.stamp("a", source=5.0, content=1) == 5.0


def test_memory_is_bounded() -> None:
    """Old nodes are forgotten, recent ones are not."""
    clock = Still()
    stamps = Stamps(clock, limit=10)
    for number in range(100):
        clock.now += 1
        stamps.stamp(str(number))
    assert stamps.stamp("99", source=1.0) > 1.0
    assert stamps.stamp("0", source=1.0) == 1.0


def test_backoff() -> None:
    """Waiting times grow up to the longest, and start over."""
    backoff = Backoff(1, 30)
    waits = [backoff.wait() for _ in range(20)]
    assert 0.75 <= waits[0] <= 1
    assert all(0.75 <= wait <= 30 for wait in waits)
    assert min(waits[12:]) >= 22.5
    backoff.reset()
    assert backoff.wait() <= 1


def test_skew() -> None:
    """The message that was fastest counts, among the last few."""
    skew = Skew(samples=3)
    assert skew.add(-4.0) == -4.0
    assert skew.add(-3.5) == -3.5
    assert skew.add(-3.6) == -3.5
    assert skew.add(-3.7) == -3.5
    assert skew.add(-3.8) == -3.6
