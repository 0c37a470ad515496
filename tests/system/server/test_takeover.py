"""Whoever is the main server, and however it ends: within 15 s, another one is."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from . import processes
from .witness import Witness

type Start = Callable[..., Any]


async def test_real_ones_killed(serve: Start, reals: Start, witness: Witness) -> None:
    """With their usual times: the second real one follows the first, ours the second."""
    one = await reals("one", first=True, cycle=50, gap=5)
    two = await reals("two", cycle=50, gap=5)
    mine = await serve("ours")
    await until(lambda: len(mine.peers.agreed) == 2, timeout=15)
    assert witness.order == ["one"]
    await asyncio.to_thread(one.kill)
    await witness.next_main("two")
    assert not mine.election.main
    await asyncio.to_thread(two.kill)
    await witness.next_main("ours")
    assert witness.order == ["one", "two", "ours"]


async def test_both_real_ones_killed(serve: Start, reals: Start, witness: Witness) -> None:
    one = await reals("one", first=True, cycle=50, gap=5)
    two = await reals("two", cycle=50, gap=5)
    mine = await serve("ours")
    await until(lambda: len(mine.peers.agreed) == 2, timeout=15)
    await asyncio.gather(asyncio.to_thread(one.kill), asyncio.to_thread(two.kill))
    await witness.next_main("ours")


async def test_real_one_frozen(serve: Start, reals: Start, witness: Witness) -> None:
    """A machine that hangs says no goodbye, and its broker never notices; ours does."""
    one = await reals("one", first=True, cycle=50, gap=5)
    mine = await serve("ours")
    await until(lambda: "one" in mine.peers.agreed, timeout=15)
    one.pause()
    await witness.next_main("ours")
    one.resume()
    await witness.next_main("one", timeout=75)
    assert not mine.election.main


async def test_ours_killed_or_frozen(broker: Mosquitto, witness: Witness) -> None:
    """Ours follows ours."""
    async with processes.ours(broker, "a") as first, processes.ours(broker, "b") as second:
        await until(lambda: len(witness.servers) == 2 and witness.claims, timeout=20)
        await asyncio.sleep(2)
        main, other = (first, second) if witness.main == "a" else (second, first)
        name, successor = ("a", "b") if main is first else ("b", "a")
        main.send_signal(signal.SIGSTOP)
        await witness.next_main(successor)
        await until(lambda: name not in witness.servers, timeout=15)
        main.send_signal(signal.SIGCONT)
        await until(lambda: len(witness.servers) == 2, timeout=20)
        await asyncio.sleep(2)
        main = first if witness.main == "a" else second
        successor = "b" if main is first else "a"
        main.send_signal(signal.SIGKILL)
        await witness.next_main(successor)
        del other


async def test_ours_killed_beside_a_real_one(
    broker: Mosquitto, reals: Start, witness: Witness
) -> None:
    """A real one that has just started follows ours, long before it would be its turn."""
    await reals("one", first=True)
    await asyncio.sleep(0)
    async with processes.ours(broker, "ours", *processes.TURNS) as process:
        await witness.next_main("ours", timeout=30)
        process.send_signal(signal.SIGKILL)
        await witness.next_main("one")
