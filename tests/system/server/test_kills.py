"""Killed again and again, in the middle of everything: what was said to be done is there.

KILLS=200 kills as often; by default it is done in half a minute.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path as File
from random import Random
from typing import Any

from firmware_bridge.link.codec import ABSENT, encode_payload
from firmware_bridge.link.connection import Connection
from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.errors import LinkError
from firmware_bridge.link.meta import Meta, encode_meta, meta_object, meta_of
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig, Publish, Session
from firmware_bridge.server.loader import load
from tests.support.moat import ROOT, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.system.server.processes import ours

KILLS = int(os.environ.get("KILLS", "8"))
SYNC = 0.2
NODES = 60

type Known = tuple[Any, Meta]


class Ledger:
    """What was said to be done, and when."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, Path, Known]] = []
        self.promised: dict[Path, Known] = {}

    def note(self, path: Path, value: Any, meta: Meta) -> None:
        self.entries.append((time.monotonic(), path, (value, meta)))

    def killed(self, at: float) -> None:
        """Take what must not be lost now; the rest may be."""
        for done, path, known in self.entries:
            if done < at - SYNC:
                self.promised[path] = known
        self.entries.clear()

    def check(self, found: dict[Path, Known]) -> None:
        """Compare: each node is at least as new as was promised, and if it is not newer, the same."""
        for path, (value, meta) in self.promised.items():
            there, told = found.get(path, (ABSENT, Meta("nobody", 0.0)))
            assert told.time >= meta.time, f"{path}: {value} of {meta} is lost: {there} of {told}"
            assert told.time > meta.time or (there, told) == (value, meta), str(path)


@contextlib.asynccontextmanager
async def connection_to(socket: File) -> AsyncIterator[Connection]:
    """Connect as soon as the server is there."""
    async with asyncio.timeout(30):
        while True:
            try:
                connection, _ = await connect(Endpoint(path=str(socket)), name="_writer")
                break
            except LinkError:
                await asyncio.sleep(0.02)
    try:
        yield connection
    finally:
        with contextlib.suppress(LinkError, OSError):
            await connection.close()


async def everything(connection: Connection, **keywords: bool) -> dict[Path, Known]:
    """Walk through what these tests have written."""
    found = {}
    before: list[Any] = []
    walk = connection.open_stream(("d", "walk"), (Path("kill"),), dict(keywords), timeout=30)
    async with walk as stream:
        async for item in stream:
            kept, rest, value, *meta = item.arguments
            before = [*before[:kept], *rest]
            found[Path("kill", *before)] = value, meta_of(meta)
    return found


def saved(directory: File) -> dict[Path, Known]:
    """Read what the files say is alive."""
    newest: dict[Path, Known] = {}

    def take(levels: list[str], value: Any, meta: Meta) -> None:
        path = Path.from_topic("/".join(levels))
        if path[:1] == Path("kill") and newest.get(path, (None, Meta("", 0.0)))[1].time < meta.time:
            newest[path] = value, meta

    load(directory, take)
    return {path: known for path, known in newest.items() if known[0] is not ABSENT}


async def write_directly(connection: Connection, ledger: Ledger, random: Random) -> None:
    """Set and delete, one after the other, until the server is gone."""
    while True:
        path = Path("kill", "direct", random.randrange(NODES), "x")
        value = random.choice([time.time(), {"v": [1, None]}, "text" * 200, ABSENT, True])
        meta = Meta("direct", time.time(), ("extra",), {"gw": "x"})
        await connection.request(("d", "set"), (path, value, meta_object(meta)))
        ledger.note(path, value, meta)


async def write_at_the_broker(
    broker: Mosquitto, connection: Connection, ledger: Ledger, random: Random
) -> None:
    """Publish; what a stamp says has arrived was done."""
    session = await Session.open(
        BrokerConfig(host=broker.host, port=broker.port),
        client_id="writer",
        on_publish=lambda _: None,
        on_closed=lambda _: None,
    )
    root = Path.parse(ROOT).topic
    try:
        while True:
            batch = []
            for number in random.sample(range(NODES), 10):
                path, value = Path("kill", "mqtt", number), random.random()
                meta = Meta("mqtt", time.time())
                payload, text = encode_payload(value)
                topic = f"{root}/{path.topic}"
                session.publish_nowait(
                    Publish(topic, payload, text=text, retain=True, meta=encode_meta(meta))
                )
                batch.append((path, value, meta))
            await session.barrier()
            answer = await connection.request(("i", "stamp"))
            stamp = answer.arguments[0]
            payload, _ = encode_payload(stamp)
            session.publish_nowait(Publish(f"{root}/run/service/main/stamp/killed", payload))
            await connection.request(("i", "sync"), (stamp,))
            for entry in batch:
                ledger.note(*entry)
    finally:
        await session.close()


async def live_and_die(broker: Mosquitto, home: File, ledger: Ledger, random: Random) -> None:
    """Run a server, check what it has, have it written to, and kill it."""
    words = ("--save", str(home / "save"), "--sync", str(SYNC), "--unix", str(home / "sock"))
    async with ours(broker, "killed", *words) as process:
        async with connection_to(home / "sock") as connection:
            ledger.check(await everything(connection, deleted=True))
            writers = [
                asyncio.create_task(write_directly(connection, ledger, random)),
                asyncio.create_task(write_at_the_broker(broker, connection, ledger, random)),
            ]
            await asyncio.wait(writers, timeout=random.uniform(0.05, 1.2))
            at = time.monotonic()
            process.kill()
            await process.wait()
            for each in writers:
                each.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
    ledger.killed(at)


async def test_killed_again_and_again(broker: Mosquitto, real: MoatServer, tmp_path: File) -> None:
    """Nothing older than the sync interval is lost, no file is damaged; the real server reads them, too."""
    random = Random(5)
    ledger = Ledger()
    for turn in range(KILLS):
        await live_and_die(broker, tmp_path, ledger, random)
        await asyncio.to_thread(broker.kill)  # with all that it has: the files must have it
        await asyncio.to_thread(broker.start)
        early = random.uniform(0.0, 1.0)
        async with ours(broker, "killed", "--save", str(tmp_path / "save")) as process:
            await asyncio.wait([asyncio.create_task(process.wait())], timeout=early)
        shutil.copytree(tmp_path / "save", tmp_path / "copy", dirs_exist_ok=False)
        loaded = load(tmp_path / "copy", lambda *_: None)
        shutil.rmtree(tmp_path / "copy")
        assert loaded.complete, turn
        assert not loaded.damaged, turn
    assert len(ledger.promised) > NODES
    shutil.rmtree(real.save)
    shutil.copytree(tmp_path / "save", real.save)
    await asyncio.to_thread(real.start)
    async with connection_to(real.socket) as connection:
        found = await everything(connection)
    assert found == saved(tmp_path / "save")
