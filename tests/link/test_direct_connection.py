"""Connections: calls, streams and requests over real sockets."""

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path as File
from typing import Any, override

import pytest

from firmware_bridge.link.connection import Answer, Connection, Request
from firmware_bridge.link.errors import (
    ConnectionLostError,
    EncodeError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    RemoteError,
)
from firmware_bridge.link.frames import Reply
from firmware_bridge.link.path import Path
from firmware_bridge.link.rpc import StreamEndedError
from firmware_bridge.link.transport import tls_context
from tests.support.certificates import Authority
from tests.support.wait import until
from tests.support.wires import Raw, connected


class Service:
    """Commands for tests."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self.log: list[Any] = []
        self.gate = asyncio.Event()

    async def handle(self, request: Request) -> Answer:
        """Find the command by its first name."""
        return await getattr(self, f"do_{request.path[0]}")(request)

    async def do_echo(self, request: Request) -> Answer:
        return Reply(request.arguments, request.keywords)

    async def do_map(self, request: Request) -> Answer:
        return {"a": 1}

    async def do_nothing(self, request: Request) -> Answer:
        return None

    async def do_refuse(self, request: Request) -> Answer:
        raise RefusedError("too hot")

    async def do_break(self, request: Request) -> Answer:
        raise ZeroDivisionError("oops")

    async def do_unsendable(self, request: Request) -> Answer:
        return {("a",): 1} if request.arguments else Reply((object(),))  # type: ignore[dict-item,arg-type]

    async def do_hang(self, request: Request) -> Answer:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        return "late"

    async def do_count(self, request: Request) -> Answer:
        request.accept("start")
        try:
            for number in range(int(str(request.arguments[0]))):
                await request.send(number)
                self.log.append(number)
        except StreamEndedError:
            self.log.append("left")
            raise
        return "done"

    async def do_idle(self, request: Request) -> Answer:
        await request.send("only")
        await self.do_hang(request)
        return None

    async def do_polite(self, request: Request) -> Answer:
        await request.send("only")
        await request.left()
        return "bye"

    async def do_collect(self, request: Request) -> Answer:
        try:
            values = [item.value async for item in request]
        except RefusedError as err:
            self.log.append(str(err))
            return None
        return Reply((values,))

    async def do_lazy(self, request: Request) -> Answer:
        request.accept(window=2)
        await self.gate.wait()
        return Reply(([item.value async for item in request],))

    async def do_half(self, request: Request) -> Answer:
        await request.send(1)
        raise RefusedError("half way")


@pytest.fixture
def service() -> Service:
    """Return the service behind `link`."""
    return Service()


@pytest.fixture
async def link(service: Service) -> AsyncIterator[Connection]:
    """Return a connection to the service."""
    one = Connection(linger=0.05)
    async with connected(one, Connection(service.handle)):
        yield one
    assert not [task for task in asyncio.all_tasks() if "_answer" in repr(task)]


async def test_call(link: Connection) -> None:
    """Values go there and back."""
    assert await link.call(("echo",), 1, "x", k=Path("a")) == Reply((1, "x"), {"k": Path("a")})
    assert (await link.call(Path("map"))).value == {"a": 1}
    assert (await link.call(["nothing"])).value is None
    assert (await link.request(["echo"], (), {"timeout": 1, "path": 2})).keywords == {
        "timeout": 1,
        "path": 2,
    }


async def test_many_calls_at_once(link: Connection) -> None:
    """Answers find their callers."""
    replies = await asyncio.gather(*(link.call(("echo",), number) for number in range(2000)))
    assert [reply.value for reply in replies] == list(range(2000))


async def test_refusal(link: Connection) -> None:
    """The reason arrives."""
    with pytest.raises(RemoteError, match="too hot"):
        await link.call(("refuse",))


async def test_bug_in_a_handler(link: Connection, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged here, and the caller learns about it."""
    with pytest.raises(RemoteError, match="AttributeError"):
        await link.call(("no such",))
    with pytest.raises(RemoteError, match="oops"):
        await link.call(("break",))
    assert [record.message for record in caplog.records] == [
        "Command no such failed",
        "Command break failed",
    ]


@pytest.mark.parametrize("arguments", [(), (1,)])
async def test_unsendable_result(link: Connection, arguments: tuple[int, ...]) -> None:
    """The caller gets an error instead."""
    with pytest.raises(RemoteError, match="EncodeError"):
        await link.call(("unsendable",), *arguments)


