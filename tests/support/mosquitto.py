"""A real mosquitto on a free loopback port, in a directory of its own."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .certificates import Identity

PATIENCE = 20.0


def free_port() -> int:
    """Return a TCP port that nobody uses right now, nor soon: none that systems give to clients."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def bridge_to(port: int) -> str:
    """Return the configuration that joins a broker to another one on this machine, for `extra`."""
    lines = ["connection other", f"address 127.0.0.1:{port}", "topic # both 1"]
    lines += ["bridge_protocol_version mqttv50", "restart_timeout 1", "notifications false"]
    return "\n".join(lines)


class Mosquitto:
    """One broker process; a context manager that starts it and leaves nothing behind.

    `users` maps names to passwords (None: anonymous). `acl` is the text of the ACL file. `tls` is
    the identity of the server, `client_ca` the PEM of the authority whose clients alone are let in.
    `extra` is raw configuration of the listener or in general; `listeners` are further listeners,
    each as its own raw block ("listener 0 /path/to/socket"), with the same users and ACL.
    With `own_group`, a terminal's Ctrl-C does not reach it: whoever started it ends it in order.
    All methods block for a few milliseconds and work in and out of an event loop.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        port: int | None = None,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        tls: Identity | None = None,
        client_ca: str | None = None,
        persistence: bool = False,
        extra: str = "",
        listeners: Sequence[str] = (),
        own_group: bool = False,
    ) -> None:
        """Describe the broker; nothing runs until `start`."""
        self.port = port or free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="moat-mosquitto-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._tls = tls
        self._client_ca = client_ca
        self._persistence = persistence
        self._extra = extra
        self._listeners = tuple(listeners)
        self._own_group = own_group
        self._users = users is not None
        self._acl = acl is not None
        self.set_users(users or {})
        self.set_acl(acl or "")

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        assert self._process is not None, "not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process exists (it may be paused)."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Everything the broker has logged."""
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""

    def start(self) -> Self:
        """Start, or start again on the same port, and wait until it accepts connections."""
        assert not self.running, "runs already"
        self._write_configuration()
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None, "mosquitto is not installed"
        self._process = subprocess.Popen(
            [program, "-c", self.directory / "mosquitto.conf"],
            stdin=subprocess.DEVNULL,
            process_group=0 if self._own_group else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"mosquitto did not start: {self.log}")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """End it orderly (SIGTERM): clients are told, persistence is written."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop orderly and start again on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and are silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Read users and ACL again (SIGHUP); who is not welcome any more is disconnected."""
        self._signal(signal.SIGHUP)

    def set_users(self, users: Mapping[str, str]) -> None:
        """Replace the password file; effective at `start` or `reload`."""
        path = self.directory / "passwords"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        for name, password in users.items():
            command = ["mosquitto_passwd", "-b", str(path), name, password]
            subprocess.run(command, check=True, capture_output=True)

    def set_acl(self, acl: str) -> None:
        """Replace the ACL file; effective at `start` or `reload`."""
        path = self.directory / "acl"
        path.touch(0o600)
        path.write_text(acl)

    def close(self) -> None:
        """End the process and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and clean up."""
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not running"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
        self._process.wait(PATIENCE)
        self._process = None

    def _accepts(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), 0.5).close()
        except OSError:
            return False
        return True

    def _write_configuration(self) -> None:
        here = self.directory
        lines = [
            f"user {pwd.getpwuid(os.geteuid()).pw_name}",
            f"log_dest file {here}/log",
            "log_type error",
            "log_type warning",
            "log_type notice",
            f"allow_anonymous {'false' if self._users else 'true'}",
        ]
        if self._users:
            lines.append(f"password_file {here}/passwords")
        if self._acl:
            lines.append(f"acl_file {here}/acl")
        if self._persistence:
            lines += ["persistence true", f"persistence_location {here}/"]
        lines.append(f"listener {self.port} {self.host}")
        lines += self._tls_lines()
        lines += [self._extra, *self._listeners]
        (here / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def _tls_lines(self) -> list[str]:
        if self._tls is None:
            return []
        here = self.directory
        _private(here / "server.pem", self._tls.certificate)
        _private(here / "server.key", self._tls.key)
        lines = [f"certfile {here}/server.pem", f"keyfile {here}/server.key"]
        if self._client_ca is not None:
            _private(here / "clients.pem", self._client_ca)
            lines += [f"cafile {here}/clients.pem", "require_certificate true"]
        return lines


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)
