"""The fewest filters that cover what is wanted, without a gap, and replays on demand."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.link.errors import NotAuthorizedError
from firmware_bridge.link.path import Path
from firmware_bridge.link.subscriptions import Interest, Subscriptions

ROOT = Path("r")


@dataclass
class Broker:
    """Takes subscriptions, and notes what is asked of it."""

    denied: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)
    said: list[tuple[str, str]] = field(default_factory=list)
    at_barrier: Callable[[], None] = lambda: None

    async def subscribe(
        self, *filters: str, qos: int = 0, retain_handling: int = 0, no_local: bool = False
    ) -> None:
        """Subscribe."""
        await asyncio.sleep(0)
        for each in filters:
            self.said.append((f"subscribe {retain_handling}", each))
            if each in self.denied:
                raise NotAuthorizedError(each)
            self.active.add(each)

    async def unsubscribe(self, *filters: str) -> None:
        """Unsubscribe."""
        await asyncio.sleep(0)
        for each in filters:
            self.said.append(("unsubscribe", each))
            self.active.remove(each)

    async def barrier(self) -> None:
        """Deliver."""
        self.at_barrier()
        self.said.append(("barrier", ""))


def interest(name: str) -> Interest:
    """Read `a.b` as a node and `a.b.#` as a subtree."""
    path = Path(*[part for part in name.split(".") if part not in ("", "#")])
    return Interest(path, subtree=name.endswith("#"))


def covers(one: Interest, other: Interest) -> bool:
    """Whether whoever follows one receives everything of the other."""
    return one == other or (one.subtree and other.path.starts_with(one.path))


async def test_retained_or_not() -> None:
    """Retained messages are asked for only when wanted, and waited for."""
    broker = Broker()
    subscriptions = Subscriptions(broker, ROOT)
    await subscriptions.want(interest("a.#"))
    await subscriptions.want(interest("b.#"), retained=True)
    assert broker.said == [("subscribe 2", "r/a/#"), ("subscribe 0", "r/b/#"), ("barrier", "")]


async def test_inner_is_covered() -> None:
    """What a wider filter covers is not subscribed to, except to read what is retained."""
    broker = Broker()
    subscriptions = Subscriptions(broker, ROOT)
    await subscriptions.want(interest("a.#"))
    broker.said.clear()
    await subscriptions.want(interest("a.b.#"))
    assert broker.said == []
    await subscriptions.want(interest("a.c"), retained=True)
    assert broker.said == [("subscribe 0", "r/a/c"), ("barrier", ""), ("unsubscribe", "r/a/c")]
    assert broker.active == {"r/a/#"}


async def test_wider_takes_over_and_gives_back() -> None:
    """A wider filter replaces the narrow ones; they come back when it goes."""
    broker = Broker()
    subscriptions = Subscriptions(broker, ROOT)
    await subscriptions.want(interest("a.b.#"))
    await subscriptions.want(interest("a.c"))
    await subscriptions.want(interest("#"))
    assert broker.active == {"r/#"}
    broker.said.clear()
    await subscriptions.drop(interest("#"))
    assert broker.active == {"r/a/b/#", "r/a/c"}
    assert broker.said[-1] == ("unsubscribe", "r/#")
    await subscriptions.drop(interest("a.b.#"), interest("a.c"))
    assert broker.active == set()


async def test_counted() -> None:
    """What two want stays until both have dropped it."""
    broker = Broker()
    subscriptions = Subscriptions(broker, ROOT)
    await subscriptions.want(interest("a.#"))
    await subscriptions.want(interest("a.#"))
    await subscriptions.drop(interest("a.#"))
    assert broker.active == {"r/a/#"}
    await subscriptions.drop(interest("a.#"))
    assert broker.active == set()


async def test_read_again() -> None:
    """Reading again keeps the subscription, and is known to be a replay."""
    broker = Broker()
    subscriptions = Subscriptions(broker, ROOT)
    replaying: list[int] = []
    broker.at_barrier = lambda: replaying.append(subscriptions.replaying)
    await subscriptions.want(interest("a.#"))
    broker.said.clear()
    await subscriptions.read(interest("a.#"))
    assert broker.said == [("subscribe 0", "r/a/#"), ("barrier", "")]
    assert replaying == [1]
    assert subscriptions.replaying == 0
    await subscriptions.read(interest("b"))
    assert broker.active == {"r/a/#"}


async def test_denied() -> None:
    """A denied filter is not wanted any more, and leaves the others alone."""
    broker = Broker(denied={"r/a/#"})
    subscriptions = Subscriptions(broker, ROOT)
    await subscriptions.want(interest("b.#"))
    with pytest.raises(NotAuthorizedError, match="r/a/#"):
        await subscriptions.want(interest("a.#"), retained=True)
    assert subscriptions.replaying == 0
    await subscriptions.want(interest("c"))
    assert broker.active == {"r/b/#", "r/c"}


async def test_a_thousand() -> None:
    """What one more costs hardly depends on how many there are."""
    broker = Broker()
    subscriptions = Subscriptions(broker, ROOT)
    async with asyncio.timeout(30):
        for number in range(1000):
            await subscriptions.want(interest(f"a{number}.b.#"))
    assert len(broker.active) == 1000


names = st.sampled_from(["#", "a.#", "a", "a.b", "a.b.#", "a.b.c", "b.#", "a.c.#", "ab"])


@given(st.lists(st.tuples(st.booleans(), st.booleans(), names), max_size=30))
def test_always_covered(steps: list[tuple[bool, bool, str]]) -> None:
    """At any time everything wanted is covered by exactly one filter."""

    async def play() -> None:
        broker = Broker()
        subscriptions = Subscriptions(broker, ROOT)
        wanted: list[str] = []
        pending: list[Awaitable[None]] = []
        for more, retained, name in steps:
            if more or name not in wanted:
                wanted.append(name)
                pending.append(subscriptions.want(interest(name), retained=retained))
            else:
                wanted.remove(name)
                pending.append(subscriptions.drop(interest(name)))
        for step in pending:
            await step
        filters = [
            Interest(Path(*each.removesuffix("/#").split("/")), subtree=each.endswith("#"))
            for each in broker.active
        ]
        for name in wanted:
            one = Interest(ROOT / interest(name).path, interest(name).subtree)
            assert sum(covers(each, one) for each in filters) == 1
        assert len(filters) <= len(set(wanted))

    asyncio.run(play())
