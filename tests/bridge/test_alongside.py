"""Work beside something else: neither goes on without the other."""

import asyncio
import logging

import pytest

from firmware_bridge.__main__ import main
from firmware_bridge.alongside import alongside
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import ServerConfig
from firmware_bridge.server.server import Server, serving
from tests.support.gates import ROOT, driven
from tests.support.mosquitto import Mosquitto


class BugError(Exception):
    """What nobody expects."""


async def bug(*_: object) -> None:
    await asyncio.sleep(0)
    raise BugError("a bug")


async def test_ends_with_the_context() -> None:
    """Cancelled, or as it wants to be ended."""
    ended = asyncio.Event()
    async with alongside(asyncio.Event().wait()), alongside(ended.wait(), ended.set):
        assert not ended.is_set()
    assert ended.is_set()


async def test_its_failure_is_that_of_the_context() -> None:
    with pytest.raises(BugError):
        async with alongside(bug()):
            await asyncio.Event().wait()


async def test_a_failure_of_the_context_stays_what_it_is() -> None:
    with pytest.raises(OSError, match="lost"):
        async with alongside(asyncio.Event().wait()):
            raise OSError("lost")


async def test_it_ends_in_order_when_something_else_fails() -> None:
    ended = asyncio.Event()
    order = []

    async def work() -> None:
        await ended.wait()
        await asyncio.sleep(0)
        order.append("ended")

    with pytest.raises(BugError):
        async with alongside(work(), ended.set), alongside(bug()):
            await asyncio.Event().wait()
    assert order == ["ended"]


async def test_a_server_that_fails(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs beside it hears of it."""
    monkeypatch.setattr("firmware_bridge.server.keys.Keys.run", bug)
    address = BrokerConfig(host=broker.host, port=broker.port)
    config = ServerConfig(broker=address, root=Path("x"), name="ours", listeners=())
    with pytest.raises(ExceptionGroup) as failure:
        async with serving(Server(config)):
            await asyncio.Event().wait()
    assert failure.group_contains(BugError)


async def test_gates_that_fail(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware_bridge.gates.show.Show.run", bug)
    with pytest.raises(ExceptionGroup) as failure:
        async with driven(broker):
            await asyncio.Event().wait()
    assert failure.group_contains(BugError)


@pytest.mark.parametrize(
    ("command", "broken"),
    [
        ("gates", "gates.show.Show.run"),
        ("server", "gates.show.Show.run"),
        ("server", "server.keys.Keys.run"),
        ("simulate --with-server --no-discovery", "gates.show.Show.run"),
        ("simulate --with-server --no-discovery", "server.keys.Keys.run"),
    ],
)
def test_a_bug_ends_the_process(
    broker: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
    broken: str,
) -> None:
    """With code 1, and one line that says where."""
    monkeypatch.setattr(f"firmware_bridge.{broken}", bug)
    address = ["--host", "127.0.0.1", "--port", str(broker.port)]
    words = [*command.split(), *address, "--root", str(ROOT)]
    listen = {"gates": []}.get(command, ["--listen", "127.0.0.1:0"])
    assert main([*words, *listen]) == 1
    [said] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert said.getMessage() == "Ended by a bug"
    assert "BugError: a bug" in caplog.text
