"""Which codec a node has: one for all, or a table of patterns (`conv.<set>.<pattern>`). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, override

from ..link.codec import Value
from ..link.path import Path
from ..patterns import Span, matches, span
from .codecs import NAMES, Codec, Null, Text, make
from .plain import CodecError

_CACHE: Final = 50_000
_SNIPPETS: Final = ("decode", "encode")


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do with a node; None: as the gate says. `marked`: text is sent marked as text."""

    codec: Codec
    speed: float | None = None
    retain: bool | None = None
    marked: bool = True


class Rules(Protocol):
    """Knows what to do with each node."""

    def find(self, topic: str) -> Rule | None:
        """Return the rule for a topic (below `src` and `dst`); None: the node is left out."""


class One(Rules):
    """The same codec for all nodes."""

    def __init__(self, codec: Codec) -> None:
        """Take the codec."""
        self._rule = (
            None if isinstance(codec, Null) else Rule(codec, marked=isinstance(codec, Text))
        )

    @override
    def find(self, topic: str) -> Rule | None:
        return self._rule


@dataclass(slots=True)
class _Step:
    """A place of a pattern."""

    rule: Rule | None = None
    ends: bool = False
    names: dict[str, _Step] = field(default_factory=dict)
    ranges: list[Span[_Step]] = field(default_factory=list)

    def child(self, level: str) -> _Step | None:
        """Return the next place by its name."""
        return self.names.get(level)


class Table(Rules):
    """Patterns and their codecs; the most specific one counts."""

    def __init__(self, rows: Mapping[str, Value], codecs: Mapping[str, Value]) -> None:
        """Take patterns (by topic below the set), and the nodes below `codec` (by topic)."""
        self.problems: dict[str, str] = {}
        """What is wrong with a pattern, by its topic; its nodes are left out."""
        self._codecs = codecs
        self._root = _Step()
        self._found: dict[str, Rule | None] = {}
        for topic, row in rows.items():
            self._add(topic, row)

    @override
    def find(self, topic: str) -> Rule | None:
        """Return the rule of the most specific pattern."""
        try:
            return self._found[topic]
        except KeyError:
            pass
        levels = topic.split("/") if topic else []
        found = matches(self._root, levels, child=_Step.child, spans=lambda step: step.ranges)
        rule = next((step.rule for step in found if step.ends), None)
        if len(self._found) >= _CACHE:
            self._found.clear()
        self._found[topic] = rule
        return rule

    def _add(self, topic: str, row: Value) -> None:
        if not isinstance(row, dict) or "codec" not in row:
            if row is not None:
                self.problems[topic] = "the entry has no codec"
            return
        step = self._root
        for level in topic.split("/") if topic else []:
            step = _descend(step, level)
        step.ends = True
        try:
            codec = self._codec(row["codec"])
            if not isinstance(codec, Null):
                step.rule = Rule(codec, _seconds(row.get("speed")), _flag(row.get("retain")))
        except CodecError as err:
            self.problems[topic] = str(err)

    def _codec(self, named: Value) -> Codec:
        """Find the codec of a row: a path below `codec`, or one of ours."""
        if isinstance(named, list):
            named = Path.of(named)
        if not isinstance(named, Path):
            return make(named)
        node = self._codecs.get(named.topic)
        if node is None:
            if len(named) == 1 and named[0] in NAMES:
                return make(named[0])
            raise CodecError(f"there is no codec.{named}")
        if not isinstance(node, dict) or "kind" not in node:
            raise CodecError(
                f"codec.{named} has no kind, and its program text is not carried out: "
                "unsupported here"
            )
        try:
            return make({k: v for k, v in node.items() if k not in _FOREIGN})
        except CodecError as err:
            raise CodecError(f"codec.{named}: {err}") from err


_FOREIGN: Final = frozenset((*_SNIPPETS, "in", "out", "doc", "title"))


def _descend(step: _Step, level: str) -> _Step:
    if (found := span(level)) is not None:
        for low, high, child in step.ranges:
            if (low, high) == found:
                return child
        child = _Step()
        step.ranges.append((*found, child))
        return child
    return step.names.setdefault(level, _Step())


def _seconds(value: Value) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise CodecError("speed must be a number of seconds")
    return float(value)


def _flag(value: Value) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise CodecError("retain must be true or false")
