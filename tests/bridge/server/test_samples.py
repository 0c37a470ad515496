"""What a number was, interval by interval."""

from itertools import pairwise
from typing import Any

import cbor2
from hypothesis import given, strategies as st

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.server import Sample
from firmware_bridge.server.records import Record, pack
from firmware_bridge.server.samples import Sampler


def record(value: Any) -> Record:
    value = cbor2.undefined if value is ABSENT else value
    return pack(cbor2.dumps(value), Meta("me", 0))  # also what is not fit to be sent


def sampled(
    values: list[tuple[float, Any]],
    *,
    step: float = 10,
    end: float = 30,
    held: Any = ABSENT,
    item: Any = (),
) -> list[Sample]:
    sampler = Sampler(step, 0, item)
    sampler.carry(record(held))
    done = [each for time, value in values for each in sampler.add(time, record(value))]
    return [*done, *sampler.rest(end)]


def test_weighed_by_time() -> None:
    """A value counts for as long as it held, also in intervals in which nothing happened."""
    assert sampled([(2, 10), (27, 0)], held=0) == [
        Sample(0, 8.0, 0, 10, 1, 10),
        Sample(10, 10.0, 10, 10, 0, 10),
        Sample(20, 7.0, 0, 10, 1, 10),
    ]


def test_nothing_known_at_first() -> None:
    """Before the first value there is nothing; the interval in which it came counts from there."""
    assert sampled([(15, 4)]) == [Sample(10, 4, 4, 4, 1, 5), Sample(20, 4, 4, 4, 0, 10)]


def test_at_the_edge() -> None:
    """A value at the very start of an interval is of that interval, and the one before is not."""
    assert sampled([(10, 5)], end=20, held=1) == [
        Sample(0, 1, 1, 1, 0, 10),
        Sample(10, 5, 5, 5, 1, 10),
    ]
    assert sampled([(10, 5)], end=10) == [Sample(10, 5, 5, 5, 1, 0)], "it had no time to hold"


def test_gaps() -> None:
    """Deletions, and what is no number, end what held before."""
    for nothing in (ABSENT, None, "x", {}, float("nan"), float("inf")):
        assert sampled([(2, 6), (4, nothing), (24, 6)]) == [
            Sample(0, 6, 6, 6, 1, 2),
            Sample(20, 6, 6, 6, 1, 6),
        ]


def test_long_gap_costs_nothing() -> None:
    found = sampled([(0, 1), (1, None), (1e9, 2)], step=0.001, end=1e9 + 0.0005)
    assert len(found) == 1000 + 1


def test_share_of_time() -> None:
    """Yes and no are 1 and 0."""
    assert sampled([(2, True), (5, False)], end=10, held=False) == [Sample(0, 0.3, 0, 1, 2, 10)]


def test_within_the_value() -> None:
    values: list[tuple[float, Any]] = [
        (0, {"v": [1, 2]}),
        (5, {"v": 7}),
        (6, {"v": [1, 4]}),
        (7, 3),
    ]
    assert sampled(values, end=10, item=("v", 1)) == [Sample(0, 14 / 6, 2, 4, 2, 6)]
    assert sampled(values, end=10, item=("v", -1)) == []
    assert sampled([(0, {5: 1})], end=10, item=(5,)) == [Sample(0, 1, 1, 1, 1, 10)]


def test_huge_numbers() -> None:
    """Nothing is infinite in what is sent."""
    (found,) = sampled([(0, 1.7e308), (3, -1.7e308)], end=10)
    assert (found.low, found.high) == (-1.7e308, 1.7e308)
    assert abs(found.mean / 1.7e308 + 0.4) < 1e-9
    assert sampled([(0, 10**400)], end=10) == []


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 99), st.none() | st.integers(-5, 5)),
        unique_by=lambda each: each[0],
    ),
    held=st.none() | st.integers(-5, 5),
    step=st.integers(1, 40),
)
def test_as_second_by_second(changes: list[Any], held: int | None, step: int) -> None:
    """It is what somebody finds who looks every second."""
    changes.sort()
    course: list[int | None] = []
    for (_, value), (until, _) in pairwise([(0, held), *changes, (100, None)]):
        course += [value] * (until - len(course))
    came = {time for time, value in changes if value is not None}
    expected = []
    for start in range(0, 100, step):
        seconds = range(start, min(start + step, 100))
        known = [each for second in seconds if (each := course[second]) is not None]
        if known:
            mean = sum(known) / len(known)
            count = len(came & {*seconds})
            expected.append((start, mean, min(known), max(known), count, len(known)))
    found = sampled([*changes], step=step, end=100, held=held)
    assert [(each.start, each.low, each.high, each.count) for each in found] == [
        (start, low, high, count) for start, _, low, high, count, _ in expected
    ]
    for each, (_, mean, _, _, _, held_for) in zip(found, expected, strict=True):
        assert abs(each.mean - mean) < 1e-9
        assert abs(each.seconds - held_for) < 1e-9
