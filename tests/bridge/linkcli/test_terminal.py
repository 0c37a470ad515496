"""The command line as a process, at a terminal and in a pipe."""

import asyncio
import contextlib
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_bridge.server.server import Server
from tests.bridge.test_process import process
from tests.support.installation import ROOT
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import say


def words(broker: Mosquitto, *more: str) -> list[str]:
    return ["link", "--port", str(broker.port), "--root", str(ROOT), *more]


@asynccontextmanager
async def terminal(*arguments: str, **environ: str) -> AsyncIterator[bytearray]:
    """Run the command line at a terminal of its own; what it shows."""
    ours, theirs = pty.openpty()
    shown = bytearray()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(OSError):
            shown.extend(os.read(ours, 65536))

    loop.add_reader(ours, read)
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "firmware_bridge", *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | environ,
    )
    try:
        await asyncio.wait_for(running.wait(), 20)
        yield shown
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)


async def test_colour(broker: Mosquitto, server: Server) -> None:
    """A terminal has colours, unless somebody does not want them."""
    say(server, "a.b", 5)
    say(server, "error.x", {"msg": "oops", "level": 4})
    plain = {"NO_COLOR": "", "TERM": "xterm"}
    async with terminal(*words(broker, "get", "a.b"), **plain) as shown:
        await until(lambda: b"\033[1ma.b\033[0m  5  \033[2mme  20" in shown)
    async with terminal(*words(broker, "errors"), **plain) as shown:
        await until(lambda: b"\033[1;31mfatal  \033[0m  \033[1mx\033[0m  oops" in shown)
    async with terminal(*words(broker, "get", "b"), **plain) as shown:
        await until(lambda: b"\033[31mnothing at b; there is a, error\033[0m" in shown)
    async with terminal(*words(broker, "get", "a.b"), NO_COLOR="1") as shown:
        await until(lambda: b"a.b  5  me" in shown)
        assert b"\033" not in shown
    async with terminal(*words(broker, "--colour", "never", "get", "a.b"), **plain) as shown:
        await until(lambda: b"a.b  5  me" in shown)
        assert b"\033" not in shown


async def test_enough_seen(broker: Mosquitto, server: Server) -> None:
    """Whoever reads may stop: `| head` is no error, and nobody complains."""
    for number in range(3000):
        say(server, f"a.n{number}", "x" * 50)
    for command in (("walk",), ("--json", "walk"), ("monitor",)):
        async with process(*words(broker, *command)) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            await asyncio.wait_for(running.stdout.readline(), 15)
            running._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
            assert await asyncio.wait_for(running.stderr.read(), 15) == b""
            assert await asyncio.wait_for(running.wait(), 15) == 0


async def test_interrupted(broker: Mosquitto, server: Server) -> None:
    """Ctrl-C ends quietly: a monitor has done what it should, others have not."""
    say(server, "a", 1)
    async with process(*words(broker, "monitor", "a")) as running:
        assert running.stdout is not None
        assert (await running.stdout.readline()).startswith(b"  a  1  me")
        assert (await running.stdout.readline()).startswith(b"--- 1 values")
        say(server, "a", 2)
        assert (await running.stdout.readline()).startswith(b"* a  2  me")
        running.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(running.communicate(), 10)
        assert (running.returncode, out, err) == (0, b"", b"")
    called = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as mute:
        port = str(mute.sockets[0].getsockname()[1])
        async with process("link", "--port", port, "get", "a") as running:
            await asyncio.wait_for(called.wait(), 15)
            running.send_signal(signal.SIGINT)
            out, err = await asyncio.wait_for(running.communicate(), 10)
            assert (running.returncode, out, err) == (1, b"", b"")


async def test_help() -> None:
    """Every command says what it does; the whole names environment and exit codes."""
    async with process("link", "--help") as running:
        out, _ = await running.communicate()
        assert running.returncode == 0
    for told in (b"MOAT_HOST", b"Exit codes", b"monitor", b"history"):
        assert told in out
    async with process("link", "errors", "--help") as running:
        out, _ = await running.communicate()
        assert b"ack" in out
