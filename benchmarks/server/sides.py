"""The two servers: how each is started, and what the system knows of its process."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.report import Figures
from tests.support.moat import ROOT, MoatServer
from tests.support.mosquitto import Mosquitto

TICKS: Final = os.sysconf("SC_CLK_TCK")
PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that has been started; whether it serves already is for a client to find out."""

    pid: int
    socket: Path

    def cpu(self) -> float:
        """Return the seconds that it has worked."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> int:
        """Return the bytes that it has in memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
        return 0


@contextmanager
def ours(broker: Mosquitto, save: Path | None = None) -> Iterator[Running]:
    """Start our server as its command line does, with its files."""
    with tempfile.TemporaryDirectory(prefix="moat-bench-") as directory:
        socket = Path(directory) / "socket"
        command = [sys.executable, "-m", "firmware_bridge", "server", "--name", "one"]
        command += ["--port", str(broker.port), "--root", ROOT, "--unix", str(socket)]
        command += ["--save", str(save or Path(directory) / "save")]
        with _process(command, Path(directory) / "log") as pid:
            yield Running(pid, socket)


@contextmanager
def reference(broker: Mosquitto, save: Path | None = None) -> Iterator[Running]:
    """Start the reference: as the first of a new installation, or from its files.

    It waits for no silence of the broker (`timeout.mqtt` 0, as is its default): if it does, it stops
    for ever at the 100th write. It may take as long to start as it usually may.
    """
    server = MoatServer(broker)
    try:
        command = server.command()
        text = server.configuration.read_text().replace("mqtt: 0.5", "mqtt: 0")
        text = text.replace("startup: 10", "startup: 90")
        if save is None:
            command += ["-I", "test"]
        else:
            text = text.replace(str(server.directory / "save"), str(save))
        server.configuration.write_text(text)
        with _process(command, server.directory / "log", server.environment()) as pid:
            yield Running(pid, server.socket)
    finally:
        server.close()


SIDES: Final = {"ours": ours, "reference": reference}


@contextmanager
def _process(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def per_call(before: float, running: Running, calls: int) -> Figures:
    """Return the CPU of the server for each of some calls."""
    return {"calls": calls, "cpu_us": 1e6 * (running.cpu() - before) / max(calls, 1)}
