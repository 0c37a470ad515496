"""Whether the broker has kept what it had: all that may be found there."""

from pathlib import Path as File

import pytest

from firmware_bridge.link.codec import ABSENT, Value, encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.server.records import Record, pack
from firmware_bridge.server.witness import Standing, Witness


def record(value: object = 1, origin: str = "me") -> Record:
    return pack(encode(value), Meta(origin, 5.0))


def left(witness: Witness, time: float) -> Value:
    """Leave one, which arrives."""
    said = witness.renew(time)
    witness.confirm()
    return said


def again(file: File) -> Witness:
    """Start with the file."""
    witness = Witness(file)
    witness.load()
    return witness


def test_what_is_found() -> None:
    """Ours or a later one of ours: kept. An earlier one: restored. None: lost. Another's: who knows."""
    witness = Witness()
    assert witness.judge(ABSENT) is Standing.UNKNOWN, "never been there"
    first = left(witness, 10.0)
    assert witness.judge(first) is Standing.KEPT
    second = left(witness, 20.0)
    assert witness.judge(first) is Standing.OLDER
    assert witness.judge(second) is Standing.KEPT
    assert witness.judge(ABSENT) is Standing.EMPTY
    for other in (Witness().renew(30.0), {}, 1, None, {"lineage": 1, "number": "x"}):
        assert witness.judge(other) is Standing.UNKNOWN
    assert witness.time == 20.0


def test_complete(tmp_path: File) -> None:
    """Up to when it had everything is remembered with each, and counts if that is what it has kept."""
    witness = again(tmp_path / "broker.json")
    assert witness.complete == 0.0
    first = witness.renew(10.0, complete=10.0)
    witness.confirm()
    for each in (witness, again(tmp_path / "broker.json")):
        assert each.judge(first) is Standing.KEPT
        assert each.complete == 10.0
        second = each.renew(20.0, complete=5.0)
        assert (each.judge(second), each.complete) == (Standing.KEPT, 5.0)
        assert (each.judge(first), each.complete) == (Standing.OLDER, 0.0)
        assert (each.judge(ABSENT), each.complete) == (Standing.EMPTY, 0.0)
    file = tmp_path / "broker.json"
    file.write_text('{"lineage": "x", "certain": true, "left": [[3, 7.0]]}')
    former = again(file)
    assert former.judge({"lineage": "x", "number": 3}) is Standing.KEPT
    assert former.complete == 0.0, "of a former version"


def test_lost_on_its_way(tmp_path: File) -> None:
    """As long as nobody knows that the broker has got one, the one before is as good, as of its time."""
    witness = Witness(tmp_path / "broker.json")
    first = left(witness, 10.0)
    second = witness.renew(20.0)
    for each in (witness, again(tmp_path / "broker.json")):
        assert each.judge(first) is Standing.KEPT
        assert each.loses(record(), 9.0)
        assert not each.loses(record(), 15.0), "newer than what the broker has"
        third = left(each, 30.0)
        assert third != second, "no number twice"
        assert each.judge(first) is Standing.OLDER
        assert each.judge(third) is Standing.KEPT
        assert each.loses(record(), 25.0)


def test_got_but_not_known() -> None:
    """One that the broker has got is found, though its answer was lost."""
    witness = Witness()
    first = left(witness, 10.0)
    second = witness.renew(20.0)
    assert witness.judge(second) is Standing.KEPT
    assert witness.loses(record(), 15.0)
    assert witness.judge(first) is Standing.OLDER, "it had the second"


def test_the_first_one_is_lost() -> None:
    """Where nothing has arrived for certain, nothing can have been lost."""
    witness = Witness()
    witness.renew(10.0)
    assert witness.judge(ABSENT) is Standing.UNKNOWN
    assert not witness.loses(record(), 5.0)


def test_remembered(tmp_path: File) -> None:
    """It is the same after a restart; a file that makes no sense is none."""
    file = tmp_path / "broker.json"
    one = again(file)
    said = left(one, 10.0)
    two = again(file)
    assert (two.judge(said), two.time) == (Standing.KEPT, 10.0)
    for rubbish in (
        b"",
        b"\xff\xff",
        b"[]",
        b'{"number": 1}',
        b"[" * 100_000,
        b'{"lineage": 1, "certain": true, "left": []}',
        b'{"lineage": "x", "certain": true, "left": [1]}',
        b'{"lineage": "x", "certain": true, "left": [["a", "b"]]}',
        b'{"lineage": "x", "certain": true, "left": []}',
        b'{"lineage": "x", "certain": true, "left": [[Infinity, 1]]}',
    ):
        file.write_bytes(rubbish)
        none = again(file)
        assert none.judge(said) is Standing.UNKNOWN
        assert none.judge(ABSENT) is Standing.UNKNOWN


def test_not_remembered_is_not_said(tmp_path: File) -> None:
    witness = Witness(tmp_path / "nowhere" / "broker.json")
    with pytest.raises(OSError, match="nowhere"):
        witness.renew(10.0)
    assert witness.time == 0.0


def test_against_messages_without_a_time() -> None:
    """Ours loses if nobody can have overwritten them at the broker, or if it has no time either."""
    witness = Witness()
    assert not witness.loses(record(), 5.0)
    assert witness.loses(record(origin="via:me"), 5.0)
    assert witness.loses(record(ABSENT), 5.0), "rather data than a deletion"
    first = left(witness, 10.0)
    witness.judge(first)
    assert witness.loses(record(), 9.0)
    assert not witness.loses(record(), 11.0)
    assert witness.loses(record(origin="via:me"), 11.0)
    witness.judge(ABSENT)
    assert witness.loses(record(), 9.0)
    left(witness, 20.0)
    witness.judge(first)
    assert not witness.loses(record(), 9.0)
    assert not witness.loses(record(origin="via:me"), 9.0)
