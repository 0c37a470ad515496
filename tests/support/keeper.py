"""Servers by the hundred: a process that has everything loaded runs one on each test's broker.

A server of its own is what a test gets: nothing of an earlier one is left. Ours run in one process
together, which is not the one of the tests; each real one is forked from one that has imported MoaT.
"""

import asyncio
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, Final, Self, TextIO

from firmware_bridge.link.client import Link
from firmware_bridge.link.errors import NotFoundError
from firmware_bridge.link.path import Path

from .installation import link
from .mosquitto import Mosquitto
from .wait import INTERVAL

HERE: Final = File(__file__).parents[2]
NAME: Final = "one"
PATIENCE: Final = 30.0  # seconds
KINDS: Final = ("none", "ours", "real")


class KeeperError(Exception):
    """A server did not start, or the process that runs them has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that serves."""

    name: str
    port: int | None
    """Where it listens; None where only its announcement tells."""
    troubles: list[str]
    """After its end: what it has logged that must not happen."""

    async def hears(self, broker: Mosquitto, root: str, path: str) -> None:
        """Wait until it knows a node."""
        async with link(broker, root=Path.parse(root), host="nobody") as one:
            async with asyncio.timeout(PATIENCE):
                while not await _knows(one, Path.parse(path)):
                    await asyncio.sleep(INTERVAL)


async def _knows(one: Link, path: Path) -> bool:
    assert one.status.server is not None
    try:
        await one.get(path)
    except NotFoundError:
        return False
    return True


class Keeper:
    """Runs servers of one kind; a context manager whose process starts when it is first needed."""

    def __init__(self, kind: str) -> None:
        """Name the kind: `none`, `ours` or `real`."""
        self.kind = kind
        self._process: subprocess.Popen[str] | None = None
        self._said: TextIO | None = None

    def __enter__(self) -> Self:
        """Wait for work."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait(PATIENCE)
            self._process.stdout.close()
        if self._said is not None:
            self._said.close()

    @contextmanager
    def serving(
        self,
        broker: Mosquitto,
        root: str,
        *,
        username: str | None = None,
        password: str | None = None,
        cafile: str | None = None,
    ) -> Iterator[Served | None]:
        """Have a server on a broker, unless there are to be none."""
        if self.kind == "none":
            yield None
            return
        where = {"host": broker.host, "port": broker.port, "root": root, "name": NAME}
        login = {"username": username, "password": password, "cafile": cafile}
        answer = self._ask({"start": where | login})
        served = Served(name=NAME, port=answer.get("port"), troubles=[])
        try:
            yield served
        finally:
            served.troubles.extend(self._ask({"stop": NAME})["troubles"])

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process or self._launch()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._lost(order) from None
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            raise self._lost(order)
        line = process.stdout.readline()
        if not line:
            raise self._lost(order)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise KeeperError(answer["error"])
        return answer

    def _launch(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "tests.support.keep_ours"]
        if self.kind == "real":
            from .moat import find_moat  # which needs YAML, and not everybody has that

            program = File(__file__).with_name("keep_real.py")
            words = [str(find_moat() / "python"), "-P", str(program)]
        unwanted = {"PYTHONDONTWRITEBYTECODE", "MOAT_CFG", "MT_SERVICE"}
        kept = {key: value for key, value in os.environ.items() if key not in unwanted}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed at exit)
        self._process = subprocess.Popen(
            words,
            cwd=HERE,
            env=kept,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            process_group=0,
        )
        return self._process

    def _lost(self, order: Mapping[str, Any]) -> KeeperError:
        assert self._said is not None
        self._said.seek(0)
        return KeeperError(f"no answer to {order}: {self._said.read()}")
