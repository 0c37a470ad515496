"""What is asked of the real server and of ours, to compare what they say."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from firmware_bridge.link.codec import ABSENT, Opaque, RemoteObject
from firmware_bridge.link.meta import Meta, meta_object
from firmware_bridge.link.path import Path
from tests.bridge.server.caller import Caller

_PATIENCE: Final = 1.0
_MOST: Final = 200
_RECENT: Final = 1_750_000_000
_NAMES: Final = re.compile(r"\b(real|ours)(-\w+)?\b")


@dataclass(frozen=True, slots=True)
class Case:
    """One call: path, then arguments; a last map is the keywords. `more`: items after the opening."""

    title: str
    path: Any
    arguments: tuple[Any, ...] = ()
    stream: bool = False
    more: tuple[tuple[Any, ...], ...] = ()


def call(title: str, path: Any, *arguments: Any) -> Case:
    """Call something plainly."""
    return Case(title, path, arguments)


def flow(title: str, path: Any, *arguments: Any, more: Sequence[tuple[Any, ...]] = ()) -> Case:
    """Call something as a stream."""
    return Case(title, path, arguments, stream=True, more=tuple(more))


def at(time: float, origin: str = "me", *more: Any, **keywords: Any) -> Any:
    """Return metadata as an argument."""
    if more or keywords:
        return RemoteObject("_MM", (origin, time, *more), keywords)
    return meta_object(Meta(origin, time))


def p(text: str) -> Path:
    """Return a path."""
    return Path.parse(text) if text else Path()


async def join(path: Any, name: str = "_diff") -> Caller:
    """Log in at a Unix socket."""
    caller = Caller(*await asyncio.open_unix_connection(path))
    caller.send([0, [None], 1, False, name, ["anon"], {"moat.link": {"version": 0}}])
    # the real server drops the answer to a hello that it has not sent yet, and waits for it for ever
    await caller.until(lambda frame: frame[:2] == [0, [None]])
    caller.send([4, [None, "anon"]])
    caller.send([-4, "anon"])
    await caller.until(lambda frame: frame[0] == -4)
    return caller


async def play(caller: Caller, case: Case) -> list[Any]:
    """Make a call; return what the server said, made comparable."""
    caller.number += 1
    number = caller.number
    head = 4 * number
    caller.send([head + case.stream, case.path, *case.arguments])
    said: list[Any] = []
    ended = not case.stream
    sent = False
    while True:
        try:
            async with asyncio.timeout(_PATIENCE):
                frame = await caller.hear()
        except TimeoutError:
            said.append("nothing more")
            if not ended or said == ["nothing more"]:
                caller.send([head + 2, -3])
            return said
        except ConnectionError:
            return [*said, "hangs up"]
        if frame[0] >= 0 or frame[0] >> 2 != -number - 1:
            if frame[0] >= 0 and frame[0] & 3 == 0 and frame[1:2] == [["i", "乒"]]:
                caller.send([-frame[0] - 4, "乓"])
            continue
        kind = frame[0] & 3
        if kind == 3:
            continue
        if len(said) > _MOST:
            caller.send([head + 2, -3])
            return [*said, "without end"]
        said.append([("end", "item", "error", "")[kind], *map(neutral, frame[1:])])
        if kind == 1 and case.more and not sent:
            sent = True
            for item in case.more:
                caller.send([head + 1, *item])
            caller.send([head, None])
            ended = True
        if kind in (0, 2):
            if not ended:
                caller.send([head, None])
            return said


def neutral(value: Any) -> Any:
    """Make values comparable: what is now, random or a name of one's own has another name."""
    match value:
        case bool() | None | bytes():
            return value
        case int() | float() if value > _RECENT:
            return "now"
        case float() if value == int(value):
            return int(value)
        case str():
            return _NAMES.sub("SERVER", value)
        case RemoteObject(name="_MM"):
            return ["meta", *map(neutral, value.arguments)]
        case RemoteObject(name="_rErr"):
            return [value.name, value.arguments[0]]
        case RemoteObject(name="_ValErr"):
            return [value.name]
        case RemoteObject():
            arguments = [neutral(each) for each in value.arguments if each != {}]
            return [value.name, *arguments]
        case list() | tuple():
            return [neutral(each) for each in value]
        case dict():
            return {str(key): neutral(each) for key, each in value.items()}
        case Path() | Opaque() | datetime():
            return str(value)
        case _ if value is ABSENT:
            return "ABSENT"
    return value
