"""The real server asks every 30 s whether we are alive, and has three seconds of patience."""

import asyncio
import time

from homeassistant.core import HomeAssistant

from tests.integration.wire import Peer
from tests.support.moat import MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .user import integration

SLICE = 0.2  # seconds that the loop is busy at a time
HELLO = bytes.fromhex(
    "870081f601f46d5f62504e463933366356785458d901028164616e6f6ea1696d6f61742e6c696e6b"
    "a16776657273696f6e00"
)
LOGIN = bytes.fromhex("820482f664616e6f6e")
ACCEPT = bytes.fromhex("822364616e6f6e")


async def test_probed_often(hass: HomeAssistant, alone: Mosquitto) -> None:
    """Who does not answer is thrown out; we stay."""
    with MoatServer(alone, probe=1) as server:
        async with integration(hass, alone) as entry:
            link = entry.runtime_data.link
            await until(lambda: link.status.server == "one")
            servers = {"one"}
            link.on_status(lambda: servers.add(link.status.server))
            await _stay_silent(server)
            await server.link("cmd", "cl." + link.id + ".i.ping")
            assert servers == {"one"}


async def test_probed_while_busy(hass: HomeAssistant, alone: Mosquitto, other: Peer) -> None:
    """A loop that is never free for more than a moment does not keep us from answering.

    Nor from giving signs of life: the installation's cleanup service takes nothing of ours away.
    """
    with MoatServer(alone) as server:
        async with server.process("host", "run", "-m"), integration(hass, alone) as entry:
            link = entry.runtime_data.link
            await until(lambda: link.status.server == "one")
            servers = {"one"}
            link.on_status(lambda: servers.add(link.status.server))
            await other.follow("run.id")
            await other.put("run.id._dead", {"host": "lab"})
            await _be_busy(36)
            assert other.values("run.id._dead") == [{"host": "lab"}, None]
            assert other.values(f"run.id.{link.id}")[-1]["srv"] == "one"
            assert servers == {"one"}
            ours = f"{link.config.host}.homeassistant"
            assert await server.ask("cmd", "-C", ours, "i.ping") == "乓"


async def _stay_silent(server: MoatServer) -> None:
    """Log in, read, and never answer; return when thrown out."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    async with asyncio.timeout(10):
        await reader.readuntil(b"rname")
        writer.write(HELLO + LOGIN + ACCEPT)
        start = time.monotonic()
        heard = await reader.read()
    assert "乒".encode() in heard
    assert time.monotonic() - start > 3
    writer.close()
    await writer.wait_closed()


async def _be_busy(seconds: float) -> None:
    """Occupy the loop in slices that follow each other without a pause."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        time.sleep(SLICE)
        await asyncio.sleep(0)
