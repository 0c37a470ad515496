"""Listeners: closed before anything else of the server is."""

import asyncio
import socket
from contextlib import ExitStack

from firmware_bridge.server.config import Listener
from firmware_bridge.server.doors import Doors
from tests.support.running import running


async def test_closed_while_others_go_on() -> None:
    """Sockets that are made then, and get the numbers of those that are closed, work."""
    doors = Doors([Listener(port=0), Listener(name="two", port=0)], lambda *_: None, lambda _: None)
    await doors.open()
    host, port = doors.addresses[0].host, doors.addresses[0].port
    loop = asyncio.get_running_loop()
    async with running(doors.run()):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await doors.close()
        assert doors.places == []
        with ExitStack() as stack:
            pairs = [socket.socketpair() for _ in range(4)]
            for each in (each for pair in pairs for each in pair):
                stack.enter_context(each).setblocking(False)
            for one, other in pairs:
                heard = asyncio.gather(loop.sock_recv(one, 9), loop.sock_recv(other, 9))
                await asyncio.sleep(0)
                one.send(b"to other")
                other.send(b"to one")
                assert await asyncio.wait_for(heard, 5) == [b"to one", b"to other"]
