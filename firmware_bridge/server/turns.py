"""Taking turns with the real servers instead of standing back: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import override

from .ballot import Ballot
from .election import Election
from .ring import Ring


@dataclass(slots=True)
class Turns(Election):
    """Takes its turns in the ring as the main server; where nobody is one, it does not wait for them."""

    ring: Ring = field(kw_only=True)
    _claims: bool = False

    @override
    def announced(self, name: str, *, there: bool, now: float) -> None:
        """Take note that a server has announced itself, or is gone."""
        Election.announced(self, name, there=there, now=now)
        if not there:
            self.ring.gone(name, now)

    @override
    def heard(self, ballot: Ballot, now: float) -> None:
        """Take note of a message in the election."""
        Election.heard(self, ballot, now)
        self.ring.heard(ballot, now)

    @override
    def claimed(self, name: str, now: float) -> None:
        """Take note that a server says that it is the main one: then we are not any more."""
        if name == self.name:
            return
        self.ring.claimed(name)
        self.main = self._claims = False
        self.owner, self._owner_heard, self._vacant = name, now, None

    @override
    def ballots(self, now: float) -> Sequence[Ballot]:
        """Return what is to be said in the election."""
        said, claims = self.ring.due(now)
        self._claims |= claims
        return said

    @property
    @override
    def wake(self) -> float:
        """When something is to be said at the latest."""
        return self.ring.wake

    @override
    def due(self, now: float) -> bool:
        """Tell whether to announce ourselves as the main server now; then we are."""
        if not self._follows(now) and not self._claims:
            return False
        self._claims = False
        self.main = True
        self.owner = self.name
        self.ring.claimed(self.name)
        return True

    @override
    def renew(self, now: float) -> None:
        """Start over with a broker that may have forgotten everything; who is main says so soon."""
        self._claims = self.main
        self.ring.rejoin(now)
