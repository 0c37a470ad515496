"""Commands that are answered at once, without a task."""

import logging

import pytest

from firmware_bridge.link.connection import Answer, Connection, Request
from firmware_bridge.link.errors import RefusedError, RemoteError
from firmware_bridge.link.frames import Reply
from tests.support.wires import connected


def answer(call: Reply) -> Answer:
    """Answer, refuse or fail, as asked."""
    match call.arguments:
        case ("refuse",):
            raise RefusedError("no")
        case ("fail",):
            raise RuntimeError("broken")
    return Reply((*call.arguments, "at once"), call.keywords)


async def slowly(request: Request) -> Answer:
    return "by the handler"


async def test_answered_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """By path; streams, other commands, and odd paths go to the handler."""
    here, there = Connection(), Connection(slowly)
    there.quick = {("a", "b"): answer}
    async with connected(here, there):
        reply = await here.call(("a", "b"), 1, x=2)
        assert reply == Reply((1, "at once"), {"x": 2})
        assert (await here.call(("a",))).value == "by the handler"
        assert (await here.call(("a", ["b"]))).value == "by the handler"
        async with here.stream(("a", "b")) as stream:
            assert stream.opening == Reply(("by the handler",), {})
        with pytest.raises(RefusedError, match="no"):
            await here.call(("a", "b"), "refuse")
        with caplog.at_level(logging.CRITICAL, "firmware_bridge.link.connection"):
            with pytest.raises(RemoteError, match="broken"):
                await here.call(("a", "b"), "fail")


async def test_not_to_those_who_do_not_read() -> None:
    """While the other side is slow, the handler answers, which can wait."""
    here, there = Connection(), Connection(slowly)
    there.quick = {("a",): answer}
    async with connected(here, there):
        there.pause_writing()
        pending = here.begin(("a",))
        await here.call(("i", "ping"))
        assert not pending.future.done()
        there.resume_writing()
        assert (await pending.future).value == "by the handler"
        pending.discard()
