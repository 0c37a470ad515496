"""Commands to try a connection with: streams one way, the other way, and back."""

import asyncio
from typing import Final

from ..link.connection import Answer, Request
from ..link.frames import Reply
from .arguments import number, only

_MOST: Final = 1_000_000  # items
_LONGEST: Final = 60.0  # seconds between two items


async def count(caller: str, request: Request) -> Answer:
    """Send numbers: from s, to before e (up or down), in steps of d, every t seconds; return the last."""
    call = Reply(request.arguments, request.keywords)
    only(call, 4, *"sedt")
    current, end, step = (_whole(call, index, name) for index, name in enumerate("sed"))
    wait = number(call, 3, "t")
    current, step = current or 0, abs(step or 1)
    if end is None:
        end = current + _MOST * step
    downwards = end < current
    request.accept()
    while (current > end) if downwards else (current < end):
        await request.send(current)
        current += -step if downwards else step
        await asyncio.sleep(1 if wait is None else max(0, min(wait, _LONGEST)))
    return current


async def echo(caller: str, request: Request) -> Answer:
    """Send back what comes, until that ends."""
    request.accept()
    async for item in request:
        if request.exchange.can_send:  # though the caller may have said its last word by now
            request.exchange.send(item.arguments, item.keywords)
        else:
            await request.send(*item.arguments, **dict(item.keywords))
    return None


async def sink(caller: str, request: Request) -> Answer:
    """Take what comes, and return how much it was."""
    request.accept()
    taken = 0
    async for _ in request:
        taken += 1
    return taken


def _whole(call: Reply, index: int, name: str) -> int | None:
    value = number(call, index, name)
    return None if value is None else int(value)
