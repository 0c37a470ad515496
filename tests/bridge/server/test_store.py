"""Which write wins, what a walk delivers: against a naive model, and case by case."""

from itertools import islice
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.errors import EncodeError
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.server.patterns import matches
from firmware_bridge.server.records import Record, encode_spliced, pack, splice
from firmware_bridge.server.store import LIFETIME, Outcome, Store, levels_of
from tests.support.effort import examples

ELEMENTS = ["a", "b", "1", 1, 1.0, True, None, "", (1, 2), "run", "x/y"]
VALUES = [
    1,
    1.0,
    True,
    "1",
    None,
    ABSENT,
    {"a": 1, "b": [1]},
    {"b": [1], "a": 1},
    [1],
    [True],
    b"1",
]


def strict(value: Any) -> Any:
    """Make a value comparable, type-strictly."""
    match value:
        case dict():
            return "map", frozenset((strict(key), strict(item)) for key, item in value.items())
        case list():
            return "list", tuple(map(strict, value))
        case _:
            return type(value).__name__, value


class StoreMachine(RuleBasedStateMachine):
    """The store does what a dict of (value, time) by path does."""

    paths = Bundle("paths")

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.model: dict[Path, tuple[Any, float]] = {}

    @rule(target=paths, elements=st.lists(st.sampled_from(ELEMENTS), max_size=4))
    def make_path(self, elements: list[Any]) -> Path:
        return Path(*elements)

    @rule(path=paths, value=st.sampled_from(VALUES), time=st.integers(0, 6))
    def write(self, path: Path, value: Any, time: int) -> None:
        outcome = self.store.merge(levels_of(path), encode(value), Meta("me", float(time)))
        known = self.model.get(path)
        if known is None:
            assert outcome is Outcome.TAKEN
        else:
            same = strict(known[0]) == strict(value)
            newer = time > known[1]
            assert (
                outcome
                is {
                    (True, True): Outcome.REFRESHED,
                    (True, False): Outcome.TAKEN,
                    (False, True): Outcome.SAME,
                    (False, False): Outcome.STALE,
                }[newer, same]
            )
        assert outcome.stored is (known is None or time > known[1])
        if outcome.stored:
            self.model[path] = value, float(time)

    @rule(now=st.floats(0, 8))  # however small: with the real lifetime added it would be rounded
    def prune(self, now: float) -> None:
        gone = [
            path for path, (value, time) in self.model.items() if value is ABSENT and time < now
        ]
        for path in gone:
            del self.model[path]
        list(self.store.prune(now, lifetime=0.0))

    @rule(
        path=paths,
        since=st.none() | st.integers(0, 6),
        low=st.integers(0, 3),
        high=st.none() | st.integers(0, 3),
    )
    def walk(self, path: Path, since: int | None, low: int, high: int | None) -> None:
        levels = levels_of(path)
        found = {}
        here: list[str] = []
        for kept, added, record in self.store.walk(levels, since=since, low=low, high=high):
            here = here[:kept] + added
            assert tuple(here) not in found
            found[tuple(here)] = strict(record.value), record.meta.time
        expected = {
            tuple(levels_of(each))[len(path) :]: (strict(value), time)
            for each, (value, time) in self.model.items()
            if each.starts_with(path)
            and value is not ABSENT
            and (since is None or time >= since)
            and len(each) - len(path) >= low
            and (high is None or len(each) - len(path) <= high)
            and (levels_of(each)[:1] == ["run"]) is (levels[:1] == ["run"])
        }
        assert found == expected
        assert all(found[one][1] for one in found if one) or not since

    @rule(path=paths)
    def look(self, path: Path) -> None:
        node = self.store.find(levels_of(path))
        value, time = self.model.get(path, (ABSENT, 0.0))
        if path in self.model:
            assert node is not None
            assert node.record is not None
            assert (strict(node.record.value), node.time) == (strict(value), time)
            assert node.alive is (value is not ABSENT)
        else:
            assert node is None or node.record is None
        missing = self.store.missing(levels_of(path))
        assert (missing is None) is (node is not None)

    @invariant()
    def counted(self) -> None:
        assert self.store.count == len(self.model)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=examples(60), stateful_step_count=30)


