"""What a server starts from: recorded files of the real one, whole, torn, damaged and missing.

Every case of the reference's own load tests is here; where ours does otherwise, the row says why.
"""

import json
import os
from itertools import pairwise
from pathlib import Path as File
from typing import Any, NamedTuple

import pytest

from firmware_bridge.link.codec import encode
from firmware_bridge.server.loader import Loaded, load
from firmware_bridge.server.savefile import encode_changes, encode_end, encode_header
from firmware_bridge.server.store import Store
from tests.support.vectors import load as vectors

LOG = vectors("moat-link/savefile-log")
FILES = {
    each["name"]: b"".join(bytes.fromhex(item["hex"]) for item in each["items"])
    for each in LOG["files"]
}
FULL, INCREMENTAL, NEXT, NEWEST = FILES
MARK = FILES[FULL].index(b"Mchg") - 1
END = FILES[FULL].index(b"MeoF") - 1
HEADER_ONLY = FILES[NEWEST][: FILES[NEWEST].index(bytes.fromhex("8600d827"))]
INIT = encode_header("a.moat", 5.0, mode="init", prev=None)
"""A file that says that there is nothing."""


class Case(NamedTuple):
    """Files, oldest first, and what is to come of them."""

    files: dict[str, bytes]
    complete: bool = True
    damaged: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    """Nodes that must be there."""
    cut: str = ""
    """The file of which the torn end is cut off."""


FIRST = {FULL: FILES[FULL]}
ALL = ("t/a", "u/a", "t/b/d")
CASES = {
    "complete full file": Case(FIRST, read=ALL),
    "full file without end marker": Case({FULL: FILES[FULL][:END]}, read=ALL),
    "torn inside an item after the change marker": Case(
        {FULL: FILES[FULL][: END - 3]}, read=("t/a", "u/a"), cut=FULL
    ),
    "torn or cut before the change marker": Case(
        FIRST | {NEWEST: FILES[NEWEST][:-80]}, read=(*ALL, "t/m"), cut=NEWEST
    ),
    # a power failure leaves zeros; what stands before is whole, so nothing is wrong with the file
    "64 zero bytes appended": Case({FULL: FILES[FULL] + bytes(64)}, read=ALL, cut=FULL),
    # renamed later, when everything is in a new file
    "bytes ff appended": Case({FULL: FILES[FULL] + b"\xff" * 9}, damaged=(FULL,), read=ALL),
    "a byte in the middle changed to ff": Case(
        {FULL: FILES[FULL][:MARK] + b"\xff" + FILES[FULL][MARK + 1 :]},
        complete=False,
        damaged=(FULL,),
        read=("t/a", "t/m"),
    ),
    "newest file empty (0 bytes), or header only": Case(
        FIRST | {INCREMENTAL: FILES[INCREMENTAL], NEWEST: HEADER_ONLY, "99.moat": b""}, read=ALL
    ),
    "incremental file, complete, torn, or without end, plus full predecessor": Case(
        FIRST | {INCREMENTAL: FILES[INCREMENTAL], NEXT: FILES[NEXT][:-5]}, read=ALL, cut=NEXT
    ),
    # a home goes on with what there is, and says so; the broker has the rest
    "incremental file whose predecessor is missing": Case({NEXT: FILES[NEXT]}, complete=False),
    # judged by whether it is complete, not by whether it brings news
    "newest file corrupt at its end, older complete file with the same data": Case(
        FIRST | {NEWEST: FILES[NEWEST] + b"\xff"}, damaged=(NEWEST,), read=ALL
    ),
    "file without header tag": Case(
        FIRST | {"99.moat": encode([0, 1]) * 20}, damaged=("99.moat",), read=ALL
    ),
    "smallest file: tag 1299145044 [text, {mode: full}], items, tag 1298493254 {}": Case(
        {"00.moat": bytes.fromhex(LOG["minimal_file_hex"])}, read=("t/new", "t/new2")
    ),
    "mode init, no items": Case({"a.moat": INIT}),
}


def put(directory: File, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)


def read(directory: File) -> tuple[Loaded, dict[str, Any]]:
    """Load a directory; what is loaded, and the nodes that are alive."""
    store = Store()
    loaded = load(directory, lambda *entry: merge(store, *entry))
    found: dict[str, Any] = {}
    path: list[str] = []
    for kept, added, record in store.walk([]):
        path = path[:kept] + added
        found["/".join(path)] = record.value
    return loaded, found


