"""Taking turns: as the real servers were recorded, and whatever happens."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any, override

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.server.ballot import (
    Ballot,
    Hist,
    Init,
    Parameters,
    Ping,
    Vers,
    decode_ballot,
    encode_ballot,
)
from firmware_bridge.server.ring import Phase, Ring
from tests.support.vectors import load

SCENARIOS = load("moat-link/election")["scenarios"]
EARLY = 0.02  # seconds that the recording's clock may be late


class Oracle(Random):
    """Draws what the recorded server must have drawn for its next turn to come when it came."""

    def __init__(self, turns: list[float]) -> None:
        super().__init__()
        self.turns = turns
        self.ring: Ring
        self.now = 0.0

    @property
    def wanted(self) -> float:
        later = [turn for turn in self.turns if turn > self.now + EARLY]
        if not later:
            return 2.0
        parameters = self.ring.parameters
        return (later[0] - self.now - parameters.cycle) / parameters.gap

    @override
    def random(self) -> float:
        return 0.0 if self.wanted <= 1 / 3 else 0.99

    @override
    def uniform(self, a: float, b: float) -> float:
        return min(max(self.wanted, a), b) if b > 0.1 else 0.0


def lives() -> Iterator[Any]:
    """Yield each server's life from start to end: (scenario, name, messages, loud)."""
    for number, scenario in enumerate(SCENARIOS):
        messages = scenario["messages"]
        for name in ("srv-a", "srv-b", "srv-c"):
            if "-L" in scenario["name"] and name == "srv-b":
                continue  # an oddity that is not to be copied
            starts = [
                index
                for index, each in enumerate(messages)
                if decoded(each) == {"node": name, "t": "init"}
            ]
            for start in starts or [0]:
                ends = [
                    index
                    for index, each in enumerate(messages)
                    if index > start and ends_life(each, name)
                ]
                life = messages[start : ends[0] if ends else None]
                if said_by(life, name):
                    yield pytest.param(
                        number, name, life, bool(starts), id=f"{number}{name}{start}"
                    )


def decoded(message: Any) -> Any:
    return message.get("decoded")


def ends_life(message: Any, name: str) -> bool:
    event = message.get("event", "")
    return event == "end" or (event.endswith(name) and event.startswith(("kill", "sigterm")))


def channel(message: Any) -> str:
    return message.get("topic", "").partition("run/service/main/")[2]


def origin(message: Any) -> str:
    return message.get("moat", "").partition("\\")[0]


def said_by(messages: list[Any], name: str) -> list[tuple[float, Any]]:
    """Return when a server said what: a message, or None when it said that it is the main one.

    Once, a server that has just got its data objects to its own ring, and is corrected a second time: a
    race, which is left out.
    """
    found = [
        (each["t"], decode_ballot(decoded(each)) if channel(each) == "ping" else None)
        for each in messages
        if origin(each) == name and channel(each) in ("ping", "conn")
    ]
    return [
        (when, what)
        for (when, what), (_, before) in zip(found, [(0.0, ...), *found], strict=False)
        if not isinstance(what, Hist) or (what.ready and what != before)
    ]


def hear(ring: Ring, message: Any) -> None:
    """Have a machine hear what somebody else has said."""
    match channel(message).split("/"):
        case ["ping"]:
            ring.heard(decode_ballot(decoded(message)), message["t"])
        case ["conn"]:
            ring.claimed(origin(message))
        case ["server", name] if not message.get("payload_hex"):
            ring.gone(name, message["t"])
        case ["down"]:
            ring.gone(origin(message), message["t"])


