"""The decoder with all its guards: time for the usual message, and for hostile ones.

python -m benchmarks.throughput.decoder time|probes|fuzz SECONDS SEED
"""

import json
import multiprocessing
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import cbor2

from custom_components.moat_link.link.codec import decode, decode_payload
from custom_components.moat_link.link.errors import DecodeError
from custom_components.moat_link.link.message import decode_message

from .probes import PROBES
from .wire import Format, metadata, payload

LOOPS = 20_000
ROUNDS = 9
PATIENCE = 30
MEMORY = 2 << 30
REPORTED = 5
SLOWEST = 20
NOW = 1_795_000_000.125


def usual_time() -> dict[str, Any]:
    """Return the CPU of the 60-byte message in µs, median of some rounds."""
    content, meta = payload(Format.CBOR, 4711, NOW), metadata(NOW)

    def whole() -> None:
        decode_message(
            "plant/d1/v1", content, text=False, meta=meta, retained=True, now=NOW, me="me"
        )

    return {
        "bytes": len(content),
        "decode_us": _each(lambda: decode(content)),
        "unguarded_us": _each(lambda: cbor2.loads(content)),
        "message_us": _each(whole),
    }


def _each(work: Callable[[], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for _ in range(LOOPS):
            work()
        rounds.append((time.process_time() - begin) / LOOPS * 1e6)
    return sorted(rounds)[ROUNDS // 2]


def probes() -> dict[str, Any]:
    """Put every probe to the decoder, each in a process of its own; return the worst."""
    results = {name: _apart(name) for name in PROBES}
    slowest = max(results, key=lambda name: results[name]["ms"])
    largest = max(results, key=lambda name: results[name]["mb"])
    return {
        "probes": len(results),
        "ms": results[slowest]["ms"],
        "slowest": slowest,
        "mb": results[largest]["mb"],
        "largest": largest,
        "escaped": [name for name, result in results.items() if result["escaped"]],
    }


def _apart(name: str) -> dict[str, Any]:
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_probe, args=(name, theirs))
    process.start()
    theirs.close()
    result: dict[str, Any] = {"ms": PATIENCE * 1e3, "mb": 0.0, "escaped": "no answer"}
    if ours.poll(PATIENCE):
        try:
            result = ours.recv()
        except EOFError:
            result["escaped"] = "died"
    process.kill()
    process.join()
    return result


def _probe(name: str, answer: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    data = PROBES[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    escaped = ""
    try:
        # the value is kept until the memory has been looked at
        value = decode_payload(data, text=False)
    except DecodeError:
        value = None
    except BaseException as err:  # noqa: BLE001 - this is what is looked for
        escaped = repr(err)[:200]
    taken = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del value
    answer.send({"ms": taken * 1e3, "mb": (after - before) / 1000, "escaped": escaped})


def fuzz(seconds: float, seed: int) -> dict[str, Any]:
    """Decode random and mutated messages; return what came out that should not."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + seconds
    count = accepted = escaped = 0
    slow: list[tuple[float, bytes, str]] = [(0.0, b"", "")]
    for data, meta in _inputs(random.Random(seed)):
        before = time.thread_time()
        try:
            _take(data, meta)
            accepted += 1
        except DecodeError:
            pass
        except BaseException as err:  # noqa: BLE001 - this is what is looked for
            escaped += 1
            if escaped <= REPORTED:
                print(f"{err!r} for {data[:60].hex()} with {meta[:60]!r}", file=sys.stderr)
        taken = time.thread_time() - before
        if taken > slow[0][0]:
            slow = sorted([*slow, (taken, data, meta)], key=lambda one: one[0])[-SLOWEST:]
        count += 1
        if not count % 256 and time.monotonic() > end:
            break
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin
    # whatever else happened in that moment does not happen again
    again, worst = max((min(_again(data, meta) for _ in range(5)), data) for _, data, meta in slow)
    return {
        "seconds": seconds,
        "seed": seed,
        "inputs": count,
        "accepted": accepted,
        "escaped": escaped,
        "worst_ms": again * 1e3,
        "worst_input": worst.hex(),
        "worst_once_ms": slow[-1][0] * 1e3,
        "mb": memory / 1000,
    }


def _again(data: bytes, meta: str) -> float:
    begin = time.thread_time()
    with suppress(Exception):  # counted before
        _take(data, meta)
    return time.thread_time() - begin


def _take(data: bytes, meta: str) -> None:
    decode_message("plant", data, text=meta[:1] == "t", meta=meta, retained=True, now=NOW, me="me")


_HEADS = bytes.fromhex("00 20 3b 5b 60 7b 80 81 9b 9f a1 bb bf c0 c1 c2 c4 d8 d9 f7 f9 fb ff")
_TEXTS = ("heating", "\\", "/", "//", "\\\\", "~" * 12, "t", "\0", "ü", "{", "")


def _inputs(source: random.Random) -> Iterator[tuple[bytes, str]]:
    """Yield messages that are nearly right, structures that are nearly CBOR, and noise."""
    good = [payload(Format.CBOR, number * 7919, NOW + number) for number in range(20)]
    good += [
        cbor2.dumps({"a": [1, 2.5, None, True, "x" * 40, {"b": b"y" * 20}], "t": 1 << 70}),
        cbor2.dumps([cbor2.CBORTag(39, ["a", 1, [2]]), cbor2.CBORTag(1, 1.5), float("nan")]),
        cbor2.dumps(cbor2.CBORTag(27, ["_MM", "x", 1.5, {"y": 2}])),
        cbor2.dumps({1: 2, b"3": 4, None: cbor2.CBORTag(258, [1, "a"]), 1.5: cbor2.undefined}),
    ]
    right = metadata(NOW)
    while True:
        kind = source.random()
        if kind < 0.5:
            data = _mutated(source, source.choice(good))
        elif kind < 0.75:
            data = source.randbytes(source.randint(0, 64))
        else:
            data = bytes(source.choices(_HEADS, k=source.randint(1, 200)))
        meta = right
        if source.random() < 0.3:
            meta = "".join(source.choices((*_TEXTS, right), k=source.randint(0, 6)))
        yield data, meta


def _mutated(source: random.Random, data: bytes) -> bytes:
    result = bytearray(data)
    for _ in range(source.randint(1, 6)):
        kind, at = source.random(), source.randrange(len(result) + 1)
        if kind < 0.6 and at < len(result):
            result[at] = source.randrange(256)
        elif kind < 0.8:
            result[at:at] = source.randbytes(source.randint(1, 9))
        else:
            del result[at : at + source.randint(1, 9)]
    return bytes(result)


if __name__ == "__main__":
    _what, _seconds, _seed = sys.argv[1:]
    if _what == "fuzz":
        _result = fuzz(float(_seconds), int(_seed))
    else:
        _result = {"time": usual_time, "probes": probes}[_what]()
    print("RESULT", json.dumps(_result), flush=True)
