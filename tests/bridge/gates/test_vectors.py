"""What the real gates were told and heard, and what they said: ours says the same, but for its defects."""

from dataclasses import dataclass, field
from typing import Any

from firmware_bridge.gates.codecs import make, translated, written
from firmware_bridge.gates.decide import Decider
from firmware_bridge.gates.node import Fault, Heard, Send, Told, Write
from firmware_bridge.gates.table import One, Rules, Table
from firmware_bridge.link.codec import Value, decode_payload
from firmware_bridge.link.meta import Meta, decode_meta, meta_object
from tests.support import vectors

VECTOR = vectors.load("moat-link/gate-translator")
ROOT = "ml/g9/"
START = 1795170000.0

type Said = tuple[str, str, Value]


def test_single_codec_of_the_first_capture() -> None:
    """Every payload of the JSON capture is the value that the real gate made of it, and back."""
    codec = make("json")
    sides: dict[str, dict[str, Any]] = {"home": {}, "ext": {}}
    for packet in vectors.packets(vectors.load("moat-link/gateway-mqtt-json")):
        topic, payload = packet["topic"], bytes.fromhex(packet["payload"])
        if topic.startswith("moat/link/test/home/"):
            sides["home"][topic.removeprefix("moat/link/test/home/")] = decode_payload(
                payload, False
            )
        elif topic.startswith("ext/house/"):
            sides["ext"][topic.removeprefix("ext/house/")] = payload
    assert (
        sides["home"].keys() == sides["ext"].keys() == {"kitchen/temp", "cellar/hum", "cellar/flag"}
    )
    for topic, value in sides["home"].items():
        assert translated(codec, sides["ext"][topic]) == value
    assert written(codec, sides["home"]["kitchen/temp"]).payload == b"23.5"


@dataclass
class Replay:
    """One gate of the capture, with both sides as they are."""

    name: str
    src: str
    dst: str
    rules: Rules
    said: list[Said] = field(default_factory=list)
    theirs: list[Said] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    inside: dict[str, Told] = field(default_factory=dict)
    outside: dict[str, Heard] = field(default_factory=dict)
    now: float = START
    gate: Decider | None = None

    @property
    def origin(self) -> str:
        return f"GATE.{self.name}"

    def start(self) -> None:
        """Read both sides, deletions included, as our server knows them."""
        self.gate = Decider(self.origin, self.rules)
        for topic, told in self.inside.items():
            self.gate.tell(topic, told, self.now)
        for topic, heard in self.outside.items():
            if heard.payload and heard.retained:
                self.gate.hear(topic, heard, self.now)
        self.gate.inside_read()
        self.gate.outside_read()
        while not self.gate.settled:
            self.act(self.gate.settle(self.now))

    def act(self, actions: list[Any]) -> None:
        assert self.gate is not None
        for each in actions:
            match each:
                case Send():
                    self.said.append(("out", each.topic, each.payload.decode()))
                    meta = Meta(self.origin, each.time)
                    heard = Heard(each.payload, each.text, meta, each.retain)
                    self.outside[each.topic] = heard
                    self.act(self.gate.hear(each.topic, heard, self.now))
                case Write():
                    self.said.append(("in", each.topic, each.value))
                    outer = each.outer or Meta("via:x", self.now)
                    keywords: dict[str, Value] = {"gw": meta_object(outer)}
                    if each.live:
                        keywords["live"] = True
                    told = Told(each.value, Meta(self.origin, each.time, (), keywords))
                    self.inside[each.topic] = told
                    self.act(self.gate.tell(each.topic, told, self.now))
                case Fault(topic, str(problem)):
                    self.faults.append(f"{topic}: {problem}")

    def message(self, it: dict[str, Any]) -> None:
        """Take a message of the capture: the world's is news, the real gate's is to be compared."""
        payload = bytes.fromhex(it["payload_hex"])
        text = it.get("payload_format_indicator") == 1
        meta = None if it.get("moat") is None else decode_meta(it["moat"])
        topic = it["topic"]
        own = meta is not None and meta.origin == self.origin
        if topic.startswith(f"{ROOT}{self.src}/") and meta is not None:
            self.told(topic.removeprefix(f"{ROOT}{self.src}/"), payload, text, meta, own=own)
        elif topic.startswith(f"{self.dst}/"):
            below = topic.removeprefix(f"{self.dst}/")
            if own:
                self.theirs.append(("out", below, payload.decode()))
                return
            heard = Heard(payload, text, meta, it["retain"])
            self.outside[below] = heard
            if self.gate is not None:
                self.act(self.gate.hear(below, heard, self.now))

    def told(self, topic: str, payload: bytes, text: bool, meta: Meta, *, own: bool) -> None:
        if topic == "del":
            return  # was meant as a deletion, and is none
        value = decode_payload(payload, text)
        if own:
            self.theirs.append(("in", topic, value))
            return
        told = Told(value, meta, retained=True)
        self.inside[topic] = told
        if self.gate is not None:
            self.act(self.gate.tell(topic, told, self.now))

    def play(self) -> list[tuple[list[Said], list[Said]]]:
        """Return what ours said and what the real one said, from one event to the next."""
        phases: list[tuple[list[Said], list[Said]]] = []
        for it in VECTOR["messages"]:
            self.now = 1795170855.0 + it["t"]
            if (event := it.get("event")) is None:
                self.message(it)
            elif event in {"gates start", "gate restart"}:
                self.start()
            elif event in {"gate stop", "change config"}:
                phases.append((self.said, self.theirs))
                self.said, self.theirs = [], []
                self.gate = None
        return phases


def differences(ours: list[Said], theirs: list[Said]) -> tuple[list[Said], list[Said]]:
    """Return what only ours said, and what only the real one said."""
    rest = list(theirs)
    more = [each for each in ours if each not in rest or rest.remove(each)]  # type: ignore[func-returns-value]
    return more, rest


ABSENT = decode_payload(b"", False)


def test_single_codec() -> None:
    """Ours is told of deletions, and insists on the first of two values of the same time.

    It does not bring back what was deleted; what was not retained outside is not put there.
    """
    replay = Replay("js", "home", "ext/js", One(make("json")))
    first, second = replay.play()
    assert differences(*first) == ([("in", "temp", ABSENT), ("out", "withmeta", "5")], [])
    assert differences(*second) == (
        [("out", "withmeta", "")],
        [("out", "live", "nr"), ("in", "withmeta", 6)],
    )
    assert not replay.faults


def test_table() -> None:
    """Ours sends the change that was made while it was down, and writes nothing that is so already."""
    codecs: dict[str, Value] = {
        "onoff": {"kind": "bool", "true": "ON", "false": "OFF", "decode": "…", "encode": "…"},
        "num/float": {"kind": "number"},
        "json": {"kind": "json"},
    }
    rows = {
        it["topic"].removeprefix(f"{ROOT}conv/tas/"): vectors.value(it["decoded"])
        for it in VECTOR["messages"]
        if it.get("topic", "").startswith(f"{ROOT}conv/tas/") and it["t"] < 50
    }
    assert len(rows) == 5
    table = Table(rows, codecs)
    assert list(table.problems) == [":p/str"]
    replay = Replay("tas", "tas", "ext/tas", table)
    first, second = replay.play()
    assert differences(*first) == ([], [])
    assert differences(*second) == (
        [("out", "lamp/t", "44")],
        [("in", "both", "ext"), ("in", "fan/POWER", True)],
    )
    assert {each.split(":")[0] for each in replay.faults} == {"fan/bad/POWER", "fan2/POWER"}
