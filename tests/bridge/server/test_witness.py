"""Whether the broker has kept what it had: all that may be found there."""

from pathlib import Path as File

import pytest

from firmware_bridge.link.codec import ABSENT, encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.server.records import Record, pack
from firmware_bridge.server.witness import Standing, Witness


def record(value: object = 1, origin: str = "me") -> Record:
    return pack(encode(value), Meta(origin, 5.0))


def test_what_is_found() -> None:
    """Ours or a later one of ours: kept. An earlier one: restored. None: lost. Another's: who knows."""
    witness = Witness()
    assert witness.judge(ABSENT) is Standing.UNKNOWN, "never been there"
    first = witness.renew(10.0)
    assert witness.judge(first) is Standing.KEPT
    second = witness.renew(20.0)
    assert witness.judge(first) is Standing.OLDER
    assert witness.judge(second) is Standing.KEPT
    assert witness.judge(ABSENT) is Standing.EMPTY
    for other in (Witness().renew(30.0), {}, 1, None, {"lineage": 1, "number": "x"}):
        assert witness.judge(other) is Standing.UNKNOWN
    assert witness.time == 20.0


def test_remembered(tmp_path: File) -> None:
    """It is the same after a restart; a file that makes no sense is none."""
    file = tmp_path / "broker.json"
    one = Witness(file)
    one.load()
    said = one.renew(10.0)
    assert file.stat().st_mode & 0o777 == 0o600
    again = Witness(file)
    again.load()
    assert (again.judge(said), again.time) == (Standing.KEPT, 10.0)
    for rubbish in (
        b"",
        b"\xff\xff",
        b"[]",
        b'{"number": 1}',
        b'{"lineage": 1, "number": 1, "time": 1}',
    ):
        file.write_bytes(rubbish)
        none = Witness(file)
        none.load()
        assert none.judge(said) is Standing.UNKNOWN


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
    first = witness.renew(10.0)
    witness.judge(first)
    assert witness.loses(record(), 9.0)
    assert not witness.loses(record(), 11.0)
    assert witness.loses(record(origin="via:me"), 11.0)
    witness.judge(ABSENT)
    assert witness.loses(record(), 9.0)
    witness.renew(20.0)
    witness.judge(first)
    assert not witness.loses(record(), 9.0)
    assert not witness.loses(record(origin="via:me"), 9.0)
