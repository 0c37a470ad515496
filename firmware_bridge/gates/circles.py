"""Gates that would feed each other in a circle. Pure.

A value goes through a gate, on through another that overlaps it on that side, and so on. If it comes
back to where it began it may be at another place, from where all begins again, without end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..link.path import Path
from .entry import Entry

MAX_GATES: Final = 250
"""Gates that one process drives: each one is a connection of its own."""


type _State = tuple[_Gate, bool]
"""A gate that a value goes through, and whether it is outside now."""


@dataclass(eq=False, slots=True)
class _Gate:
    """A gate, and those that overlap it inside and outside."""

    name: Path
    entry: Entry
    inside: list[_Gate]
    outside: list[_Gate]


class Circles:
    """The gates that may run; the first one of a circle to be refused is the one that closes it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._gates: list[_Gate] = []

    def add(self, name: Path, entry: Entry) -> str | None:
        """Let a gate run; or return why not."""
        if len(self._gates) >= MAX_GATES:
            return f"there are {MAX_GATES} gates before it: no more are driven"
        gate = _Gate(name, entry, [], [])
        for other in self._gates:
            if _overlap(entry.src, other.entry.src):
                gate.inside.append(other)
                other.inside.append(gate)
            if entry.broker == other.entry.broker and _overlap(entry.dst, other.entry.dst):
                gate.outside.append(other)
                other.outside.append(gate)
        if others := _circle(gate):
            for each in self._gates:
                each.inside = [it for it in each.inside if it is not gate]
                each.outside = [it for it in each.outside if it is not gate]
            return _told(entry, others)
        self._gates.append(gate)
        return None


def _overlap(one: Path, other: Path) -> bool:
    return one.starts_with(other) or other.starts_with(one)


def _circle(gate: _Gate) -> list[_Gate]:
    """Return the other gates of the shortest way out of a gate and back into it; none: no way."""
    found: dict[_State, _State | None] = {(gate, True): None}
    waiting = [(gate, True)]
    for state in waiting:
        for other in state[0].outside if state[1] else state[0].inside:
            if other is gate and not state[1]:
                return [each for each, _ in _back(found, state) if each is not gate]
            if (step := (other, not state[1])) not in found:
                found[step] = state
                waiting.append(step)
    return []


def _back(found: dict[_State, _State | None], state: _State | None) -> Iterator[_State]:
    while state is not None:
        yield state
        state = found[state]


def _told(entry: Entry, others: Iterable[_Gate]) -> str:
    names = sorted({str(each.name) for each in others})
    what = f"overlap those of gate {names[0]}"
    if len(names) > 1:
        what = f"close a circle with the gates {', '.join(names[:5])}"
    return f"src {entry.src} and dst {entry.dst} {what}: that would loop"
