"""Passing calls on to somebody else, unchanged: plain ones, and streams both ways."""

import asyncio
from collections.abc import Sequence

from ..link.codec import Value
from ..link.connection import Answer, Connection, Request, Stream
from ..link.errors import LinkError, RefusedError
from ..link.frames import Reply
from ..link.remote import encode_error, original
from ..link.rpc import StreamEndedError

_WINDOW = 20
_LONGEST = 600.0  # seconds for an answer to a plain call


async def relay(request: Request, target: Connection, path: Sequence[Value]) -> Answer:
    """Call a command elsewhere on behalf of a request; errors come back as they are."""
    try:
        if not request.stream:
            return await target.request(path, request.arguments, request.keywords, timeout=_LONGEST)
        return await _relay_stream(request, target, path)
    except RefusedError as err:
        raise original(err) from err


async def _relay_stream(request: Request, target: Connection, path: Sequence[Value]) -> Answer:
    async with target.open_stream(
        path, request.arguments, request.keywords, window=_WINDOW, timeout=None
    ) as stream:
        assert stream.opening is not None
        if stream.result is not None and not stream.exchange.answered:
            return stream.result
        opening = stream.opening
        request.exchange.accept(opening.arguments, opening.keywords, window=_WINDOW)
        upwards = asyncio.create_task(_pass_up(request, stream))
        try:
            async for item in stream:
                await request.send(*item.arguments, **dict(item.keywords))
        except StreamEndedError:
            await upwards  # the caller has said its last word; so may the other side
            return await _last_word(stream)
        finally:
            upwards.cancel()
        return stream.result or Reply((None,))


async def _pass_up(request: Request, stream: Stream) -> None:
    """Pass on what the caller sends, and its last word."""
    try:
        async for item in request:
            await stream.send(*item.arguments, **dict(item.keywords))
    except StreamEndedError:
        return
    except LinkError as err:
        stream.exchange.fail(encode_error(original(err)))
    else:
        stream.exchange.finish()


async def _last_word(stream: Stream) -> Answer:
    """Wait for the other side's result, leaving out its items."""
    async for _ in stream:
        pass
    return stream.result or Reply((None,))