def fill(*paths: tuple[Any, ...]) -> Store:
    store = Store()
    for number, path in enumerate(paths):
        store.merge(levels_of(Path(*path)), encode(number), Meta("me", float(number + 1)))
    return store


def test_the_tree_may_change_during_a_walk() -> None:
    """What is added or pruned meanwhile harms nobody."""
    store = fill(("a",), ("a", "b"), ("c",))
    seen = []
    for number, (_, added, _) in enumerate(store.walk([])):
        seen += added
        store.merge(["a", f"new{number}"], encode(1), Meta("me", 1.0))
    assert seen == ["a", "b", "c"] or set(seen) >= {"a", "b", "c"}


def test_the_tree_may_change_during_pruning() -> None:
    """What is written meanwhile stays, wherever pruning is."""
    for moment in range(60):
        store = fill(*((f"n{number}", "old") for number in range(20)))
        for number in range(20):
            store.merge([f"n{number}", "old"], encode(ABSENT), Meta("me", 100.0))
        pruning = store.prune(LIFETIME + 200.0)
        list(islice(pruning, moment))
        assert len(list(store.walk([], deleted=True))) == store.count
        for number in range(20):
            store.merge([f"n{number}", "new"], encode(1), Meta("me", 300.0))
        list(pruning)
        assert store.count == 20
        walked = [record for _, _, record in store.walk([], deleted=True)]
        assert [each.value for each in walked] == [1] * 20
        assert len(list(store.names([]))) == 20


def test_names_include_what_was_deleted() -> None:
    store = fill(("a",), ("b", "c"))
    store.merge(["a"], encode(ABSENT), Meta("me", 99.0))
    assert [*store.names([])] == ["a", "b"]
    assert [*store.names(["nothing"])] == []


def test_most_specific_pattern_first() -> None:
    store = fill(
        ("p", "#"),
        ("p", "+", "t"),
        ("p", (2, 3)),
        ("p", "k", "t"),
        ("p", (3, 1)),
        ("p", "k", "#", "z"),
        ("p", "a,b"),
    )
    start = store.find(["p"])
    assert start is not None
    store.merge(["p", ":nonsense,"], encode(1), Meta("me", 1.0))

    def found(*levels: str) -> list[Any]:
        return [node.record.value for node in matches(start, levels) if node.record]

    assert found("k", "t") == [3, 1, 2, 0]
    assert found("x", "t") == [1, 2, 0]
    assert found("x") == [0]
    assert found("k", "1", "2", "z") == [5, 0]
    assert found() == []


def test_a_record_in_a_frame() -> None:
    """Its items become the frame's; a keyword map at its end is followed by an empty one."""
    record = pack(encode({"a": 1}), Meta("me", 1.5))
    assert encode_spliced([-100, record]) == encode([-100, {"a": 1}, "me", 1.5])
    longer = splice(record, encode(2), encode(Path("x")))
    assert encode_spliced([-3, longer]) == encode([-3, 2, Path("x"), {"a": 1}, "me", 1.5])
    assert encode_spliced([-3, 1, record]) == encode([-3, 1, {"a": 1}, "me", 1.5])
    with_keywords = pack(encode(1), Meta("me", 1.5, (7,), {"gw": "x"}))
    assert encode_spliced([-3, with_keywords]) == encode([-3, 1, "me", 1.5, 7, {"gw": "x"}, {}])
    with_map = pack(encode(1), Meta("me", 1.5, ({"gw": "x"},)))
    assert encode_spliced([-3, with_map]) == encode([-3, 1, "me", 1.5, {"gw": "x"}, {}])
    assert encode_spliced([0, 1]) == encode([0, 1])
    assert with_keywords.meta.keywords == {"gw": "x"}
    assert Record(record).value == {"a": 1}


def test_too_much_metadata() -> None:
    with pytest.raises(EncodeError):
        pack(encode(1), Meta("me", 1.0, tuple(range(30))))
    store = Store()
    with pytest.raises(EncodeError):
        store.merge(["a"], encode(1), Meta("me", 1.0, tuple(range(30))))
    assert store.count == 0
    assert [*store.names([])] == []
