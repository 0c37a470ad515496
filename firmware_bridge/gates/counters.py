"""What a gate counts."""

from dataclasses import dataclass

from ..link.codec import Key, Value


@dataclass(slots=True, eq=False)
class Counters:
    """What has happened since the gate was started."""

    received: int = 0
    """Values taken from outside."""
    sent: int = 0
    """Messages sent outside."""
    errors: int = 0
    """Messages, either way, that could not be translated."""
    dropped: int = 0
    """Messages that were left out: too many, too fast."""
    nodes: int = 0
    last_error: str | None = None

    def told(self, state: str) -> dict[Key, Value]:
        """Return what is published."""
        return {
            "state": state,
            "in": self.received,
            "out": self.sent,
            "errors": self.errors,
            "dropped": self.dropped,
            "nodes": self.nodes,
            "last_error": self.last_error,
        }
