"""Measure everything, print a table, write the figures as JSON."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.report import Figures, missed, save, show
from tests.support.mosquitto import Mosquitto, free_port

from .flood import retained
from .plan import FULL, QUICK, Size, lines
from .sides import SIDES
from .wire import retain

DEFAULT = Path(".benchmarks/throughput.json")
PATIENCE = 600
PACKAGES = ("homeassistant", "paho-mqtt", "cbor2")
FAST = "max_queued_messages 1000000\nset_tcp_nodelay true"
"""So that the broker is no limit; the flood takes a broker that nobody has configured."""

type Part = Callable[[Size, dict[str, list[Figures]]], None]


def _measure(module: str, *arguments: object) -> Figures:
    """Run one measurement in a process of its own, and return its figures."""
    command = [sys.executable, "-m", f"benchmarks.throughput.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            figures: Figures = json.loads(line.removeprefix("RESULT "))
            return figures
    raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stderr[-3000:]}")


def _with_side(name: str, sensors: int, *what: object) -> Figures:
    """Measure a side with a broker that knows its sensors."""
    with Mosquitto(extra=FAST) as broker, tempfile.TemporaryDirectory() as directory:
        retain(broker.port, SIDES[name].descriptions(sensors))
        return _measure("states", name, sensors, *what, broker.port, free_port(), directory)


def _states(size: Size, results: dict[str, list[Figures]]) -> None:
    for _ in range(size.rounds):
        for name in SIDES:
            figures = _with_side(name, size.sensors, size.flat, size.rate, size.seconds)
            results.setdefault(f"states {name}", []).append(figures)


def _start(size: Size, results: dict[str, list[Figures]]) -> None:
    for _ in range(size.starts):
        for name in ("moat", "peer"):
            results.setdefault(f"start {name}", []).append(_with_side(name, size.many, 0, 0, 0))


def _fanout(size: Size, results: dict[str, list[Figures]]) -> None:
    with Mosquitto(extra=FAST) as broker, tempfile.TemporaryDirectory() as directory:
        retain(broker.port, SIDES["moat"].descriptions(size.crowd))
        figures = _measure("fanout", size.crowd, 1000, broker.port, free_port(), directory)
        results["fanout"] = [figures]


def _flood(size: Size, results: dict[str, list[Figures]]) -> None:
    for how in ("link", "hass"):
        for _ in range(size.floods):
            with Mosquitto() as broker, tempfile.TemporaryDirectory() as directory:
                retain(broker.port, retained(size.retained, size.shown))
                what = (how, size.retained, size.shown, broker.port, free_port(), directory)
                results.setdefault(f"flood {how}", []).append(_measure("flood", *what))


def _decoder(size: Size, results: dict[str, list[Figures]]) -> None:
    results["decoder"] = [_measure("decoder", "time", 0, 0) for _ in range(size.rounds)]


def _limits(size: Size, results: dict[str, list[Figures]]) -> None:
    results["limits"] = [_measure("decoder", "probes", 0, 0)]


def _fuzz(size: Size, results: dict[str, list[Figures]]) -> None:
    seed = random.randrange(1 << 32)
    results["fuzz"] = [_measure("decoder", "fuzz", size.fuzz, seed)]


PARTS: Mapping[str, Part] = {
    "states": _states,
    "start": _start,
    "fanout": _fanout,
    "flood": _flood,
    "decoder": _decoder,
    "limits": _limits,
    "fuzz": _fuzz,
}


def main() -> int:
    """Return 0 if every bar is reached."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test, less than a minute")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, again for more")
    parser.add_argument("--json", type=Path, default=DEFAULT, help="where the figures go")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    results: dict[str, list[Figures]] = {}
    for name in arguments.only or PARTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        PARTS[name](size, results)
    table = list(lines(results, size))
    show(table)
    save(arguments.json, PACKAGES, results, table)
    return int(missed(table))


if __name__ == "__main__":
    sys.exit(main())
