"""Whatever happens in whatever order: the site says what a naive model says."""

from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from custom_components.moat_link.link.codec import ABSENT
from custom_components.moat_link.link.describe import parse_device
from custom_components.moat_link.model import Point
from custom_components.moat_link.model.values import WRONG, reader_for
from tests.support.effort import examples

from .world import World

TOPICS = ["t/0", "t/1", "t/2"]
ALIVE = ["run/host/one", "run/host/two"]
IDS = ["_1", "_2"]
DEVICES = ["alpha", "beta"]
VALUES = [0, 1, 1.0, 5.5, True, False, None, "on", "x", {"i": 1}, {"i": 2}, {"i": True}, [1], b""]
KINDS: list[dict[str, Any]] = [
    {"quantity": "power"},
    {"quantity": "power", "item": "i"},
    {"quantity": "relay"},
    {"quantity": "relay", "on": 1, "off": 0, "item": "i"},
    {"quantity": "enum", "options": ["on", "x"]},
    {"quantity": "enum", "options": [[None, "none"], [True, "yes"]], "item": []},
]
ROWS = st.builds(
    lambda key, kind, topic, age: (
        {"key": key, "path": topic.split("/")} | kind | ({"max_age": age} if age else {})
    ),
    st.sampled_from(["p", "q", "r"]),
    st.sampled_from(KINDS),
    st.sampled_from(TOPICS),
    st.sampled_from([None, None, 5, 30]),
)
AT_FIRST: list[dict[str, Any]] = [
    {"key": "p", "path": ["t", "0"], "max_age": 5},
    {"key": "q", "path": ["t", "1"], "max_age": 30},
    {"key": "r", "path": ["t", "0"]},
]


