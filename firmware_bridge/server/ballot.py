"""What servers tell each other in the election: messages to and from values. Pure.

Real servers end at a key too many, a word they do not know, or an empty payload. So only what this
module knows is believed, and only what it writes is sent.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from ..link.codec import Key, Value
from ..link.errors import DecodeError

_LONGEST: Final = 255
_MOST: Final = 64  # names in a history
_SLOWEST: Final = 86_400.0
_HIGHEST: Final = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What all servers of an installation agree about; those with the highest version count."""

    version: int = 0
    cycle: float = 50
    """Seconds between two turns."""
    gap: float = 5
    """Seconds that everybody waits for others."""
    nodes: int = 5
    """How many take turns."""
    splits: int = 4
    """Names in a history."""
    n_hosts: int = 10
    force_in: bool = False
    override: bool = False

    def __post_init__(self) -> None:
        """Check the limits. ValueError."""
        if not (
            0 <= self.version < _HIGHEST
            and 1 <= self.cycle <= _SLOWEST
            and 0.1 <= self.gap <= self.cycle / 3
            and 1 <= self.nodes <= _MOST
            and 1 <= self.splits <= _MOST
            and 1 <= self.n_hosts <= 1000
        ):
            raise ValueError(f"no parameters of an election: {self}")


@dataclass(frozen=True, slots=True)
class Init:
    """A server has started."""

    node: str


@dataclass(frozen=True, slots=True)
class Vers:
    """The parameters of a server."""

    node: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Ping:
    """A server takes its turn; `ready` once it has data."""

    node: str
    ready: bool
    history: tuple[str, ...]
    """Who had the last turns, newest first: itself."""


@dataclass(frozen=True, slots=True)
class Hist:
    """Somebody reminds everybody of a ring; it stands for the newest name in it."""

    ready: bool
    history: tuple[str, ...]

    @property
    def node(self) -> str:
        """Whom it stands for."""
        return self.history[0]


type Ballot = Init | Vers | Ping | Hist


def decode_ballot(value: Value) -> Ballot:
    """Read a message. DecodeError for everything that is none, to the key."""
    try:
        return _decode(value)
    except (TypeError, ValueError) as err:
        raise DecodeError(f"no message of the election: {err}") from err


def encode_ballot(ballot: Ballot) -> Value:
    """Return a message as real servers write it."""
    match ballot:
        case Init():
            return {"node": ballot.node, "t": "init"}
        case Vers():
            known: dict[Key, Value] = {"node": ballot.node}
            known.update(asdict(ballot.parameters).items())
            return known | {"t": "vers"}
        case Ping():
            said: dict[Key, Value] = {"node": ballot.node, "value": ballot.ready or None}
            return said | {"history": list(ballot.history), "t": "ping"}
        case Hist():
            return {"value": ballot.ready or None, "history": list(ballot.history), "t": "hist"}


def fit_as_name(name: object) -> bool:
    """Whether this may be the name of a server."""
    return (
        type(name) is str
        and 0 < len(name) <= _LONGEST
        and name.isprintable()
        and not set(name) & set("/\\+#")
    )


def _decode(value: Value) -> Ballot:
    if not isinstance(value, dict):
        raise TypeError("not a map")
    kind, keys = value.get("t"), set(value)
    if kind == "init" and keys == {"t", "node"}:
        return Init(_name(value["node"]))
    if kind == "vers" and "node" in keys:
        return Vers(_name(value["node"]), _parameters(value))
    if kind == "ping" and keys == {"t", "node", "value", "history"}:
        ping = Ping(_name(value["node"]), _ready(value["value"]), _history(value["history"]))
        if ping.history[0] != ping.node:
            raise ValueError("a history begins with whose it is")
        return ping
    if kind == "hist" and keys == {"t", "value", "history"}:
        return Hist(_ready(value["value"]), _history(value["history"]))
    raise ValueError("unknown")


def _parameters(value: Mapping[Key, Value]) -> Parameters:
    """Read parameters; real servers leave out none, and look over what they do not know."""
    known: dict[str, object] = asdict(Parameters())
    for name, usual in known.items():
        given = value.get(name, usual)
        right = bool if isinstance(usual, bool) else int
        if type(given) is not right and (name not in ("cycle", "gap") or type(given) is not float):
            raise TypeError(f"{name} is {type(given).__name__}")
        known[name] = given
    return Parameters(**known)  # type: ignore[arg-type]  # checked one by one


def _name(value: Value) -> str:
    if not fit_as_name(value):
        raise ValueError("no name of a server")
    assert isinstance(value, str)
    return value


def _ready(value: Value) -> bool:
    if value is not None and value is not True:
        raise TypeError("a value is null or true")
    return value is True


def _history(value: Value) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= _MOST:
        raise TypeError("no history")
    names = tuple(map(_name, value))
    if len(set(names)) < len(names):
        raise ValueError("a history names nobody twice")
    return names
