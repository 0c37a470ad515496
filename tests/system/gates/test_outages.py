"""A gate between two brokers that come and go, while both sides are written."""

import asyncio
import contextlib
import random
from collections.abc import Iterator

import pytest

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.errors import ConnectionLostError
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from tests.support.gates import Insider, Outsider, address, driven, entry, insider, outsider, runs
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

TOPICS = [f"n{number}" for number in range(6)]


@pytest.fixture
def brokers(sockets: None) -> Iterator[tuple[Mosquitto, Mosquitto]]:
    """Run two brokers that remember."""
    with Mosquitto(persistence=True) as home, Mosquitto(persistence=True) as far:
        yield home, far


class Writers:
    """Whoever writes on both sides, whatever comes to mind, as long as it can."""

    def __init__(self, inside: Insider, outside: Outsider, chance: random.Random) -> None:
        self._inside = inside
        self._outside = outside
        self._chance = chance

    async def write(self, times: int) -> None:
        for _ in range(times):
            side = self._chance.choice([self._write_inside, self._write_outside])
            value = self._chance.choice([*range(1000), *[None] * 100])
            with contextlib.suppress(ConnectionLostError):
                side(self._chance.choice(TOPICS), value)
            await asyncio.sleep(0.003)

    def _write_inside(self, topic: str, value: int | None) -> None:
        self._inside.link.publish(Path("home", topic), ABSENT if value is None else value)

    def _write_outside(self, topic: str, value: int | None) -> None:
        payload = b"" if value is None else b"%d" % value
        message = Publish(f"ext/js/{topic}", payload, retain=True)
        self._outside.session.publish_nowait(message)


@pytest.mark.parametrize("lost", ["far", "home", "both"])
async def test_both_sides_agree_after_an_outage(
    brokers: tuple[Mosquitto, Mosquitto], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written before, meanwhile and afterwards: in the end it is the same."""
    monkeypatch.setattr("firmware_bridge.gates.job.FIRST", 0.3)
    home, far = brokers
    losing = {"far": [far], "home": [home], "both": [home, far]}[lost]
    chance = random.Random(lost)
    async with insider(home) as inside:
        await inside.set("gate.js", entry(backend={"host": far.host, "port": far.port}))
        async with driven(home, backends=(address(far),)) as gates:
            await runs(inside)
            job = gates.jobs[Path("js")]
            async with outsider(far) as outside:
                writers = Writers(inside, outside, chance)
                await writers.write(60)
                for each in losing:
                    each.stop()
                await until(lambda: job.state != "running" or not job.announced, 20)
                await writers.write(30)
            for each in losing:
                each.start()
            await until(lambda: inside.link.status.ready, 40)
            async with outsider(far) as outside:
                await Writers(inside, outside, chance).write(60)
            await until(lambda: job.state == "running" and job.announced, 60)
            async with outsider(far) as outside:
                await outside.session.barrier()
                await until(lambda: seen_inside(inside) == seen_outside(outside), 40)


def seen_inside(inside: Insider) -> dict[str, bytes]:
    """Return what there is inside, as it is written outside."""
    found = {topic: inside.value(f"home.{topic}") for topic in TOPICS}
    return {topic: str(value).encode() for topic, value in found.items() if value is not None}


def seen_outside(outside: Outsider) -> dict[str, bytes]:
    """Return what there is outside."""
    found = {topic: outside.payloads(f"ext/js/{topic}")[-1:] for topic in TOPICS}
    return {topic: last[0] for topic, last in found.items() if last not in ([], [b""])}
