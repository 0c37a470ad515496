"""Shows gates as devices: a description each, and what they count (docs/wire.md)."""

import asyncio
import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, Final

from ..link.client import Link
from ..link.clock import Clock
from ..link.codec import ABSENT, Key, Value
from ..link.errors import LinkError
from ..link.identity import HOSTS
from ..link.message import Message
from ..link.path import Path

if TYPE_CHECKING:
    from .job import Job

INTERVAL: Final = 10.0
"""Seconds between two messages that tell nothing but counters."""
COUNTS: Final = Path("run", "gate")
"""Where a gate's state and counters are published."""
_DEVICES: Final = Path("device")
_STATES: Final = ("starting", "running", "backoff", "invalid", "stopped", "waiting")
_TICK: Final = 0.25

_NAMES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "device": "Gate {name}",
        "state": "State",
        "in": "Values taken in",
        "out": "Messages sent out",
        "errors": "Untranslatable messages",
        "dropped": "Dropped messages",
        "nodes": "Nodes",
        "last_error": "Last error",
    },
    "de": {
        "device": "Gate {name}",
        "state": "Zustand",
        "in": "Übernommene Werte",
        "out": "Gesendete Nachrichten",
        "errors": "Unübersetzbare Nachrichten",
        "dropped": "Verworfene Nachrichten",
        "nodes": "Knoten",
        "last_error": "Letzter Fehler",
    },
}
LANGUAGES: Final = tuple(_NAMES)


def device_id(name: Path) -> str:
    """Return the device id of a gate; names that are no ids get a number that is theirs."""
    match name.elements:
        case (str(only),) if re.fullmatch(r"[A-Za-z0-9_-]{1,59}", only):
            return f"gate-{only}"
    number = hashlib.sha256(name.topic.encode()).hexdigest()[:12]
    text = re.sub(r"[^A-Za-z0-9_-]+", "_", "-".join(map(str, name)))
    return f"gate_{text[:46]}-{number}"  # not what a single name can be


def description(name: Path, service: Path, language: str = "en") -> dict[Key, Value]:
    """Return how a gate describes itself; `service` is who says so."""
    words = _NAMES[language]
    path = COUNTS / name

    def point(key: str, quantity: str, **more: Value) -> dict[Key, Value]:
        known: dict[str, Value] = {"key": key, "quantity": quantity, "name": words[key]}
        known |= {"path": path, "item": key, "category": "diagnostic"}
        return dict((known | more).items())

    def counter(key: str) -> dict[Key, Value]:
        return point(key, "count", state_class="total_increasing")

    return {
        "v": 1,
        "name": words["device"].format(name=name),
        "kind": "translator",
        "maker": "MoaT",
        "model": "MQTT",
        "alive": service,
        "points": [
            point("state", "enum", options=[*_STATES]),
            counter("in"),
            counter("out"),
            counter("errors"),
            counter("dropped"),
            point("nodes", "count"),
            point("last_error", "text"),
        ],
    }


class Show:
    """Publishes descriptions and counters; says nothing new more than every ten seconds."""

    def __init__(self, link: Link, clock: Clock, language: str = "en") -> None:
        """Publish on this link."""
        self._link = link
        self._clock = clock
        self._language = language
        self._service = HOSTS / link.config.host / link.config.name
        self._jobs: dict[Path, Job] = {}
        self._said: dict[Path, tuple[Value, float]] = {}
        self._urgent: set[Path] = set()
        self._described: dict[Path, Path] = {}
        """Who describes a gate: the service that the description names, by the gate's name."""
        self._known: set[Path] | None = None

    def changed(self, job: Job) -> None:
        """Take note of another state."""
        self._jobs[job.name] = job
        self._urgent.add(job.name)

    def ended(self, job: Job) -> None:
        """Take note that there is no such gate any more, or that it starts anew."""
        self._jobs.pop(job.name, None)
        self._said.pop(job.name, None)

    def known(self, names: set[Path]) -> None:
        """Take note of all gates that there are; others are not shown any more."""
        self._known = names

    async def run(self) -> None:
        """Publish for ever."""
        devices = self._link.watch(_DEVICES, self._on_device)
        unsubscribe = self._link.on_status(self._on_status)
        service = self._link.serve(Path(self._link.config.name), {})
        try:
            while True:
                if self._link.status.ready and devices.complete:
                    self._say(self._clock.monotonic())
                await asyncio.sleep(_TICK)
        finally:
            service.close()
            unsubscribe()
            devices.close()

    def _on_status(self) -> None:
        if not self._link.status.connected:
            self._said.clear()

    def _on_device(self, message: Message) -> None:
        """Remember which gates are described, and by whom."""
        match message.value:
            case {"alive": Path() as alive, "points": [{"path": Path() as path}, *_]}:
                name = path[len(COUNTS) :]
                if path.starts_with(COUNTS) and message.path == _DEVICES / device_id(name):
                    self._described[name] = alive

    def _sweep(self) -> None:
        """Remove what describes gates that are not there."""
        if self._known is None:
            return
        for name in [name for name in self._described if name not in self._known]:
            self._link.publish(_DEVICES / device_id(name), ABSENT)
            self._link.publish(COUNTS / name, ABSENT)
            del self._described[name]

    def _say(self, now: float) -> None:
        with contextlib.suppress(LinkError):
            self._sweep()
        for name, job in list(self._jobs.items()):
            with contextlib.suppress(LinkError):
                self._publish(name, job, now)

    def _publish(self, name: Path, job: Job, now: float) -> None:
        if job.state == "waiting" and self._described.get(name) != self._service:
            return  # whoever drives it may show it as well
        value = job.counters.told(job.state)
        said, when = self._said.get(name, (None, float("-inf")))
        if said is None:
            about = description(name, self._service, self._language)
            self._link.publish(_DEVICES / device_id(name), about)
            self._described[name] = self._service
        if value != said and (name in self._urgent or now - when >= INTERVAL):
            self._link.publish(COUNTS / name, value)
            self._said[name] = (value, now)
        self._urgent.discard(name)
