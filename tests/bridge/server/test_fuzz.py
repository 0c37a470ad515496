"""Anything that a client or the broker may send: the server goes on, and nothing is left of it.

FUZZ_SECONDS=300 has it go on for so long.
"""

import asyncio
import gc
import logging
import os
import random
import time
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from firmware_bridge.link.codec import encode_frame
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.server.clients import Limits
from tests.bridge.server.caller import Caller
from tests.support.installation import Peer
from tests.support.vectors import load, packets
from tests.support.wait import until

type Start = Callable[..., Any]

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.randrange(1 << 32)
LOGIN: list[list[Any]] = [
    [0, [None], 1, False, "_fuzz", ["anon"], {"moat.link": {"version": 0}}],
    [4, [None, "anon"]],
    [-4, "anon"],
]
GROUPS = [
    [group, name]
    for group, names in {
        "d": "get set delete search collect deltree list walk hist x",
        "e": "exc info ack ok mon",
        "i": "state backend error stamp count echo sink sync checkid ping 乒 hello",
        "s": "save load log",
    }.items()
    for name in names.split()
]
ROUTES = [
    ["cl"],
    ["cl", "_fuzz", "x"],
    ["cl", "_other"],
    ["srv", "srv1", "cl", "_fuzz", "i", "ping"],
]
ROUTES += [["srv", "srv1", "srv", "srv1"], ["srv", "nobody", "x"], ["d_", "a", 1], ["dir_"], [None]]
ROUTES += [["d", "get", "doc_"], [], [[]], [None, "token"], [{"a": 1}], [b"d", "get"], ["d"] * 50]


def recorded() -> list[bytes]:
    """Return every frame of a client that was recorded."""
    found: list[bytes] = []

    def look(node: Any) -> None:
        if isinstance(node, dict):
            if str(node.get("dir", "")).startswith("client") and node.get("hex"):
                found.append(bytes.fromhex(node["hex"]))
            for each in node.values():
                look(each)
        elif isinstance(node, list):
            for each in node:
                look(each)

    for name in ("commands", "errors", "streams", "service", "handshake", "handshake-legacy"):
        look(load(f"moat-link/rpc-{name}"))
    return found


class Chaos:
    """Makes up frames, by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.frames = recorded()

    def value(self, depth: int = 3) -> Any:
        """Return any value, mostly a plausible one."""
        pick = self.random.choice
        plain = [None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 0.5, 1e300, float("nan")]
        plain += [
            "",
            "x",
            "a",
            "ä" * 50,
            b"\x00\xff",
            cbor2.undefined,
            time.time(),
            "\ud7ff",
            "a/b#+",
        ]
        if depth and self.random.random() < 0.5:
            size = self.random.randrange(4)
            inner = [self.value(depth - 1) for _ in range(size)]
            return pick(
                [
                    inner,
                    cbor2.CBORTag(
                        39, [pick(["a", "b", "#", "+", "run", "error", 5]) for _ in inner]
                    ),
                    cbor2.CBORTag(39, inner),
                    cbor2.CBORTag(27, ["_MM", "me", self.random.random() * 2e9, *inner]),
                    cbor2.CBORTag(27, ["_ValErr", *inner]),
                    cbor2.CBORTag(self.random.choice([0, 1, 2, 4, 25, 28, 29, 258, 55800]), inner),
                    {
                        pick(["t", "rec", "sub", "p", "path", "item", "bt", "level"]): self.value(
                            depth - 1
                        )
                    },
                    {self.random.choice([1, None, b"x", 1.5]): inner},
                ]
            )
        return pick(plain)

    def frame(self) -> bytes:
        """Return bytes, in most cases of a frame."""
        pick, number = self.random.choice, self.random.randrange(1, 40)
        kind = self.random.randrange(12)
        if kind == 0:
            return self.mutated(pick(self.frames))
        if kind == 1:
            return pick(self.frames)
        if kind == 2:
            return cbor2.dumps([4 * number + 3, self.random.choice([0, 1, 20, 1 << 40, -1, "x"])])
        if kind == 3:
            return cbor2.dumps([4 * number + 2, pick([-3, -1, -99, self.value()])])
        if kind == 4:
            return cbor2.dumps(
                [4 * number, *[self.value() for _ in range(self.random.randrange(3))]]
            )
        if kind == 5:
            return cbor2.dumps(
                [pick([-1, 1]) * self.random.randrange(200), self.value(), self.value()]
            )
        if kind == 6:
            return cbor2.dumps([4 * number + 1, self.value()])
        path = pick(GROUPS) if self.random.random() < 0.8 else pick(ROUTES)
        path = cbor2.CBORTag(39, path) if self.random.random() < 0.1 else path
        where = cbor2.CBORTag(
            39, pick([["a"], ["a", "b"], [], ["run", "x"], ["error", "y"], ["y"]])
        )
        arguments = [self.value() for _ in range(self.random.randrange(4))]
        if self.random.random() < 0.7:
            arguments.insert(0, where)
        return cbor2.dumps([4 * number + pick([0, 0, 1]), path, *arguments])

    def mutated(self, data: bytes) -> bytes:
        """Return bytes with something wrong."""
        changed = bytearray(data)
        for _ in range(self.random.randrange(1, 4)):
            position = self.random.randrange(len(changed) or 1)
            match self.random.randrange(3):
                case 0 if changed:
                    changed[position] = self.random.randrange(256)
                case 1:
                    del changed[position:]
                case _:
                    changed[position:position] = self.random.randbytes(3)
        return bytes(changed)


async def torment(server: Any, chaos: Chaos) -> None:
    """Be one client that says all kinds of things, and goes in some way or other."""
    reader, writer = await asyncio.open_unix_connection(server.config.listeners[1].path)
    reading = asyncio.create_task(reader.read(-1)) if chaos.random.random() < 0.7 else None
    try:
        if chaos.random.random() < 0.95:
            for frame in LOGIN:
                writer.write(encode_frame(frame))
        for _ in range(chaos.random.randrange(1, 60)):
            data = chaos.frame()
            writer.write(data)
            if chaos.random.random() < 0.2:
                await asyncio.wait_for(writer.drain(), 1)
                await asyncio.sleep(0)
        if chaos.random.random() < 0.5:
            writer.write_eof()
            await asyncio.sleep(0.01)
    except OSError, TimeoutError:
        pass
    finally:
        if reading is not None:
            reading.cancel()
        writer.transport.abort()
        await asyncio.sleep(0)


def wrong(records: list[logging.LogRecord]) -> list[str]:
    """Return what was logged that must not be."""
    return [each.getMessage() for each in records if each.levelno >= logging.ERROR]


@pytest.mark.timeout(SECONDS * 2 + 60)
async def test_frames(serve: Start, join: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Clients that talk nonsense harm neither the server nor each other."""
    server = await serve(limits=Limits(login=0.5, probe=1.0, patience=0.5, strangers=2000))
    witness: Caller = await join(server, "_witness")
    chaos = Chaos(SEED)
    await asyncio.sleep(0)
    before = len(asyncio.all_tasks())
    end = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < end:
        await asyncio.gather(*(torment(server, chaos) for _ in range(5)))
        rounds += 1
        assert await answered(witness) == ["乓"], f"seed {SEED}, round {rounds}"
        assert wrong(caplog.records) == [], f"seed {SEED}, round {rounds}"
    await until(lambda: server.clients.names == ["_witness"], what=f"seed {SEED}")
    await until(lambda: server.clients._strangers == {}, what=f"seed {SEED}")
    await until(lambda: len(asyncio.all_tasks()) <= before, what=f"tasks left, seed {SEED}")
    assert wrong(caplog.records) == [], f"seed {SEED}"
    gc.collect()


