"""Somebody who hears what servers tell each other, and notes when."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from time import monotonic
from typing import Any, Self

from firmware_bridge.link.codec import decode
from firmware_bridge.link.identity import fresh_id
from firmware_bridge.link.meta import decode_meta
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.session import BrokerConfig, Session
from firmware_bridge.server.ballot import Ballot, decode_ballot
from tests.support.moat import ROOT
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

MAIN = f"{ROOT.replace('.', '/')}/run/service/main/"


@dataclass(eq=False)
class Witness:
    """What was heard: claims as (when, name), messages of the election, announced servers."""

    session: Session
    claims: list[tuple[float, str]] = field(default_factory=list)
    ballots: list[tuple[float, Ballot]] = field(default_factory=list)
    servers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def of(cls, broker: Mosquitto) -> AsyncIterator[Self]:
        """Listen at a broker; a message that is none in the election is an error."""
        packets: list[Callable[[Publish], None]] = []
        session = await Session.open(
            BrokerConfig(host="127.0.0.1", port=broker.port),
            client_id=fresh_id(),
            on_publish=lambda packet: packets[0](packet),
            on_closed=lambda _: None,
        )
        witness = cls(session)
        packets.append(witness._take)
        await session.subscribe(f"{MAIN}#")
        await session.barrier()
        try:
            yield witness
        finally:
            await session.close()

    @property
    def order(self) -> list[str]:
        """Who has been the main server, one after the other."""
        return [name for name, _ in groupby(name for _, name in self.claims)]

    @property
    def main(self) -> str:
        """Who is the main server."""
        return self.claims[-1][1]

    async def becomes_main(self, name: str, timeout: float = 15) -> None:
        """Wait until a server is the main one."""
        await until(
            lambda: self.claims and self.main == name,
            timeout=timeout,
            what=f"{name} as the main server",
        )

    async def next_main(self, name: str, timeout: float = 15) -> None:
        """Wait until a server says (again) that it is the main one."""
        start = monotonic()
        await until(
            lambda: any(when > start and who == name for when, who in self.claims),
            timeout=timeout,
            what=f"{name} as the main server after {self.order}",
        )

    async def ask(self, timeout: float = 15) -> str:
        """Have the main server say again that it is; return its name."""
        before = len(self.claims)
        await self.say("conn", b"")
        await until(lambda: len(self.claims) > before, timeout=timeout, what="a main server")
        return self.main

    async def say(self, channel: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish bytes that may make no sense."""
        await self.session.publish(Publish(f"{MAIN}{channel}", payload, retain=retain))
        await asyncio.sleep(0)

    def _take(self, packet: Publish) -> None:
        channel = packet.topic.removeprefix(MAIN)
        if channel == "conn" and packet.payload:
            self.claims.append((monotonic(), decode_meta(packet.meta or "").origin))
        elif channel == "ping" and packet.meta is not None:
            self.ballots.append((monotonic(), decode_ballot(decode(packet.payload))))
        elif channel.startswith("server/"):
            name = channel.removeprefix("server/")
            self.servers.pop(name, None)
            if packet.payload:
                self.servers[name] = decode(packet.payload)
