"""A source of readings that goes on through outages, as a bridge does."""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Any, Self

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant

from firmware_bridge.link.codec import Value, encode_payload
from firmware_bridge.link.errors import LinkError
from firmware_bridge.link.identity import fresh_id
from firmware_bridge.link.meta import Meta, encode_meta
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import Session
from firmware_bridge.link.transport import BrokerConfig
from tests.integration.wire import ROOT
from tests.support.mosquitto import Mosquitto

BEAT = 0.02


def packet(
    topic: str, value: Value, *, when: float | None = None, retain: bool = True, origin: str = "src"
) -> Publish:
    """Return a message below the root."""
    payload, text = encode_payload(value)
    meta = encode_meta(Meta(origin, time.time() if when is None else when))
    return Publish(f"{ROOT}/{topic}", payload, text=text, retain=retain, meta=meta)


async def session(
    port: int, *, keep_alive: int = 15, username: str | None = None, password: str | None = None
) -> Session:
    """Open a session; what it receives and how it ends is nobody's concern."""
    login = BrokerConfig(
        host="127.0.0.1",
        port=port,
        keep_alive=keep_alive,
        username=username,
        password=password,
    )
    return await Session.open(
        login, client_id=fresh_id(), on_publish=lambda _: None, on_closed=lambda _: None
    )


class Source:
    """Describes boxes, and publishes counters for them; says everything again when reconnected.

    `values` has the last published value by entity id. As a context manager it connects; `rate` is
    how many messages a second it publishes from then on, `ahead` how wrong its clock is.
    """

    def __init__(
        self,
        broker: Mosquitto,
        *,
        boxes: int,
        points: int = 10,
        rate: float = 0,
        keep_alive: int = 15,
    ) -> None:
        """Think of boxes with points."""
        self.rate = rate
        self.ahead = 0.0
        self.sent = 0
        self.values: dict[str, float] = {}
        self._port = broker.port
        self._keep_alive = keep_alive
        self._names = [f"{box}_p{point}" for box in range(boxes) for point in range(points)]
        self._boxes = boxes
        self._points = points
        self._task: asyncio.Task[None] | None = None
        self._said = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Connect and say everything."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._said.wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    def unavailable(self, hass: HomeAssistant) -> bool:
        """Tell whether every entity is unavailable."""
        return self._states(hass) == {STATE_UNAVAILABLE}

    def available(self, hass: HomeAssistant) -> bool:
        """Tell whether no entity is unavailable or unknown or missing."""
        return not self._states(hass) & {STATE_UNAVAILABLE, "unknown", None}

    def right(self, hass: HomeAssistant) -> bool:
        """Tell whether every entity shows what was published last."""
        return self.available(hass) and all(
            float(hass.states.get(entity_id).state) == value  # type: ignore[union-attr]
            for entity_id, value in self.values.items()
        )

    def _states(self, hass: HomeAssistant) -> set[str | None]:
        states = (hass.states.get(entity_id) for entity_id in self.values)
        return {None if state is None else state.state for state in states}

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(LinkError):
                await self._live()
            await asyncio.sleep(0.1)

    async def _live(self) -> None:
        """Take part for one session."""
        line = await session(self._port, keep_alive=self._keep_alive)
        try:
            for box in range(self._boxes):
                line.publish_nowait(packet(f"device/box{box}", self._description(box)))
            for name in self._names:
                self._say(line, name)
            await line.barrier()
            self._said.set()
            due = 0.0
            while True:
                await asyncio.sleep(BEAT)
                due += self.rate * BEAT
                while due >= 1:
                    due -= 1
                    self._say(line, self._names[self.sent % len(self._names)])
                if line.closed:
                    return
        finally:
            await line.close()

    def _say(self, line: Session, name: str) -> None:
        """Publish the next value of a point."""
        self.sent += 1
        line.publish_nowait(packet(f"box/{name}", self.sent, when=time.time() + self.ahead))
        self.values[f"sensor.box_{name}"] = float(self.sent)

    def _description(self, box: int) -> Value:
        points: list[Any] = [
            {
                "key": f"p{point}",
                "name": f"P{point}",
                "quantity": "power",
                "path": Path("box", f"{box}_p{point}"),
            }
            for point in range(self._points)
        ]
        return {"v": 1, "name": f"Box {box}", "points": points}
