"""Our server as a process, which can be killed or frozen."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.moat import ROOT
from tests.support.mosquitto import Mosquitto

TURNS = ("--election", "turns", "--cycle", "2", "--gap", "0.5")


@asynccontextmanager
async def ours(
    broker: Mosquitto, name: str, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `moat-bridge server`; it is killed with the context."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware_bridge", "server", "--port", str(broker.port)),
        *("--root", ROOT, "--name", name, "--listen", "127.0.0.1:0", *words),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
