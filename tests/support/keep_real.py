"""The process that forks real servers for `Keeper`; run by MoaT's Python, not by ours.

Orders come as JSON lines and get one answer each. A server ends when it loses its broker; it is
then started again, as systemd does with a real one.
"""

import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import moat.link.backend.mqtt
import moat.link.client
import moat.link.server._main
import moat.main

PATIENCE = 25.0  # seconds
RUNNING = "Running."
CONFIGURATION = """\
moat:
  link:
    root: !P {root}
    backend: {backend}
    server:
      ports:
        main: {{host: 127.0.0.1, port: 0}}
        local: {{port: {directory}/socket, mode: "0600"}}
      save: {{dir: {directory}/save}}
      timeout: {{startup: 10, up: 1, mqtt: 0}}
      ping: {{cycle: 2, gap: 0.5}}
"""
AGAIN = 0.1  # seconds until it is started again
LOOK = 0.005  # seconds between two looks at what it says


class Server:
    """One server, in a process of its own and in a directory of its own."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Write its configuration and start it."""
        self.name = order["name"]
        self.directory = Path(tempfile.mkdtemp(prefix="moat-real-"))
        self.log = self.directory / "log"
        (self.directory / "save").mkdir()
        login = {key: order[key] for key in ("host", "port", "username", "password") if order[key]}
        backend = json.dumps({"driver": "mqtt", "codec": "std-cbor"} | login)
        text = CONFIGURATION.format(root=order["root"], directory=self.directory, backend=backend)
        (self.directory / "moat.yaml").write_text(text)
        self.start("-I", "test")
        self.wait()

    def start(self, *words: str) -> None:
        """Fork it; `words` are more words of its command line."""
        self.log.write_bytes(b"")
        self.pid = os.fork()
        if not self.pid:
            self.be(words)

    def be(self, words: tuple[str, ...]) -> NoReturn:
        """Be it, in the forked process, until it ends."""
        code = 1
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_APPEND)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for target, source in enumerate((nothing, log, log)):
                os.dup2(source, target)
            os.environ["MT_SERVICE"] = f"moat.link.{self.name}"
            file = str(self.directory / "moat.yaml")
            sys.argv = ["moat", "-c", file, "link", "server", "-n", self.name, *words]
            code = moat.main.cmd() or 0
        except SystemExit as err:
            code = err.code if isinstance(err.code, int) else 1
        except BaseException:  # noqa: BLE001  (for the log; the process ends)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def wait(self) -> None:
        """Return as soon as it serves."""
        deadline = time.monotonic() + PATIENCE
        while RUNNING not in self.log.read_text(errors="replace"):
            if self.ended() or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {self.log.read_text()}")
            time.sleep(LOOK)

    def ended(self) -> bool:
        """Whether it has ended."""
        return os.waitpid(self.pid, os.WNOHANG)[0] != 0

    def close(self) -> None:
        """Kill it, and leave nothing behind."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        shutil.rmtree(self.directory, ignore_errors=True)


def obey(order: dict[str, Any], servers: dict[str, Server]) -> dict[str, Any]:
    """Do what an order says, and return the answer."""
    try:
        if wanted := order.get("start"):
            servers[wanted["name"]] = Server(wanted)
            return {}
        servers.pop(order["stop"]).close()
    except Exception:  # noqa: BLE001  (whatever it is, the test is to know it)
        return {"error": traceback.format_exc()}
    return {"troubles": []}


def main() -> None:
    """Obey until the orders end; start again what has ended."""
    servers: dict[str, Server] = {}
    while True:
        if select.select([sys.stdin], [], [], AGAIN)[0]:
            line = sys.stdin.readline()
            if not line:
                break
            print(json.dumps(obey(json.loads(line), servers)), flush=True)
        for server in servers.values():
            if server.ended():
                server.start()
    for server in servers.values():
        server.close()


if __name__ == "__main__":
    main()
