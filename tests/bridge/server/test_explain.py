"""The server in words."""

import errno
import os
import socket
from pathlib import Path as File

import pytest

from firmware_bridge.__main__ import main
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server import explain
from firmware_bridge.server.config import ServerOptions
from firmware_bridge.server.explain import described, reason
from firmware_bridge.server.lock import Lock, LockedError
from firmware_bridge.server.retention import parse_rule

BROKER = BrokerConfig(host="localhost")


def test_as_little_as_possible() -> None:
    """A server without any options."""
    assert list(described(ServerOptions(name="me").on(BROKER, Path("moat", "home")))) == [
        "Server me of the root moat.home, broker localhost:1883",
        "Listens at 127.0.0.1:27587",
        "Lets in: everybody who can connect; whoever may read at the broker",
        "Keeps nothing on the disk",
        "Holds up to 512M of data",
    ]


def test_everything(tmp_path: File) -> None:
    """No token is told, only whose it is."""
    rules = {":": "30", "ems.meter": "7,500M", "error": ",1.5G"}
    options = ServerOptions(
        name="me",
        anonymous=False,
        announce_token=False,
        tokens={"tablet": "0123456789ab", "cellar": "0123456789cd"},
        save=tmp_path,
        sync=0.5,
        history={prefix: parse_rule(rule) for prefix, rule in rules.items()},
        history_size=1000,
        peer_token="cellar",
        listen=["127.0.0.1:0"],
        unix=["/run/moat.sock"],
    )
    assert list(described(options.on(BROKER, Path("moat"))))[1:] == [
        "Listens at /run/moat.sock, 127.0.0.1:any port",
        "Lets in: the tokens of cellar, tablet",
        "Logs in at other servers with the token of cellar",
        f"Keeps the data in {tmp_path}, synced every 0.5 s",
        "Holds up to 512M of data",
        "Remembers everything 30 days, ems.meter 7 days up to 500M, error up to 1.5G; 1000 in all",
    ]


def test_nobody() -> None:
    config = ServerOptions(anonymous=False, announce_token=False).on(BROKER, Path("moat"))
    assert "Lets in: nobody" in described(config)


def test_port_in_use() -> None:
    """Whoever has it is named, if the system tells."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        error = OSError(errno.EADDRINUSE, "Address already in use", place)
        name = File("/proc/self/comm").read_text().strip()
        assert reason(error) == f"{place} is in use: {name}, process {os.getpid()}"
    assert reason(error) == f"{place} is in use"


def test_a_process_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may end between two looks."""
    monkeypatch.setattr(explain, "_listening", lambda port: 2**31)
    error = OSError(errno.EADDRINUSE, "Address already in use", "127.0.0.1:1")
    assert reason(error) == "127.0.0.1:1 is in use: process 2147483648"


def test_directory_in_use(tmp_path: File) -> None:
    lock = Lock(tmp_path)
    lock.take()
    with pytest.raises(LockedError) as caught:
        Lock(tmp_path).take()
    told = reason(caught.value)
    assert told.startswith(f"{tmp_path} is in use by another server: ")
    assert told.endswith(f"process {os.getpid()}")
    lock.release()
    assert reason(caught.value) == f"{tmp_path} is in use by another server"
    missing = LockedError(errno.EWOULDBLOCK, "used", str(tmp_path / "none"))
    assert reason(missing) == f"{tmp_path}/none is in use by another server"


def test_what_linux_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere there are no such files."""

    def nothing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(File, "read_text", nothing)
    error = OSError(errno.EADDRINUSE, "Address already in use", "127.0.0.1:1")
    assert reason(error) == "127.0.0.1:1 is in use"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EADDRNOTAVAIL, "?", "192.0.2.1:5"), "192.0.2.1:5: this machine has no"),
        (PermissionError(errno.EACCES, "?", "0.0.0.0:80"), "ports below 1024"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: permission denied"),
        (OSError(errno.EADDRINUSE, "Somebody else listens there", "/x"), "/x: somebody else"),
        (OSError("something"), "something"),
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left"),
    ],
)
def test_reasons(error: OSError, told: str) -> None:
    assert told in reason(error)


def test_check(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started or made."""
    words = ["server", "--check", "--name", "me", "--save", str(tmp_path / "new")]
    assert main([*words, "--history", ":=1"]) == 0
    assert "Remembers everything 1 days; 1G in all" in capsys.readouterr().out.splitlines()
    assert not (tmp_path / "new").exists()
    assert main([*words, "--token-file", str(tmp_path / "none")]) == 2
    told = capsys.readouterr().err
    assert told == f"{tmp_path}/none: no such file or directory\n"


def test_check_of_a_bridge(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """The bridge tells of its server, too."""
    words = ["simulate", "--check", "--with-server", "--save", str(tmp_path)]
    assert main([*words, "--history", ":=30,1G", "--history", "ems=,64K"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "Right: 1 driver(s), root moat"
    assert told[-2:] == [
        "Remembers everything 30 days up to 1G, ems up to 64K; 1G in all",
        "Drives the installation's gates",
    ]
    assert main([*words, "--history", "ems"]) == 2
    assert "command line: server.history" in capsys.readouterr().err
