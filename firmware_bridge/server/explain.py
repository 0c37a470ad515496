"""The server in words: what it will do, and why it cannot."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path as File
from typing import Final

from ..link.path import Path
from .config import Listener, ServerConfig
from .lock import LockedError
from .retention import DAY, Keep

_LISTENS: Final = "0A"  # the state of a socket in /proc/net/tcp
_PRIVILEGED: Final = 1024
_UNITS: Final = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def reason(error: OSError) -> str:
    """Say what is wrong, where, and if it can be known whose fault it is."""
    place = error.filename
    if not isinstance(place, str | bytes | os.PathLike):
        return str(error)
    place = os.fsdecode(place)
    _, _, port = place.rpartition(":")
    match error.errno:
        case errno.EADDRINUSE if port.isdecimal():
            return f"{place} is in use{_by(_listening(int(port)))}"
        case errno.EADDRNOTAVAIL:
            return f"{place}: this machine has no such address"
        case errno.EACCES | errno.EPERM if port.isdecimal() and int(port) < _PRIVILEGED:
            return f"{place}: no permission; ports below {_PRIVILEGED} are for privileged processes"
        case _ if isinstance(error, LockedError):
            return f"{place} is in use by another server{_by(_locking(File(place) / '.lock'))}"
    text = error.strerror or str(error)
    return f"{place}: {text[:1].lower()}{text[1:]}"


def described(config: ServerConfig) -> Iterator[str]:
    """Say where the server belongs, who may come in, and what it keeps."""
    yield (
        f"Server {config.name} of the root {config.root}, "
        f"broker {config.broker.host}:{config.broker.port}"
    )
    yield f"Listens at {', '.join(map(_place, config.listeners))}"
    names = ", ".join(sorted(config.all_tokens()))
    who = [
        *(["everybody who can connect"] if config.anonymous else []),
        *([f"the tokens of {names}"] if names else []),
        *(["whoever may read at the broker"] if config.announce_token else []),
    ]
    yield f"Lets in: {'; '.join(who) or 'nobody'}"
    if config.peer_token is not None:
        yield f"Logs in at other servers with the token of {config.peer_token}"
    if config.journal is None:
        yield "Keeps nothing on the disk"
    else:
        sync = config.journal.sync
        yield f"Keeps the data in {config.journal.directory}, synced every {sync:g} s"
    yield f"Holds up to {_size(config.most_data)} of data"
    if config.history is not None:
        rules = (
            f"{Path.from_topic(prefix) if prefix else 'everything'} {_rule(rule)}"
            for prefix, rule in config.history.keep.items()
        )
        yield f"Remembers {', '.join(rules)}; {_size(config.history.size)} in all"


def _place(listener: Listener) -> str:
    if listener.path is not None:
        return listener.path
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    more = [
        *([f"announced as {listener.announce}"] if listener.announce else []),
        *([f"TLS with {listener.certificate.file}"] if listener.certificate else []),
    ]
    port = listener.port or "any port"
    return f"{host}:{port}{f' ({", ".join(more)})' if more else ''}"


def _rule(rule: Keep) -> str:
    days = "" if rule.age is None else f"{rule.age / DAY:g} days"
    size = "" if rule.size is None else f"up to {_size(rule.size)}"
    return " ".join(filter(None, (days, size))) or "for ever"


def _size(count: int) -> str:
    for size, unit in _UNITS:
        if count >= size:
            return f"{count / size:.4g}{unit}"
    return str(count)


def _by(process: int | None) -> str:
    if process is None:
        return ""
    with suppress(OSError):
        name = File(f"/proc/{process}/comm").read_text(errors="replace").strip()
        return f": {name}, process {process}"
    return f": process {process}"


def _listening(port: int) -> int | None:
    """Return the process that listens at a port, as far as Linux tells."""
    sockets = {
        f"socket:[{fields[9]}]"
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in _table(table)
        if len(fields) > 9
        and fields[3] == _LISTENS
        and int(fields[1].rpartition(":")[2], 16) == port
    }
    for link in File("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(link.readlink()) in sockets:
                return int(link.parts[2])
    return None


def _locking(file: File) -> int | None:
    """Return the process that has locked a file, as far as Linux tells."""
    with suppress(OSError):
        number = str(file.stat().st_ino)
        for fields in _table("/proc/locks"):
            if len(fields) > 5 and fields[5].rpartition(":")[2] == number:
                return int(fields[4])
    return None


def _table(name: str) -> list[list[str]]:
    try:
        lines = File(name).read_text().splitlines()
    except OSError:
        return []
    return [line.split() for line in lines]
