"""Whoever is the main server, and however it ends: within 15 s, another one is."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.server import namesake
from tests.support.mosquitto import Mosquitto
from tests.support.vectors import load
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
    await witness.becomes_main("two")
    assert not mine.election.main
    await asyncio.to_thread(two.kill)
    await witness.becomes_main("ours")
    assert witness.order == ["one", "two", "ours"]


async def test_both_real_ones_killed(serve: Start, reals: Start, witness: Witness) -> None:
    one = await reals("one", first=True, cycle=50, gap=5)
    two = await reals("two", cycle=50, gap=5)
    mine = await serve("ours")
    await until(lambda: len(mine.peers.agreed) == 2, timeout=15)
    await asyncio.gather(asyncio.to_thread(one.kill), asyncio.to_thread(two.kill))
    await witness.becomes_main("ours")


async def test_real_one_frozen(serve: Start, reals: Start, witness: Witness) -> None:
    """A machine that hangs says no goodbye, and its broker never notices; ours does."""
    one = await reals("one", first=True)
    mine = await serve("ours")
    await until(lambda: "one" in mine.peers.agreed, timeout=15)
    one.pause()
    await witness.becomes_main("ours")
    one.resume()
    await witness.becomes_main("one", timeout=30)
    await until(lambda: not mine.election.main)


async def test_ours_killed_or_frozen(broker: Mosquitto, witness: Witness) -> None:
    """Ours follows ours."""
    async with processes.ours(broker, "a") as first, processes.ours(broker, "b") as second:
        await until(lambda: len(witness.servers) == 2 and witness.claims, timeout=20)
        name = await witness.ask()
        main, successor = (first, "b") if name == "a" else (second, "a")
        main.send_signal(signal.SIGSTOP)
        await witness.becomes_main(successor)
        await until(lambda: name not in witness.servers, timeout=15)
        main.send_signal(signal.SIGCONT)
        await until(lambda: len(witness.servers) == 2, timeout=20)
        name = await witness.ask()
        main, successor = (first, "b") if name == "a" else (second, "a")
        main.send_signal(signal.SIGKILL)
        await witness.becomes_main(successor)


async def test_ours_killed_beside_a_real_one(
    broker: Mosquitto, reals: Start, witness: Witness
) -> None:
    """A real one that has just started follows ours, long before it would be its turn."""
    await reals("one", first=True)
    await asyncio.sleep(0)
    async with processes.ours(broker, "ours", *processes.TURNS) as process:
        await witness.becomes_main("ours", timeout=30)
        process.send_signal(signal.SIGKILL)
        await witness.becomes_main("one")


async def test_poisoned(serve: Start, reals: Start, witness: Witness) -> None:
    """What ends every real server leaves ours as it is, and it takes over."""
    one = await reals("one", first=True)
    mine = await serve("ours")
    await until(lambda: "one" in mine.peers.agreed, timeout=15)
    for each in load("moat-link/election")["poison"]:
        await witness.say("ping", bytes.fromhex(each["payload_hex"]))
    await witness.becomes_main("ours")
    await until(lambda: not one.running, timeout=15)
    assert [ballot for _, ballot in witness.ballots if ballot.node == "ours"] == []
    assert mine.broker.sessions == 1
    await asyncio.to_thread(one.start)
    await witness.becomes_main("one", timeout=30)


async def test_real_one_of_the_same_name(
    serve: Start, reals: Start, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours does not throw it off the broker, which would end it; and follows when it is gone."""
    monkeypatch.setattr(namesake, "_FIRST", 0.5)
    one = await reals("one", first=True)
    mine = await serve("one")
    assert not mine.broker.connected
    assert one.running
    await asyncio.to_thread(one.stop)
    await witness.next_main("one")
    assert mine.election.main
