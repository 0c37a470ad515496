"""What clients leave behind: stale ids and announcements go, services that vanish become errors. Pure."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..link.codec import ABSENT, Key, Value
from ..link.errors import EncodeError
from ..link.frames import Reply
from ..link.path import Path
from ..link.weigh import weigh

_LEFT_OVER: Final = 15.0
"""Seconds for somebody of whom only traces are known to give a sign of life."""
_SILENT: Final = 22.0
_TIMEOUT: Final = 150.0
_DOWN: Final = 15.0
_NOT_UP: Final = 20.0
_STABLE: Final = 60.0
_HEAVY: Final = 4 << 10  # bytes in memory of what is kept of an announcement

KEEPER: Final = "run/host"
"""Where the real service announces itself."""
HOST: Final = f"{KEEPER}/"
ID: Final = "run/id/"
ERROR: Final = "error/"

type Action = tuple[str, Value]
"""A topic below the root, and what to write there (ABSENT: delete)."""


@dataclass(slots=True)
class _Client:
    """Somebody with an id."""

    deadline: float
    lost: bool = False
    identity: bool = False
    seen: bool = False
    """Whether it has said that it lives: of others, only what is left over is known."""
    services: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Place:
    """A place where a service is, or was until lately."""

    owner: str
    since: float
    up: bool
    record: dict[Key, Value]
    judged: bool = False
    """Whether it was found to be well, or not to come up."""
    down: float | None = None
    """When its end is an error."""
    excused: bool = False
    """Whether the broker has been away, which ends what used it."""


class Cleanup:
    """Follows ids, signs of life and announcements; `due` tells what to write."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._places: dict[str, _Place] = {}
        self._actions: list[Action] = []
        self._keeper: str | None = None

    @property
    def pending(self) -> bool:
        """Whether there is something to write that waits for no time to pass."""
        return bool(self._actions)

    @property
    def kept(self) -> bool:
        """Whether somebody else clears away: announced, and not silent for too long."""
        return self._keeper in self._clients

    def keeper(self, value: Value, now: float) -> None:
        """Take note of who clears away."""
        self._keeper = _owner(value)
        if self._keeper is not None:
            self._client(self._keeper, now)

    def identity(self, name: str, *, there: bool, now: float) -> None:
        """Take note of a client's record."""
        if there:
            self._client(name, now).identity = True
            self._keep(ID + name)
        elif (client := self._clients.get(name)) is not None:
            client.identity = False

    def ping(self, name: str, *, up: bool, now: float, orderly: bool = False) -> None:
        """Take note of a sign of life, or of death; `orderly`: it has said goodbye itself."""
        client = self._client(name, now)
        client.lost = False
        client.seen = client.seen or up
        client.deadline = now + _SILENT
        if not up:
            self._forget(name, client, now, orderly=orderly)

    def service(self, topic: str, value: Value, now: float, origin: str = "") -> None:
        """Take note of an announcement, or of its withdrawal, and by whom."""
        place = self._places.get(topic)
        owner = _owner(value)
        match value, owner:
            case dict() as said, str(owner):
                self._keep(topic)
                up = said.get("up") is True
                record = _noted(said)
                if place is not None and place.down is None and place.owner == owner:
                    place.judged = place.judged and place.up == up
                    place.up, place.record = up, record
                    return
                if place is not None and place.down is None:
                    self._ended(topic, place, now)
                self._places[topic] = _Place(owner, now, up, record)
                self._client(owner, now).services.add(topic)
            case _ if place is not None and place.down is None and place.owner == _spelled(origin):
                self._left(topic, place)
            case _ if place is not None and place.down is None:
                self._ended(topic, place, now)
                if now - place.since < _STABLE:
                    del self._places[topic]
                else:
                    place.down = now + _DOWN

    def restart(self, now: float) -> None:
        """Give everybody time: we have not heard anything for a while."""
        for client in self._clients.values():
            client.deadline = max(client.deadline, now + _SILENT)
        for place in self._places.values():
            place.excused = True

    def due(self, now: float) -> Iterator[Action]:
        """Tell what is to be written by now."""
        for name, client in list(self._clients.items()):
            if now >= client.deadline:
                self._overdue(name, client, now)
        for topic, place in list(self._places.items()):
            self._look(topic, place, now)
        actions, self._actions = self._actions, []
        yield from actions

    def _client(self, name: str, now: float) -> _Client:
        return self._clients.setdefault(name, _Client(now + _LEFT_OVER))

    def _overdue(self, name: str, client: _Client, now: float) -> None:
        if client.identity:
            self._actions.append((ID + name, ABSENT))
            client.identity = False
        if client.services and not client.lost:
            client.lost = True
            client.deadline = now + _TIMEOUT
        else:
            self._forget(name, client, now)

    def _forget(self, name: str, client: _Client, now: float, *, orderly: bool = False) -> None:
        """Take everything away that somebody has left."""
        if client.identity:
            self._actions.append((ID + name, ABSENT))
        for topic in sorted(client.services):
            self._actions.append((topic, ABSENT))
            if orderly:
                self._left(topic, self._places[topic])
            else:
                self._places[topic].down = now + _DOWN
        del self._clients[name]

    def _keep(self, topic: str) -> None:
        """Do not remove what somebody has announced anew."""
        self._actions = [action for action in self._actions if action != (topic, ABSENT)]

    def _left(self, topic: str, place: _Place) -> None:
        """Take note that somebody has left a place in order: nothing is wrong with it any more."""
        if (client := self._clients.get(place.owner)) is not None:
            client.services.discard(topic)
        del self._places[topic]
        self._actions.append((ERROR + topic, ABSENT))

    def _ended(self, topic: str, place: _Place, now: float) -> None:
        client = self._clients.get(place.owner)
        if client is not None:
            client.services.discard(topic)
        if client is None or not client.seen or place.excused:
            return
        if place.up and now - place.since < _STABLE:
            self._complain(topic, {"msg": "flapping", "level": 4, "data": place.record})

    def _look(self, topic: str, place: _Place, now: float) -> None:
        if place.down is not None:
            if now >= place.down:
                self._complain(topic, {"msg": "down", "level": 4})
                del self._places[topic]
        elif not place.judged and place.up and now - place.since >= _STABLE:
            place.judged = True
            self._actions.append((ERROR + topic, ABSENT))
        elif not place.judged and not place.up and now - place.since >= _NOT_UP:
            place.judged = True
            self._complain(topic, {"msg": "not up", "level": 4})

    def _complain(self, topic: str, said: dict[Key, Value]) -> None:
        self._actions.append((ERROR + topic, said))


def _noted(said: dict[Key, Value]) -> dict[Key, Value]:
    """Return what is told of an announcement if its service vanishes; of a heavy one nothing."""
    record = {key: item for key, item in said.items() if key != "id"}
    return record if weigh(Reply((record,))) <= _HEAVY else {}


def _owner(said: Value) -> str | None:
    """Return whose id is in an announcement, as topics spell it."""
    match said:
        case {"id": str(name)}:
            return _spelled(name)
    return None


def _spelled(name: str) -> str | None:
    """Return an id as topics spell it."""
    with contextlib.suppress(EncodeError):
        return Path(name).topic
    return None
