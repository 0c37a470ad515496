"""What a flood from outside may cost."""

import pytest

from firmware_bridge.gates.flood import BURST, RATE, Flood
from firmware_bridge.gates.node import Heard


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some large payloads are as much as many small ones."""
    monkeypatch.setattr("firmware_bridge.gates.flood.MOST_BYTES", 100)
    flood = Flood(0.0)
    assert all(flood.admit("a", Heard(b"x" * 1000), 0.0) for _ in range(int(BURST)))
    assert not flood.admit("a", Heard(b"x" * 90), 0.0)
    assert not flood.admit("b", Heard(b"x" * 20), 0.0)
    assert flood.dropped == 1
    assert not flood.admit("a", Heard(b"x" * 80), 0.0)
    assert not flood.admit("b", Heard(b"y" * 20), 0.0)
    assert flood.dropped == 2
    taken = [(topic, len(heard.payload)) for topic, heard in flood.take(10 / RATE)]
    assert taken == [("a", 80), ("b", 20)]
    flood.admit("c", Heard(b"x" * 100), 10 / RATE)
    assert flood.dropped == 2
