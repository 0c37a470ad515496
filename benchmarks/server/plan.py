"""What is measured, how much of it, and what has to be reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.report import Line, Results, middle, worst

from .rates import KINDS, PATTERNS

THIRD = 1 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything."""

    rounds: int
    seconds: float
    """Length of each measurement of calls."""
    updates: int
    nodes: int
    entries: int
    """In the file that servers start from."""
    retained: int
    crowd_nodes: int
    crowd_clients: int = 100
    crowd_seconds: float
    """Longer than a minute, so that every client is probed twice."""


FULL = Size(
    rounds=3,
    seconds=3,
    updates=20_000,
    nodes=50_000,
    entries=100_000,
    retained=50_000,
    crowd_nodes=200_000,
    crowd_seconds=70,
)
QUICK = Size(
    rounds=1,
    seconds=0.5,
    updates=2000,
    nodes=5000,
    entries=10_000,
    retained=5000,
    crowd_nodes=10_000,
    crowd_seconds=3,
)


def lines(results: Results, size: Size) -> Iterator[Line]:
    """Return the table."""
    for part, rows in _TABLES.items():
        if f"{part} ours" in results and (part in _ALONE or f"{part} reference" in results):
            yield from rows(results, size)


def _calls(results: Results, size: Size) -> Iterator[Line]:
    ours, theirs = results["calls ours"], results["calls reference"]
    for kind in KINDS:
        for connections, depth in PATTERNS:
            key = f"{kind} {connections}x{depth}"
            mine, other = middle(ours, key, "cpu_us"), middle(theirs, key, "cpu_us")
            rates = f"{middle(ours, key, 'per_second'):.0f} against "
            rates += f"{middle(theirs, key, 'per_second'):.0f} a second"
            yield Line(
                part="calls",
                what=f"CPU per {kind}, {connections} x {depth}, by the reference's",
                value=mine / other,
                limit=THIRD,
                beside=f"{mine:.0f} against {other:.0f} µs; {rates}",
            )


def _updates(results: Results, size: Size) -> Iterator[Line]:
    ours, theirs = results["updates ours"], results["updates reference"]
    mine, other = middle(ours, "cpu_us"), middle(theirs, "cpu_us")
    yield Line(
        part="updates",
        what="CPU per update from MQTT, by the reference's",
        value=mine / other,
        limit=1,
        beside=f"{mine:.0f} against {other:.0f} µs",
    )
    yield Line(
        part="updates",
        what="runs that lost an update",
        value=sum(not one["complete"] for one in ours),
        limit=0,
    )


def _bulk(results: Results, size: Size) -> Iterator[Line]:
    ours, theirs = results["bulk ours"], results["bulk reference"]
    mine, other = middle(ours, "load", "bytes_per_node"), middle(theirs, "load", "bytes_per_node")
    yield Line(
        part="bulk",
        what=f"memory per node of {size.nodes}, by the reference's",
        value=mine / other,
        limit=0.5,
        beside=f"{mine:.0f} against {other:.0f} bytes",
    )
    mine, other = middle(ours, "walk", "seconds"), middle(theirs, "walk", "seconds")
    yield Line(
        part="bulk",
        what=f"walk through {size.nodes} nodes, by the reference's time",
        value=mine / other,
        limit=THIRD,
        beside=f"{mine:.2f} against {other:.2f} s; CPU {middle(ours, 'walk', 'cpu_s'):.2f} "
        f"against {middle(theirs, 'walk', 'cpu_s'):.2f} s",
    )
    yield Line(
        part="bulk",
        what="longest answer to a ping meanwhile",
        value=worst(ours, "walk", "ping_max_ms"),
        unit="ms",
        beside=f"reference {worst(theirs, 'walk', 'ping_max_ms'):.1f} ms",
    )


def _start(results: Results, size: Size) -> Iterator[Line]:
    ours, theirs = results["start ours"], results["start reference"]
    mine, other = middle(ours, "seconds"), middle(theirs, "seconds")
    yield Line(
        part="start",
        what=f"start from {size.entries} entries, by the reference's time",
        value=mine / other,
        limit=THIRD,
        beside=f"{mine:.2f} against {other:.2f} s; memory {middle(ours, 'bytes') / 1e6:.0f} "
        f"against {middle(theirs, 'bytes') / 1e6:.0f} MB",
    )


def _retained(results: Results, size: Size) -> Iterator[Line]:
    found = results["retained ours"]
    yield Line(
        part="retained",
        what=f"start with files and a broker that retains {size.retained}",
        value=worst(found, "seconds"),
        limit=10,
        unit="s",
        beside="the reference does not start",
    )


def _crowd(results: Results, size: Size) -> Iterator[Line]:
    (found,) = results["crowd ours"]
    yield Line(
        part="crowd",
        what=f"{size.crowd_nodes} nodes, {size.crowd_clients} clients: probes missed",
        value=found["late"] + found["lost"],
        limit=0,
        beside=f"{found['probes']} and {found['probed']} of the server; {found['walks']} walks, "
        f"{found['items']} items; longest {found['max_ms']:.0f} ms",
    )


_ALONE = ("retained", "crowd")
"""What the reference is not measured with."""
_TABLES: dict[str, Callable[[Results, Size], Iterator[Line]]] = {
    "calls": _calls,
    "updates": _updates,
    "bulk": _bulk,
    "start": _start,
    "retained": _retained,
    "crowd": _crowd,
}
