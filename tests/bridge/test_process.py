"""The bridge as a process: command line, signals, and what is left when it dies."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path as FilePath

from firmware_bridge.link.path import Path
from firmware_bridge.server.tokens import add_token
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.wait import until

from .conftest import SERVICE, Peer

DEVICES = {
    *("battery", "inverter", "solar", "meter", "house", "board"),
    *("light", "valve", "blind", "weather", "simulation"),
}


@contextlib.asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[Process]:
    """Run the command line; kill it at the end if it still runs."""
    command = [sys.executable, "-m", "firmware_bridge", *arguments]
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.communicate()


def simulate(broker: Mosquitto, *more: str) -> contextlib.AbstractAsyncContextManager[Process]:
    """Run the simulated home on this broker."""
    fixed = ["--port", str(broker.port), "--root", "test.home", "--as-host", "here"]
    return process("simulate", *fixed, "--no-server", "--no-discovery", *more)


def alive(peer: Peer) -> list[bool]:
    """Return every sign of life or death that was heard of the present owner."""
    said = peer.state.get(SERVICE.topic)
    owner = said["id"] if isinstance(said, dict) else ""
    pings = peer.values(Path("run", "ping", "id", str(owner)).topic)
    return [each["up"] is True for each in pings if isinstance(each, dict)]


async def test_the_simulated_home_appears(broker: Mosquitto, peer: Peer) -> None:
    """Every device within seconds; a command turns a relay, a refusal has its reason."""
    async with simulate(broker) as running:
        await until(lambda: {f"device/{name}" for name in DEVICES} <= peer.state.keys(), 15)
        await until(lambda: "ems/sat/cellar/out" in peer.state, 10)
        assert await peer.set("board", "relay_1", True) is True
        await until(lambda: _item(peer, "ems/sat/cellar/out", "r") == [True, False])
        await until(lambda: True in alive(peer))
        running.send_signal(signal.SIGTERM)
        _, log = await running.communicate()
        assert running.returncode == 0, log
    await until(lambda: SERVICE.topic not in peer.state)
    assert {f"device/{name}" for name in DEVICES} <= peer.state.keys()


def _item(peer: Peer, topic: str, key: str) -> object:
    value = peer.state.get(topic)
    return value.get(key) if isinstance(value, dict) else None


async def test_killed_and_started_again(broker: Mosquitto, peer: Peer) -> None:
    """The broker tells the death; the next start goes on where the last one was."""
    async with simulate(broker) as running:
        await until(lambda: "ems/light/living/out" in peer.state, 15)
        await until(lambda: True in alive(peer))
        await peer.set("light", "light", True)
        await until(lambda: _item(peer, "ems/light/living/out", "on") is True)
        running.kill()
        await until(lambda: alive(peer)[-1:] == [False], 5, "no last will")
    heard = len(peer.heard)
    async with simulate(broker):
        await until(lambda: alive(peer)[-1:] == [True], 15)
        await until(lambda: _later(peer, heard, "ems/light/living/out"), 10)
        assert _item(peer, "ems/light/living/out", "on") is True


def _later(peer: Peer, heard: int, topic: str) -> bool:
    return any(each.topic == topic for each in peer.heard[heard:])


async def test_an_empty_broker_is_filled_again(broker: Mosquitto, peer: Peer) -> None:
    """Killed and started without memory, it knows everything again within 10 s."""
    async with simulate(broker):
        await until(lambda: "ems/bat/main/cells/out" in peer.state, 15)
        topics = {topic for topic in peer.state if topic.startswith(("device/", "ems/"))}
        broker.kill()
        await until(lambda: not peer.link.status.connected, 5)
        peer.heard.clear()
        broker.start()
        await until(lambda: topics <= {each.topic for each in peer.heard}, 10)


async def test_forget(broker: Mosquitto, peer: Peer) -> None:
    """With --forget nothing stays after an orderly end."""
    async with simulate(broker, "--forget", "--devices", "light,board") as running:
        await until(lambda: {"device/light", "ems/light/living/out"} <= peer.state.keys(), 15)
        running.send_signal(signal.SIGINT)
        await running.communicate()
        assert running.returncode == 0
    await until(lambda: not peer.state)


async def test_faults_on_the_command_line(broker: Mosquitto, peer: Peer) -> None:
    """A silent device is described and has no value."""
    async with simulate(broker, "--devices", "light,valve", "--fault", "silent:light"):
        await until(lambda: {"ems/valve/garden/out", "device/light"} <= {*peer.state}, 15)
        assert "ems/light/living/out" not in peer.state


async def test_stops_without_a_broker() -> None:
    """A bridge that never found its broker ends orderly, too."""
    async with process("simulate", "--port", str(free_port()), "--no-discovery") as running:
        assert running.stderr is not None
        async with asyncio.timeout(15):
            assert b"No connection" in await running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await running.communicate()
        assert running.returncode == 0


async def test_nothing_to_reload(broker: Mosquitto, peer: Peer) -> None:
    """A reload does not end a bridge that is no server."""
    async with simulate(broker, "--devices", "light") as running:
        await until(lambda: "device/light" in peer.state, 15)
        running.send_signal(signal.SIGHUP)
        running.send_signal(signal.SIGTERM)
        await running.communicate()
        assert running.returncode == 0


async def test_server_without_drivers(broker: Mosquitto, peer: Peer, tmp_path: FilePath) -> None:
    """As one unit runs it: a server with data and tokens, which takes over what drivers left."""
    async with simulate(broker, "--devices", "light") as running:
        await until(lambda: {"device/light", "ems/light/living/out"} <= peer.state.keys(), 15)
        running.send_signal(signal.SIGTERM)
        await running.communicate()
    tokens = tmp_path / "tokens"
    add_token(tokens, "tablet")
    file = tmp_path / "bridge.toml"
    file.write_text(f"""
[broker]
port = {broker.port}
[link]
root = "test.home"
host = "here"
[bridge]
discovery = false
[server]
listen = ["127.0.0.1:0"]
save = "data"
token_file = "tokens"
anonymous = false
announce_token = false
""")
    async with process("run", str(file)) as running:
        await until(lambda: not {"device/light", "ems/light/living/out"} & peer.state.keys(), 15)
        assert (peer.state.get(SERVICE.topic) or {})["value"]["drivers"] == {}  # type: ignore[index,call-overload]
        add_token(tokens, "phone")
        running.send_signal(signal.SIGHUP)
        assert running.stderr is not None
        log = b""
        async with asyncio.timeout(10):
            while b"Those with a token: tablet, phone" not in log:
                log += await running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        await running.communicate()
        assert running.returncode == 0
    assert b"WARNING" not in log, "the bridge needs no token for the server that it is"
    assert list((tmp_path / "data").rglob("*.moat"))


async def test_check() -> None:
    """The example is right; a wrong one is named and the exit code says so."""
    async with process("run", "firmware_bridge/packaging/bridge.toml", "--check") as running:
        out, _ = await running.communicate()
        assert (running.returncode, out) == (0, b"Right: 1 driver(s), root moat\n")
    async with process("run", "nowhere.toml") as running:
        _, err = await running.communicate()
        assert (running.returncode, err) == (2, b"nowhere.toml: No such file or directory\n")
    async with process("simulate", "--speed", "0") as running:
        _, err = await running.communicate()
        assert running.returncode == 2
        assert err.startswith(b"command line: driver.home.speed: ")
    async with process("simulate", "--fault", "silent:cat", "--check") as running:
        _, err = await running.communicate()
        assert running.returncode == 2
        assert b"devices: battery" in err
