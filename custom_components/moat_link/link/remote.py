"""Errors on the wire: codes and named exceptions of the other side, and ours for it to read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .codec import Opaque, RemoteObject, sanitize
from .errors import (
    AuthenticationError,
    DecodeError,
    LinkError,
    NotFoundError,
    OutOfDateError,
    RefusedError,
    RemoteError,
)
from .meta import Meta, meta_object, meta_of
from .path import Path

if TYPE_CHECKING:
    from .codec import Value

NOT_A_STREAM: Final = -2
CANCELLED: Final = -3
MUST_STREAM: Final = -6
OVERRUN: Final = -8
_NO_COMMAND: Final = -11  # minus the depth at which the path leads nowhere

# The protocol's codes, as the exceptions they are raised as
_CODES: Final = {
    -1: RemoteError("_CSMErr", ("stopped",)),
    NOT_A_STREAM: RemoteError("_CNsErr", ("takes no stream",)),
    CANCELLED: RemoteError("_EMLClC", ("cancelled",)),
    -4: RemoteError("_CNCsErr", ("takes no commands",)),
    -5: RemoteError("_CSDErr", ("data were dropped",)),
    MUST_STREAM: RemoteError("_CMSErr", ("must be called as a stream",)),
    -7: RemoteError("_rErr", ("an error that could not be encoded",)),
    OVERRUN: RemoteError("_COVErr", ("receive buffer overrun",)),
}

_NOT_FOUND: Final = frozenset({"_EKyErr", "_KyErr", "_NPErr", "_FnErr", "_CNCErr", "_EMLClSnF"})
_AUTHENTICATION: Final = {
    "_AuD": "denied",
    "_AuV": "protocol version not supported",
    "_AuC": "both sides have the same role",
    "_AuE": "failed",
    "_AuR": "method rejected",
    "_AuNR": "method not supported",
    "_EMLClA": "failed",
}
_OUT_OF_DATE: Final = "_EMLClDt"
_OTHER: Final = frozenset({"_rErr", "_rErrS", "_RemErr", "_SRemErr"})


def is_cancel(frame: Sequence[Value]) -> bool:
    """Tell if an error frame says: cancelled."""
    return len(frame) == 2 and type(frame[1]) is int and frame[1] == CANCELLED


def decode_error(items: Sequence[Value]) -> LinkError:
    """Name an error that came over the wire, in whichever of its forms.

    Where our errors have a name for it, the cause is the `RemoteError` as it came.
    """
    match items:
        case [bool()] | []:
            remote = RemoteError("unknown", tuple(items))
        case [int(code)]:
            remote = _decode_code(code)
        case [RemoteObject() as error]:
            remote = RemoteError(error.name, _flatten(error))
        case [Opaque(tag=32769, value=str(name))]:
            remote = RemoteError(name)
        case [str(name), *arguments]:
            remote = RemoteError(name, tuple(arguments))
        case _:
            remote = RemoteError("unknown", tuple(items))
    return _specific(remote)


def encode_error(error: BaseException) -> list[Value]:
    """Say an error so that every MoaT program can read it."""
    match error:
        case RemoteError(name=name, arguments=arguments):
            if not name.startswith("_"):
                return _object("_rErr", name, *arguments)
            return _object(name, *arguments)
        case OutOfDateError(meta=Meta() as meta):
            return [RemoteObject(_OUT_OF_DATE, (meta_object(meta),), {})]
        case OutOfDateError():
            return _object(_OUT_OF_DATE, str(error))
        case NotFoundError():
            return _object("_EKyErr", str(error))
        case AuthenticationError():
            return _object("_AuD", str(error))
        case RefusedError() | ValueError():
            return _object("_ValErr", str(error))
        case KeyError():
            return _object("_KyErr", *error.args)
        case NotImplementedError():
            return _object("_NiErr", str(error))
        case _:
            return _object("_rErr", type(error).__name__, str(error))


def decode_meta_object(value: object) -> Meta | None:
    """Read metadata that came among arguments; None if it is something else."""
    if not isinstance(value, RemoteObject) or value.name != "_MM":
        return None
    try:
        return meta_of([*value.arguments, dict(value.keywords.items())])
    except DecodeError:
        return None


def unknown_command(path: Sequence[Value]) -> RemoteError:
    """Refuse a command that does not exist, the way MoaT does."""
    return RemoteError("_KyErr", (path[0] if path else None, "Link", list(path), []))


def original(error: LinkError) -> LinkError:
    """Return the error as it came over the wire, for passing it on unchanged."""
    return error.__cause__ if isinstance(error.__cause__, RemoteError) else error


def _decode_code(code: int) -> RemoteError:
    if code <= _NO_COMMAND:
        return RemoteError("_CNCErr", (_NO_COMMAND - code,))
    if known := _CODES.get(code):
        return RemoteError(known.name, known.arguments)
    return RemoteError("unknown", (code,))


def _flatten(error: RemoteObject) -> tuple[object, ...]:
    """Undo what MicroPython does to the arguments: it sends them as one list."""
    arguments = error.arguments
    if len(arguments) == 1 and isinstance(arguments[0], list) and error.name not in _OTHER:
        return tuple(arguments[0])
    return tuple(arguments)


def _specific(remote: RemoteError) -> LinkError:
    """Use our own error where there is one; the original is its cause."""
    first = remote.arguments[0] if remote.arguments else None
    error: LinkError
    if remote.name in _NOT_FOUND:
        error = NotFoundError(str(first) if isinstance(first, str | int | Path) else "not found")
    elif remote.name == _OUT_OF_DATE:
        error = OutOfDateError("changed by somebody else", decode_meta_object(first))
    elif remote.name in _AUTHENTICATION:
        error = AuthenticationError(
            first if isinstance(first, str) else _AUTHENTICATION[remote.name]
        )
    else:
        return remote
    error.__cause__ = remote
    return error


def _object(name: str, *arguments: object) -> list[Value]:
    return [RemoteObject(name, tuple(sanitize(argument) for argument in arguments), {})]
