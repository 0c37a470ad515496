"""Gates that would feed each other: which ones are refused, and that the others stay bounded."""

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.gates.circles import MAX_GATES, Circles
from firmware_bridge.gates.codecs import Json
from firmware_bridge.gates.entry import Entry
from firmware_bridge.link.path import Path

CODEC = Json()  # any: nothing is translated here


def gate(src: str, dst: str, broker: str = "") -> Entry:
    return Entry(name="x", src=Path.parse(src), dst=Path.parse(dst), codec=CODEC, broker=broker)


def refused(*gates: Entry) -> list[str | None]:
    """Add gates called 0, 1, …; return what is said of each."""
    circles = Circles()
    return [circles.add(Path(str(number)), each) for number, each in enumerate(gates)]


@pytest.mark.parametrize(("src", "dst"), [("a", "e"), ("a.b", "e"), ("a", "e.f"), ("a.b", "e.f")])
def test_overlapping_on_both_sides(src: str, dst: str) -> None:
    """The later one is refused, whichever is the larger one."""
    inner = gate("a.b.c", "e.f.g")
    said = f"src {src} and dst {dst} overlap those of gate 0: that would loop"
    assert refused(inner, gate(src, dst)) == [None, said]
    assert refused(gate(src, dst), inner)[1] is not None
    assert refused(gate(src, dst), gate(src, dst))[1] is not None


@pytest.mark.parametrize(
    "gates",
    [
        [gate("a", "e"), gate("b", "e")],
        [gate("a", "e"), gate("a", "f"), gate("a.b", "g")],
        [gate("a.b", "e"), gate("a.c", "e")],
        [gate("a", "e"), gate("a", "e", "far:1883")],
        [gate("a", "e"), gate("ab", "e"), gate("a", "ef")],
        [gate("a", "e"), gate("b", "e"), gate("b", "f"), gate("c", "f")],
    ],
)
def test_others_are_left_alone(gates: list[Entry]) -> None:
    """Two that share one side only; elsewhere the same topics are others."""
    assert refused(*gates) == [None] * len(gates)


def test_a_circle_over_several() -> None:
    """The gates of it are named; without the one that closes it the others go on."""
    gates = [gate("a", "e"), gate("b", "e"), gate("c", "x"), gate("b", "f"), gate("a.x", "f")]
    said = "src a.x and dst f close a circle with the gates 0, 1, 3: that would loop"
    assert refused(*gates, gate("d", "f")) == [None, None, None, None, said, None]


def test_not_too_many() -> None:
    said = refused(*(gate(f"a.x{number}", "e") for number in range(MAX_GATES + 1)))
    assert said[:-1] == [None] * MAX_GATES
    assert said[-1] == "there are 250 gates before it: no more are driven"


PLACES = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(lambda names: Path(*names))


@given(st.lists(st.tuples(PLACES, PLACES), max_size=4), PLACES)
def test_what_runs_is_bounded(pairs: list[tuple[Path, Path]], begin: Path) -> None:
    """A value comes to places as deep as all gates together can make them, and no deeper."""
    circles = Circles()
    entries = [gate(str(src), str(dst)) for src, dst in pairs]
    entries = [it for number, it in enumerate(entries) if circles.add(Path(number), it) is None]
    assert len(spread(entries, begin)) < 300


def spread(entries: list[Entry], begin: Path) -> set[tuple[bool, Path]]:
    """Return all places, inside and outside, that a value comes to; 300 are enough."""
    waiting = [(True, begin)]
    for inside, path in waiting:
        ways = [(it.src, it.dst) if inside else (it.dst, it.src) for it in entries]
        reached = [
            (not inside, to / path.relative_to(at)) for at, to in ways if path.starts_with(at)
        ]
        waiting += [each for each in dict.fromkeys(reached) if each not in waiting]
        del waiting[300:]
    return set(waiting)
