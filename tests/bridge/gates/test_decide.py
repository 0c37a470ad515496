"""Which side of a gate wins: examples, and properties of any interleaving."""

import gc
from collections import deque
from dataclasses import dataclass, field

from hypothesis import given, settings, strategies as st

from firmware_bridge.gates.codecs import MAX_PAYLOAD, Json, make
from firmware_bridge.gates.decide import Decider
from firmware_bridge.gates.node import LIVE, Fault, Heard, Send, Told, Write
from firmware_bridge.gates.table import One, Table
from firmware_bridge.link.codec import ABSENT, RemoteObject, Value
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path

G = "GATE.g"
NOW = 1000.0


def decider(codec: Value = "json", **options) -> Decider:
    return Decider(G, One(make(codec)), **options)


def running(codec: Value = "json", **options) -> Decider:
    gate = decider(codec, **options)
    both_read(gate, NOW)
    return gate


def both_read(gate: Decider, now: float):
    gate.inside_read()
    assert gate.settle(now) == []
    gate.outside_read()
    actions = []
    while not gate.settled:
        actions += gate.settle(now, limit=1)
    return actions


def told(value: Value, time: float = NOW, origin: str = "me", **more) -> Told:
    return Told(value, Meta(origin, time), **more)


def heard(payload: str, time: float | None = None, origin: str = "dev", retained=True) -> Heard:
    meta = None if time is None else Meta(origin, time)
    return Heard(payload.encode(), meta=meta, retained=retained)


def from_outside(value: Value, written: float, outer: float, **more) -> Told:
    gw = {"gw": RemoteObject("_MM", ("via:x", outer)), **more}
    return Told(value, Meta(G, written, (), gw))


def started(inside: Told | None, outside: Heard | None, codec: Value = "json", **options):
    """What a gate does at its start."""
    gate = decider(codec, **options)
    if inside is not None:
        gate.tell("x", inside, NOW)
    if outside is not None:
        gate.hear("x", outside, NOW)
    return both_read(gate, NOW)


def send(payload: str, time: float, retain=True, text=False) -> Send:
    return Send("x", payload.encode(), text, retain, time)


# At the start


def test_start_copies_what_is_on_one_side():
    assert started(told(5, 900), None) == [send("5", 900)]
    assert started(None, heard("5")) == [Write("x", 5, NOW, None, live=False)]
    assert started(None, None) == []
    assert started(told(ABSENT, 900), None) == []


def test_start_leaves_alone_what_is_equal():
    assert started(told(5, 900), heard("5")) == []
    assert started(told({"a": 1, "b": 2}, 900), heard('{"b":2,"a":1}')) == []
    assert started(told(5, 900), heard("5", 950)) == []
    assert started(told(21.26, 900), heard("21.3"), {"kind": "number", "precision": 1}) == []


def test_start_compares_types():
    assert started(told(True, 900), heard("1")) == [Write("x", 1, NOW, None, live=False)]
    assert started(told(1, 900), heard("1.0")) == [Write("x", 1.0, NOW, None, live=False)]


def test_start_believes_metadata():
    assert started(told(5, 900), heard("6", 950)) == [
        Write("x", 6, NOW, Meta("dev", 950), live=False)
    ]
    assert started(told(5, 960), heard("6", 950)) == [send("5", 960)]
    assert started(told(5, 950), heard("6", 950)) == [send("5", 950)]


def test_start_without_metadata_outside_wins():
    assert started(told(5, 900), heard("6")) == [Write("x", 6, NOW, None, live=False)]


def test_change_while_down_wins_over_what_the_gate_wrote():
    assert started(told(30, 950), heard("23.5", 900, G)) == [send("30", 950)]


def test_change_outside_while_down():
    assert started(from_outside(5, 960, 900), heard("6", 950)) == [
        Write("x", 6, NOW, Meta("dev", 950), live=False)
    ]


def test_stale_outside_does_not_win():
    assert started(from_outside(5, 960, 955), heard("6", 950)) == [send("5", 955)]


def test_other_codec_from_outside():
    """What has been read outside before is read anew."""
    assert started(from_outside("5", 960, 950), heard("5", 950)) == [
        Write("x", 5, NOW, Meta("dev", 950), live=False)
    ]


