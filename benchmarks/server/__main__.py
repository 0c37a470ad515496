"""Measure our server beside the reference, print a table, write the figures as JSON."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.report import Figures, missed, save, show
from benchmarks.throughput.wire import retain
from tests.support.mosquitto import Mosquitto

from .bulk import load, ready, retained, walk, write_file
from .caller import CallError, connected
from .crowd import crowd
from .plan import FULL, QUICK, Size, lines
from .rates import KINDS, PATTERNS, rate, updates
from .sides import SIDES, Running, ours

DEFAULT: Final = Path(".benchmarks/server.json")
FAST: Final = "max_queued_messages 1000000\nset_tcp_nodelay true"
PACKAGES: Final = ("cbor2",)

type Found = dict[str, list[Figures]]
type Part = Callable[[Size, Found], Awaitable[None]]


async def _calls(size: Size, found: Found) -> None:
    async def measure(running: Running, port: int) -> Figures:
        return {
            f"{kind} {connections}x{depth}": await rate(
                running, kind, connections, depth, size.seconds
            )
            for kind in KINDS
            for connections, depth in PATTERNS
        }

    await _both(size.rounds, "calls", measure, found)


async def _updates(size: Size, found: Found) -> None:
    await _both(
        size.rounds, "updates", lambda running, port: updates(running, port, size.updates), found
    )


async def _bulk(size: Size, found: Found) -> None:
    async def measure(running: Running, port: int) -> Figures:
        return {"load": await load(running, size.nodes), "walk": await walk(running, size.nodes)}

    await _both(1, "bulk", measure, found)


async def _start(size: Size, found: Found) -> None:
    for _ in range(size.rounds):
        for name, side in SIDES.items():
            with Mosquitto() as broker, tempfile.TemporaryDirectory() as directory:
                write_file(Path(directory) / "00.moat", size.entries)
                figures = await ready(side(broker, Path(directory)), size.entries)
                found.setdefault(f"start {name}", []).append(figures)


async def _retained(size: Size, found: Found) -> None:
    for _ in range(size.rounds):
        with Mosquitto() as broker, tempfile.TemporaryDirectory() as directory:
            write_file(Path(directory) / "00.moat", size.retained)
            retain(broker.port, retained(size.retained))
            figures = await ready(ours(broker, Path(directory)), size.retained)
            found.setdefault("retained ours", []).append(figures)


async def _crowd(size: Size, found: Found) -> None:
    with Mosquitto(extra=FAST) as broker, tempfile.TemporaryDirectory() as directory:
        write_file(Path(directory) / "00.moat", size.crowd_nodes)
        with ours(broker, Path(directory)) as running:
            (await connected(running.socket)).close()
            figures = await crowd(running, size.crowd_clients, size.crowd_seconds)
            found["crowd ours"] = [figures]


PARTS: Final[Mapping[str, Part]] = {
    "calls": _calls,
    "updates": _updates,
    "bulk": _bulk,
    "start": _start,
    "retained": _retained,
    "crowd": _crowd,
}


async def _both(
    rounds: int, part: str, measure: Callable[[Running, int], Awaitable[Figures]], found: Found
) -> None:
    """Measure both servers in turn, each on a broker of its own."""
    for _ in range(rounds):
        for name, side in SIDES.items():
            with Mosquitto(extra=FAST) as broker, side(broker) as running:
                (await connected(running.socket)).close()
                await asyncio.sleep(1)  # the start is over
                found.setdefault(f"{part} {name}", []).append(await measure(running, broker.port))


def main() -> int:
    """Return 0 if every bar is reached."""
    parser = argparse.ArgumentParser(prog="benchmarks/run server", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test, about a minute")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, again for more")
    parser.add_argument("--json", type=Path, default=DEFAULT, help="where the figures go")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    found: Found = {}
    broken = False
    for name in arguments.only or PARTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            asyncio.run(PARTS[name](size, found))
        except* (CallError, OSError, TimeoutError) as group:
            broken = True
            print(f"{name} failed: {group.exceptions}", file=sys.stderr)
    table = list(lines(found, size))
    show(table)
    save(arguments.json, PACKAGES, found, table)
    return int(broken or missed(table))


if __name__ == "__main__":
    sys.exit(main())
