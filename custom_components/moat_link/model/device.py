"""A device: what the user would carry, with its points."""

from typing import TYPE_CHECKING

from ..link.description import DeviceDescription
from .listeners import Listeners, Unsubscribe
from .point import Point

if TYPE_CHECKING:
    from collections.abc import Callable


class Device:
    """A described device. Only `Site` changes it; everybody may follow it."""

    __slots__ = ("_listeners", "alive", "available", "description", "owner", "points")

    def __init__(self, description: DeviceDescription) -> None:
        """Start without points and unavailable."""
        self.description = description
        self.points: dict[str, Point] = {}
        self.owner: str | None = None
        """The topic of the owner's announcement, if the description names one."""
        self.alive: bool | None = None
        """Whether the owner is alive; None if the description does not say how to tell."""
        self.available = False
        """Whether the link is up and the owner alive, as far as that can be told."""
        self._listeners: Listeners[[]] = Listeners()

    @property
    def id(self) -> str:
        """The name of the device on the link."""
        return self.description.id

    def subscribe(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back when the availability or the description changed."""
        return self._listeners.add(callback)

    def notify(self) -> None:
        """Tell the subscribers (for `Site`)."""
        self._listeners()
