"""A watch's callback that keeps what it is told."""

from dataclasses import dataclass, field

from firmware_bridge.link.codec import Value
from firmware_bridge.link.message import Message


@dataclass(eq=False)
class Recorder:
    """Messages and marks, in order."""

    messages: list[Message] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    def __call__(self, message: Message) -> None:
        """Take a message."""
        self.messages.append(message)

    def mark(self) -> None:
        """Take a mark; it says how many messages came before."""
        self.marks.append(len(self.messages))

    @property
    def values(self) -> list[tuple[str, Value]]:
        """What was delivered."""
        return [(message.topic, message.value) for message in self.messages]
