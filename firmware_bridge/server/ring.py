"""Taking turns with the real servers: one machine of the ring, as the reference does it. Pure.

Times are passed in, chance is injected. Whoever is tagged says that it is the main server.
"""

import math
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final

from .ballot import Ballot, Hist, Init, Parameters, Ping, Vers

_NEVER: Final = math.inf
_MOST_KNOWN: Final = 256
_SPREAD: Final = 1 / 3
_JITTER: Final = 0.015
"""Gaps: two servers that happen to take each other's turn at the same time must not do so for ever."""


class Phase(Enum):
    """What has become of our last turn."""

    NONE = "none"
    WAITING = "waiting"
    TAGGED = "tagged"
    UNTAGGED = "untagged"


@dataclass(slots=True)
class Ring:
    """One server in the ring; call `due` at `wake` at the latest, and after everything heard."""

    name: str
    random: Random = field(default_factory=Random)
    parameters: Parameters = field(default_factory=Parameters)
    ready: bool = False
    """Whether we have data, so that our word counts."""
    members: list[str] = field(default_factory=list)
    """Who takes turns, newest first."""
    phase: Phase = Phase.NONE
    _known: dict[str, bool] = field(default_factory=dict)
    _base: float = 0.0
    _gaps: float = 2.0
    _phase_ends: float = _NEVER
    _says_version: float = _NEVER
    _reminds: list[tuple[float, Hist]] = field(default_factory=list)
    _pinged: tuple[float, tuple[str, ...]] = (-_NEVER, ())
    _history: tuple[str, ...] = ()
    _main: str | None = None
    _takes_over: float = _NEVER
    _gone: dict[str, float] = field(default_factory=dict)
    _said: list[Ballot] = field(default_factory=list)
    _claims: bool = False

    def join(self, now: float, *, quietly: bool = True) -> None:
        """Start: listen for a round before the first turn, or take it at once as real servers do."""
        self._said = [Init(self.name), Vers(self.name, self.parameters)]
        self.rejoin(now)
        if not quietly:
            self._ping(now)

    def rejoin(self, now: float) -> None:
        """Start to listen again: messages may have been missed."""
        self.members, self._reminds = [], []
        self._end_phase()
        self._says_version = self._takes_over = _NEVER
        self._base, self._gaps = now, 2.0

    @property
    def wake(self) -> float:
        """When something is to be done."""
        if self._said or self._claims:
            return -_NEVER
        reminds = min((when for when, _ in self._reminds), default=_NEVER)
        return min(self._next, self._phase_ends, self._says_version, self._takes_over, reminds)

    def due(self, now: float) -> tuple[list[Ballot], bool]:
        """Return what is to be said now, and whether to say that we are the main server."""
        if now >= self._phase_ends:
            self._go_on(now)
        if now >= self._takes_over:
            self._takes_over = _NEVER
            self._claims = True
        if now >= self._says_version:
            self._says_version = _NEVER
            self._said.append(Vers(self.name, self.parameters))
        self._said += [reminder for when, reminder in self._reminds if now >= when]
        self._reminds = [each for each in self._reminds if now < each[0]]
        if now >= self._next:
            self._ping(now)
        said, self._said = self._said, []
        claims, self._claims = self._claims, False
        return said, claims

    def heard(self, ballot: Ballot, now: float) -> None:
        """Take a message of another server."""
        match ballot:
            case Vers():
                self._compare(ballot.parameters, now)
            case Ping() | Hist():
                self._turn(ballot, now)

    def claimed(self, name: str) -> None:
        """Take note of who says that it is the main server."""
        self._main = name
        if name != self.name:
            self._takes_over = _NEVER

    def gone(self, name: str, now: float) -> None:
        """Take note that a server has ended: somebody must follow if it was the main one."""
        if name == self.name or name != self._main:
            return
        if now - self._gone.get(name, -_NEVER) < self.parameters.cycle:
            return
        self._gone = {name: now}
        self._settle_history(now)
        gap = self.parameters.gap
        if self.name in self._history:
            wait = gap * self._history.index(self.name) / len(self._history)
        else:
            wait = gap * self.random.uniform(1.2, 2.2)
        self._takes_over = now + wait

    # Inside

    @property
    def _next(self) -> float:
        """When we take a turn, unless somebody else does."""
        return self._base + self.parameters.cycle + self._gaps * self.parameters.gap

    def _turn(self, ballot: Ping | Hist, now: float) -> None:
        node, mine = ballot.node, self.members
        if node == self.name:
            return
        self._know(node, ready=ballot.ready)
        if isinstance(ballot, Ping):
            self._settle_history(now)
            self._pinged = (now, ballot.history)
            self._reminds = [each for each in self._reminds if each[1].node != node]
        if mine[:1] == [node]:
            self.ready = self.ready or isinstance(ballot, Ping)
            return
        was_ready, self.ready = self.ready, True
        history = list(ballot.history)
        if history[1:2] == mine[:1]:
            if isinstance(ballot, Ping):
                self.members = self._with(node)
                self._taken(now)
            return
        if not mine or self._wins(node, mine[0]):
            self.members = history[: self.parameters.nodes]
            self._taken(now)
        if was_ready and self.name in mine and history[1:2] != mine[1:2]:
            wait = self.parameters.gap * (1 - 0.5 ** mine.index(self.name))
            reminder = Hist(self._is_ready(mine[0]), tuple(mine[: self.parameters.splits]))
            self._reminds = [(now + wait, reminder)]

    def _ping(self, now: float) -> None:
        first = not self.members
        self.members = self._with(self.name)
        history = tuple(self.members[: self.parameters.splits])
        self._said.append(Ping(self.name, self.ready, history))
        self._know(self.name, ready=self.ready)
        self._schedule(now)
        self._end_phase()
        if not first:
            self.phase = Phase.WAITING
            self._phase_ends = now + self.parameters.gap

    def _go_on(self, now: float) -> None:
        """Enter the next phase of our turn."""
        if self.phase is Phase.WAITING:
            self.phase = Phase.TAGGED
            self._phase_ends = now + self.parameters.cycle - self.parameters.gap / 2
            self._claims = self.ready = True
        else:
            self.phase = Phase.UNTAGGED
            self._phase_ends = _NEVER

    def _end_phase(self) -> None:
        self.phase = Phase.NONE
        self._phase_ends = _NEVER

    def _taken(self, now: float) -> None:
        """Somebody else has the turn."""
        self._end_phase()
        self._schedule(now)

    def _with(self, name: str) -> list[str]:
        """Return the ring with somebody in front; who has been silent for a round falls out."""
        before = self.members
        others = [each for each in before if each != name]
        was_within = name in before[:-1]
        if others and (was_within or len(others) >= self.parameters.nodes):
            others.pop()
        return [name, *others]

    def _schedule(self, now: float) -> None:
        self._base, self._gaps = now, self._wait()

    def _wait(self) -> float:
        """Return how many gaps to wait after a cycle, so that the longest silent one is first."""
        members, count = self.members, len(self.members)
        if members[0] == self.name:
            return 2
        ready = next((place for place, each in enumerate(members, 1) if self._is_ready(each)), 0)
        if ready > (count + 1) // 2:
            return self.random.uniform(2, 2 + _SPREAD)
        if self.name in members:
            place = count + 1 - members.index(self.name)
            return 1 - 0.5 * 0.5**place + self.random.uniform(0, _JITTER)
        known = max(len(self._known), self.parameters.n_hosts)
        free = self.parameters.nodes - count
        if self.random.random() * (free if free > 0 else known) * known < 1:
            return self.random.uniform(0, _SPREAD)
        return self.random.uniform(1.5, 2)

    def _wins(self, one: str, other: str) -> bool:
        if self._is_ready(one) is not self._is_ready(other):
            return self._is_ready(one)
        return one < other

    def _is_ready(self, name: str) -> bool:
        return self._known.get(name, False)

    def _know(self, name: str, *, ready: bool) -> None:
        self._known.pop(name, None)
        self._known[name] = ready
        if len(self._known) > _MOST_KNOWN:
            within = {self.name, *self.members}
            del self._known[next(each for each in self._known if each not in within)]

    def _settle_history(self, now: float) -> None:
        """Believe the last turn that nobody has objected to for a gap."""
        when, history = self._pinged
        if now - when >= self.parameters.gap:
            self._history = history

    def _compare(self, theirs: Parameters, now: float) -> None:
        if theirs.version > self.parameters.version:
            self.parameters = theirs
            self._says_version = _NEVER
        elif theirs == self.parameters:
            self._says_version = _NEVER
        elif theirs.version < self.parameters.version and self.name in self.members:
            wait = 0.0
            if self.phase is not Phase.TAGGED:
                wait = self.parameters.gap * (1 - 0.5 ** self.members.index(self.name))
            self._says_version = now + wait