@pytest.mark.parametrize(("number", "name", "messages", "loud"), list(lives()))
def test_as_recorded(number: int, name: str, messages: list[Any], loud: bool) -> None:
    """In the place of each real server, ours says what that one said, at the same time."""
    expected = said_by(messages, name)
    if loud and expected[1][1] is None:
        del expected[1]  # `-I` says at once that this is the main server
    if not loud:
        joined = next(each["t"] for each in messages if origin(each) != name)
        expected = [each for each in expected if each[0] > joined]
    turns = [when for when, ballot in expected if isinstance(ballot, Ping)]
    oracle = Oracle(turns)
    parameters = Parameters(cycle=50, gap=5) if number == 0 else Parameters(cycle=6, gap=1)
    ring = oracle.ring = Ring(name, oracle, parameters)
    oracle.now = messages[0]["t"]
    found: list[tuple[float, Any]] = []

    def work(until: float) -> None:
        while ring.wake <= until:
            now = max(ring.wake, oracle.now)
            oracle.now = now
            said, claims = ring.due(now)
            found.extend((now, each) for each in said)
            if claims:
                found.append((now, None))
                ring.claimed(name)

    if loud:
        ring.join(oracle.now, quietly=False)
    else:
        ring.rejoin(oracle.now)
        ring.ready = True
    work(oracle.now)
    for message in messages:
        if "topic" in message and origin(message) != name:
            work(message["t"] - EARLY)
            oracle.now = message["t"]
            hear(ring, message)
    work(messages[-1]["t"] + EARLY)
    compare(found, expected)


def compare(found: list[tuple[float, Any]], expected: list[tuple[float, Any]]) -> None:
    """Compare what was said; real servers are a little late now and then."""
    assert [what for _, what in found] == [what for _, what in expected]
    for (mine, _), (theirs, _) in zip(found, expected, strict=True):
        assert mine == pytest.approx(theirs, abs=0.1)


