"""Our server beside the real service that clears away what clients leave."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.link.codec import encode
from firmware_bridge.link.meta import Meta, encode_meta
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.session import BrokerConfig, Session
from tests.support.moat import ROOT, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

type Start = Callable[..., Any]

TOP = ROOT.replace(".", "/")


class Gone:
    """Somebody who leaves traces, and hears who clears them away."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.removed: dict[str, str] = {}

    def hear(self, packet: Publish) -> None:
        """Note who deletes what."""
        if not packet.payload:
            origin = (packet.meta or "").partition("\\")[0]
            self.removed[packet.topic.removeprefix(f"{TOP}/")] = origin

    async def leave(self, name: str) -> None:
        """Leave an identity that nobody stands for."""
        meta = encode_meta(Meta(name, time.time()))
        packet = Publish(f"{TOP}/run/id/{name}", encode({"host": "x"}), retain=True, meta=meta)
        await self.session.publish(packet)


@pytest.mark.timeout(120)
async def test_real_service(serve: Start, real: MoatServer, broker: Mosquitto) -> None:
    """While it is there, ours leaves the work to it; when it is killed, ours does it."""
    ours = await serve(socket=real.socket)
    await until(lambda: ours.election.main)
    heard: list[Publish] = []
    session = await Session.open(
        BrokerConfig(host=broker.host, port=broker.port),
        client_id="_gone",
        on_publish=heard.append,
        on_closed=lambda _: None,
    )
    gone = Gone(session)
    await session.subscribe(f"{TOP}/#")
    async with real.process("host", "run", "-m", service=":") as service:
        await until(lambda: ours.caretaker.relieved, timeout=20)
        await gone.leave("_first")
        await until(
            lambda: [gone.hear(each) for each in heard] and "run/id/_first" in gone.removed, 30
        )
        assert gone.removed["run/id/_first"] != "ours"
        service.kill()
        await service.wait()
        await until(lambda: not ours.caretaker.relieved, timeout=40)
        await gone.leave("_second")
        await until(
            lambda: [gone.hear(each) for each in heard] and "run/id/_second" in gone.removed, 30
        )
        assert gone.removed["run/id/_second"] == "ours"
    await session.close()