class Naive:
    """Computes everything anew from everything that was ever said."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.connected = True
        self.devices: dict[str, dict[str, Any]] = {}
        self.messages: dict[str, tuple[Any, float]] = {}
        self.pings: dict[str, list[Any]] = {}

    def owner_id(self, alive: str) -> Any:
        value, _ = self.messages.get(alive, (ABSENT, 0))
        return value.get("id") if isinstance(value, dict) else None

    def alive(self, device: dict[str, Any]) -> bool:
        if (alive := device.get("alive")) is None:
            return True
        topic = "/".join(alive)
        value, _ = self.messages.get(topic, (ABSENT, 0))
        if not isinstance(value, dict) or value.get("up") is False:
            return False
        ping = self.pings.get(self.owner_id(topic))
        return ping is None or ping[1]

    def tick(self) -> None:
        wanted = {
            self.owner_id("/".join(d["alive"])) for d in self.devices.values() if "alive" in d
        }
        for name, ping in list(self.pings.items()):
            if self.connected and self.now - ping[0] > 25:
                if name in wanted:
                    ping[1] = False
                else:
                    del self.pings[name]

    def states(self) -> dict[tuple[str, str], tuple[Any, bool]]:
        """Return value and availability of every point."""
        found: dict[tuple[str, str], tuple[Any, bool]] = {}
        for name, device in self.devices.items():
            parsed, issues = parse_device(name, device)
            assert issues == []
            for point in parsed.points:
                assert point.path is not None
                raw, received = self.messages.get(point.path.topic, (ABSENT, 0))
                if point.item:
                    raw = raw.get("i", ABSENT) if isinstance(raw, dict) else ABSENT
                there = raw is not ABSENT
                fresh = point.max_age is None or self.now - received < point.max_age
                value = reader_for(point)(raw) if there else None
                available = there and fresh and self.connected and self.alive(device)
                found[name, point.key] = (None if value is WRONG else value, available)
        return found


class SiteMachine(RuleBasedStateMachine):
    """Does the same to both."""

    @initialize()
    def start(self) -> None:
        self.naive = Naive()
        self.world = World()
        self.changes = 0
        self.woken: list[tuple[str, str]] = []
        self.seen: dict[tuple[str, str], tuple[Point, Any]] = {}
        self.world.site.on_point_added(self._follow)
        self.describe(
            "alpha", [kind | row for kind, row in zip(KINDS, AT_FIRST, strict=False)], ALIVE[0]
        )
        self.announce(ALIVE[0], {"id": "_1"})

    def _follow(self, point: Point) -> None:
        name = (point.device.id, point.description.key)
        point.subscribe(lambda: self.woken.append(name))

    def _say(self, topic: str, value: Any) -> None:
        self.naive.messages[topic] = (value, self.naive.now)
        self.world.say(topic, value)

    @rule(
        name=st.sampled_from(DEVICES),
        rows=st.lists(ROWS, max_size=3, unique_by=lambda row: row["key"]),
        alive=st.none() | st.sampled_from(ALIVE),
    )
    def describe(self, name: str, rows: list[Any], alive: str | None) -> None:
        device: dict[str, Any] = {"v": 1, "name": name, "points": rows}
        before = self.naive.devices.get(name, {})
        if before and before.get("alive") and self.naive.alive(before):
            alive = "/".join(before["alive"])  # who else describes it is another test's matter
        if alive:
            device["alive"] = alive.split("/")
        if before.get("alive") != device.get("alive"):
            self.changes += 1  # an owner who comes back with the same words fights for its device
            device["software"] = str(self.changes)
        self.naive.devices[name] = device
        self.world.say(f"device/{name}", device)

    @rule(name=st.sampled_from(DEVICES))
    def undescribe(self, name: str) -> None:
        self.naive.devices.pop(name, None)
        self.world.forget(f"device/{name}")

    @rule(topic=st.sampled_from(TOPICS), value=st.sampled_from([*VALUES, ABSENT]))
    def value(self, topic: str, value: Any) -> None:
        self._say(topic, value)

    @rule(
        topic=st.sampled_from(TOPICS),
        values=st.lists(st.sampled_from([1, 2, True]), min_size=1, max_size=4),
        seconds=st.sampled_from([2.0, 4.0]),
    )
    def stream(self, topic: str, values: list[Any], seconds: float) -> None:
        for value in values:
            self._say(topic, value)
            self.agree()
            self.wait(seconds)
            self.agree()

    @rule(
        topic=st.sampled_from(ALIVE),
        value=st.sampled_from([{"id": name} for name in IDS] + [{"id": "_1", "up": False}, ABSENT]),
    )
    def announce(self, topic: str, value: Any) -> None:
        self._say(topic, value)

    @rule(name=st.sampled_from(IDS), up=st.booleans())
    def ping(self, name: str, up: bool) -> None:
        self.naive.pings[name] = [self.naive.now, up]
        self.world.say(f"run/ping/id/{name}", {"up": up}, known=False)

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.0, 26.0]))
    def wait(self, seconds: float) -> None:
        self.naive.now += seconds
        self.naive.tick()
        self.world.wait(seconds)

    @rule(connected=st.booleans())
    def connect(self, connected: bool) -> None:
        if connected and not self.naive.connected:
            for ping in self.naive.pings.values():
                ping[0] = self.naive.now
        self.naive.connected = connected
        self.world.site.set_connected(connected)

    @invariant()
    def agree(self) -> None:
        expected = self.naive.states()
        points = {
            (device.id, key): point
            for device in self.world.site.devices.values()
            for key, point in device.points.items()
        }
        assert {name: (p.value, p.available) for name, p in points.items()} == expected
        changed = sorted(
            name
            for name, (point, state) in self.seen.items()
            if points.get(name) is point and state != expected[name]
        )
        assert sorted(self.woken) == changed
        self.woken.clear()
        self.seen = {name: (point, expected[name]) for name, point in points.items()}

    def teardown(self) -> None:
        for name in DEVICES:
            self.world.forget(f"device/{name}")
        assert self.world.empty()


TestSite = SiteMachine.TestCase
TestSite.settings = settings(max_examples=examples(60), stateful_step_count=50)
