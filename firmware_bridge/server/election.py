"""Who is the main server: pure. Real servers take turns; ours stand back while one of them is there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .ballot import Ballot, fit_as_name

REPEAT: Final = 57.0
"""Seconds after which the main server says again where it is."""
_SILENCE: Final = 75.0
"""Seconds without a word after which nobody is the main server: real ones, never reached, ping each 60 s."""
_LOST: Final = 4.0
"""Seconds after which a main server that could be reached, and cannot any more, is none."""
_PATIENCE: Final = 3.0
"""Seconds between the end of a server and ours taking its place; real ones need some."""
_PATIENCE_BEHIND: Final = 11.0
_BREATH: Final = 2.0  # seconds between two claims, if somebody always objects
_RANK: Final = 0.5  # seconds between ours, in the order of their names
_MOST: Final = 256  # servers that are remembered


@dataclass(slots=True)
class _Peer:
    """Another server."""

    announced: bool = False
    real: bool = False
    """Whether it takes part in the election of the real ones."""
    heard: float = -math.inf
    """When it took part last."""
    linked: bool = False
    """Whether we are connected to it."""
    lost: float | None = None
    """Since when we are not, though we were."""


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
    _said: float = -math.inf
    _again: float = -math.inf
    """When to say again that we are the main server."""
    _vacant: float | None = None
    _peers: dict[str, _Peer] = field(default_factory=dict)

    def announced(self, name: str, *, there: bool, now: float) -> None:
        """Take note that a server has announced itself, or is gone."""
        if name == self.name:
            return
        if there:
            peer = self._peer(name)
            if peer is not None:
                peer.announced = True
            return
        self._peers.pop(name, None)
        if self.owner == name and not self.main:
            self._vacant = now

    def linked(self, name: str, *, up: bool, now: float) -> None:
        """Take note whether a server can be reached."""
        peer = self._peers.get(name)
        if peer is None or not peer.announced:
            return
        if peer.linked and not up:
            peer.lost = now
        elif up:
            peer.lost = None
            if name == self.owner:
                self._vacant = None
        peer.linked = up

    def dead(self, name: str, now: float) -> None:
        """Take note that nobody is where a server says that it is."""
        peer = self._peers.get(name)
        if peer is not None and not peer.linked and peer.lost is None:
            peer.lost = now

    def real(self, name: str) -> None:
        """Take note that a server is none of ours."""
        if name in self._peers:
            self._peers[name].real = True

    def heard(self, ballot: Ballot, now: float) -> None:
        """Take note of a message in the election."""
        peer = self._peer(ballot.node) if ballot.node != self.name else None
        if peer is not None:
            peer.real = True
            peer.heard = now

    def claimed(self, name: str, now: float) -> None:
        """Take note that a server says that it is the main one."""
        if name == self.name:
            return
        if self.main and self._yields_to(name):
            self.main = False
        if not self.main:
            self.owner, self._owner_heard, self._vacant = name, now, None
        else:
            self.repeat(now)

    def repeat(self, now: float) -> None:
        """Say soon again who is the main server, if we are: somebody else has said something else."""
        self._again = min(self._again, max(now, self._said + _BREATH))

    def ballots(self, now: float) -> Sequence[Ballot]:
        """Return what is to be said in the election: nothing."""
        return ()

    @property
    def wake(self) -> float:
        """When something is to be said at the latest."""
        return math.inf

    def due(self, now: float) -> bool:
        """Tell whether to announce ourselves as the main server now; then we are."""
        if not self._follows(now) and not self.main:
            return False
        if now < self._again:
            return False
        self._said, self._again = now, now + REPEAT
        return True

    def renew(self, now: float) -> None:
        """Start over with a broker that may have forgotten everything; who is main says so soon."""
        self._again = now

    @property
    def others(self) -> list[str]:
        """The other servers that have announced themselves."""
        return [name for name, peer in self._peers.items() if peer.announced]

    def _follows(self, now: float) -> bool:
        """Become the main server if nobody is, and it is our turn."""
        if now - self.started < self.settle or self.main or not self._is_vacant(now):
            return False
        self.main = True
        self.owner = self.name
        self._again = now
        return True

    def _is_vacant(self, now: float) -> bool:
        """Whether nobody is the main server, and it is our turn."""
        owner = self._peers.get(self.owner or "")
        if owner is not None and owner.announced and self._vacant is None:
            if owner.linked:  # ours may take another one for the main server, which it was once
                return not owner.real and now - self._owner_heard > _SILENCE
            if owner.lost is None:
                return now - max(self._owner_heard, owner.heard) > _SILENCE
            if now - max(owner.lost, self._owner_heard, owner.heard) < _LOST:
                return False
            self._vacant = owner.lost
        alive = [name for name in self.others if self._alive(name, now)]
        if self._vacant is None:
            self._vacant = self.started if self.owner is None and not alive else now
        real = any(self._peers[name].real for name in alive)
        rank = sum(name < self.name for name in alive)
        if not alive:
            return True
        patience = _PATIENCE_BEHIND if real else _PATIENCE
        return now - self._vacant >= patience + _RANK * min(rank, 5)

    def _alive(self, name: str, now: float) -> bool:
        peer = self._peers[name]
        return peer.linked or (peer.lost is None and now - peer.heard < _SILENCE)

    def _yields_to(self, name: str) -> bool:
        """Whether another one's claim is better: of our own kind, the smaller name."""
        peer = self._peers.get(name)
        return peer is not None and peer.announced and (peer.real or name < self.name)

    def _peer(self, name: str) -> _Peer | None:
        """Return what is known of a server; None if its name is none, or there are too many."""
        if name not in self._peers:
            if not fit_as_name(name):
                return None
            if len(self._peers) >= _MOST:
                ghosts = [each for each, peer in self._peers.items() if not peer.announced]
                if not ghosts:
                    return None
                del self._peers[ghosts[0]]
            self._peers[name] = _Peer()
        return self._peers[name]
