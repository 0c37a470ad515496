"""The real MoaT, as `script/setup --interop` installs it: servers, command line, programs."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Self

import yaml

from .mosquitto import Mosquitto, free_port

HERE: Final = Path(__file__).parents[2] / ".venv-moat" / "bin"
PATIENCE: Final = 30.0  # seconds
ROOT: Final = "moat.link.test"
BOOLEAN: Final = "tag:yaml.org,2002:bool"

CONFIGURATION: Final = """\
moat:
  link:
    root: !P {root}
    backend: {{driver: mqtt, codec: std-cbor, host: {broker.host}, port: {broker.port}}}
    client: {{init_timeout: 5, path: {socket}}}
    server:
      ports:
        main: {{host: 127.0.0.1, port: {port}}}
        local: {{port: {socket}, mode: "0600"}}
      save: {{dir: {directory}/save}}
      timeout: {{startup: 10, up: 1, mqtt: 0.5}}
      ping: {{cycle: {cycle}, gap: {gap}}}
      probe: {{repeat: {probe}, timeout: 3}}
"""


class MoatError(Exception):
    """MoaT is not there, does not start, or its command line has failed."""


class MoatServer:
    """One moat-link-server on a free TCP port and a Unix socket, with a directory of its own.

    A context manager that starts it and leaves nothing behind. The methods that are not async block
    for seconds: `await asyncio.to_thread(server.restart)` where something else has to go on.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        broker: Mosquitto,
        *,
        name: str = "one",
        probe: float = 30,
        cycle: float = 2,
        gap: float = 0.5,
    ) -> None:
        """Describe the server; nothing runs until `start`.

        It probes clients every `probe` s, and takes a turn as the main server every `cycle` s.
        """
        self.name = name
        self.broker = broker
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="moat-server-"))
        self.socket = self.directory / "socket"
        self.configuration = self.directory / "moat.yaml"
        self.save = self.directory / "save"
        self.save.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self.configuration.write_text(
            CONFIGURATION.format(
                root=ROOT,
                broker=broker,
                socket=self.socket,
                port=self.port,
                directory=self.directory,
                probe=probe,
                cycle=cycle,
                gap=gap,
            )
        )

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What the last start has written."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self, *, first: bool = False) -> list[str]:
        """Return the words that start it."""
        command, words = _command("moat", self), ["link", "server", "-n", self.name]
        if first:
            # who waits for the broker's silence, as one without files has to, may stop at the 100th write
            command += ["-s", "link.server.timeout.mqtt", "=0"]
            words += ["-I", "test"]
        return command + words

    def environment(self) -> dict[str, str]:
        """Return the environment that it needs."""
        return _environment() | {"MT_SERVICE": f"moat.link.{self.name}"}

    def start(self, *, first: bool = False) -> Self:
        """Start and wait until it serves; `first`: the installation is new."""
        assert not self.running, "runs already"
        self.socket.unlink(missing_ok=True)
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(first=first),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                process_group=0,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._serves(first=first):
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = self.log
                self.kill()
                raise MoatError(f"server {self.name} did not start:\n{log_text}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """End it orderly (SIGTERM): it says so, and saves what it knows."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop orderly and start again at the same addresses."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the process and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start it as the first of a new installation."""
        try:
            return self.start(first=True)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        """End it and clean up."""
        self.close()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and are silent."""
        assert self._process is not None, "not running"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        assert self._process is not None, "not running"
        self._process.send_signal(signal.SIGCONT)

    async def link(self, *words: str, feed: str = "") -> str:
        """Run `moat link …` with this server; what it prints. MoatError if it fails."""
        process = await asyncio.create_subprocess_exec(
            *_command("moat", self),
            "link",
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate(feed.encode())
        finally:
            await _reap(process)
        if process.returncode:
            raise MoatError(f"moat link {' '.join(words)}: {err.decode()}{out.decode()}")
        return out.decode()

    async def ask(self, *words: str) -> Any:
        """Run `moat link …` and decode the YAML it prints."""
        return yaml.load(await self.link(*words), Loader)

    @contextlib.asynccontextmanager
    async def monitor(self, path: str) -> AsyncIterator[Monitor]:
        """Follow a subtree with `moat link data … monitor`; the snapshot is over on entry."""
        async with self.process("data", path, "monitor", "-s", "-M") as process:
            monitor = Monitor(process)
            reading = asyncio.create_task(monitor.read())
            try:
                async with asyncio.timeout(PATIENCE):
                    await monitor.complete.wait()
                yield monitor
            finally:
                await _reap(process)
                await reading

    def process(
        self, *words: str, service: str | None = None
    ) -> contextlib.AbstractAsyncContextManager[Process]:
        """Run `moat link …` with this server until the end of the context; as a service if named."""
        return self._run(*_command("moat", self), "link", *words, service=service)

    @contextlib.asynccontextmanager
    async def program(self, file: Path, *words: str) -> AsyncIterator[Program]:
        """Run a Python program with MoaT's modules; it takes our configuration file first."""
        command = [*_command("python"), str(file), str(self.configuration), *words]
        async with self._run(*command) as process:
            program = Program(process)
            reading = asyncio.create_task(program.read())
            try:
                yield program
            finally:
                await _reap(process)
                await reading

    @contextlib.asynccontextmanager
    async def _run(self, *command: str, service: str | None = None) -> AsyncIterator[Process]:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=_environment() | ({} if service is None else {"MT_SERVICE": service}),
        )
        try:
            yield process
        finally:
            await _reap(process)

    def _serves(self, *, first: bool) -> bool:
        """Whether it says that it does; the first one is the main server then."""
        return "Running." in self.log

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
        self._process.wait(PATIENCE)
        self._process = None


class Monitor:
    """What `moat link data … monitor` has printed."""

    def __init__(self, process: Process) -> None:
        """Take the process."""
        self._process = process
        self.complete = asyncio.Event()
        self.changes: list[tuple[str, Any]] = []

    def values(self, path: str) -> list[Any]:
        """Return the values printed for a path (below the monitored one) after the snapshot."""
        return [value for at, value in self.changes if at == path]

    async def read(self) -> None:
        """Read to the end."""
        assert self._process.stdout is not None
        lines: list[str] = []
        async for line in self._process.stdout:
            if line != b"---\n":
                lines.append(line.decode())
                continue
            item = yaml.load("".join(lines), Loader)
            lines.clear()
            match item:
                case str():
                    self.complete.set()
                case [path, *rest] if self.complete.is_set():
                    self.changes.append((str(path), rest[0] if rest else None))


class Program:
    """What a program has printed: one JSON or YAML value a line."""

    def __init__(self, process: Process) -> None:
        """Take the process."""
        self._process = process
        self.said: list[Any] = []

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    async def read(self) -> None:
        """Read to the end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.said.append(yaml.load(line, Loader))


class Loader(yaml.SafeLoader):
    """Reads the YAML 1.2 that MoaT prints, where `on` is a text; paths are their dotted text."""


def _path(_: Loader, node: yaml.Node) -> str:
    return str(node.value)


Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(BOOLEAN, re.compile("^(true|false)$"), ["t", "f"])
Loader.add_constructor("!P", _path)


def find_moat() -> Path:
    """Return the folder of MoaT's programs; MoatError if they are not installed."""
    if not (HERE / "moat").exists():
        raise MoatError("the real MoaT is missing: run script/setup --interop")
    return HERE


def _command(program: str, server: MoatServer | None = None) -> list[str]:
    words = [str(find_moat() / program)]
    return words if server is None else [*words, "-c", str(server.configuration)]


def _environment() -> dict[str, str]:
    unwanted = {"PYTHONDONTWRITEBYTECODE", "MOAT_CFG", "MT_SERVICE"}
    kept = {key: value for key, value in os.environ.items() if key not in unwanted}
    return kept | {"PYTHONUNBUFFERED": "1"}


async def _reap(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