def test_deletion_while_down():
    assert started(told(ABSENT, 950), heard("5", 900, G)) == [send("", 950)]
    assert started(told(ABSENT, 950), heard("5", 960)) == [
        Write("x", 5, NOW, Meta("dev", 960), live=False)
    ]


def test_event_from_outside_is_not_put_back():
    assert started(from_outside(5, 960, 950, **{LIVE: True}), None) == []
    assert started(from_outside(5, 960, 950), None) == [send("5", 950)]


def test_unreadable_outside_is_left_alone():
    [fault] = started(told(5, 900), heard("nonsense"))
    assert isinstance(fault, Fault)
    assert "not JSON" in str(fault.problem)


def test_text_of_the_real_gate():
    """With a single codec, it sends text as it is, marked as text."""
    theirs = Heard(b"nr", text=True, meta=Meta(G, 900), retained=True)
    assert started(told("nr", 900), theirs) == []
    assert isinstance(started(None, Heard(b"nr", text=True, retained=True))[0], Fault)


# While it runs


def test_passes_on_with_the_original_time():
    gate = running()
    assert gate.tell("x", told("a", 900), NOW) == [send('"a"', 900)]
    assert gate.tell("x", told(ABSENT, 950), NOW) == [send("", 950)]


def test_takes_every_message_from_outside():
    """A repetition is news: the value was true again."""
    gate = running()
    assert gate.hear("x", heard("5"), NOW) == [Write("x", 5, NOW, None, live=False)]
    assert gate.hear("x", heard("5"), NOW + 1) == [Write("x", 5, NOW + 1, None, live=False)]
    assert gate.hear("x", heard("6", retained=False), NOW + 2) == [
        Write("x", 6, NOW + 2, None, live=True)
    ]
    assert gate.hear("x", heard(""), NOW + 3) == [Write("x", ABSENT, NOW + 3, None, live=False)]
    assert gate.hear("x", heard(""), NOW + 4) == []


def test_empty_event_is_nothing():
    gate = running()
    gate.hear("x", heard("5"), NOW)
    assert gate.hear("x", heard("", retained=False), NOW) == []


def test_echoes_are_not_passed_on():
    gate = running()
    gate.tell("x", told(5, 900), NOW)
    assert gate.hear("x", heard("5", 900, G), NOW) == []
    [write] = gate.hear("x", heard("6"), NOW)
    assert gate.tell("x", from_outside(6, write.time, NOW), NOW) == []


def test_old_message_from_outside_is_corrected():
    gate = running()
    gate.tell("x", told(5, 900), NOW)
    gate.hear("x", heard("5", 900, G), NOW)
    assert gate.hear("x", heard("6", 800), NOW) == [send("5", 900)]


def test_same_time_first_one_stays():
    gate = running()
    gate.hear("x", heard("5", 900), NOW)
    assert gate.hear("x", heard("6", 900), NOW) == [send("5", 900)]


def test_somebody_who_does_not_listen():
    """Whoever repeats something old is contradicted ever more slowly."""
    gate = running()
    gate.tell("x", told(5, 900), NOW)
    now, corrections = NOW, 0
    for _ in range(100_000):
        sent = [*gate.hear("x", heard("6", 800), now), *gate.due(now)]
        for each in sent:
            gate.hear("x", heard("5", each.time, G), now)
        corrections += len(sent)
        now += 0.01
    assert 5 < corrections < 40


def test_crossing_messages_come_together():
    """Ours goes out while a newer one comes in: what arrives outside last is put right."""
    gate = running()
    gate.tell("x", told(1, 990), NOW)
    [write] = gate.hear("x", heard("2"), NOW)
    assert write.value == 2
    assert gate.hear("x", heard("1", 990, G), NOW) == [send("2", NOW)]
    assert gate.hear("x", heard("2", NOW, G), NOW) == []


def test_future_times_lock_nobody_out():
    gate = running()
    gate.tell("x", told(1, NOW + 5000), NOW)
    assert [each.value for each in gate.hear("x", heard("2", NOW + 1), NOW + 1)] == [2]
    gate.hear("x", heard("3", 1e15), NOW + 2)
    assert [each.value for each in gate.hear("x", heard("4", NOW + 3), NOW + 3)] == [4]


def test_gates_in_a_circle_come_to_rest():
    gate = running()
    gate.hear("x", heard("5"), NOW)
    assert gate.tell("x", told(5, NOW + 1, "GATE.other"), NOW + 1) == []
    assert gate.tell("x", told(6, NOW + 2, "GATE.other"), NOW + 2) == [send("6", NOW + 2)]


