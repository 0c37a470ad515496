"""What a terminal is shown: nothing that others have written can control it."""

import json
import logging
from datetime import datetime
from math import isfinite
from typing import override

from .link.codec import ABSENT


class LogFormatter(logging.Formatter):
    """Formats lines of the log, which may tell what others have written."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return safe(super().format(record), lines=True)


def safe(text: str, *, lines: bool = False) -> str:
    """Return a text without what would control the terminal; `lines`: line ends may stay."""
    if text.isprintable():
        return text
    kept = "\n" if lines else ""
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )


def shown(value: object) -> str:
    """Return a value as JSON that a terminal can bear."""
    text = json.dumps(plain(value), ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def plain(value: object) -> object:
    """Make anything fit for JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None
        case dict():
            return {
                key if isinstance(key, str) else _key(key): plain(each)
                for key, each in value.items()
            }
        case list() | tuple():
            return [plain(each) for each in value]
        case frozenset():
            return sorted(map(plain, value), key=str)
        case bytes():
            return value.hex()
        case datetime():
            return value.isoformat()
        case _ if value is ABSENT:
            return None
        case _:
            return str(value)


def _key(key: object) -> str:
    """Return a key that is no text as JSON has it: true, null, 5."""
    found = plain(key)
    return found if isinstance(found, str) else json.dumps(found)
