"""How much memory values take."""

import gc
import sys
import tracemalloc
from typing import Any

import pytest

from firmware_bridge.link.codec import FrameReader, RemoteObject, encode_frame
from firmware_bridge.link.frames import take_apart
from firmware_bridge.link.path import Path
from firmware_bridge.link.values import Opaque
from firmware_bridge.link.weigh import weigh


@pytest.mark.parametrize(
    "value",
    [
        [{} for _ in range(9000)],
        [[] for _ in range(9000)],
        [{"": None} for _ in range(9000)],
        {f"k{number}": {"a": [number]} for number in range(3000)},
        [f"text {number}" for number in range(9000)],
        ["ä" * 300 for _ in range(300)],
        [1000 + number for number in range(9000)],
        [Path("a", str(number)) for number in range(2000)],
        [Opaque(5000, [{}]) for _ in range(3000)],
        [RemoteObject("_ValErr", ([],)) for _ in range(3000)],
        [frozenset({number}) for number in range(300)],
        "x" * 1_000_000,
        b"x" * 1_000_000,
    ],
    ids=lambda value: f"{type(value).__name__} of {len(value)}",
)
def test_about_right(value: Any) -> None:
    """What cannot be shared is counted: at least two thirds, at most two and a half times as much."""
    reader = FrameReader()
    data = encode_frame([4, ["x"], value, {}])
    reader.feed(data)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    (frame,) = reader.feed(data)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.66 * (after - before) < weigh(take_apart(frame, 2)) < 2.5 * (after - before)


def test_nested() -> None:
    """Depth is no problem."""
    value: Any = []
    for _ in range(15):
        value = [{"a": value}]
    (frame,) = FrameReader().feed(encode_frame([4, ["x"], value]))
    assert weigh(take_apart(frame, 2)) > 15 * sys.getsizeof({"a": 1})