def test_speed_keeps_the_latest():
    gate = running(speed=2)
    assert len(gate.hear("x", heard("1"), NOW)) == 1
    assert gate.hear("x", heard("2"), NOW + 0.5) == []
    assert gate.hear("x", heard("3"), NOW + 0.6) == []
    assert gate.next_due == NOW + 2
    assert gate.due(NOW + 1.9) == []
    [write] = gate.due(NOW + 2)
    assert write.value == 3
    assert gate.next_due == float("inf")


def test_speed_and_a_newer_change_inside():
    gate = running(speed=2)
    gate.hear("x", heard("1"), NOW)
    gate.hear("x", heard("2"), NOW + 0.5)
    assert gate.tell("x", told(9, NOW + 1), NOW + 1) == [send("9", NOW + 1)]
    assert gate.due(NOW + 3) == []


def test_without_retain_only_changes_are_sent():
    assert started(told(5, 900), None, retain=False) == []
    gate = running(retain=False)
    assert gate.tell("x", told(5, 900), NOW) == [send("5", 900, retain=False)]
    assert gate.tell("x", told(ABSENT, 950), NOW) == []


def test_retain_as_at_moat():
    gate = running(retain=None)
    assert gate.tell("x", told(5, 900, retained=False), NOW) == [send("5", 900, retain=False)]
    assert gate.tell("x", told(6, 950), NOW) == [send("6", 950)]


def test_what_cannot_be_sent():
    gate = running("bool")
    [fault] = gate.tell("x", told("on", 900), NOW)
    assert "not true or false" in fault.problem
    assert gate.tell("x", told(True, 950), NOW) == [Fault("x", None), send("ON", 950)]


def test_unreadable_and_readable_again():
    gate = running()
    [fault] = gate.hear("x", heard("{"), NOW)
    assert fault.topic == "x"
    well, write = gate.hear("x", heard("5"), NOW)
    assert well == Fault("x", None)
    assert write.value == 5
    [write] = gate.hear("x", heard("6"), NOW)
    assert write.value == 6


def test_other_rules_are_applied_to_what_is_there():
    gate = Decider(G, Table({":h": {"codec": "text"}}, {}))
    gate.tell("in", told("x", 900), NOW)
    gate.tell("left", told(True, 900), NOW)
    both_read(gate, NOW)
    gate.hear("x", heard("ON"), NOW)
    gate.use(Table({"x": {"codec": "bool"}, "left": {"codec": "bool"}}, {}))
    actions = gate.settle(NOW + 1)
    assert gate.settled
    assert Write("x", True, NOW + 1, None, live=False) in actions
    assert Send("left", b"ON", text=True, retain=True, time=900) in actions


# Read again


def again(gate: Decider, inside: Told | None, outside: Heard | None, now: float = NOW + 10):
    gate.begin()
    if inside is not None:
        gate.tell("x", inside, now)
    if outside is not None:
        gate.hear("x", outside, now)
    return both_read(gate, now)


def test_change_inside_during_an_outage_wins_over_what_was_known_outside():
    gate = running()
    gate.hear("x", heard("5"), NOW)
    assert again(gate, told(6, NOW + 5), heard("5")) == [send("6", NOW + 5)]


def test_change_outside_during_an_outage():
    gate = running()
    [write] = gate.hear("x", heard("5"), NOW)
    same = from_outside(5, write.time, NOW)
    assert [each.value for each in again(gate, same, heard("7"))] == [7]


def test_nothing_happened_during_an_outage():
    gate = running()
    [write] = gate.hear("x", heard("5"), NOW)
    assert again(gate, from_outside(5, write.time, NOW), heard("5")) == []


def test_a_broker_that_has_forgotten_is_supplied():
    gate = running()
    [write] = gate.hear("x", heard("5"), NOW)
    assert again(gate, from_outside(5, write.time, NOW), None) == [send("5", NOW)]
    gate.hear("x", heard("5", NOW, G), NOW)
    assert again(gate, None, heard("5", NOW, G)) == [Write("x", 5, NOW + 10, Meta(G, NOW), False)]


