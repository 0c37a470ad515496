"""Which readings become messages, and what a message holds."""

from hypothesis import given, strategies as st

from firmware_bridge.driver import Filter
from firmware_bridge.link.codec import Value
from firmware_bridge.link.describe import PointDescription
from firmware_bridge.link.path import Path
from firmware_bridge.link.quantity import Quantity
from firmware_bridge.outlet import DEFAULT_FILTER, Outlet, find, make_outlets

OUT = Path("bat", "out")


def point(key: str, *item: str | int, max_age: float | None = None) -> PointDescription:
    """Return a number at OUT."""
    return PointDescription(key=key, quantity=Quantity.NUMBER, path=OUT, item=item, max_age=max_age)


def outlet(*points: tuple[PointDescription, Filter]) -> Outlet:
    """Return the one outlet of these points."""
    return next(iter(make_outlets(points).values()))


def test_composes_maps_and_lists() -> None:
    """Every value stands at its place, also those further down."""
    made = make_outlets(
        (each, DEFAULT_FILTER)
        for each in (point("a", "u"), point("b", "s", 1, "p"), point("c", "s", 0, "p"))
    )
    assert made["a"] is made["b"]
    made["a"].update("b", 2, 1.0, 0.0)
    assert made["a"].value() == {"s": [None, {"p": 2}]}
    made["a"].update("a", 1, 1.0, 0.0)
    made["a"].update("c", 3, 1.0, 0.0)
    assert made["a"].value() == {"u": 1, "s": [{"p": 3}, {"p": 2}]}
    assert find(made["a"].value(), ("s", 1, "p")) == 2
    assert find(made["a"].value(), ("s", 7, "p")) is None
    assert find(made["a"].value(), ("u", "x")) is None


def test_a_point_without_item_is_the_whole_value() -> None:
    """A plain value needs no map."""
    plain = outlet((point("a"), DEFAULT_FILTER))
    plain.update("a", 7, 1.0, 0.0)
    assert plain.take(0.0) == (7, 1.0)


def test_nothing_is_sent_before_there_is_something() -> None:
    """An outlet without readings keeps silent."""
    assert not outlet((point("a"), DEFAULT_FILTER)).due(1e9)


def test_deadband_and_interval() -> None:
    """Small changes wait, and so do quick ones."""
    filtered = outlet((point("a"), Filter(deadband=1.0, relative=0.1, interval=5.0)))
    filtered.update("a", 10.0, 1.0, 0.0)
    assert filtered.due(100.0)
    filtered.take(100.0)
    filtered.update("a", 11.5, 2.0, 0.0)  # 1 + 10 % of 10
    assert not filtered.due(110.0)
    filtered.update("a", 12.5, 3.0, 0.0)
    assert not filtered.due(104.0)
    assert filtered.due(105.0)


def test_slow_drift_gets_through() -> None:
    """The change is measured against what was sent, not against the last reading."""
    filtered = outlet((point("a"), Filter(deadband=1.0, interval=0.0)))
    sent = []
    for step in range(100):
        filtered.update("a", step * 0.1, float(step), 0.0)
        if filtered.due(float(step)):
            sent.append(filtered.take(float(step))[0])
    assert len(sent) == 10


def test_what_is_no_number_is_sent_at_once() -> None:
    """A switch does not wait for the interval, nor does a value that vanishes."""
    mixed = outlet((point("a", "a"), Filter(interval=60.0)), (point("b", "b"), DEFAULT_FILTER))
    mixed.update("a", 1.0, 1.0, 0.0)
    mixed.update("b", False, 1.0, 0.0)
    mixed.take(1.0)
    mixed.update("b", True, 2.0, 0.0)
    assert mixed.due(1.1)
    mixed.take(1.1)
    mixed.update("a", None, 3.0, 0.0)
    assert mixed.due(1.2)
    assert mixed.take(1.2)[0] == {"a": None, "b": True}


