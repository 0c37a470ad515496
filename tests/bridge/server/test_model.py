"""Tree and journal against a simple model: whatever happens, what was safe is there again."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path as File
from random import Random
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.errors import DecodeError
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.sequence import SequenceReader
from firmware_bridge.server import journal as journal_module, segment as segment_module
from firmware_bridge.server.journal import Journal, JournalConfig
from firmware_bridge.server.store import LIFETIME, levels_of
from firmware_bridge.server.tree import Tree
from tests.bridge.server.clock import StoppedClock
from tests.support.disk import ERRORS, Disk, PowerCut
from tests.support.effort import examples

ELEMENTS = ["a", "b", "1", 1, -7, 1.0, 2.5, True, None, "", b"\x01", (1, "x"), "x/y", "ü", "run"]
VALUES = [
    1,
    1.0,
    True,
    "1",
    None,
    ABSENT,
    b"1",
    2**63,
    [1, [True]],
    {"a": 1, "b": [Path("x", 1)]},
    {"b": 1.0},
    "long" * 300,
]
EXTRAS = [((), {}), (("x", None, 7), {}), ((), {"gw": "x"}), (({"map": 1},), {})]
PATHS = st.lists(st.sampled_from(ELEMENTS), max_size=4).map(
    lambda each: tuple(levels_of(Path(*each)))
)

type State = tuple[Any, ...]
type Model = dict[tuple[str, ...], State]


def strict(value: Any) -> Any:
    """Make a value comparable, type-strictly."""
    match value:
        case dict():
            return "map", frozenset((key, strict(item)) for key, item in value.items())
        case list() | tuple():
            return "list", tuple(map(strict, value))
        case _:
            return type(value).__name__, value


def state(value: Any, meta: Meta) -> State:
    extra = list(meta.extra)
    while extra and extra[-1] is None:
        extra.pop()
    return (
        meta.time,
        strict(value),
        meta.origin,
        strict(extra),
        strict(dict(meta.keywords)),
    )


def beginnings(content: bytes) -> list[int]:
    """Return where the items of a file begin, and where the last one ends."""
    reader = SequenceReader(content)
    found = [0]
    with contextlib.suppress(DecodeError):
        while reader.position < len(content):
            reader.read()
            found.append(reader.position)
    return found


class KeepingMachine(RuleBasedStateMachine):
    """A server's memory and disk. The model: a dict of what each node is, one of what is safe."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(segment_module, "os", self.disk)
        self.patch.setattr(journal_module, "_SLICE", 2)
        self.loop = asyncio.new_event_loop()
        self.clock = StoppedClock()
        self.home = File(tempfile.mkdtemp(prefix="model-"))
        self.directory = self.home / "0"
        self.lives = 0
        self.model: Model = {}
        self.flushed: Model = {}
        self.synced: Model = {}
        self.ever: dict[tuple[str, ...], set[State]] = {}
        self.tree = Tree(self.clock)
        self.journal: Journal | None = None

    def teardown(self) -> None:
        assert self.journal is not None
        self.disk.repair(self.directory)
        self.journal.close("")
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.patch.undo()
        shutil.rmtree(self.home)

    @initialize()
    def begin(self) -> None:
        config = JournalConfig(
            directory=self.directory, sync=1.0, flush=0.0, rotate=20.0, rewrite=3, size=4000
        )
        self.tree = Tree(self.clock)
        self.journal = Journal(
            config, self.clock, snapshot=self.tree.snapshot, report=lambda problem: None
        )
        self.journal.load(self.take)
        self.tree.log = self.journal.append
        self.journal.start()

    def take(self, levels: list[str], value: Any, meta: Meta) -> None:
        assert levels[:1] != ["run"], "that is never kept"
        self.tree.restore(levels, value, meta)

    # What happens to the tree

    @rule(
        levels=PATHS,
        value=st.sampled_from(VALUES),
        age=st.sampled_from([0, 0, 0, 1, 50, None]),
        extra=st.sampled_from(EXTRAS),
        way=st.sampled_from(["write", "receive", "hear"]),
    )
    def change(self, levels: Any, value: Any, age: int | None, extra: Any, way: str) -> None:
        """Write with a time of now, of before, or of what is there."""
        self.clock.advance(0.25)
        there = self.model.get(levels, (self.clock.now,))[0]
        meta = Meta("me", there if age is None else self.clock.now - age, *extra)
        if way == "hear":
            self.tree.hear(list(levels), value, meta, retained=True)
        else:
            getattr(self.tree, way)(list(levels), value, meta)
        known = self.model.get(levels)
        if levels[:1] != ("run",) and (known is None or meta.time > known[0]):
            self.model[levels] = state(value, meta)
            self.ever.setdefault(levels, set()).add(self.model[levels])

    @rule()
    def forget_deletions(self) -> None:
        self.clock.advance(LIFETIME + 100)
        list(self.tree.store.prune(self.clock.time()))
        for model in (self.model, self.flushed, self.synced):
            for levels in [each for each in model if model[each][1] == strict(ABSENT)]:
                if self.model.get(levels, model[levels])[1] == strict(ABSENT):
                    del model[levels]

    # What happens to the files

    @rule(seconds=st.sampled_from([0.0, 2.0, 30.0]))
    def go_on(self, seconds: float) -> None:
        assert self.journal is not None
        self.clock.advance(seconds)
        try:
            self.loop.run_until_complete(self.journal.work())
        except PowerCut:
            self.restart({}, self.synced)
            return
        if self.journal.problem is None:
            self.flushed = dict(self.model)
            if seconds:
                self.synced = dict(self.model)

    @rule(hours=st.integers(-3, 3))
    def set_the_clock(self, hours: int) -> None:
        """Times of data go on; those of files do not."""
        self.clock.advance(3600 * hours if hours > 0 else 0)

    @rule(changes=st.lists(st.tuples(PATHS, st.sampled_from(VALUES)), min_size=1, max_size=9))
    def change_meanwhile(self, changes: list[Any]) -> None:
        """What changes while files are begun, ended and written anew is in them all the same."""

        async def work_and_change() -> None:
            assert self.journal is not None
            work = asyncio.ensure_future(self.journal.work())
            for levels, value in changes:
                await asyncio.sleep(0)
                self.change(levels, value, 0, EXTRAS[0], "write")
            await work

        self.disk.error = self.disk.fuse = None
        for _ in range(4):
            self.clock.advance(30)
            self.loop.run_until_complete(work_and_change())
        self.go_on(2.0)

    @rule(error=st.sampled_from([None, *ERRORS]))
    def disk_error(self, error: int | None) -> None:
        self.disk.error = error

    @rule(count=st.integers(0, 9), blow=st.sampled_from([PowerCut, *ERRORS]))
    def trouble_is_near(self, count: int, blow: Any) -> None:
        self.disk.fuse, self.disk.blow = count, blow

    @rule()
    def folder_removed(self) -> None:
        shutil.rmtree(self.directory)
        self.flushed, self.synced = {}, {}
        self.disk.error = self.disk.fuse = None
        self.change(("a",), "new", 0, EXTRAS[0], "write")
        self.go_on_well()

    @rule()
    def go_on_well(self) -> None:
        """With a disk that works, everything is safe after at most two rounds."""
        assert self.journal is not None
        self.disk.error = self.disk.fuse = None
        for _ in range(2):
            self.clock.advance(2)
            self.loop.run_until_complete(self.journal.work())
        assert self.journal.problem is None
        self.model = self.now()
        self.flushed, self.synced = dict(self.model), dict(self.model)

    # Ends

    @rule()
    def stop(self) -> None:
        """In order: everything is there, unless the disk is broken."""
        assert self.journal is not None
        well = self.disk.error is None and self.disk.fuse is None
        with contextlib.suppress(PowerCut):
            self.journal.close("Shutdown")
        self.restart({}, self.model if well else self.synced, closed=True)

    @rule()
    def kill(self) -> None:
        """The process ends: what was handed to the system is there."""
        self.restart({}, self.flushed)

    @rule(seed=st.integers(0, 10_000))
    def power_failure(self, seed: int) -> None:
        """The machine ends: unsynced bytes are there, or not."""
        left = self.disk.survivors(self.directory, Random(seed).randint)
        self.restart(left, self.synced)

    @precondition(lambda self: any(self.directory.rglob("*.moat")))
    @rule(seed=st.integers(0, 10_000))
    def damage(self, seed: int) -> None:
        """A file has rubbish in it: that is told, and what was read is safe soon."""
        random = Random(seed)
        file = random.choice(sorted(self.directory.rglob("*.moat")))
        content = file.read_bytes()
        position = random.choice(beginnings(content)) + random.randrange(3)
        content = content[:position] + b"\xff" * 40 + content[position + 40 :]
        self.restart({file.relative_to(self.directory).as_posix(): content}, {})
        self.go_on_well()
        name = file.relative_to(self.home / str(self.lives - 1))
        assert (
            (self.directory / f"{name}.bad").exists()
            or not (self.directory / name).exists()
            or (name.as_posix() not in self.journal.loaded.damaged)
        )

    def restart(self, files: dict[str, bytes], safe: Model, *, closed: bool = False) -> None:
        """Start again with a copy of the directory; nothing that was safe is lost."""
        assert self.journal is not None
        if not closed:
            self.disk.cut_power()
            with contextlib.suppress(PowerCut):
                self.journal.close("never said")
        former, self.lives = self.directory, self.lives + 1
        self.directory = self.home / str(self.lives)
        if former.exists():
            shutil.copytree(former, self.directory)
        for name, content in files.items():
            (self.directory / name).write_bytes(content)
        self.disk.repair(self.directory)
        self.begin()
        found = self.now()
        for levels, known in safe.items():
            assert levels in found, f"{levels} is lost"
            assert found[levels][0] >= known[0], f"{levels} is older than what was safe"
        for levels, known in found.items():
            assert known in self.ever.get(levels, ()), f"{levels} was never {known}"
        self.model = found
        self.flushed, self.synced = dict(found), {key: found[key] for key in safe if key in found}

    def now(self) -> Model:
        return {tuple(levels): state(*record.unpack()) for levels, record in self.tree.snapshot()}

    @invariant()
    def in_memory(self) -> None:
        """The tree is what the model is, whatever is wrong with the disk."""
        assert self.now() == self.model


TestKeepingMachine = KeepingMachine.TestCase
TestKeepingMachine.settings = settings(max_examples=examples(60), stateful_step_count=40)
