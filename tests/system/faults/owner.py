"""An owner that obeys commands and remembers when which one came; and who sends them."""

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from homeassistant.components.number import DOMAIN as NUMBER
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity import Entity

from tests.integration.wire import Peer, path, point, setter
from tests.support.mosquitto import Mosquitto

LEVEL = "number.garden_level"
FLOW = "number.garden_flow"
SERVICE = {"service": path("run.host.lab.garden"), "command": ["set"]}


class Owner:
    """Owns a device with two numbers: `level` is set by publishing, `flow` by a request.

    `heard` tells when (monotonic s) each value came. It talks to the broker directly.
    """

    def __init__(self, broker: Mosquitto, **login: Any) -> None:
        """Prepare to join."""
        self.peer = Peer(broker, origin="owner", **login)
        self.heard: dict[float, float] = {}

    async def __aenter__(self) -> Self:
        """Join, listen, describe, and publish where the numbers are."""
        await self.peer.__aenter__()
        await self.peer.follow("level.cmd", self._obey)
        await self.peer.serve("lab", "garden", self._answer)
        await self.peer.put("level", 0)
        await self.peer.put("flow", 0)
        limits = {"min": 0, "max": 1000}
        await self.peer.describe(
            "garden",
            point("level", "number", "level", name="Level", write=setter("level.cmd"), **limits),
            point("flow", "number", "flow", name="Flow", write=SERVICE, **limits),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave."""
        await self.peer.__aexit__(kind, error, trace)

    async def _obey(self, value: float) -> None:
        self.heard[value] = time.monotonic()
        await self.peer.put("level", value)

    def _answer(self, arguments: list[Any], _keywords: dict[str, Any]) -> list[Any]:
        self.heard[arguments[-1]] = time.monotonic()
        return [True, None, {}]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a command: no error means done."""

    value: float
    error: HomeAssistantError | None
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started


async def command(hass: HomeAssistant, entity_id: str, value: float) -> Outcome:
    """Set a number as a user does.

    Home Assistant itself leaves entities out that are unavailable; so this goes a step deeper.
    """
    entity = hass.data["entity_components"][NUMBER].get_entity(entity_id)
    assert isinstance(entity, Entity)
    started = time.monotonic()
    error = None
    try:
        await entity.async_set_native_value(value)  # type: ignore[attr-defined]
    except HomeAssistantError as err:
        error = err
    return Outcome(value=value, error=error, started=started, ended=time.monotonic())


def commands(hass: HomeAssistant, first: int, count: int) -> list[asyncio.Task[Outcome]]:
    """Start that many commands at once, one half by each way, each with a value of its own."""
    return [
        asyncio.create_task(command(hass, FLOW if number % 2 else LEVEL, float(number)))
        for number in range(first, first + count)
    ]


def late(outcomes: list[Outcome], owner: Owner, slack: float = 0.1) -> list[Outcome]:
    """Return the commands that arrived although they had been said to have failed before."""
    return [
        each
        for each in outcomes
        if each.error is not None and owner.heard.get(each.value, 0) > each.ended + slack
    ]