def test_one_and_true_differ() -> None:
    """A type that changes is a change."""
    strict = outlet((point("a"), Filter(interval=0.0)))
    strict.update("a", 1, 1.0, 0.0)
    strict.take(1.0)
    strict.update("a", True, 2.0, 0.0)
    assert strict.due(1.1)


def test_refreshed_only_by_newer_readings() -> None:
    """The message is repeated before it is too old, but never without news from the device."""
    aging = outlet((point("a", max_age=30), Filter(deadband=5)))
    aging.update("a", 1.0, 1.0, 0.0)
    aging.take(0.0)
    assert not aging.due(29.0)
    aging.update("a", 1.1, 2.0, 0.0)
    assert not aging.due(9.9)
    assert aging.due(10.0)


def test_what_is_too_old_is_not_told_as_news() -> None:
    """After a reconnect nothing is said that readers should not believe any more."""
    aging = outlet((point("a", max_age=30), DEFAULT_FILTER))
    aging.update("a", 1.0, 1.0, 0.0)
    aging.take(0.0)
    aging.again()
    assert aging.due(30.0)
    assert not aging.due(30.1)
    aging.update("a", 1.0, 2.0, 40.0)
    assert aging.due(40.0)


def test_again_wants_everything_anew() -> None:
    """After a reconnect the value is due although nothing changed, with a newer time."""
    plain = outlet((point("a"), DEFAULT_FILTER))
    plain.update("a", 1.0, 5.0, 0.0)
    first = plain.take(0.0)
    assert not plain.due(0.0)
    plain.again()
    assert plain.due(0.0)
    again = plain.take(0.0)
    assert again[0] == first[0]
    assert again[1] > first[1]


def test_goes_on_when_the_clock_was_set_back() -> None:
    """New readings count although they look old; the messages' times still grow."""
    plain = outlet((point("a"), Filter(interval=0.0)))
    plain.update("a", 1.0, 1000.0, 0.0)
    assert plain.take(0.0) == (1.0, 1000.0)
    plain.set_back(400.0)
    assert plain.update("a", 2.0, 401.0, 1.0)
    assert plain.due(1.0)
    value, time = plain.take(1.0)
    assert value == 2.0
    assert 1000.0 < time < 1001.0


def test_another_description_keeps_the_values() -> None:
    """What is known stays known; what is new has its place."""
    former = outlet((point("a", "a"), DEFAULT_FILTER), (point("b", "b"), DEFAULT_FILTER))
    former.update("a", 1.0, 5.0, 0.0)
    former.update("b", 2.0, 5.0, 0.0)
    former.take(0.0)
    new = outlet((point("a", "a"), DEFAULT_FILTER), (point("b", "c"), DEFAULT_FILTER))
    new.adopt(former)
    assert new.value() == {"a": 1.0}
    assert new.due(0.0)
    assert new.take(0.0)[1] > 5.0


def test_not_a_number_is_no_value() -> None:
    """What cannot be sent becomes 'unknown'."""
    plain = outlet((point("a", "a"), DEFAULT_FILTER))
    plain.update("a", float("nan"), 1.0, 0.0)
    assert plain.value() == {"a": None}


@given(
    st.lists(
        st.tuples(st.one_of(st.floats(), st.integers(), st.booleans(), st.none()), st.floats(0, 9)),
        min_size=1,
    )
)
def test_newest_wins_and_time_increases(readings: list[tuple[Value, float]]) -> None:
    """Whatever the order, older readings change nothing, and messages' times only grow."""
    plain = outlet((point("a"), Filter(interval=0.0)))
    newest: float = -1.0
    stamps = []
    for now, (value, time) in enumerate(readings):
        assert plain.update("a", value, time, 0.0) == (time > newest)
        newest = max(newest, time)
        if plain.due(float(now)):
            stamps.append(plain.take(float(now))[1])
    assert stamps == sorted(set(stamps))
