"""Who we are on the link: id, signs of life, identity record, and where all of that lives. Pure."""

import os
import secrets
import sys
from pathlib import PurePath
from typing import Final

from .codec import ABSENT, Key, Value
from .path import Path

PING: Final = Path("run", "ping", "id")
IDS: Final = Path("run", "id")
HOSTS: Final = Path("run", "host")
STOPS: Final = Path("run", "stop")
REQUESTS: Final = Path("run", "request")
REPLIES: Final = Path("run", "reply")
MAIN: Final = Path("run", "service", "main")
CONNECTION: Final = MAIN / "conn"
SERVERS: Final = MAIN / "server"
STAMPS: Final = MAIN / "stamp"
ERRORS: Final = Path("error")
ERROR_EVENTS: Final = Path("run", "error")

PING_INTERVAL: Final = 10.0
_ALPHABET: Final = "23456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"


def fresh_name(length: int = 12) -> str:
    """Return a random word without characters that look alike."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def fresh_id() -> str:
    """Return an id for a new connection; it is never used again."""
    return f"_{fresh_name()}"


def ping(state: str) -> Value:
    """Return a sign of life: `init`, `auto`, or with up=false `closed` and `will`."""
    return {"up": state not in ("closed", "will"), "state": state}


def record(host: str, server: str | None) -> Value:
    """Return the identity record; of the command line only the program's name, it may hold secrets."""
    program = PurePath(sys.argv[0] if sys.argv else "").name or "python"
    known: dict[Key, Value] = {"host": host, "pid": os.getpid(), "argv": [program]}
    return known if server is None else {**known, "srv": server}


def announcement(
    client_id: str, path: Path, value: Value, *, up: bool = True, stopping: str | None = None
) -> Value:
    """Return what `run.host.…` says about a service of ours."""
    said: dict[Key, Value] = {
        "id": client_id,
        "path": path,
        "up": up and stopping is None,
        "request": True,
    }
    if value is not None and value is not ABSENT:
        said["value"] = value
    return said if stopping is None else {**said, "stopping": stopping}
