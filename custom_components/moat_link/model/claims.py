"""Who describes a device: the first keeps it for as long as it lives.

A description is claimed by the announcement it names in `alive`; without one, by its origin. Origins
change with every connection of their owner, so another origin is taken for the same owner until the
one before it comes back with what it had said before: then there are two.
"""

from dataclasses import dataclass, replace

from ..link.description import DescriptionIssue, DeviceDescription
from ..link.path import Path

type Claim = tuple[str, str]

LOCAL: Claim = ("local", "")
"""Described here, not on the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A description and who said it."""

    claim: Claim
    origin: str
    description: DeviceDescription
    issues: tuple[DescriptionIssue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known about who describes one device."""

    said: Said
    previous: Said | None = None
    rival: Said | None = None
    certain: bool = False
    """Two were seen: only the holder is believed."""

    @property
    def issues(self) -> list[DescriptionIssue]:
        """What is wrong with the description in use, and that there is another."""
        issues = list(self.said.issues)
        if self.rival is not None:
            problem = f"is used by {_name(self.said.claim)}, and by {_name(self.rival.claim)} too"
            issues.append(DescriptionIssue("(id)", problem))
        return issues


PATIENCE = 30.0
"""Seconds without a sign of life until one of two who describe a device is given up."""


@dataclass(slots=True)
class Contest:
    """Two describe a device: when each was last known to live (monotonic s)."""

    holder_seen: float
    rival_seen: float


def claim_of(description: DeviceDescription, origin: str) -> Claim:
    """Tell who claims a device."""
    if description.alive is not None:
        return "owner", description.alive.topic
    return "origin", origin


def judge(known: Known | None, said: Said, *, holder_alive: bool) -> Known:
    """Decide whose description is used; `holder_alive`: the owner of the one in use is alive."""
    if known is None:
        return Known(said=said)
    if said.claim == known.said.claim:
        return replace(known, said=said)
    if known.said.claim[0] == "origin":
        if said.description == known.said.description:
            return replace(known, said=said)
        if not known.certain and _came_back(known.previous, said):
            return Known(said=said, rival=known.said, certain=True)
        holder_alive = known.certain
    if holder_alive or known.said.claim == LOCAL:
        return replace(known, rival=said)
    return Known(said=said, previous=known.said)


def _name(claim: Claim) -> str:
    kind, name = claim
    return str(Path.from_topic(name)) if kind == "owner" else f"{kind} {name}".strip()


def _came_back(previous: Said | None, said: Said) -> bool:
    return (
        previous is not None
        and previous.claim == said.claim
        and previous.description == said.description
    )
