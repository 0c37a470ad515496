"""Home Assistant itself is killed in the middle of a burst (matrix row 16)."""

import asyncio
from pathlib import Path as File

import pytest

from tests.integration.wire import ROOT, Peer, point
from tests.support.lab import Lab
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .source import packet, session

COMPONENT = File(__file__).parents[3] / "custom_components" / "moat_link"
COUNT = 500


@pytest.mark.timeout(180)
async def test_killed_in_mid_burst(socket_enabled: None, tmp_path: File) -> None:
    """Row 16: 500 messages at QoS 1, kill -9 among them: after the restart every state is right."""
    with Mosquitto() as broker:
        async with Peer(broker) as peer:
            rows = [point(f"p{n}", "power", f"value.{n}", name=f"P{n}") for n in range(50)]
            await peer.put("value.0", 0)
            await peer.describe("box", *rows)
            lab = Lab(tmp_path / "hass", components=[COMPONENT])
            async with lab:
                where = {"host": broker.host, "port": broker.port, "tls": "off"}
                result = await lab.flow("moat_link", where, {"root": ROOT})
                assert result["type"] == "create_entry", result
                stored = lab.directory / ".storage" / "core.config_entries"
                await until(lambda: stored.exists() and "moat_link" in stored.read_text(), 20)
                line = await session(broker.port)
                assert lab.process is not None
                burst = [
                    asyncio.create_task(
                        line.publish(packet(f"value.{n % 50}".replace(".", "/"), n))
                    )
                    for n in range(COUNT)
                ]
                await burst[COUNT // 3]
                lab.process.kill()
                await asyncio.gather(*burst)
                await lab.process.wait()
                await line.close()
                await lab.start()
                for _ in range(50):
                    states = await lab.states()
                    shown = {n: states.get(f"sensor.box_p{n}", {}).get("state") for n in range(50)}
                    if shown == {n: f"{COUNT - 50 + n}.0" for n in range(50)}:
                        break
                    await asyncio.sleep(0.2)
                assert shown == {n: f"{COUNT - 50 + n}.0" for n in range(50)}
                assert [each for each in lab.warnings() if "moat_link" in each] == []