class Network:
    """Machines that hear each other after `DELAY`, unless they are apart or dead."""

    DELAY = 0.003

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.rings: dict[str, Ring] = {}
        self.apart: set[str] = set()
        self.claims: list[tuple[float, str]] = []
        self.under_way: list[tuple[float, str, Ballot | str]] = []

    def start(self, name: str, *, quietly: bool) -> None:
        if name not in self.rings:
            ring = Ring(name, Random(self.random.random()), PARAMETERS)
            self.rings[name] = ring
            ring.join(self.now, quietly=quietly)

    def kill(self, name: str) -> None:
        if self.rings.pop(name, None) is not None:
            for other in self.rings.values():
                other.gone(name, self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            wakes = [ring.wake for ring in self.rings.values()]
            arrivals = [when for when, *_ in self.under_way]
            self.now = min(max(min([*wakes, *arrivals, end]), self.now), end)
            self._deliver()
            for name, ring in self.rings.items():
                self._work(name, ring)

    def tagged(self) -> list[str]:
        return [name for name, ring in self.rings.items() if ring.phase is Phase.TAGGED]

    def _work(self, name: str, ring: Ring) -> None:
        said, claims = ring.due(self.now)
        for ballot in said:
            assert decode_ballot(encode_ballot(ballot)) == ballot
            self.under_way.append((self.now + self.DELAY, name, ballot))
        if claims:
            ring.claimed(name)
            self.claims.append((self.now, name))
            self.under_way.append((self.now + self.DELAY, name, name))

    def _deliver(self) -> None:
        there = [each for each in self.under_way if each[0] <= self.now]
        self.under_way = [each for each in self.under_way if each[0] > self.now]
        for _, sender, what in there:
            for name, ring in self.rings.items():
                if name == sender or (name in self.apart) is not (sender in self.apart):
                    continue
                if isinstance(what, str):
                    ring.claimed(what)
                else:
                    ring.heard(what, self.now)


PARAMETERS = Parameters(cycle=6, gap=1)
ROUND = PARAMETERS.cycle + 2.4 * PARAMETERS.gap
NAMES = [f"srv-{letter}" for letter in "abcd"]  # with x: as many as there is room for
EVENTS = st.tuples(
    st.sampled_from(["start", "start loudly", "kill", "split"]),
    st.sampled_from(NAMES),
    st.floats(0, 40),
)


@given(st.integers(0, 1 << 32), st.lists(EVENTS, max_size=12))
def test_settles(seed: int, events: list[Any]) -> None:
    """Whoever comes, dies, or is apart for a while: in the end, one is the main server at a time."""
    network = Network(seed)
    network.start("srv-x", quietly=True)
    for what, name, wait in events:
        match what:
            case "kill":
                network.kill(name)
            case "split":
                network.apart ^= {name}
            case _:
                network.start(name, quietly=what == "start")
        network.run(wait)
    network.apart = set()
    network.run(12 * ROUND)
    network.claims.clear()
    within = network.rings["srv-x"].members
    assert set(within) <= set(network.rings), "the dead fall out"
    for _ in range(100):
        network.run(ROUND / 10)
        assert len(network.tagged()) <= 1
    claims = [when for when, _ in network.claims]
    gaps = [later - earlier for earlier, later in pairwise(claims)]
    assert len(claims) >= 9
    assert min(gaps) >= PARAMETERS.cycle - 0.1
    assert max(gaps) <= PARAMETERS.cycle + 2.4 * PARAMETERS.gap
    assert {name for _, name in network.claims} >= set(within)


def ring(name: str = "m", *members: str, ready: bool = True) -> Ring:
    """Return a machine in the middle of things, whose chance is always high."""
    machine = Ring(name, Random(1), PARAMETERS, ready=ready, members=list(members))
    machine.rejoin(0.0)
    machine.members = list(members)
    return machine


def test_listens_first() -> None:
    """A quiet machine says who it is, and nothing else for a round; then it begins a ring."""
    mine = Ring("m", Random(1), PARAMETERS)
    mine.join(0.0)
    assert mine.due(0.0) == ([Init("m"), Vers("m", PARAMETERS)], False)
    assert mine.wake == 8.0
    assert mine.due(8.0) == ([Ping("m", False, ("m",))], False)
    assert mine.wake == 16.0
    assert mine.due(16.0) == ([Ping("m", False, ("m",))], False)
    assert mine.due(17.0) == ([], True)
    assert mine.due(24.0) == ([Ping("m", True, ("m",))], False)


def test_versions() -> None:
    """Higher ones are taken over at once; lower ones are told better, unless somebody else does."""
    mine = ring("m", "a", "m")
    higher = Parameters(version=2, cycle=4, gap=1)
    mine.heard(Vers("z", higher), 0.0)
    assert mine.wake == 6.0
    mine.heard(Vers("z", Parameters(version=1)), 1.0)
    assert mine.wake == 1.5
    mine.heard(Vers("a", higher), 1.1)
    assert mine.wake == 6.0
    mine.heard(Vers("z", Parameters(version=1)), 1.2)
    assert mine.due(1.7) == ([Vers("m", higher)], False)
    mine.phase = Phase.TAGGED
    mine.heard(Vers("z", Parameters()), 2.0)
    assert mine.wake == 2.0
    outside = ring("m", "a", "b")
    outside.parameters = higher
    outside.heard(Vers("z", Parameters()), 1.0)
    assert outside.due(3.0) == ([], False)
    same = ring("m", "m")
    same.heard(Vers("z", Parameters(cycle=30)), 1.0)
    assert same.parameters == PARAMETERS
    assert same.due(3.0) == ([], False)


def test_follows_a_main_server() -> None:
    """In the order of the last turns; not if somebody else is quicker, nor twice for one end."""
    mine = ring()
    mine.heard(Ping("a", True, ("a", "m")), 0.0)
    mine.claimed("a")
    mine.gone("b", 3.0)
    mine.gone("m", 3.0)
    mine.gone("a", 3.0)
    assert mine.wake == 3.5
    mine.claimed("c")
    assert mine.due(3.5) == ([], False)
    mine.claimed("a")
    mine.gone("a", 4.0)
    assert mine.due(7.0)[1] is False
    mine.gone("a", 9.5)
    assert mine.due(10.0)[1] is True
    outside = ring()
    outside.claimed("a")
    outside.gone("a", 3.0)
    assert 4.2 <= outside.wake <= 5.2


def test_crowd() -> None:
    """Names without number are not kept; those in the ring are."""
    mine = ring("m", "a", "m")
    mine.heard(Ping("b", True, ("b", "a", "m")), 0.0)
    for number in range(1000):
        mine.heard(Ping(f"x{number}", False, (f"x{number}",)), 1.0)
    assert len(mine._known) <= 256
    assert mine._known["b"]
