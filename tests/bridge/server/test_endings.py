"""How a server with files ends: in the middle of reading, of writing, and when another has them."""

import signal
from collections.abc import Callable
from pathlib import Path as File

import pytest

from firmware_bridge.link.codec import encode
from firmware_bridge.link.meta import Meta
from firmware_bridge.server.loader import load
from firmware_bridge.server.records import pack
from firmware_bridge.server.savefile import Encoder, encode_changes, encode_end, encode_header
from tests.bridge.test_process import process
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

NODES = 40_000


@pytest.fixture
def command(broker: Mosquitto, tmp_path: File) -> Callable[[str], list[str]]:
    """Return the command line of a server by its name; all use one directory."""

    def words(name: str) -> list[str]:
        return [
            *("server", "--port", str(broker.port), "--root", "moat.test", "--name", name),
            *("--listen", "127.0.0.1:0", "--save", str(tmp_path / "save")),
        ]

    return words


def write_chain(directory: File, *, segments: int) -> list[File]:
    """Write a full file of many nodes, and incremental ones."""
    names = [f"2026-01/01/00-00-{number:02}.moat" for number in range(segments)]
    prev = None
    for name in names:
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        encoder = Encoder()
        content = [encode_header(name, 1.0, mode="incr" if prev else "full", prev=prev)]
        if prev is None:
            content += (
                encoder.entry(
                    ["n", f"g{number // 100}", str(number)],
                    pack(encode({"v": number}), Meta("x", 5.0)),
                )
                for number in range(NODES)
            )
            content.append(encode_changes(1.0))
        content.append(encode_end(2.0, name="next"))
        file.write_bytes(b"".join(content))
        prev = name
    return [directory / name for name in names]


def count(directory: File) -> int:
    """Return how many nodes there are, if everything is as it should be."""
    found: set[tuple[str, ...]] = set()
    loaded = load(directory, lambda levels, *_: found.add(tuple(levels)))
    assert loaded.complete
    assert loaded.problem is None
    return len([levels for levels in found if levels[0] == "n"])


async def test_stopped_while_it_reads(command: Callable[[str], list[str]], tmp_path: File) -> None:
    """It goes at once and in order, and leaves the files as they are."""
    (file,) = write_chain(tmp_path / "save", segments=1)
    before = file.read_bytes()
    async with process(*command("one")) as running:
        await until((tmp_path / "save" / ".lock").exists, timeout=15)
        running.send_signal(signal.SIGTERM)
        _, log = await running.communicate()
        assert running.returncode == 0, log
        assert b"listens" not in log
    assert list((tmp_path / "save").rglob("*.moat")) == [file]
    assert file.read_bytes() == before


async def test_stopped_while_it_writes_everything(
    command: Callable[[str], list[str]], tmp_path: File
) -> None:
    """What was there is still there, and no half of a new file."""
    files = write_chain(tmp_path / "save", segments=6)
    async with process(*command("one")) as running:
        await until(lambda: list((tmp_path / "save").rglob("*.tmp")), timeout=15)
        running.send_signal(signal.SIGTERM)
        _, log = await running.communicate()
        assert running.returncode == 0, log
    assert not list((tmp_path / "save").rglob("*.tmp"))
    assert len(list((tmp_path / "save").rglob("*.moat"))) > len(files)
    assert count(tmp_path / "save") == NODES


async def test_one_directory_two_servers(
    command: Callable[[str], list[str]], tmp_path: File
) -> None:
    """The second says so and goes; who was killed leaves no lock behind."""
    async with process(*command("one")) as first:
        await until(lambda: list((tmp_path / "save").rglob("*.moat")), timeout=15)
        async with process(*command("two")) as second:
            _, log = await second.communicate()
            assert second.returncode == 1
            assert b"in use by another server" in log
        first.kill()
        await first.wait()
        async with process(*command("two")) as second:
            files = set((tmp_path / "save").rglob("*.moat"))
            await until(lambda: set((tmp_path / "save").rglob("*.moat")) > files, timeout=15)
            second.send_signal(signal.SIGTERM)
            await second.communicate()
            assert second.returncode == 0