def test_what_was_lost_on_its_way_is_said_again():
    gate = running()
    gate.hear("x", heard("5"), NOW)
    gate.tell("x", told(6, NOW + 1), NOW + 1)  # never arrived outside
    assert again(gate, told(6, NOW + 1), heard("5")) == [send("6", NOW + 1)]
    gate.hear("x", heard("7"), NOW + 20)  # never arrived inside
    [repeated] = again(gate, told(6, NOW + 1), heard("7"), NOW + 30)
    assert repeated == Write("x", 7, NOW + 30, None, live=False)


def test_too_many_nodes(monkeypatch):
    monkeypatch.setattr("firmware_bridge.gates.nodes.MAX_NODES", 2)
    gate = running()
    for number in range(5):
        gate.hear(f"n{number}", heard("1"), NOW)
    assert gate.count == 2
    assert gate.dropped == 3


def test_too_many_bytes(monkeypatch):
    """What is remembered stays within its limit, while it is read and later."""
    monkeypatch.setattr("firmware_bridge.gates.nodes.MAX_BYTES", 100)
    gate = decider("text")
    for _ in range(2):  # what is known from before counts while all is read anew
        for number in range(5):
            gate.hear(f"n{number}", heard("x" * 30), NOW)
        both_read(gate, NOW)
        gate.begin()
    assert gate.dropped == 2 + 5
    both_read(gate, NOW)
    [write] = gate.hear("n0", heard("y" * 100), NOW)
    assert write.value == "y" * 100
    assert gate.hear("n1", heard("z"), NOW) == []
    gate.hear("n0", heard(""), NOW)
    [write] = gate.hear("n1", heard("z"), NOW)
    assert write.value == "z"
    assert gate.hear("n2", heard("z" * 100), NOW) == []


def test_many_small_containers_take_little():
    """What is a byte or two outside takes seventy as an object."""

    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    gate = decider()
    before = objects()
    gate.tell("told", told([{} for _ in range(9_999)]), NOW)
    gate.hear("heard", heard(f"[{','.join(['{}'] * 10_000)}]"), NOW)
    assert objects() - before < 5_000
    actions = both_read(gate, NOW)
    assert {type(each) for each in actions} == {Send, Write}
    del actions
    assert objects() - before < 5_000
    assert gate.tell("heard", told([{} for _ in range(9_999)], NOW + 1), NOW)
    assert objects() - before < 5_000


def test_what_waits_counts(monkeypatch):
    monkeypatch.setattr("firmware_bridge.gates.nodes.MAX_BYTES", 100)
    gate = running("text", speed=10.0)
    for payload in ("", "x" * 50):
        gate.hear("n", heard(payload), NOW)
    gate.hear("n", Heard(b"y" * 50, meta=Meta(G, NOW)), NOW)  # our own, from before
    assert gate.hear("m", heard("z"), NOW) == []
    assert gate.dropped == 1
    [write] = gate.due(NOW + 10)[:1]
    assert write.value == "x" * 50
    assert gate.hear("m", heard("z"), NOW + 10)


def test_of_a_message_too_long_the_beginning_is_kept():
    gate = running("text")
    long = Heard.of(b"x" * (MAX_PAYLOAD + 1), text=False, meta=None, retained=True)
    assert len(long.payload) == 1000
    [fault] = gate.hear("x", long, NOW)
    assert fault.problem == "262145 bytes are too many"
    right = Heard.of(b"x" * MAX_PAYLOAD, text=False, meta=None, retained=True)
    assert len(right.payload) == MAX_PAYLOAD


# Any interleaving


