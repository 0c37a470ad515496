"""What commands are given: paths, metadata, options; wrong ones are refused as MoaT does."""

from ..link.codec import ABSENT, Value
from ..link.errors import DecodeError, EncodeError, RemoteError
from ..link.frames import Reply
from ..link.meta import Meta
from ..link.path import Path
from ..link.remote import decode_meta_object
from .reach import check_time_told


def argument(call: Reply, index: int, name: str) -> Value:
    """Return a positional argument, or the keyword of that name."""
    if index < len(call.arguments):
        return call.arguments[index]
    if name in call.keywords:
        return call.keywords[name]
    raise type_error(f"argument {index + 1} ({name}) is missing")


def only(call: Reply, most: int, *keywords: str) -> None:
    """Refuse what a command does not know: a condition that is misspelt would be overlooked."""
    if len(call.arguments) > most:
        raise type_error(f"{most} arguments at most")
    for name in call.keywords:
        if name not in keywords:
            raise type_error(f"unknown keyword {name}")


def optional(call: Reply, index: int, name: str) -> Value:
    """Return an argument; None if it is not there, or not given."""
    value = call.arguments[index] if index < len(call.arguments) else call.keywords.get(name)
    return None if value is ABSENT else value


def path_of(value: Value, *, strict: bool = False) -> Path:
    """Read a path below the root; `strict` takes no plain array."""
    if isinstance(value, Path):
        return value.resolve()
    if isinstance(value, list) and not strict:
        try:
            return Path.of(value).resolve()
        except DecodeError as err:
            raise type_error(str(err)) from err
    if isinstance(value, str):
        raise RemoteError("_ValErr", ("a path is no text",))
    raise type_error("a path is needed")


def meta_argument(value: Value) -> Meta | None:
    """Read metadata, if there are any."""
    if value is None or value is ABSENT:
        return None
    meta = decode_meta_object(value)
    if meta is None:
        raise type_error("these are no metadata")
    try:
        check_time_told(meta.time)
    except EncodeError as err:
        raise RemoteError("_ValErr", (str(err),)) from err
    return meta


def number(call: Reply, index: int, name: str) -> float | None:
    """Read a number, if there is one."""
    value = optional(call, index, name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise type_error(f"{name} is a number")


def whole(call: Reply, index: int, name: str) -> int | None:
    """Read an integer that is not negative, if there is one."""
    value = number(call, index, name)
    if value is None or (isinstance(value, int) and value >= 0):
        return value
    raise type_error(f"{name} is a count")


def text(call: Reply, index: int, name: str) -> str:
    """Read a text."""
    value = argument(call, index, name)
    if isinstance(value, str):
        return value
    raise type_error(f"{name} is text")


def type_error(problem: str) -> RemoteError:
    """Refuse arguments, as the reference does."""
    return RemoteError("_rErr", ("TypeError", problem))
