"""Messages of the election: exact to the key, both ways."""

from typing import Any

import pytest
from hypothesis import given

from firmware_bridge.link.codec import ABSENT, decode, encode
from firmware_bridge.link.errors import DecodeError
from firmware_bridge.server.ballot import (
    Hist,
    Init,
    Parameters,
    Ping,
    Vers,
    decode_ballot,
    encode_ballot,
)
from tests.support.strategies import values
from tests.support.vectors import load

ELECTION = load("moat-link/election")
RECORDED = [
    bytes.fromhex(each["payload_hex"])
    for scenario in ELECTION["scenarios"]
    for each in scenario["messages"]
    if each.get("topic", "").endswith("/ping")
]
PING: dict[Any, Any] = {"node": "a", "value": True, "history": ["a", "b"], "t": "ping"}
VERS: dict[Any, Any] = {"node": "a", "version": 0, "cycle": 6, "gap": 0.5, "t": "vers"}


@pytest.mark.parametrize("payload", sorted(set(RECORDED)), ids=bytes.hex)
def test_recorded(payload: bytes) -> None:
    """What real servers say is read, and written again to the byte."""
    assert encode(encode_ballot(decode_ballot(decode(payload)))) == payload


@pytest.mark.parametrize("poison", ELECTION["poison"][:2], ids=str)
def test_poison(poison: Any) -> None:
    """What real servers die of is refused."""
    with pytest.raises(DecodeError, match="no message of the election"):
        decode_ballot(decode(bytes.fromhex(poison["payload_hex"])))


@pytest.mark.parametrize(
    "value",
    [
        ABSENT,
        None,
        5,
        [],
        {},
        {"t": "init"},
        {"t": "init", "node": "a", "x": 1},
        {"t": "init", "node": ""},
        {"t": "init", "node": "a/b"},
        {"t": "init", "node": "a\n"},
        {"t": "init", "node": "x" * 256},
        {"t": "init", "node": 5},
        {"t": "quit", "node": "a"},
        {"t": ["init"], "node": "a"},
        PING | {"value": False},
        PING | {"value": 1},
        PING | {"history": []},
        PING | {"history": ["b", "a"]},
        PING | {"history": ["a", "a"]},
        PING | {"history": ["a", None]},
        PING | {"history": "a"},
        PING | {"history": [f"n{number}" for number in range(65)]},
        {"t": "hist", "value": True, "history": ["a"], "node": "a"},
        {"t": "hist", "value": True},
        VERS | {"version": -1},
        VERS | {"version": True},
        VERS | {"version": 1 << 40},
        VERS | {"cycle": "6"},
        VERS | {"cycle": 1e9},
        VERS | {"gap": 3},
        VERS | {"nodes": 0},
        VERS | {"n_hosts": 5.5},
        VERS | {"override": 1},
    ],
    ids=str,
)
def test_refused(value: Any) -> None:
    """Everything that is not exactly a message."""
    with pytest.raises(DecodeError):
        decode_ballot(value)


@given(values)
def test_anything(value: Any) -> None:
    """Whatever is there, it is a message, or refused."""
    try:
        ballot = decode_ballot(value)
    except DecodeError:
        return
    assert decode_ballot(encode_ballot(ballot)) == ballot


def test_parameters() -> None:
    """Unknown keys are looked over here, and here alone; missing ones have their usual values."""
    assert decode_ballot(VERS | {"future": 1}) == Vers("a", Parameters(cycle=6, gap=0.5))
    assert decode_ballot({"t": "hist", "value": None, "history": ["a"]}) == Hist(False, ("a",))
    assert decode_ballot({"t": "init", "node": "ä b"}) == Init("ä b")
    assert decode_ballot(PING) == Ping("a", True, ("a", "b"))
    for wrong in ({"cycle": 0.5, "gap": 0.1}, {"gap": 0.01}, {"gap": 20}, {"splits": 1000}):
        with pytest.raises(ValueError, match="no parameters"):
            Parameters(**wrong)
