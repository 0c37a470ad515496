"""Clears away what dead clients have left, and knows which clients are there."""

import asyncio
import contextlib
from typing import Final

from ..link.codec import ABSENT, Value
from ..link.errors import EncodeError, LinkError
from ..link.identity import IDS, PING
from ..link.meta import Meta
from .broker import Broker
from .cleanup import ERROR, HOST, ID, KEEPER, Cleanup
from .store import RUN
from .tree import Tree

_PINGS: Final = f"{PING.topic}/"
_ERRORS: Final = f"{ERROR}{KEEPER}".split("/")
_LOOK: Final = 60.0  # seconds between two looks at old errors
_FORGIVEN: Final = 600.0
"""Seconds after which a service that nobody announces neither flaps nor fails to come up."""


class Caretaker:
    """Listens to what clients say of themselves below `run`."""

    def __init__(self, name: str, tree: Tree, broker: Broker) -> None:
        """Clear away in our name."""
        self._name = name
        self._tree = tree
        self._broker = broker
        self._cleanup = Cleanup()
        self._silent: set[str] = set()
        self._looked = float("-inf")
        self.urgent = asyncio.Event()
        """There is something to `tidy` at once: whoever follows the dead must find the place free."""

    def restart(self) -> None:
        """Give everybody time: we have not heard anything for a while."""
        self._cleanup.restart(self._tree.clock.monotonic())

    def hear(self, topic: str, value: Value, *, retained: bool, origin: str = "") -> None:
        """Take a sign of life or death, an identity, or an announcement, from whomever."""
        now = self._tree.clock.monotonic()
        if topic.startswith(_PINGS):
            name = topic.removeprefix(_PINGS)
            match value:
                case {"up": bool(up), **more}:
                    orderly = more.get("state") == "closed"
                    self._cleanup.ping(name, up=up, now=now, orderly=orderly)
                    self._note(name, silent=not up)
                case _ if value is ABSENT:  # somebody tells it to end
                    self._note(name, silent=True)
        elif topic.startswith(ID) and retained:
            name, there = topic.removeprefix(ID), value is not ABSENT
            self._cleanup.identity(name, there=there, now=now)
            if there:
                self._note(name, silent=False)
        elif topic == KEEPER and retained:
            self._cleanup.keeper(value, now)
        elif topic.startswith(HOST) and retained:
            self._cleanup.service(topic, value, now, origin)
        if self._cleanup.pending:
            self.urgent.set()

    def knows(self, client_id: str) -> bool:
        """Whether a client has an identity at the broker, and has not said goodbye."""
        try:
            topic = (IDS / client_id).topic
        except EncodeError:
            return False
        return self._alive(topic) and topic.removeprefix(ID) not in self._silent

    @property
    def silent(self) -> int:
        """How many clients have said goodbye, but still have an identity."""
        return len(self._silent)

    @property
    def relieved(self) -> bool:
        """Whether the real cleanup service does this work."""
        return self._cleanup.kept

    def tidy(self, *, main: bool) -> None:
        """As the main server, remove what the dead have left, unless somebody else does."""
        self.urgent.clear()
        self._silent = {name for name in self._silent if self._alive(ID + name)}
        if main and not self.relieved:
            self._forget_errors()
        actions = list(self._cleanup.due(self._tree.clock.monotonic()))
        if not main or not self._broker.connected or self.relieved:
            return
        for topic, value in actions:
            levels = topic.split("/")
            if value is ABSENT and not self._alive(topic):
                continue
            meta = Meta(self._name, self._tree.stamp(levels))
            with contextlib.suppress(LinkError):
                if levels[0] == RUN:
                    self._tree.receive(levels, value, meta)
                    self._broker.send(levels, value, meta, retain=True)
                else:
                    self._tree.write(levels, value, meta)

    def _forget_errors(self) -> None:
        """Take back what was wrong with services that nobody announces any more; "down" stays."""
        if (now := self._tree.clock.monotonic()) < self._looked + _LOOK:
            return
        self._looked = now
        path: list[str] = []
        old = self._tree.clock.time() - _FORGIVEN
        for kept, added, record in list(self._tree.store.walk(_ERRORS)):
            path = path[:kept] + added
            match record.value:
                case {"msg": "flapping" | "not up"} if record.time < old:
                    if not self._alive(HOST + "/".join(path)):
                        levels = [*_ERRORS, *path]
                        self._tree.report(levels, ABSENT, self._name)

    def _note(self, name: str, *, silent: bool) -> None:
        """Take note of whether a client with an identity is still there."""
        if not silent:
            self._silent.discard(name)
        elif self._alive(ID + name):
            self._silent.add(name)

    def _alive(self, topic: str) -> bool:
        node = self._tree.store.find(topic.split("/"))
        return node is not None and node.alive
