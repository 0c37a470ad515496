"""Ours takes turns with real servers."""

import asyncio
import signal
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any, override

from firmware_bridge.server.ballot import Init, Parameters, Vers
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from . import processes
from .witness import Witness

type Start = Callable[..., Any]

TURNS = Parameters(cycle=2, gap=0.5)


class Eager(Random):
    """Chance that lets a third server into the ring at once, which takes half an hour on average."""

    @override
    def random(self) -> float:
        return 0.0


async def test_three_take_turns(serve: Start, reals: Start, witness: Witness) -> None:
    """Each is the main server in turn; when one is killed, another one follows; ours in the end."""
    one = await reals("one", first=True)
    two = await reals("two")
    await witness.next_main("two", timeout=60)
    mine = await serve("ours", turns=TURNS)
    mine.election.ring.random = Eager()
    await witness.next_main("ours", timeout=60)
    seen = len(witness.order)
    await until(lambda: len(witness.order) >= seen + 9, timeout=60)
    turns = witness.order[seen : seen + 9]
    assert set(turns) == {"one", "two", "ours"}
    assert turns[:3] * 3 == turns
    said = [ballot for _, ballot in witness.ballots if ballot.node == "ours"]
    assert said[:2] == [Init("ours"), Vers("ours", TURNS)]
    claims = [when for when, _ in witness.claims[-6:]]
    assert all(1 < later - earlier < 6 for earlier, later in pairwise(claims))
    await witness.next_main("one")
    await asyncio.to_thread(one.kill)
    await until(lambda: witness.main != "one", timeout=15)
    await witness.next_main("ours")
    await until(lambda: witness.order[-2:] == ["ours", "two"], timeout=15)
    await asyncio.to_thread(two.kill)
    await witness.becomes_main("ours")
    await until(lambda: mine.election.ring.members == ["ours"], timeout=15)


async def test_killed_in_turn(broker: Mosquitto, reals: Start, witness: Witness) -> None:
    """A real server follows ours when that is killed, and the other way round."""
    one = await reals("one", first=True)
    async with processes.ours(broker, "ours", *processes.TURNS) as process:
        await witness.becomes_main("ours", timeout=30)
        process.send_signal(signal.SIGKILL)
        await witness.becomes_main("one")
    async with processes.ours(broker, "ours", *processes.TURNS):
        await witness.becomes_main("ours", timeout=30)
        await witness.becomes_main("one")
        await asyncio.to_thread(one.kill)
        await witness.becomes_main("ours")
        await witness.next_main("ours")
