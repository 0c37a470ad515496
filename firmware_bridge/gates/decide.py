"""Which side of a gate wins, node by node. Pure: times and messages are passed in, actions come out.

Both sides are to agree. Newer wins; a deletion is a value like any other. What bears the gate's own
origin is an echo, and is never passed on. Outside, a message without metadata counts as of now.

A side is compared with the other when both have been read (`inside_read`, `outside_read`); what is
not there is never taken for a deletion, as a broker may have forgotten it. What has been agreed is
remembered from one reading to the next: outside, nothing is new if it is as it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from ..link.codec import ABSENT, Value
from .codecs import translated, written
from .node import Action, Fault, Heard, Node, Send, Told, Write, adopt, believed, same
from .nodes import Nodes
from .plain import CodecError
from .table import Rule, Rules

STEP: Final = 0.001
PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0


@dataclass(slots=True, eq=False)
class Decider:
    """One gate's decisions."""

    origin: str
    rules: Rules
    retain: bool | None = True
    speed: float = 0.0
    inside_ready: bool = False
    outside_ready: bool = False
    _nodes: Nodes = field(default_factory=Nodes)
    _unsettled: dict[str, bool] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)
    _due: dict[str, None] = field(default_factory=dict)
    _soonest: float = inf
    _faulty: set[str] = field(default_factory=set)

    @property
    def running(self) -> bool:
        """Whether both sides have been read."""
        return self.inside_ready and self.outside_ready

    @property
    def dropped(self) -> int:
        """How many messages were left out because there is no room for more."""
        return self._nodes.dropped

    @property
    def count(self) -> int:
        """How many nodes are known."""
        return len(self._nodes)

    def blame(self, topics: Iterable[str]) -> None:
        """Take note of topics that could not be translated before; good news will clear that."""
        self._faulty.update(topics)

    @property
    def next_due(self) -> float:
        """When `due` may have something to do."""
        return self._soonest

    # Reading both sides

    def begin(self) -> None:
        """Read both sides anew."""
        self.inside_ready = self.outside_ready = False
        self._unsettled.clear()
        self._due.clear()
        self._soonest = inf
        for node in self._nodes.values():
            node.told = node.fresh = node.waiting = None
            node.due = inf
            self._nodes.weigh(node)

    def inside_read(self) -> None:
        """Take note that all there is inside was told."""
        self.inside_ready = True
        self._both_read()

    def outside_read(self) -> None:
        """Take note that all there is outside was heard."""
        self.outside_ready = True
        self._both_read()

    def use(self, rules: Rules) -> None:
        """Translate by other rules from now on; what they change is for `settle` to correct."""
        self.rules = rules
        if self.running:
            self._unsettled = dict.fromkeys(self._nodes, False) | self._unsettled
            self._order = list(self._unsettled)

    @property
    def settled(self) -> bool:
        """Whether both sides have been read and compared."""
        return self.running and not self._unsettled

    def settle(self, now: float, limit: int = 100) -> list[Action]:
        """Bring some more nodes together; call it until all are `settled`."""
        actions: list[Action] = []
        for topic in self._order[-limit:]:
            actions += self._settle(topic, self._nodes[topic], now)
            self._nodes.weigh(self._nodes[topic])
        del self._order[-limit:]
        return actions

    # Messages

    def tell(self, topic: str, told: Told, now: float) -> list[Action]:
        """Take a message from inside."""
        node = self._nodes.make(topic, reading=not self.running)
        if node is None:
            return []
        if not self.running:
            if node.told is None or told.meta.time > node.told.meta.time:
                node.note(told)
            return []
        actions = self._settle(topic, node, now) + self._told(topic, node, told, now)
        self._nodes.weigh(node)
        return actions

    def _told(self, topic: str, node: Node, told: Told, now: float) -> list[Action]:
        ours = told.meta.origin == self.origin
        time, inside = told.meta.time, node.inside
        if time <= inside and (ours or not node.written):
            return []
        if time < inside and time <= node.outside:
            return []  # of the same time as ours it came before ours, and stays
        adopt(node, told, self.origin, now)
        rule = self.rules.find(topic)
        if ours or rule is None or self._knows(node, rule, told):
            return []
        actions = self._send(topic, node, rule)
        if time < inside:  # newer than what we took from outside, but not than when we wrote it
            node.inside = inside + STEP
            node.written = True
            actions.append(Write(topic, node.value, node.inside, None, live=False, inner=True))
        return actions

    def hear(self, topic: str, heard: Heard, now: float) -> list[Action]:
        """Take a message from outside."""
        node = self._nodes.make(topic, heard, reading=not self.running)
        if node is None:
            return []
        actions: list[Action] = []
        if self.running:
            actions = self._settle(topic, node, now) + self._heard(topic, node, heard, now)
        else:
            node.fresh = heard
        self._nodes.weigh(node)
        return actions

    def _heard(self, topic: str, node: Node, heard: Heard, now: float) -> list[Action]:
        if heard.meta is not None and heard.meta.origin == self.origin:
            return self._echoed(topic, node, heard, now)
        if not heard.payload and not heard.retained:
            return []  # nothing was said, and nothing deleted
        node.heard = heard
        if (rule := self.rules.find(topic)) is None:
            return []
        try:
            value = self._decoded(heard, rule)
        except CodecError as err:
            return self._fault(topic, f"{err}", heard.payload)
        actions = self._well(topic)
        time = believed(heard, now)
        if time is not None and time <= node.outside and node.known:
            if not same(node, rule, heard, value):
                actions += self._correct(topic, node, rule, now)
            return actions
        speed = self.speed if rule.speed is None else rule.speed
        if speed and now < node.taken + speed:
            node.waiting = (heard, now)
            self._schedule(topic, node, node.taken + speed)
            return actions
        return actions + self._take(topic, node, heard, value, now)

    def due(self, now: float) -> list[Action]:
        """Do what had to wait."""
        actions: list[Action] = []
        if now < self._soonest:
            return actions
        for topic in [topic for topic in self._due if self._nodes[topic].due <= now]:
            del self._due[topic]
            node = self._nodes[topic]
            node.due = inf
            waiting, node.waiting = node.waiting, None
            rule = self.rules.find(topic)
            if rule is None:
                continue
            if waiting is None:
                actions += self._look_again(topic, node, rule, now)
                continue
            heard, _ = waiting
            try:
                actions += self._take(topic, node, heard, self._decoded(heard, rule), now)
            except CodecError as err:
                actions += self._fault(topic, str(err), heard.payload)
            if node.heard is not heard:
                actions += self._look_again(topic, node, rule, now)
            self._nodes.weigh(node)
        self._soonest = min((self._nodes[topic].due for topic in self._due), default=inf)
        return actions

    # Deciding

    def _both_read(self) -> None:
        if self.running:
            self._unsettled = dict.fromkeys(self._nodes, True)
            self._order = list(self._unsettled)

    def _settle(self, topic: str, node: Node, now: float) -> list[Action]:
        """Bring a node together, unless it is: because both sides were read, or for other rules."""
        match self._unsettled.pop(topic, None):
            case None:
                return []
            case True:
                return self._reconcile(topic, node, now)
        rule = self.rules.find(topic)
        return [] if rule is None else self._compare(topic, node, rule, None, now)

    def _reconcile(self, topic: str, node: Node, now: float) -> list[Action]:
        """Bring the two sides of a node together, after both have been read."""
        told = node.noted()
        before, fresh, node.fresh = node.heard, node.fresh, None
        node.heard = fresh
        node.sent = 0
        lacks = node.known and (told is None or told.meta.time < node.inside)
        if told is not None and (not node.known or told.meta.time > node.inside):
            adopt(node, told, self.origin, now)
        rule = self.rules.find(topic)
        if rule is None:
            return []
        actions = self._compare(topic, node, rule, before, now)
        lacks = lacks and (told is not None or node.value is not ABSENT)
        if lacks and not any(isinstance(each, Write) for each in actions):
            outer = node.heard.meta if node.heard and node.from_outside else None
            inner = not node.from_outside
            # newer than a deletion that nobody told us: those who know it are to take this, too
            node.inside = max(now, node.inside + STEP)
            node.written = True
            actions.append(Write(topic, node.value, node.inside, outer, node.live, inner))
        return actions

    def _compare(
        self, topic: str, node: Node, rule: Rule, before: Heard | None, now: float
    ) -> list[Action]:
        """Compare what was agreed with what is outside now, and was `before` when it was agreed."""
        heard = node.heard
        if heard is None:
            if not node.known or node.value is ABSENT or node.live:
                return []
            return self._supply(topic, node, rule)
        try:
            value = self._decoded(heard, rule)
        except CodecError as err:
            return self._fault(topic, str(err), heard.payload)
        actions = self._well(topic)
        time = believed(heard, now)
        if not node.known:
            return actions + self._take(topic, node, heard, value, now)
        if same(node, rule, heard, value):
            node.outside = max(node.outside, time or -inf)
            return actions
        if heard == before or (
            time is not None
            and (time < node.outside or (time == node.outside and not node.from_outside))
        ):
            return actions + self._supply(topic, node, rule)
        return actions + self._take(topic, node, heard, value, now)

    def _take(self, topic: str, node: Node, heard: Heard, value: Value, now: float) -> list[Action]:
        """Let what is outside win."""
        gone = value is node.value is ABSENT and node.from_outside
        time = believed(heard, now)
        node.known = True
        node.value = value
        node.from_outside = True
        node.live = not heard.retained
        node.retained = True
        node.outside = max(now, node.outside + STEP) if time is None else time
        node.taken = now
        node.pause, node.correct_after = 0.0, -inf
        if gone:
            return []
        node.inside = max(now, node.inside + STEP)
        node.written = True
        return [Write(topic, value, node.inside, heard.meta, node.live)]

    def _echoed(self, topic: str, node: Node, heard: Heard, now: float) -> list[Action]:
        """Take what we have sent ourselves; it may have overtaken something newer."""
        node.heard = heard
        node.sent = max(0, node.sent - 1)
        if node.sent or heard.meta is None or heard.meta.time >= node.outside or node.waiting:
            return []
        rule = self.rules.find(topic)
        return [] if rule is None else self._look_again(topic, node, rule, now)

    def _look_again(self, topic: str, node: Node, rule: Rule, now: float) -> list[Action]:
        """Correct what is outside if it is not what was agreed."""
        if node.heard is None or not node.known or node.sent:
            return []
        try:
            value = self._decoded(node.heard, rule)
        except CodecError:
            return []
        if same(node, rule, node.heard, value):
            return []
        return self._correct(topic, node, rule, now)

    def _correct(self, topic: str, node: Node, rule: Rule, now: float) -> list[Action]:
        """Say outside again what was agreed; ever more slowly, to somebody who does not listen."""
        if node.waiting is not None:
            return []
        if now < node.correct_after:
            self._schedule(topic, node, node.correct_after)
            return []
        node.pause = min(max(PAUSE, 2 * node.pause), LONGEST_PAUSE)
        node.correct_after = now + node.pause
        return self._supply(topic, node, rule)

    def _supply(self, topic: str, node: Node, rule: Rule) -> list[Action]:
        """Send a state, not an event: nothing if nothing stays outside."""
        return self._send(topic, node, rule) if self._stays(node, rule) else []

    def _send(self, topic: str, node: Node, rule: Rule) -> list[Action]:
        retain = self._stays(node, rule)
        if node.value is ABSENT:
            if not retain:
                return []
            node.sent += 1
            return [
                *self._well(topic),
                Send(topic, b"", text=False, retain=True, time=node.outside),
            ]
        try:
            encoded = written(rule.codec, node.value)
        except CodecError as err:
            return self._fault(topic, f"cannot be sent: {err}")
        node.sent += 1
        text = encoded.text and rule.marked
        send = Send(topic, encoded.payload, text, retain, node.outside)
        return [*self._well(topic), send]

    def _stays(self, node: Node, rule: Rule) -> bool:
        retain = self.retain if rule.retain is None else rule.retain
        return node.retained if retain is None else retain

    def _knows(self, node: Node, rule: Rule, told: Told) -> bool:
        """Whether another gate tells what is outside already: gates in a circle come to rest."""
        if not told.meta.origin.startswith("GATE.") or node.heard is None:
            return False
        try:
            return same(node, rule, node.heard, self._decoded(node.heard, rule))
        except CodecError:
            return False

    def _decoded(self, heard: Heard, rule: Rule) -> Value:
        if heard.size:
            raise CodecError(f"{heard.size} bytes are too many")
        if not heard.payload:
            return ABSENT
        if heard.text and not rule.marked and heard.meta and heard.meta.origin == self.origin:
            # the real gate sends text as it is when there is a single codec
            return heard.payload.decode(errors="replace")
        return translated(rule.codec, heard.payload)

    # Keeping

    def _schedule(self, topic: str, node: Node, when: float) -> None:
        node.due = when
        self._due[topic] = None
        self._soonest = min(self._soonest, when)

    def _fault(self, topic: str, problem: str, payload: bytes = b"") -> list[Action]:
        self._faulty.add(topic)
        return [Fault(topic, problem, payload)]

    def _well(self, topic: str) -> list[Action]:
        if topic not in self._faulty:
            return []
        self._faulty.discard(topic)
        return [Fault(topic, None)]
