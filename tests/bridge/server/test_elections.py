"""Any number of ours, whatever happens to them: in the end, one of them is the main server."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, strategies as st

from firmware_bridge.server.election import Election

TICK = 0.5
LOST = 8.0  # seconds until a connection is known to be gone
SETTLED = 110.0  # seconds: who was never reached is waited for, and the main one says so every 57 s
NAMES = ["a", "b", "c", "d"]


@dataclass
class Broker:
    """What one side of a split network retains."""

    servers: set[str] = field(default_factory=set)
    owner: str | None = None


class World:
    """Servers on two brokers that are one, or apart."""

    def __init__(self) -> None:
        self.now = 0.0
        self.apart = False
        self.brokers = (Broker(), Broker())
        self.machines: dict[str, Election] = {}
        self.cut: list[tuple[float, str, str]] = []

    def side(self, name: str) -> int:
        return NAMES.index(name) % 2

    def reach(self, name: str) -> list[str]:
        """Return who can be reached."""
        return [
            other
            for other in self.machines
            if other != name and (not self.apart or self.side(other) == self.side(name))
        ]

    def start(self, name: str) -> None:
        if name in self.machines:
            return
        mine = self.machines[name] = Election(name, self.now)
        broker = self.brokers[self.side(name)]
        for other in broker.servers - {name}:
            mine.announced(other, there=True, now=self.now)
        if broker.owner is not None:
            mine.claimed(broker.owner, self.now)
        for each in self.near(name):
            each.servers.add(name)
        for other in self.reach(name):
            self.machines[other].announced(name, there=True, now=self.now)
            self.machines[other].linked(name, up=True, now=self.now)
            mine.linked(other, up=True, now=self.now)

    def near(self, name: str) -> list[Broker]:
        return [self.brokers[self.side(name)]] if self.apart else list(self.brokers)

    def kill(self, name: str) -> None:
        if self.machines.pop(name, None) is None:
            return
        for each in self.near(name):
            each.servers.discard(name)
        for other in self.machines:
            if not self.apart or self.side(other) == self.side(name):
                self.machines[other].linked(name, up=False, now=self.now)
                self.machines[other].announced(name, there=False, now=self.now)

    def split(self) -> None:
        self.apart = True
        self.cut = [
            (self.now + LOST, one, other)
            for one in self.machines
            for other in self.machines
            if self.side(one) != self.side(other)
        ]

    def join(self) -> None:
        """Have the brokers tell each other what they retain, as bridges do."""
        if not self.apart:
            return
        self.apart = False
        self.cut = []
        left, right = self.brokers
        both = left.servers | right.servers
        said = (right.owner, left.owner)
        left.owner, right.owner = said
        for name, mine in self.machines.items():
            theirs = said[self.side(name)]
            if theirs is not None and NAMES.index(theirs) < 2:
                mine.claimed(theirs, self.now)  # before it is announced
            for other in both - {name}:
                mine.announced(other, there=True, now=self.now)
                mine.linked(other, up=other in self.machines, now=self.now)
            if theirs is not None:
                mine.claimed(theirs, self.now)
        left.servers = set(both)
        right.servers = set(both)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            for when, one, other in list(self.cut):
                if when <= self.now:
                    self.cut.remove((when, one, other))
                    if one in self.machines:
                        self.machines[one].linked(other, up=False, now=self.now)
            claims = [name for name, mine in self.machines.items() if mine.due(self.now)]
            for name in claims:
                for broker in self.near(name):
                    broker.owner = name
                for other in self.reach(name):
                    self.machines[other].claimed(name, self.now)

    @property
    def mains(self) -> list[str]:
        return [name for name, mine in self.machines.items() if mine.main]


EVENTS = st.tuples(
    st.sampled_from(["start", "kill", "split", "join"]), st.sampled_from(NAMES), st.floats(0, 40)
)


@given(st.lists(EVENTS, max_size=14))
def test_one_in_the_end(events: list[Any]) -> None:
    """Started, killed, split, joined in any order: one main server, and everybody knows which."""
    world = World()
    world.start("d")
    for what, name, wait in events:
        match what:
            case "start":
                world.start(name)
            case "kill":
                world.kill(name)
            case "split":
                world.split()
            case _:
                world.join()
        world.run(wait)
    world.join()
    world.start("c")
    world.run(SETTLED)
    assert len(world.mains) == 1
    (main,) = world.mains
    assert {mine.owner for mine in world.machines.values()} == {main}
    assert world.brokers[0].owner == world.brokers[1].owner == main


@given(st.permutations(NAMES), st.integers(1, 3))
def test_follows_within_seconds(order: list[str], kills: int) -> None:
    """One after the other is killed, always the main one: another one follows within 15 s."""
    world = World()
    for name in order:
        world.start(name)
        world.run(2)
    world.run(10)
    for _ in range(kills):
        (main,) = world.mains
        world.kill(main)
        world.run(8)
        assert len(world.mains) == 1
