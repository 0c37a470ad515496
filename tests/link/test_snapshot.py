"""Snapshots from a broker that drops what it has too much of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from firmware_bridge.link.clock import SystemClock
from firmware_bridge.link.message import Message
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.snapshot import READINGS, SURE, Synchronizer
from firmware_bridge.link.subscriptions import Interest
from firmware_bridge.link.watch import Watch, Watches
from tests.support.recorder import Recorder

NOW = 1000.0


@dataclass(eq=False)
class Broker:
    """Delivers to one watch what its readings say, one after the other; the last for ever."""

    watch: Watch
    readings: Sequence[range]
    id: str = "me"
    asked: list[Path] = field(default_factory=list)

    @property
    def subscriptions(self) -> Broker:
        return self

    async def want(self, interest: Interest, *, retained: bool) -> None:
        if retained:
            await self.read(interest)

    async def read(self, interest: Interest) -> None:
        numbers = self.readings[min(len(self.asked), len(self.readings) - 1)]
        self.asked.append(interest.path)
        for number in numbers:
            self.watch.deliver(Message(f"a/{number}", 1, Meta("me", NOW), retained=True), NOW)


async def snapshot(*readings: range) -> tuple[Broker, Recorder]:
    """Take a snapshot of a subtree without a server."""
    seen = Recorder()
    watch = Watch(Path("a"), seen, seen.mark)
    broker = Broker(watch, readings)
    watches = Watches()
    watches.add(watch)
    synchronizer = Synchronizer(
        broker,
        watches,
        lambda: None,
        SystemClock(),
        grace=10,
        on_ready=lambda: None,
        on_refused=lambda _: None,
    )
    await synchronizer.complete(watch)
    return broker, seen


@pytest.mark.parametrize("count", [0, 1, SURE])
async def test_little_is_read_once(count: int) -> None:
    """What fits into the broker's queue cannot be incomplete."""
    broker, seen = await snapshot(range(count))
    assert len(broker.asked) == 1
    assert seen.marks == [count]


async def test_a_lot_is_read_twice() -> None:
    """Nothing new the second time: that was all."""
    broker, seen = await snapshot(range(SURE + 1))
    assert broker.asked == [Path("a")] * 2
    assert seen.marks == [SURE + 1]


async def test_what_was_dropped_comes_with_another_reading() -> None:
    """As long as there is news, there may be more."""
    broker, seen = await snapshot(range(1500), range(500, 2000), range(2100), range(2100))
    assert len(broker.asked) == 4
    assert seen.marks == [2100]
    assert {message.topic for message in seen.messages} == {f"a/{n}" for n in range(2100)}


async def test_a_subtree_that_keeps_growing() -> None:
    """Whoever publishes without end does not keep us for ever."""
    broker, seen = await snapshot(*(range(2000 + n) for n in range(20)))
    assert len(broker.asked) == READINGS
    assert len(seen.marks) == 1
