"""Tokens, by name: who gets in, and the file that they are kept in."""

import hmac
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Final

from ..link.identity import fresh_name

ANNOUNCED: Final = "announced"
"""What the token at the broker is called in the log."""
_SHORTEST: Final = 12
_LONGEST: Final = 1000
_LONGEST_NAME: Final = 64
_RANDOM: Final = 32


class TokenError(ValueError):
    """A file of tokens cannot be used; the text says why, and shows no token."""


@dataclass(slots=True, kw_only=True)
class Tokens:
    """Who gets in: by one of the named tokens, by the one announced, or just so."""

    named: Mapping[str, str] = field(default_factory=dict, repr=False)
    announced: list[str] = field(default_factory=list, repr=False)
    anonymous: bool = True

    @property
    def needed(self) -> bool:
        """Whether there is a token that somebody could have."""
        return bool(self.named or self.announced)

    def find(self, token: str) -> str | None:
        """Return the name of a token, always after the same time for so many."""
        given = token.encode(errors="replace")
        found = None
        for name, known in (*self.named.items(), *((ANNOUNCED, each) for each in self.announced)):
            if hmac.compare_digest(known.encode(), given):
                found = name
        return found

    def replace(self, named: Mapping[str, str]) -> set[str]:
        """Take other named tokens; return whose is not good any more."""
        former, self.named = self.named, named
        return {name for name, token in former.items() if named.get(name) != token}


def read_tokens(file: File) -> dict[str, str]:
    """Read named tokens, one in each line: `name token`. Raise OSError, TokenError."""
    with file.open(encoding="utf-8") as opened:
        if os.fstat(opened.fileno()).st_mode & stat.S_IRWXO:
            raise TokenError(f"{file}: everybody on this machine can read it: chmod o= {file}")
        try:
            lines = opened.read().splitlines()
        except UnicodeDecodeError as err:
            raise TokenError(f"{file}: not text: {err.reason}") from err
    tokens: dict[str, str] = {}
    for number, name, token in _entries(lines):
        if problem := _problem(name, token):
            raise TokenError(f"{file}:{number}: {problem}")
        if name in tokens:
            raise TokenError(f"{file}:{number}: {name} is there already")
        tokens[name] = token
    return tokens


def read_own_token(file: File) -> str:
    """Read the one token that a client has: alone, or as `name token`. Raise OSError, ValueError."""
    match list(_entries(file.read_text(encoding="utf-8").splitlines())):
        case []:
            raise TokenError("there is no token in it")
        case [(_, first, rest)]:
            return rest or first
        case many:
            raise TokenError(f"{len(many)} tokens: a client has one; give a file with that alone")


def add_token(file: File, name: str) -> str:
    """Make a token, and add it to a file, which need not exist yet. Raise OSError, TokenError."""
    token = fresh_name(_RANDOM)
    if problem := _problem(name, token):
        raise TokenError(problem)
    known = read_tokens(file) if file.exists() else {}
    if name in known:
        raise TokenError(f"{file}: {name} is there already")
    text = file.read_text(encoding="utf-8") if known else ""
    if text and not text.endswith("\n"):
        text += "\n"
    _write(file, f"{text}{name} {token}\n")
    return token


def remove_token(file: File, name: str) -> None:
    """Take a token out of a file. Raise OSError, TokenError."""
    if name not in read_tokens(file):
        raise TokenError(f"{file}: there is no {name}")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    gone = {number for number, each, _ in _entries(lines) if each == name}
    _write(file, "".join(line for number, line in enumerate(lines, 1) if number not in gone))


def _entries(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Go through the lines that say something: number, name, token."""
    for number, line in enumerate(lines, 1):
        words = line.strip()
        if words and not words.startswith("#"):
            name, *rest = words.split(None, 1)
            yield number, name, rest[0] if rest else ""


def _problem(name: str, token: str) -> str | None:
    """Say what is wrong with a line."""
    if not token:
        return "write `name token`"
    if not name.isprintable() or len(name) > _LONGEST_NAME or not name or name.startswith("#"):
        return "a name is printable, and has 64 characters at most"
    if any(character.isspace() for character in name):
        return "a name has no spaces"
    if name == ANNOUNCED:
        return f"{ANNOUNCED} is what the token at the broker is called"
    if len(token) < _SHORTEST:
        return f"the token of {name} is too short: {_SHORTEST} characters at least"
    if len(token) > _LONGEST or not token.isprintable():
        return f"the token of {name} is too long, or not printable"
    return None


def _write(file: File, text: str) -> None:
    """Replace a file in one step: owner and mode stay; a new one is for its owner alone."""
    file = file.resolve()
    former = file.stat() if file.exists() else None
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as opened:
            opened.write(text)
            if former is not None:
                os.fchown(number, former.st_uid, former.st_gid)
                os.fchmod(number, stat.S_IMODE(former.st_mode))
            opened.flush()
            os.fsync(opened.fileno())
        File(name).replace(file)
    except BaseException:
        File(name).unlink(missing_ok=True)
        raise
