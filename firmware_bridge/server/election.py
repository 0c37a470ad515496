"""Who is the main server: pure. Real servers take turns; ours stand back while one of them is there."""

from dataclasses import dataclass, field
from typing import Final

REPEAT: Final = 57.0
"""Seconds after which the main server says again where it is."""
_SILENCE: Final = 75.0
"""Seconds without a word after which a server that cannot be reached is none; real ones ping each 60 s."""
_PATIENCE: Final = 3.0
"""Seconds between the end of a server and ours taking its place; real ones need some."""
_PATIENCE_BEHIND: Final = 12.0


@dataclass(slots=True)
class _Peer:
    """Another server."""

    announced: bool = False
    pings: float | None = None
    """When it took part in the election: then it is a real one."""
    linked: bool = False
    """Whether we are connected to it."""


@dataclass(slots=True)
class Election:
    """Decides from what is heard whether we are the main server; ask `due` every now and then.

    We say nothing in the election of the real servers, so we never disturb it.
    """

    name: str
    started: float
    settle: float = 1.0
    """Seconds to listen before anything is decided."""
    main: bool = False
    owner: str | None = None
    """Whose announcement as the main server is the last."""
    _owner_heard: float = 0.0
    _said: float = -REPEAT
    _vacant: float | None = None
    _peers: dict[str, _Peer] = field(default_factory=dict)

    def announced(self, name: str, *, there: bool, now: float) -> None:
        """Take note that a server has announced itself, or is gone."""
        if name == self.name:
            return
        peer = self._peers.setdefault(name, _Peer())
        peer.announced = there
        if not there:
            peer.linked = False
            peer.pings = None
            self._leave(name, now)

    def down(self, name: str, now: float) -> None:
        """Take note that a server says that it stops."""
        if name != self.name:
            self.announced(name, there=False, now=now)

    def linked(self, name: str, *, up: bool) -> None:
        """Take note whether a server can be reached."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.linked = up and peer.announced

    def pinged(self, name: str, now: float) -> None:
        """Take note of a message in the election."""
        if name != self.name:
            self._peers.setdefault(name, _Peer()).pings = now

    def claimed(self, name: str, now: float) -> None:
        """Take note that a server says that it is the main one."""
        if name == self.name:
            return
        if self.main and self._yields_to(name, now):
            self.main = False
        if not self.main:
            self.owner, self._owner_heard, self._vacant = name, now, None
        else:
            self._said = now - REPEAT  # say it again

    def due(self, now: float) -> bool:
        """Tell whether to announce ourselves as the main server now; then we are."""
        if now - self.started < self.settle:
            return False
        if not self.main and self._is_vacant(now):
            self.main = True
            self.owner = self.name
            self._said = now - REPEAT
        if self.main and now - self._said >= REPEAT:
            self._said = now
            return True
        return False

    def renew(self, now: float) -> None:
        """Say again soon that we are the main server: the broker may have forgotten."""
        self._said = now - REPEAT

    @property
    def others(self) -> list[str]:
        """The other servers that have announced themselves."""
        return [name for name, peer in self._peers.items() if peer.announced]

    def _leave(self, name: str, now: float) -> None:
        if self.owner == name and not self.main:
            self._vacant = now

    def _is_vacant(self, now: float) -> bool:
        """Whether nobody is the main server, and it is our turn."""
        owner = self._peers.get(self.owner or "")
        if owner is not None and owner.announced and self._vacant is None:
            if owner.linked:
                return False
            heard = max(self._owner_heard, owner.pings or 0.0)
            return now - heard > _SILENCE
        alive = [name for name in self.others if self._alive(name, now)]
        if self._vacant is None:
            self._vacant = self.started if self.owner is None and not alive else now
        real = any(self._real(name, now) for name in alive)
        rank = sum(name < self.name for name in alive)
        if not alive:
            return True
        return now - self._vacant >= (_PATIENCE_BEHIND if real else _PATIENCE) + rank

    def _alive(self, name: str, now: float) -> bool:
        peer = self._peers[name]
        return peer.linked or self._real(name, now)

    def _real(self, name: str, now: float) -> bool:
        pings = self._peers[name].pings
        return pings is not None and now - pings < _SILENCE

    def _yields_to(self, name: str, now: float) -> bool:
        """Whether another one's claim is better: of our own kind, the smaller name."""
        peer = self._peers.get(name)
        return peer is not None and peer.announced and (self._real(name, now) or name < self.name)
