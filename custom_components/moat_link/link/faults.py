"""Errors of the installation: reported to the server, or kept at `error.<path>` the way it does."""

from collections.abc import Callable, Mapping
from typing import Final

from .codec import Key, Value, sanitize
from .data import Data
from .errors import NotFoundError
from .identity import ERROR_EVENTS, ERRORS
from .message import Message
from .path import Path
from .server import Server

type Record = dict[Key, Value]

LEVELS: Final = range(5)
_UNSEEN: Final = frozenset({"bt"})  # back-traces are events, not state


class Faults:
    """Reports, acknowledges and clears errors, for the life of one session."""

    def __init__(self, data: Data, server: Callable[[], Server | None]) -> None:
        """Work through the server if there is one, else on the records themselves."""
        self._data = data
        self._server = server

    async def report(
        self, path: Path, message: str, level: int, fields: Mapping[str, Value]
    ) -> None:
        """Raise an error, or count it once more."""
        if not path or path.starts_with(ERRORS):
            raise ValueError(f"errors cannot be reported at {path}")
        if level not in LEVELS:
            raise ValueError(f"there is no error level {level}")
        said = {key: sanitize(value) for key, value in fields.items()}
        said |= {"msg": sanitize(message), "level": level}
        if (server := self._server()) is not None:
            await server.error("info", path, **said)
        else:
            await self._write(path, raised(await self._old(path), dict(said.items())))

    async def acknowledge(self, path: Path) -> None:
        """Set `ack`."""
        if (server := self._server()) is not None:
            await server.error("ack", path)
        else:
            await self._write(path, acknowledged(await self._old(path)))

    async def clear(self, path: Path) -> None:
        """End an error; nothing happens if there is none."""
        if (server := self._server()) is not None:
            await server.error("ok", path)
        elif (old := await self._old(path)) is not None:
            await self._data.set(ERROR_EVENTS / path, cleared(old), retain=False)
            await self._data.delete(ERRORS / path)

    async def _old(self, path: Path) -> Message | None:
        try:
            return await self._data.get(ERRORS / path)
        except NotFoundError:
            return None

    async def _write(self, path: Path, record: Record) -> None:
        await self._data.set(ERROR_EVENTS / path, record, retain=False)
        await self._data.set(ERRORS / path, lasting(record))


def raised(old: Message | None, fields: Record) -> Record:
    """Merge a report into the record; a repetition counts and keeps the time of the first."""
    if old is None:
        return dict(fields)
    record = _record(old)
    count = record.get("n", 1)
    record["n"] = count + 1 if isinstance(count, int) else 2
    record.setdefault("first", old.time)
    record.pop("ok", None)
    return record | fields


def acknowledged(old: Message | None) -> Record:
    """Return the record after somebody has taken note."""
    return {**(_record(old) if old is not None else {}), "ack": True}


def cleared(old: Message) -> Record:
    """Return the record that tells the end of an error."""
    return {**_record(old), "ok": True}


def lasting(record: Record) -> Record:
    """Return the part of a record that is kept."""
    return {key: value for key, value in record.items() if key not in _UNSEEN}


def _record(old: Message) -> Record:
    if not isinstance(old.value, dict):
        return {"data": old.value}
    return dict(old.value)
