"""A gate as somebody has configured it at `gate.<name>`. Pure; what is wrong is one EntryError."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..link.codec import Key, Value
from ..link.errors import DecodeError
from ..link.path import Path
from ..link.transport import BrokerConfig
from .codecs import Codec, make
from .plain import CodecError
from .topics import MAX_LENGTH, MAX_PREFIX

DRIVER: Final = "mqtt"
_FORBIDDEN: Final = ("run", "gate", "error", "conv", "codec")
"""Subtrees that nobody outside may write, nor read."""
_BACKEND: Final = {
    "driver": str,
    "host": str,
    "port": int,
    "transport": str,
    "path": str,
    "username": str,
    "password": str,
    "ssl": bool,
    "keep_alive": int,
    "codec": str,
    "clean_start": bool,
}


class EntryError(ValueError):
    """This entry cannot be used; the text names the key and the problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One gate: MoaT data below `src`, the topics below `dst`, and how they are translated.

    `codec` is a codec, or the path of a table below `conv`. `retain` is whether what is sent outside
    stays there; None: as it was at MoaT. `backend` is the other broker, None: the installation's;
    `encrypted` is whether to speak TLS with it; `broker` is which one it is, empty: the installation's.
    """

    name: str
    src: Path
    dst: Path
    codec: Codec | Path
    speed: float = 0.0
    timeout: float = 0.5
    retain: bool | None = True
    backend: BrokerConfig | None = None
    encrypted: bool = False
    broker: str = ""

    @property
    def origin(self) -> str:
        """Return whose name is on what this gate writes."""
        return f"GATE.{self.name}"


def is_ours(value: Value) -> bool:
    """Whether a node below `gate` is a gate that is driven here."""
    return isinstance(value, dict) and value.get("driver") == DRIVER


def parse(path: Path, value: Value, root: Path, home: BrokerConfig) -> Entry:
    """Read the entry at `gate.<path>`; `home` is the installation's broker. EntryError."""
    if not isinstance(value, dict):
        raise EntryError("the entry is not a map")
    backend = _backend(value.get("backend"))
    src, dst = _path(value, "src"), _path(value, "dst")
    if not len(src) or src[0] in _FORBIDDEN:
        raise EntryError(f"src: {src} is nothing that may be shown outside")
    where = "" if backend is None or address(backend) == address(home) else address(backend)
    if not where:
        _check_overlap(src, dst, root)
    return Entry(
        name=_name(path, value),
        src=src,
        dst=dst,
        codec=_codec(value.get("codec", "cbor")),
        speed=_seconds(value, "speed", 0.0),
        timeout=_seconds(value, "timeout", 0.5),
        retain=_retain(value),
        backend=backend,
        encrypted=_is_encrypted(value.get("backend")),
        broker=where,
    )


def address(broker: BrokerConfig) -> str:
    """Return which broker this is, as far as its address tells."""
    if broker.unix_path is not None:
        return f"unix:{broker.unix_path}"
    host = broker.host.lower().removesuffix(".")
    host = "localhost" if host in {"127.0.0.1", "::1", "ip6-localhost"} else host
    return f"{host}:{broker.port}"


def _check_overlap(src: Path, dst: Path, root: Path) -> None:
    inner = root / src
    if dst.starts_with(inner) or inner.starts_with(dst):
        raise EntryError(f"dst: {dst} and src ({inner} at the broker) overlap: that would loop")
    if dst.starts_with(root):
        raise EntryError(f"dst: {dst} lies within the installation's own root {root}")


def _path(value: Mapping[Key, Value], key: str) -> Path:
    given = value.get(key)
    if isinstance(given, list):
        try:
            given = Path.of(given)
        except DecodeError as err:
            raise EntryError(f"{key}: {err}") from err
    if not isinstance(given, Path):
        raise EntryError(f"{key}: must be a path")
    given = given.resolve()
    if not len(given):
        raise EntryError(f"{key}: must not be empty")
    if len(given) > MAX_PREFIX or len(given.topic) > MAX_LENGTH:
        raise EntryError(f"{key}: is too long")
    return given


def _name(path: Path, value: Mapping[Key, Value]) -> str:
    name = value.get("name", str(path))
    if isinstance(name, Path):
        name = str(name)
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 200:
        raise EntryError("name: must be a short text")
    if set(name) & set("/\\"):
        raise EntryError(f"name: {name} must have neither / nor \\ in it")
    return name


def _codec(value: Value) -> Codec | Path:
    if isinstance(value, list):
        try:
            return Path.of(value)
        except DecodeError as err:
            raise EntryError(f"codec: {err}") from err
    if isinstance(value, Path):
        return value.resolve()
    try:
        return make(value)
    except CodecError as err:
        raise EntryError(f"codec: {err}") from err


def _seconds(value: Mapping[Key, Value], key: str, default: float) -> float:
    given = value.get(key, default)
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 86_400:
        raise EntryError(f"{key}: must be a number of seconds, up to a day")
    return float(given)


def _retain(value: Mapping[Key, Value]) -> bool | None:
    given = value.get("retain", True)
    if given is None or isinstance(given, bool):
        return given
    raise EntryError("retain: must be true, false or null")


def _backend(value: Value) -> BrokerConfig | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise EntryError("backend: must be a map")
    for key, item in value.items():
        kind = _BACKEND.get(str(key))
        if kind is None:
            raise EntryError(f"backend.{key!r:.40}: is not supported")
        if not isinstance(item, kind) or (kind is int and isinstance(item, bool)):
            raise EntryError(f"backend.{key!s}: must be a {_WORDS[kind]}")
    if (driver := value.get("driver", DRIVER)) != DRIVER:
        raise EntryError(f"backend.driver: {driver!r:.40} is not supported")
    return _broker(value)


_WORDS: Final = {str: "text", int: "number", bool: "true or false"}


def _broker(value: dict[Key, Value]) -> BrokerConfig:
    known = {str(key): item for key, item in value.items()}
    port, unix = known.get("port", 8883 if _is_encrypted(value) else 1883), None
    if known.get("transport", "tcp") == "unix":
        unix = _text(known, "path")
        if unix is None:
            raise EntryError("backend.path: is missing")
    elif known.get("transport", "tcp") != "tcp":
        raise EntryError(f"backend.transport: {known['transport']!r:.40} is not supported")
    if not isinstance(port, int) or not 0 < port < 65_536:
        raise EntryError("backend.port: must be a port")
    keep_alive = known.get("keep_alive", 0)
    return BrokerConfig(
        host=_text(known, "host") or "localhost",
        port=port,
        username=_text(known, "username"),
        password=_text(known, "password"),
        keep_alive=keep_alive if isinstance(keep_alive, int) and 0 < keep_alive < 65_536 else 15,
        unix_path=unix,
    )


def _is_encrypted(backend: Value) -> bool:
    return isinstance(backend, dict) and backend.get("ssl") is True


def _text(known: Mapping[str, Value], key: str) -> str | None:
    value = known.get(key)
    return value if isinstance(value, str) else None
