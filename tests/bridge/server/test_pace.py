"""How fast clients are listened to."""

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.server.pace import LARGEST, SMALLEST, Pace, Rounds


def test_alone() -> None:
    """Who is alone may use all of the time, for ever."""
    pace = Pace(Rounds(), 0.0)
    assert not any(pace.used(1000, n * 0.01, n * 0.01 + 0.01) for n in range(10_000))


def test_beside_others() -> None:
    """A burst is free; then one client gets half of the time, and the other one is not held back."""
    rounds = Rounds()
    greedy, modest = Pace(rounds, 0.0), Pace(rounds, 0.0)
    now, used, rested = 0.0, 0.0, 0.0
    while now < 60:
        now += 0.01
        used += 0.01
        rest = greedy.used(1000, now - 0.01, now)
        now += 0.0001
        assert modest.used(20, now - 0.0001, now) == 0
        rested += rest
        now += rest
    assert used / now == pytest.approx(0.5, abs=0.03)
    assert rested > 25


def test_first_burst() -> None:
    """What is honest at the start of a program is not held back."""
    rounds = Rounds()
    one, other = Pace(rounds, 0.0), Pace(rounds, 0.0)
    for n in range(90):
        now = n * 0.011
        assert one.used(1000, now, now + 0.01) == 0
        assert other.used(20, now + 0.01, now + 0.011) == 0


def test_piece() -> None:
    """What takes long is taken in small pieces, so that others have their turn; large ones come back."""
    pace = Pace(Rounds(), 0.0)
    pace.used(pace.piece, 0, 0.5)
    assert pace.piece == SMALLEST, "at once"
    for n in range(1, 20):
        pace.used(pace.piece, n, n + 0.0001)
    assert pace.piece == LARGEST
    pace.used(20, 30, 30.05)
    assert pace.piece == LARGEST, "one slow command is not the fault of its size"


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1), st.integers(1, LARGEST)), max_size=50)
)
def test_rests_are_short(turns: list[tuple[int, float, int]]) -> None:
    """Nobody is left alone for long, whatever happens."""
    rounds = Rounds()
    paces = [Pace(rounds, 0.0) for _ in range(3)]
    now = 0.0
    for who, used, size in turns:
        assert 0 <= paces[who].used(size, now, now + used) <= 0.5
        assert SMALLEST <= paces[who].piece <= LARGEST
        now += used
