"""The process that runs our servers for `Keeper`: orders by JSON lines, one answer each.

It has no other part in the tests, and must never share a process with the integration: that would
mix the classes of `custom_components.moat_link.link` with those of `firmware_bridge.link`.
"""

import asyncio
import json
import logging
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path as File
from typing import Any, override

from firmware_bridge.link.path import Path
from firmware_bridge.link.transport import BrokerConfig, tls_context
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.history import HistoryConfig
from firmware_bridge.server.journal import JournalConfig
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.server import Server

from .running import running
from .wait import until

type Order = dict[str, Any]

PATIENCE = 25.0  # seconds


class Troubles(logging.Handler):
    """Keeps what must not happen to a server: errors, and whatever has a traceback."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.found: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.found.append(logging.Formatter().format(record))

    def take(self) -> list[str]:
        """Return what there is, and forget it."""
        found, self.found = self.found, []
        return found


def configured(order: Order, directory: File) -> ServerConfig:
    """Return the configuration of a server with everything it can do."""
    cafile = order["cafile"]
    broker = BrokerConfig(
        host=order["host"],
        port=order["port"],
        username=order["username"],
        password=order["password"],
        tls=None if cafile is None else tls_context(cafile),
    )
    return ServerConfig(
        broker=broker,
        root=Path.parse(order["root"]),
        name=order["name"],
        listeners=(Listener(port=0),),
        journal=JournalConfig(directory=directory),
        history=HistoryConfig(file=directory / "history.db", keep={"": Keep()}),
    )


@asynccontextmanager
async def serving(order: Order) -> AsyncIterator[Server]:
    """Have a server that everybody can find: it does not wait for others, since there are none."""
    with tempfile.TemporaryDirectory(prefix="moat-ours-") as directory:
        server = Server(configured(order, File(directory)))
        server.election.settle = 0
        async with running(server.run()):
            try:
                await until(lambda: server.election.main, PATIENCE)
                yield server
            finally:
                server.stop()


async def main() -> None:
    """Obey until the orders end."""
    troubles = Troubles()
    logging.getLogger().addHandler(troubles)
    servers: dict[str, AsyncExitStack] = {}
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )

    async def obey(order: Order) -> Order:
        match order:
            case {"start": {"name": str(name)} as wanted}:
                async with AsyncExitStack() as stack:
                    server = await stack.enter_async_context(serving(wanted))
                    servers[name] = stack.pop_all()
                return {"port": server.addresses[0][1]}
            case {"stop": str(name)}:
                await servers.pop(name).aclose()
                return {"troubles": troubles.take()}
        raise ValueError(f"what is {order}?")

    async for line in orders:
        try:
            answer = await obey(json.loads(line))
        except Exception:  # noqa: BLE001  (whatever it is, the test is to know it)
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for stack in servers.values():
        await stack.aclose()


if __name__ == "__main__":
    asyncio.run(main())