async def answered(witness: Caller) -> list[Any]:
    """Ping, and answer the probes meanwhile."""
    witness.number += 1
    witness.send([4 * witness.number, ["i", "ping"]])
    while True:
        frame = await witness.hear()
        if frame[0] >= 0 and frame[1:2] == [["i", "乒"]]:
            witness.send([-frame[0] - 4, "乓"])
        elif frame[0] == -4 * witness.number - 4:
            return frame[1:]


@pytest.mark.timeout(SECONDS * 2 + 60)
async def test_messages(
    serve: Start, join: Start, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """A user of the broker who publishes nonsense everywhere harms nothing."""
    server = await serve()
    chaos = Chaos(SEED)
    topics = [
        *("run/service/main/conn", "run/service/main/ping", "run/service/main/down"),
        *(
            "run/service/main/server/x",
            "run/service/main/stamp/srv1",
            "run/service/main/server/srv1",
        ),
        *("run/id/_1", "run/ping/id/_1", "run/ping/id/srv1", "run/host/x/y", "run/host", "run", ""),
        *(
            "error/a",
            "error",
            "error/link/mqtt/codec/x",
            "a",
            "a/b",
            "a/:5",
            "a/:zz",
            ":",
            "x//y",
            "run/",
        ),
        *(
            "gate/x",
            "codec/x",
            "conv/x",
            "run/gate/x",
            "schema/x",
            "run/error/x",
            "/".join("x" * 60),
        ),
    ]
    known = [
        each
        for file in ("announcements", "election", "errors", "bad-input", "host-cleanup")
        for each in packets(load(f"moat-link/{file}"))
    ]
    payloads = [bytes.fromhex(each.get("payload") or "") for each in known]
    metas = [
        None,
        "",
        "x",
        "\\",
        "me\\`$5@M{6G)@00",
        "x/y\\`$5@M{6G)@00",
        "é\\zzz",
        "me\\" + "0" * 300,
    ]
    pick = chaos.random.choice
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for _ in range(50):
            data = pick(payloads) if chaos.random.random() < 0.5 else cbor2.dumps(chaos.value())
            if chaos.random.random() < 0.3:
                data = chaos.mutated(data or b"x")
            topic = pick(topics)
            message = Publish(
                f"moat/test/{topic}" if topic else "moat/test",
                data,
                retain=chaos.random.random() < 0.5,
                text=chaos.random.random() < 0.1,
                meta=pick(metas),
            )
            await peer.session.publish(message) if not chaos.random.randrange(9) else None
            peer.session.publish_nowait(message)
        await peer.session.barrier()
        assert wrong(caplog.records) == [], f"seed {SEED}"
    witness = await join(server, "_witness")
    await peer.say("done", 5, time=3e9)
    await until(lambda: server.tree.store.find(["done"]), 20, what=f"seed {SEED}")
    assert (await witness.call(["d", "get"], Path("done")))[0] == 5
    assert not server.task.done()
    assert wrong(caplog.records) == [], f"seed {SEED}"
