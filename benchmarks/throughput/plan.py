"""What is measured, how often, and what has to be reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.report import Figures, Line, Results, middle, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything."""

    rounds: int
    sensors: int = 1000
    flat: int
    """Messages as fast as they are taken."""
    rate: int = 1000
    seconds: float
    many: int
    """Sensors for the start; also what their memory is measured with."""
    starts: int
    crowd: int = 9990
    """Home Assistant allows one config entry 10,000 entities; a few are the installation's own."""
    retained: int = 50_000
    shown: int = 1000
    """Sensors that the flood feeds."""
    floods: int
    fuzz: float


FULL = Size(rounds=3, flat=30_000, seconds=30, many=5000, starts=3, floods=5, fuzz=60)
QUICK = Size(rounds=1, flat=5000, seconds=2, many=1000, starts=1, crowd=2000, floods=1, fuzz=2)


def lines(results: Results, size: Size) -> Iterator[Line]:
    """Return the table."""
    for parts, rows in _TABLES:
        if all(part in results for part in parts):
            yield from rows(results, size)


def _states(results: Results, size: Size) -> Iterator[Line]:
    ours, peer = results["states moat"], results["states peer"]
    for key, bar in (("flat", 1.0), ("paced", None)):
        mine, theirs = middle(ours, key, "cpu_us"), middle(peer, key, "cpu_us")
        beside = f"{mine:.1f} against {theirs:.1f} µs"
        if "states peer+meta" in results:
            also = middle(results["states peer+meta"], key, "cpu_us")
            beside += f" ({also:.1f} if its messages carry metadata, too)"
        speed = "as fast as possible" if key == "flat" else f"at {size.rate} a second"
        yield Line(
            part="states",
            what=f"CPU per message {speed}, by the peer's; aim: 0.6",
            value=mine / theirs,
            limit=bar,
            beside=beside,
        )
    lost = sum(one[key]["sent"] - one[key]["seen"] for one in ours for key in ("flat", "paced"))
    yield Line(part="states", what="messages without a state", value=lost, limit=0)
    for key, limit in (("p50_ms", 1.0), ("p99_ms", 20.0)):
        yield Line(
            part="states",
            what=f"publish to state at {size.rate} a second, {key[:3]}",
            value=middle(ours, "paced", key),
            limit=limit,
            unit="ms",
            beside=f"peer {middle(peer, 'paced', key):.2f} ms",
        )
    yield Line(
        part="states",
        what="the same p99, full garbage collections included",
        value=middle(ours, "paced", "p99_with_gc_ms"),
        unit="ms",
        beside=f"{_collections(ours)}; peer {middle(peer, 'paced', 'p99_with_gc_ms'):.2f} ms, "
        f"{_collections(peer)}",
    )


def _collections(rounds: list[Figures]) -> str:
    count = sum(one["paced"]["full_gc"] for one in rounds)
    return f"{count} collections, at most {worst(rounds, 'paced', 'full_gc_ms'):.0f} ms"


def _start(results: Results, size: Size) -> Iterator[Line]:
    ours, peer = results["start moat"], results["start peer"]
    mine, theirs = middle(ours, "ready_s"), middle(peer, "ready_s")
    yield Line(
        part="start",
        what=f"{size.many} entities ready, by the peer's time",
        value=mine / theirs,
        limit=1.0,
        beside=f"{mine:.2f} against {theirs:.2f} s",
    )
    yield Line(
        part="start",
        what="memory per entity",
        value=middle(ours, "kb_per_entity"),
        limit=20,
        unit="kB",
        beside=f"peer {middle(peer, 'kb_per_entity'):.1f} kB",
    )


def _fanout(results: Results, size: Size) -> Iterator[Line]:
    rounds = results["fanout"]
    among = f"among {size.crowd} entities"
    yield Line(
        part="fanout",
        what=f"states written for a value {among}",
        value=worst(rounds, "writes"),
        limit=1,
    )
    yield Line(
        part="fanout",
        what=f"CPU from a message to the state {among}",
        value=middle(rounds, "cpu_us"),
        limit=30,
        unit="µs",
    )


def _flood(how: str, name: str) -> Callable[[Results, Size], Iterator[Line]]:
    def rows(results: Results, size: Size) -> Iterator[Line]:
        rounds = results[f"flood {how}"]
        what = f"{size.retained} retained, {name}:"
        incomplete = sum(not one["complete"] for one in rounds)
        yield Line(
            part="flood",
            what=f"{what} incomplete of {len(rounds)} runs",
            value=incomplete,
            limit=0,
            beside=f"fewest seen: {min(one['seen'] for one in rounds)}",
        )
        yield Line(
            part="flood",
            what=f"{what} longest time",
            value=worst(rounds, "seconds"),
            limit=5,
            unit="s",
            beside=f"memory {worst(rounds, 'mb'):.0f} MB",
        )
        yield Line(
            part="flood",
            what=f"{what} longest stall",
            value=worst(rounds, "stall_ms"),
            limit=100,
            unit="ms",
            beside=f"{worst(rounds, 'stall_cpu_ms'):.0f} ms of CPU at most; outside full garbage "
            f"collections {worst(rounds, 'stall_without_gc_ms'):.0f} ms; "
            f"{sum(one['full_gc'] for one in rounds)} collections, at most "
            f"{worst(rounds, 'full_gc_ms'):.0f} ms",
        )

    return rows


def _decoder(results: Results, size: Size) -> Iterator[Line]:
    rounds = results["decoder"]
    yield Line(
        part="decoder",
        what=f"decoding {rounds[0]['bytes']} bytes with all guards",
        value=middle(rounds, "decode_us"),
        limit=3,
        unit="µs",
        beside=f"without guards {middle(rounds, 'unguarded_us'):.2f} µs; "
        f"with metadata {middle(rounds, 'message_us'):.2f} µs",
    )


def _limits(results: Results, size: Size) -> Iterator[Line]:
    (hardest,) = results["limits"]
    what = f"{hardest['probes']} hostile messages:"
    yield Line(
        part="limits",
        what=f"{what} longest time",
        value=hardest["ms"],
        limit=50,
        unit="ms",
        beside=hardest["slowest"],
    )
    yield Line(
        part="limits",
        what=f"{what} most memory",
        value=hardest["mb"],
        limit=20,
        unit="MB",
        beside=hardest["largest"],
    )
    yield Line(
        part="limits",
        what=f"{what} exceptions that escape",
        value=len(hardest["escaped"]),
        limit=0,
        beside=", ".join(hardest["escaped"]),
    )


def _fuzz(results: Results, size: Size) -> Iterator[Line]:
    (found,) = results["fuzz"]
    yield Line(
        part="fuzz",
        what=f"exceptions that escape {size.fuzz:.0f} s of fuzzing",
        value=found["escaped"],
        limit=0,
        beside=f"{found['inputs']} messages, at most {found['worst_ms']:.2f} ms, "
        f"{found['mb']:.1f} MB; seed {found['seed']}",
    )


_TABLES: tuple[tuple[tuple[str, ...], Callable[[Results, Size], Iterator[Line]]], ...] = (
    (("states moat", "states peer"), _states),
    (("start moat", "start peer"), _start),
    (("fanout",), _fanout),
    (("flood link",), _flood("link", "bare watch")),
    (("flood hass",), _flood("hass", "integration")),
    (("decoder",), _decoder),
    (("limits",), _limits),
    (("fuzz",), _fuzz),
)
