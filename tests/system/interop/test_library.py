"""Programs with the real client library find nothing different about our server."""

import asyncio
from pathlib import Path

from tests.support.moat import MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.ours import OurServer
from tests.support.wait import until

TALK = Path(__file__).with_name("talk.py")


async def test_same_talk() -> None:
    """Conditions, snapshots and changes, errors, calls and streams between two clients."""
    with Mosquitto() as one, Mosquitto() as two, MoatServer(one) as real, OurServer(two) as ours:
        real_said, our_said = await asyncio.gather(_talk(real), _talk(ours))
    assert our_said == real_said
    assert ["count", ["begin"], 435] in our_said
    assert ["sum", 435] in our_said


async def _talk(server: MoatServer) -> list[object]:
    async with server.program(TALK) as program:
        await until(lambda: ["over"] in program.said, 40, "the end of the talk")
        return program.said
