"""Commands that others may call: found, bounded, and answered even when they fail."""

import asyncio
import logging

import pytest

from firmware_bridge.link.codec import Value
from firmware_bridge.link.errors import CommandError, CommandFailure, NotFoundError, RefusedError
from firmware_bridge.link.identity import HOSTS
from firmware_bridge.link.path import Path
from firmware_bridge.link.rpc import Reply
from firmware_bridge.link.services import AT_ONCE, WAITING, Command, OnStop, Service, Services

CHANGED: list[Service] = []


def offer(
    commands: dict[str, Command], value: Value = None, on_stop: OnStop | None = None
) -> tuple[Services, Service]:
    """Offer one service."""
    services = Services()
    service = Service(HOSTS / Path("h", "s"), commands, value, on_stop, CHANGED.append)
    services.add(service)
    return services, service


async def greet(name: str, *, loud: bool = False) -> Value:
    """Greet somebody."""
    return f"hi {name}!" if loud else f"hi {name}"


async def test_call() -> None:
    """Commands get their arguments; names may have several parts."""
    services, service = offer({"greet": greet, "a.b": greet})
    assert await services.execute((service.key, "greet"), ("bob",), {"loud": True}) == "hi bob!"
    assert await services.execute([service.key, "a", "b"], ["bob"], {}) == "hi bob"
    assert list(services) == [service]


async def test_built_in() -> None:
    """Every service answers pings and lists its commands; so does the client itself."""
    services, service = offer({"greet": greet, "a.b": greet})
    pong = Reply(("乓", 1), {"x": 2})
    assert await services.execute((service.key, "i", "ping"), (1,), {"x": 2}) == pong
    assert await services.execute(("i", "乒"), (1,), {"x": 2}) == pong
    assert await services.execute((service.key, "dir_"), (), {}) == {"c": ["greet", "a.b"]}


@pytest.mark.parametrize("route", [(), ("x",), ("x", "greet"), (None,), ([1], {}), (b"\xff", 1)])
async def test_unknown_route(route: tuple[Value, ...]) -> None:
    """Nonsense is answered, too."""
    services, _ = offer({"greet": greet})
    with pytest.raises(NotFoundError):
        await services.execute(route, (), {})


async def test_unknown_command() -> None:
    """Only what is offered can be called, by its exact type."""
    services, service = offer({"greet": greet, ":1": greet})
    for command in ("other", 1.0, True):
        with pytest.raises(NotFoundError, match="no such command"):
            await services.execute((service.key, command), ("x",), {})
    assert await services.execute((service.key, 1), ("x",), {}) == "hi x"


async def test_wrong_arguments() -> None:
    """The caller hears what was wrong, and the command is not started."""
    services, service = offer({"greet": greet})
    for arguments, keywords in (((), {}), (("a", "b"), {}), (("a",), {"soft": True})):
        with pytest.raises(RefusedError, match="wrong arguments"):
            await services.execute((service.key, "greet"), arguments, keywords)


async def test_failures(caplog: pytest.LogCaptureFixture) -> None:
    """Refusals pass, other errors of ours are translated, bugs are logged."""

    async def fail(kind: str) -> Value:
        raise {
            "refused": NotFoundError("not here"),
            "ours": CommandError(CommandFailure.TIMEOUT, "too slow"),
            "bug": KeyError("secret"),
        }[kind]

    services, service = offer({"fail": fail})
    with pytest.raises(NotFoundError, match="not here"):
        await services.execute((service.key, "fail"), ("refused",), {})
    with pytest.raises(RefusedError, match="too slow"):
        await services.execute((service.key, "fail"), ("ours",), {})
    assert not caplog.records
    with caplog.at_level(logging.ERROR), pytest.raises(RefusedError, match=r"^failed: KeyError$"):
        await services.execute((service.key, "fail"), ("bug",), {})
    assert len(caplog.records) == 1


async def test_bounded() -> None:
    """Only so many run at once, only so many wait, the rest is refused."""
    gate = asyncio.Event()
    running = most = 0

    async def work() -> Value:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return None

    services, service = offer({"work": work})
    async with asyncio.TaskGroup() as tasks:
        calls = [
            tasks.create_task(services.execute((service.key, "work"), (), {}))
            for _ in range(AT_ONCE + WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="too many"):
            await services.execute((service.key, "work"), (), {})
        gate.set()
    assert all(call.result() is None for call in calls)
    assert most == AT_ONCE
    assert await services.execute((service.key, "work"), (), {}) is None


def test_announcement() -> None:
    """What is said about a service, and when there is news."""
    CHANGED.clear()
    _, service = offer({}, {"v": 1})
    assert service.announce("_x") == {
        "id": "_x",
        "path": Path(service.key),
        "value": {"v": 1},
        "up": True,
        "request": True,
    }
    assert service.stop_path == Path("run", "stop", "h", "s")
    service.update({"v": 1})
    assert CHANGED == []
    service.update({"v": True})
    assert [service] == CHANGED
    service.update(None)
    assert [service, service] == CHANGED
    assert "value" not in service.announce("_x")


async def test_end() -> None:
    """A closed or superseded service takes no calls; its owner is told of the latter only."""
    reasons: list[str] = []
    services, service = offer({"greet": greet}, on_stop=reasons.append)
    service.close()
    service.close()
    service.stop("late")
    with pytest.raises(NotFoundError):
        await services.execute((service.key, "greet"), ("x",), {})
    assert list(services) == []
    services, service = offer({"greet": greet}, on_stop=reasons.append)
    service.stop("please")
    service.supersede("_y")
    assert service.superseded
    services.remove(service)
    assert reasons == ["please", "superseded by _y"]


def test_failing_stop(caplog: pytest.LogCaptureFixture) -> None:
    """The owner's bug is logged, not ours."""

    def fail(_: str) -> None:
        raise ValueError("bug")

    _, service = offer({}, on_stop=fail)
    service.stop("please")
    assert "Stopping run.host.h.s failed" in caplog.text
    _, silent = offer({})
    silent.stop("please")