def merge(store: Store, levels: list[str], value: Any, meta: Any) -> None:
    """Take an entry."""
    store.merge(levels, encode(value), meta)


def test_every_case_is_here() -> None:
    assert [each["case"] for each in LOG["load_tests"]] == list(CASES)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_load(case: Case, tmp_path: File) -> None:
    put(tmp_path, case.files)
    loaded, found = read(tmp_path)
    assert loaded.complete is case.complete
    assert sorted(loaded.damaged) == sorted(case.damaged)
    assert (loaded.problem is None) is (case.complete and not case.damaged)
    assert set(case.read) <= set(found)
    changed = {
        name for name, content in case.files.items() if (tmp_path / name).read_bytes() != content
    }
    assert changed == {case.cut} - {""}


def test_a_real_chain(tmp_path: File) -> None:
    """Full, two incremental, full: the last one tells what the others do, with its deletions."""
    put(tmp_path, FILES)
    loaded, found = read(tmp_path)
    assert loaded.files == [[FULL, INCREMENTAL, NEXT], [NEWEST]]
    (tmp_path / NEWEST).unlink()
    again, before = read(tmp_path)
    assert again.complete
    assert before == found
    assert found["t/b/d"] is None, "null is a value"
    assert "t/b/c" not in found, "deleted"


def test_second_file_of_a_minute(tmp_path: File) -> None:
    """The real server calls it .1, which sorts before the first: it counts nevertheless."""
    first = encode_header("07-53.moat", 5.0, mode="full", prev=None)
    later = encode_header("07-53.1.moat", 6.0, mode="full", prev="07-53.moat")
    entry = bytes.fromhex("8500d827826174616102637665631a6553f101")
    put(
        tmp_path,
        {
            "07-53.moat": first + encode_changes(5.0) + encode_end(5.5, name="07-53.1.moat"),
            "07-53.1.moat": later + encode_changes(6.0) + entry,
        },
    )
    loaded, found = read(tmp_path)
    assert loaded.complete
    assert found == {"t/a": 2}


def test_hundreds_of_segments(tmp_path: File) -> None:
    """A chain may be as long as it likes."""
    entry = bytes.fromhex("8500d827826174616102637665631a6553f101")
    names = [f"2026-11/28/{number:04}.moat" for number in range(300)]
    files = {names[0]: encode_header(names[0], 0.0, mode="full", prev=None) + encode_changes(0.0)}
    for number, (prev, name) in enumerate(pairwise(names), 1):
        files[name] = encode_header(name, float(number), mode="incr", prev=prev) + entry
    put(tmp_path, files)
    loaded, found = read(tmp_path)
    assert loaded.complete
    assert loaded.entries == 299
    assert loaded.files == [names]
    assert found == {"t/a": 2}


def test_a_circle(tmp_path: File) -> None:
    """Files that name each other end nothing."""
    put(
        tmp_path,
        {
            "a.moat": encode_header("a.moat", 1.0, mode="incr", prev="b.moat"),
            "b.moat": encode_header("b.moat", 2.0, mode="incr", prev="a.moat"),
        },
    )
    loaded, _ = read(tmp_path)
    assert not loaded.complete


def test_pipe(tmp_path: File) -> None:
    """What is no file is not opened: at a pipe that would take for ever."""
    put(tmp_path, FIRST)
    os.mkfifo(tmp_path / "pipe.moat")
    loaded, found = read(tmp_path)
    assert loaded.complete
    assert loaded.damaged == {"pipe.moat": "no file"}
    assert set(ALL) <= set(found)


def test_other_things_in_the_directory(tmp_path: File) -> None:
    """A folder by that name, a file that nobody may read, and others: told, or left alone."""
    put(tmp_path, FIRST | {"broker.json": b"{}", "x.moat.bad": b"\xff"})
    (tmp_path / "folder.moat").mkdir()
    loaded, found = read(tmp_path)
    assert loaded.complete
    assert list(loaded.damaged) == ["folder.moat"]
    assert json.dumps(loaded.problem).count("folder.moat") >= 1
    assert set(ALL) <= set(found)
