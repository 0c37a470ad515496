"""What covers and valves share: they open, close, stop, and stand somewhere in between."""

from .entity import MoatEntity
from .hub import Hub
from .link.quantity import CLOSED, CLOSING, OPEN, OPENING, STOPPED, Quantity
from .model import Device
from .outline import Outline
from .range import fraction, value_at

FULL = 100


class MovableEntity(MoatEntity):
    """Something with a state, a position, or both."""

    def __init__(
        self, hub: Hub, device: Device, outline: Outline, state: Quantity, position: Quantity
    ) -> None:
        """Find the points for the state and the position."""
        super().__init__(hub, device, outline)
        self._state = self.member(state)
        self._position = self.member(position)
        setter = self.writable(self._state)
        self.can_stop = setter is not None and STOPPED in setter.description.options
        self.can_be_set = self.writable(self._position) is not None
        self.has_position = self._position is not None and self._position.description.readable

    @property
    def word(self) -> str | None:
        """What the device says it does; None when it says nothing."""
        value = None if self._state is None else self._state.value
        return value if isinstance(value, str) else None

    @property
    def position(self) -> int | None:
        """How far it is open, from 0 to 100; None when that is unknown."""
        part = None if self._position is None else fraction(self._position)
        return None if part is None else round(part * FULL)

    @property
    def is_opening(self) -> bool | None:
        """Whether it is on its way up."""
        return None if self.word is None else self.word == OPENING

    @property
    def is_closing(self) -> bool | None:
        """Whether it is on its way down."""
        return None if self.word is None else self.word == CLOSING

    @property
    def is_closed(self) -> bool | None:
        """Whether nothing is left to close; None when that is unknown."""
        if self.position is not None:
            return self.position == 0
        if self.word in {None, STOPPED}:
            return None
        return self.word == CLOSED

    async def move(self, word: str) -> None:
        """Ask for open, closed or stopped."""
        if (state := self.writable(self._state)) is not None:
            await self.hub.write(state, word)
        elif word is not STOPPED:
            await self.move_to(FULL if word == OPEN else 0)

    async def move_to(self, position: int) -> None:
        """Ask for a position from 0 to 100."""
        if (point := self.writable(self._position)) is not None:
            await self.hub.write(point, value_at(point.description, position / FULL))