async def test_unsendable_call(link: Connection) -> None:
    """It does not leave this process, and leaves nothing behind."""
    with pytest.raises(EncodeError):
        await link.call(("echo",), object())  # type: ignore[arg-type]
    assert (await link.call(("echo",), 1)).value == 1


async def test_timeout_cancels(link: Connection, service: Service) -> None:
    """A call that takes too long is cancelled on the other side."""
    with pytest.raises(NoAnswerError, match="no answer to hang"):
        await link.call(("hang",), timeout=0.02)
    await until(lambda: service.log == ["cancelled"])


async def test_cancelled_call(link: Connection, service: Service) -> None:
    """The other side stops working for a caller that was cancelled."""
    task = asyncio.create_task(link.call(("hang",)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await link.call(("echo",), 1)).value == 1
    await until(lambda: service.log == ["cancelled"])


async def test_no_handler() -> None:
    """Whoever offers no commands says so."""
    one, other = Connection(), Connection()
    async with connected(one, other):
        with pytest.raises(NotFoundError, match="x"):
            await one.call(("x", "y"))
        with pytest.raises(NotFoundError):
            await one.call(())


async def test_both_sides_call(service: Service) -> None:
    """There is no client and no server."""
    one, other = Connection(service.handle), Connection(service.handle)
    async with connected(one, other):
        assert (await one.call(("echo",), 1)).value == 1
        assert (await other.call(("echo",), 2)).value == 2


# Streams


async def test_stream(link: Connection) -> None:
    """Opening reply, items, result."""
    async with link.stream(("count",), 1000) as stream:
        assert stream.opening == Reply(("start",))
        assert stream.result is None
        assert [item.value async for item in stream] == list(range(1000))
        assert stream.result == Reply(("done",))
    with pytest.raises(StreamEndedError):
        await stream.send(1)


async def test_stream_has_back_pressure(link: Connection, service: Service) -> None:
    """The producer waits for a slow reader."""
    async with link.stream(("count",), 100, window=3) as stream:
        await until(lambda: len(service.log) == 3)
        assert (await link.call(("echo",), 1)).value == 1
        assert service.log == [0, 1, 2]
        assert (await anext(stream)).value == 0
        await until(lambda: len(service.log) == 4)
        assert len([item async for item in stream]) == 99


async def test_plain_answer_to_a_stream(link: Connection) -> None:
    """A plain result is opening reply and result in one."""
    async with link.stream(("echo",), 5) as stream:
        assert stream.opening == Reply((5,))
        assert [item async for item in stream] == []
        assert stream.result == Reply((5,))
        assert await stream.finish() == Reply((5,))


async def test_stream_refused(link: Connection) -> None:
    """A refusal instead of the opening reply."""
    with pytest.raises(RemoteError, match="too hot"):
        async with link.stream(("refuse",)):
            raise AssertionError("not reached")


async def test_stream_fails(link: Connection) -> None:
    """An error after some items comes after them."""
    async with link.stream(("half",)) as stream:
        assert (await anext(stream)).value == 1
        with pytest.raises(RemoteError, match="half way"):
            await anext(stream)
        with pytest.raises(RemoteError, match="half way"):
            await stream.send(1)
        with pytest.raises(RemoteError, match="half way"):
            await stream.finish()


async def test_stream_command_called_plainly(link: Connection) -> None:
    """It cannot work, and says so."""
    with pytest.raises(RemoteError, match="must be called as a stream"):
        await link.call(("count",), 3)


async def test_stream_opening_timeout(link: Connection, service: Service) -> None:
    """No opening reply in time: the other side is cancelled."""
    with pytest.raises(NoAnswerError):
        async with link.stream(("hang",), timeout=0.02):
            raise AssertionError("not reached")
    await until(lambda: service.log == ["cancelled"])


async def test_leave_a_stream(link: Connection, service: Service) -> None:
    """The producer notices at its next item."""
    async with link.stream(("count",), 100, window=2) as stream:
        assert (await anext(stream)).value == 0
    await until(lambda: "left" in service.log)
    assert len(service.log) < 10


async def test_leave_an_idle_producer(link: Connection, service: Service) -> None:
    """Somebody who has nothing to send is cancelled a little later."""
    async with link.stream(("idle",)) as stream:
        assert (await anext(stream)).value == "only"
    assert service.log == []
    await until(lambda: service.log == ["cancelled"])


async def test_leave_a_polite_producer(link: Connection) -> None:
    """Who waits for the reader to leave can say goodbye."""
    async with link.stream(("polite",)) as stream:
        assert (await anext(stream)).value == "only"
        assert await stream.finish() == Reply(("bye",))


async def test_cancelled_stream(link: Connection, service: Service) -> None:
    """Cancelling the reader cancels the producer at once."""

    async def read() -> None:
        async with link.stream(("idle",)) as stream:
            async for _ in stream:
                service.log.append("item")

    task = asyncio.create_task(read())
    await until(lambda: service.log == ["item"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: service.log == ["item", "cancelled"])


async def test_send_items(link: Connection) -> None:
    """Items go the other way, at the speed of the reader."""
    async with link.stream(("collect",)) as stream:
        for number in range(100):
            await stream.send(number)
        assert (await stream.finish("last")).value == list(range(100))


async def test_sender_waits(link: Connection, service: Service) -> None:
    """The sender waits for credit; many may wait."""
    async with link.stream(("lazy",)) as stream:
        senders = [asyncio.create_task(stream.send(number)) for number in range(5)]
        await until(lambda: sum(task.done() for task in senders) == 2)
        assert (await link.call(("echo",), 1)).value == 1
        assert sum(task.done() for task in senders) == 2
        service.gate.set()
        await asyncio.gather(*senders)
        assert sorted((await stream.finish()).value) == [0, 1, 2, 3, 4]  # type: ignore[arg-type,type-var]


async def test_failing_sender(link: Connection, service: Service) -> None:
    """The other side learns that we failed."""
    with pytest.raises(ValueError, match="mine"):
        async with link.stream(("collect",)) as stream:
            await stream.send(1)
            raise ValueError("mine")
    await until(lambda: service.log == ["_ValErr: mine"])


async def test_error_of_a_reader_stops_the_producer() -> None:
    """A producer hears about any error, and may still have a last word."""
    seen: list[str] = []

    async def produce(request: Request) -> Answer:
        await request.send(1)
        try:
            while True:
                await request.left()
                await request.send(2)
        except RefusedError as err:
            seen.append(str(err))
        return "fine"

    async with Raw.facing(Connection(produce)) as raw:
        raw.send(1, ["x"])
        assert [await raw.receive() for _ in range(3)] == [[-1, 20], [-3], [-3, 1]]
        raw.send(2, "Odd", "why")
        assert await raw.receive() == [-4, "fine"]
        assert seen == ["Odd: why"]


async def test_readers_may_give_up(link: Connection, service: Service) -> None:
    """A reader with a time limit of its own leaves the stream intact for others."""
    async with link.stream(("lazy",)) as stream:
        await stream.send(1)
        await stream.send(2)
        for action in (lambda: anext(stream), lambda: stream.send(3)):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await action()
        service.gate.set()
        await stream.send(4)
        assert (await stream.finish()).value == [1, 2, 4]


async def test_finish_leaves_out_items(link: Connection) -> None:
    """Only the result matters."""
    async with link.stream(("half",)) as stream:
        with pytest.raises(RemoteError, match="half way"):
            await stream.finish()


async def test_answer_that_nobody_wants(link: Connection) -> None:
    """Whoever begins a call may drop it, even without saying so."""
    pending = link.begin(["echo"], [1])
    pending.future.cancel()
    assert (await link.call(("echo",), 2)).value == 2
    pending.discard()


# The other side misbehaves


@pytest.mark.parametrize("command", [["i", "乒"], ["i", "ping"]])
async def test_probe(command: list[str]) -> None:
    """Probes are answered at once, whatever the handler does, and echo what comes along."""
    async with Raw.facing(Connection()) as raw:
        raw.send(0, command)
        assert await raw.receive() == [-4, "乓"]
        raw.send(4, command, 1, {"a": 1}, {"k": 2})
        assert await raw.receive() == [-8, "乓", 1, {"a": 1}, {"k": 2}]


async def test_probe_between_a_thousand_requests(service: Service) -> None:
    """Open requests do not delay a probe."""
    async with Raw.facing(Connection(service.handle)) as raw:
        for number in range(1000):
            raw.send(number * 4, ["hang"])
        raw.send(4000, ["i", "乒"])
        assert await raw.receive() == [-4004, "乓"]
    assert service.log == ["cancelled"] * 1000


async def test_request_limit(service: Service) -> None:
    """There is a limit to the tasks of one connection."""
    async with Raw.facing(Connection(service.handle, max_exchanges=3)) as raw:
        for number in range(4):
            raw.send(number * 4, ["hang"])
        assert (await raw.receive())[0] == -14
        service.gate.set()
        assert [await raw.receive() for _ in range(3)] == [
            [-4, "late"],
            [-8, "late"],
            [-12, "late"],
        ]


@pytest.mark.parametrize("data", [b"\xa0", b"\x80", b"\x81\x60", b"\xff", b"\x82\x00\x1c"])
async def test_garbage_ends_the_connection(data: bytes) -> None:
    """Whoever does not speak the protocol is hung up on; callers know."""
    connection = Connection()
    async with Raw.facing(connection) as raw:
        call = asyncio.create_task(connection.call(("x",)))
        await raw.receive()
        raw.send_bytes(data)
        with pytest.raises(ConnectionLostError, match="not understood"):
            await call
        assert "not understood" in str(await connection.closed)


async def test_warnings_and_late_frames_are_ignored(link: Connection) -> None:
    """They do no harm to calls and streams."""
    connection = Connection()
    async with Raw.facing(connection) as raw:
        call = asyncio.create_task(connection.call(("x",)))
        await raw.receive()
        raw.send(-1, "warning")
        raw.send(-1, 20)
        raw.send(-4, "done")
        raw.send(-2, -3)
        assert (await call).value == "done"


async def test_frames_in_pieces() -> None:
    """Where the bytes are cut does not matter."""
    async with Raw.facing(Connection()) as raw:
        for byte in bytes.fromhex("820082616963e4b992"):
            raw.send_bytes(bytes([byte]))
            await asyncio.sleep(0)
        assert await raw.receive() == [-4, "乓"]


async def test_loss_wakes_everybody(service: Service) -> None:
    """Calls, readers, senders and handlers learn that the connection has gone."""
    connection = Connection(service.handle)
    async with Raw.facing(connection) as raw:

        async def read(send: bool) -> None:
            async with connection.stream(("s",)) as stream:
                while send:
                    await stream.send(1)
                await anext(stream)

        waiting = [
            asyncio.create_task(connection.call(("x",), timeout=None)),
            asyncio.create_task(read(send=False)),
            asyncio.create_task(read(send=True)),
        ]
        heads = [(await raw.receive())[0] for _ in range(5)]
        assert heads == [0, 7, 5, 11, 9]
        raw.send(-7)
        raw.send(-9, 1)
        raw.send(-11)
        raw.send(0, ["hang"])
        assert await raw.receive() == [9, 1]
        raw.end()
        for task in waiting:
            with pytest.raises(ConnectionLostError, match="closed by the other side"):
                await task
        await until(lambda: service.log == ["cancelled"])
        for _ in range(2):
            with pytest.raises(ConnectionLostError, match="closed by the other side"):
                await connection.call(("x",))
        with pytest.raises(ConnectionLostError):
            async with connection.stream(("x",)):
                raise AssertionError("not reached")


class Silent(asyncio.Transport):
    """A transport without anything behind it."""

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Accept any."""

    @override
    def is_closing(self) -> bool:
        """Stay."""
        return True


async def test_loss_with_much_to_send() -> None:
    """What can never be sent holds nobody up afterwards."""
    connection = Connection()
    async with Raw.facing(connection):
        connection.begin(("x",), (bytes(40_000),)).discard()
        connection.abort("enough")
        assert connection.writer.unsent == 0
        with pytest.raises(ConnectionLostError, match="enough"):
            await connection.call(("y",))


async def test_loss_for_a_reason() -> None:
    """The reason of the operating system is kept."""
    connection = Connection()
    connection.connection_made(Silent())
    connection.connection_lost(OSError("broken"))
    assert str(await connection.closed) == "broken"


async def test_not_connected() -> None:
    """Before a connection is made, there is nothing to use."""
    connection = Connection()
    with pytest.raises(ConnectionLostError, match="not connected"):
        await connection.call(("x",))
    await connection.close()
    with pytest.raises(ConnectionLostError, match="closed"):
        await connection.call(("x",))


async def test_close_from_a_handler() -> None:
    """A handler may end its own connection."""

    async def handle(request: Request) -> Answer:
        await request.connection.close("enough")
        return None

    connection = Connection(handle)
    async with Raw.facing(connection) as raw:
        raw.send(0, ["x"])
        assert str(await connection.closed) == "enough"
        assert await raw.receive() == []


async def test_close_says_what_is_left() -> None:
    """What was sent before goes out."""
    connection = Connection()
    async with Raw.facing(connection) as raw:
        pending = connection.begin(["x"])
        pending.discard()
        await connection.close()
        assert [await raw.receive() for _ in range(3)] == [[0, ["x"]], [2, -3], []]


async def test_closed_after_the_end_of_tls(tmp_path: File) -> None:
    """An encrypted connection that was cut off, and then closed, can still be asked and listened to."""
    authority = Authority()
    issued = authority.issue()
    (tmp_path / "pem").write_text(issued.certificate + issued.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pem")
    loop = asyncio.get_running_loop()
    async with await loop.create_server(Connection, "127.0.0.1", 0, ssl=context) as server:
        host, port = server.sockets[0].getsockname()
        transport, connection = await loop.create_connection(
            Connection, host, port, ssl=tls_context(authority.certificate)
        )
        connection.abort()
        await connection.close()
        assert connection.writer.unsent == 0
        transport.resume_reading()


async def test_close_while_streams_linger(link: Connection, service: Service) -> None:
    """No timer is left."""
    async with link.stream(("idle",)):
        pass
    await link.close()
    await until(lambda: service.log == ["cancelled"])


async def test_other_side_does_not_read() -> None:
    """What it does not take is not kept forever."""
    connection = Connection(max_buffer=1_000_000)
    async with Raw.facing(connection) as raw:
        for number in range(400):
            raw.send(4 * number, ["i", "ping"], b"x" * 60_000)
        reason = await connection.closed
        assert str(reason) == "the other side does not read"


async def test_calls_wait_for_a_slow_transport(service: Service) -> None:
    """Nothing is put on top of what the transport has not got rid of."""
    connection = Connection()
    async with connected(connection, Connection(service.handle)):
        connection.pause_writing()
        call = asyncio.create_task(connection.call(("echo",), 1))
        with pytest.raises(NoAnswerError):
            await connection.call(("echo",), 2, timeout=0.01)
        assert not call.done()
        connection.resume_writing()
        assert (await call).value == 1


async def test_large_values(link: Connection) -> None:
    """Frames beyond any buffer size go through, in both directions."""
    data = bytes(3_000_000)
    assert (await link.call(("echo",), data)).value == data


async def test_long_stream_leaves_the_loop_free() -> None:
    """Neither end keeps others from running, even without any waiting in between."""
    loop = asyncio.get_running_loop()
    gaps: list[float] = []
    done = asyncio.Event()
    text = "x" * 100

    async def produce(request: Request) -> Answer:
        for _ in range(20_000):
            await request.send(text)
        return None

    async def watch() -> None:
        while not done.is_set():
            before = loop.time()
            await asyncio.sleep(0)
            gaps.append(loop.time() - before)

    one = Connection()
    async with connected(one, Connection(produce)):
        watcher = asyncio.create_task(watch())
        async with one.stream(("x",), window=20_000) as stream:
            assert len([item async for item in stream]) == 20_000
        done.set()
        await watcher
    assert len(gaps) > 60


async def test_no_work_for_the_garbage_collector(link: Connection) -> None:
    """Calls and streams free their memory themselves: no collection stops the loop for them."""

    async def use() -> None:
        await link.call(("echo",), 1)
        with pytest.raises(RemoteError):
            await link.call(("refuse",))
        async with link.stream(("count",), 3) as stream:
            assert len([item async for item in stream]) == 3

    await use()
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await use()
        assert gc.collect() < 50
    finally:
        gc.enable()


async def test_quiet_log(link: Connection, caplog: pytest.LogCaptureFixture) -> None:
    """Refusals are no news."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(RefusedError):
        await link.call(("refuse",))
    assert not [record for record in caplog.records if record.name.startswith("firmware")]
