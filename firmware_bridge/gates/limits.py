"""What the owner of an installation lets gates touch. Pure.

Whoever may write entries, and that may be everybody without an account at the broker, would otherwise
read and write there whatever the account of those who drive gates is good for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..link.path import Path
from ..link.transport import BrokerConfig
from .entry import Entry, EntryError, address
from .topics import dotted

_ANY: Final = "+"
_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Topics of the installation's broker, None: all outside its root; and which other brokers."""

    allow: Sequence[Path] | None = None
    """Prefixes; `+` is any one level."""
    backends: Sequence[str] = ()
    """As `parse_broker` returns them."""

    def check(self, entry: Entry) -> None:
        """Refuse what is not allowed: EntryError."""
        if entry.broker:
            if entry.broker not in self.backends:
                raise EntryError(
                    f"backend: {entry.broker} is not among the brokers that gates may touch here"
                )
        elif self.allow is not None and not any(_covers(it, entry.dst) for it in self.allow):
            raise EntryError(f"dst: {entry.dst} is not among the topics that gates may touch here")


def parse_prefix(text: str) -> Path:
    """Read a prefix of topics, dotted. ValueError."""
    return dotted(text)


def parse_broker(text: str) -> str:
    """Read HOST:PORT or unix:PATH; return it as it is compared. ValueError."""
    if text.startswith(_UNIX) and text != _UNIX:
        return address(BrokerConfig(host="localhost", unix_path=text.removeprefix(_UNIX)))
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65_536:
        raise ValueError(f"{text!r} is not HOST:PORT, nor unix:PATH")
    return address(BrokerConfig(host=host.removeprefix("[").removesuffix("]"), port=int(port)))


def _covers(prefix: Path, dst: Path) -> bool:
    return len(prefix) <= len(dst) and all(
        allowed == _ANY or Path(allowed) == Path(given)
        for allowed, given in zip(prefix, dst, strict=False)
    )