@dataclass
class World:
    """Two sides with a wire from and to the gate each; MoaT keeps the newest, outside the last."""

    gate: Decider
    now: float = NOW
    inside: Told | None = None
    outside: Heard | None = None
    inwards: deque = field(default_factory=deque)
    outwards: deque = field(default_factory=deque)
    tellings: deque = field(default_factory=deque)
    hearings: deque = field(default_factory=deque)
    sent: int = 0
    highest: float = 0.0

    def put_inside(self, value: Told) -> None:
        if self.inside is None or value.meta.time > self.inside.meta.time:
            self.inside = value
            self.tellings.append(value)

    def put_outside(self, value: Heard) -> None:
        self.outside = value
        self.hearings.append(value)

    def act(self, actions) -> None:
        for each in actions:
            self.sent += 1
            if isinstance(each, Send):
                meta = Meta(G, each.time)
                self.outwards.append(Heard(each.payload, each.text, meta, each.retain))
            elif isinstance(each, Write):
                outer = each.outer or Meta("via:g", self.now)
                gw = {} if each.inner else {"gw": RemoteObject("_MM", (outer.origin, outer.time))}
                self.inwards.append(Told(each.value, Meta(G, each.time, (), gw)))

    def step(self, which: int) -> None:
        """Let the head of one wire arrive."""
        queue = (self.tellings, self.hearings, self.inwards, self.outwards)[which]
        if not queue:
            return
        head = queue.popleft()
        if which == 0:
            self.act(self.gate.tell("x", head, self.now))
        elif which == 1:
            self.act(self.gate.hear("x", head, self.now))
        elif which == 2:
            self.put_inside(head)
        else:
            self.put_outside(head)

    def drain(self) -> None:
        for _ in range(2000):
            self.act(self.gate.settle(self.now))
            if not (self.tellings or self.hearings or self.inwards or self.outwards):
                if self.gate.next_due == float("inf"):
                    return
                self.now = max(self.now, self.gate.next_due)
                self.act(self.gate.due(self.now))
            for which in range(4):
                self.step(which)
        raise AssertionError("a loop")

    def agreed(self) -> tuple[object, object]:
        inner = ABSENT if self.inside is None else self.inside.value
        outer = self.outside
        return inner, Json().decode(outer.payload) if outer and outer.payload else ABSENT


values = st.sampled_from([0, 1, 2, True, "a", ABSENT])
lags = st.sampled_from([0.0, 0.0, 0.0, 0.5, 30.0])
events = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 3)),
        st.tuples(st.just("inside"), values, lags),
        st.tuples(st.just("outside"), values, st.none() | lags),
        st.tuples(st.just("restart"), st.booleans(), st.booleans()),
        st.tuples(st.just("settle")),
        st.tuples(st.just("wait"), st.sampled_from([0.001, 0.1, 5.0])),
    ),
    max_size=30,
)


def play(world: World, event) -> None:
    world.now += 0.001
    match event:
        case ("step", which):
            world.step(which)
        case ("inside", value, lag):
            world.put_inside(told(value, world.now - lag))
        case ("outside", value, lag):
            payload = "" if value is ABSENT else Json().encode(value).payload.decode()
            time = None if lag is None else world.now - lag
            world.put_outside(heard(payload, time))
        case ("wait", seconds):
            world.now += seconds
            world.act(world.gate.due(world.now))
        case ("restart", keep, tombstones):
            world.inwards.clear()
            world.outwards.clear()
            world.tellings.clear()
            world.hearings.clear()
            if not keep:
                world.gate = decider(speed=world.gate.speed)
            world.gate.begin()
            if world.inside is not None and (tombstones or world.inside.value is not ABSENT):
                world.gate.tell("x", world.inside, world.now)
            if world.outside is not None and world.outside.payload:
                world.gate.hear("x", world.outside, world.now)
            world.gate.inside_read()
            world.gate.outside_read()
        case ("settle",):
            world.act(world.gate.settle(world.now))


@settings(max_examples=250, deadline=None)
@given(events, st.sampled_from([0.0, 0.05]))
def test_both_sides_come_together(script, speed):
    """Whatever happens in whatever order: in the end both sides agree, and it is quiet."""
    world = World(running(speed=speed))
    for event in script:
        play(world, event)
    world.drain()
    inner, outer = world.agreed()
    assert (type(inner), inner) == (type(outer), outer)
    assert world.sent <= 12 * len(script) + 12


@settings(max_examples=250, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("step"), st.integers(0, 3)),
            st.tuples(st.just("inside"), values, st.just(0.0)),
            st.tuples(st.just("outside"), values, st.just(0.0)),
        ),
        max_size=30,
    )
)
def test_the_newest_wins(script):
    """With metadata on both sides, the last value that somebody gave is the one that stays."""
    world = World(running())
    newest = ABSENT
    for event in script:
        play(world, event)
        if event[0] in {"inside", "outside"}:
            newest = event[1]
    world.drain()
    assert world.agreed()[0] == newest


def test_src_itself_is_a_node():
    """The node at src and dst themselves has the empty topic."""
    gate = running()
    assert gate.hear("", Heard(b"5", retained=True), NOW)[0].topic == ""
    assert Path.from_topic("home") / Path() == Path("home")
