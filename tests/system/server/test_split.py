"""Two joined brokers, ours at one, a real server at the other: apart, and together again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, decode
from firmware_bridge.link.identity import fresh_id
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig, Session
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from tests.support.moat import ROOT, MoatError, MoatServer
from tests.support.mosquitto import Mosquitto, bridge_to
from tests.support.proxy import Proxy
from tests.support.running import running
from tests.support.wait import until

type Start = Callable[..., Any]


async def retained(broker: Mosquitto) -> dict[str, Any]:
    """Return what a broker retains below home."""
    found: dict[str, Any] = {}
    prefix = f"{ROOT.replace('.', '/')}/home/"
    session = await Session.open(
        BrokerConfig(host="127.0.0.1", port=broker.port),
        client_id=fresh_id(),
        on_publish=lambda packet: found.update(
            {packet.topic.removeprefix(prefix): decode(packet.payload)}
        ),
        on_closed=lambda _: None,
    )
    await session.subscribe(f"{prefix}#")
    await session.barrier()
    await session.close()
    return found


async def test_split_and_rejoined(broker: Mosquitto, real: MoatServer) -> None:
    """Nothing is lost, nothing comes back, and the real server is told what it could not hear."""
    await asyncio.to_thread(real.start, first=True)
    async with Proxy(broker.port) as proxy:
        with Mosquitto(extra=bridge_to(proxy.port)) as here:
            config = ServerConfig(
                broker=BrokerConfig(host=here.host, port=here.port),
                root=Path.parse(ROOT),
                name="ours",
                listeners=(Listener(port=0),),
            )
            ours = Server(config)
            async with running(ours.run()):
                await until(lambda: "real" in ours.peers.agreed, timeout=20)
                for name in ("kept", "gone-here", "gone-there", "back"):
                    await real.link("data", f"home.{name}", "set", "-f", "-s", ":", "=1")
                await until(lambda: ours.tree.store.find(["home", "back"]), timeout=15)
                await proxy.close()
                await apart(ours, real)
                await proxy.open()
                await together(ours, real)
                expected = {"kept": 1, "back": 3, "here": 4, "there": 5}
                async with asyncio.timeout(30):
                    while await retained(here) != expected or await retained(broker) != expected:
                        await asyncio.sleep(0.2)
                await until(lambda: not ours.election.main, timeout=15)


async def apart(ours: Server, real: MoatServer) -> None:
    """Write and delete on both sides."""

    def write(name: str, value: Any) -> None:
        levels = ["home", name]
        ours.tree.write(levels, value, Meta("x", ours.tree.stamp(levels)))

    write("gone-here", ABSENT)
    write("back", ABSENT)
    write("here", 4)
    await real.link("data", "home.gone-there", "delete")
    await real.link("data", "home.back", "set", "-f", "-s", ":", "=3")
    await real.link("data", "home.there", "set", "-f", "-s", ":", "=5")
    assert ours.tree.store.find(["home", "there"]) is None


async def together(ours: Server, real: MoatServer) -> None:
    """Wait until both serve the same."""

    def here(name: str) -> Any:
        node = ours.tree.store.find(["home", name])
        return node.record.value if node is not None and node.record is not None else ABSENT

    await until(lambda: here("there") == 5, timeout=20)
    await until(lambda: here("gone-there") is ABSENT, timeout=20)
    assert (here("back"), here("here"), here("gone-here")) == (3, 4, ABSENT)
    await until(lambda: ours.peers.agreed["real"], timeout=20)
    async with asyncio.timeout(20):
        while await real.ask("data", "home.here", "get") != 4:
            pass
    assert await real.ask("data", "home.back", "get") == 3
    for name in ("gone-here", "gone-there"):
        with pytest.raises(MoatError, match=name):
            await real.link("data", f"home.{name}", "get")
