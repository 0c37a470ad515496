"""Clients that want too much, or nothing: others are served, memory is bounded."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, RemoteObject, encode, encode_frame
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server import store
from firmware_bridge.server.clients import Limits
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.doors import _peer
from firmware_bridge.server.server import Server
from tests.bridge.server.caller import Caller
from tests.support.installation import ROOT
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

type Start = Callable[..., Any]

META = Meta("x", 1.0)


async def ended(reader: asyncio.StreamReader) -> None:
    """Read to the end, however it comes."""
    try:
        while await reader.read(65536):
            pass
    except ConnectionError:
        pass


async def test_flood(serve: Start, join: Start) -> None:
    """One client that asks without end does not keep another waiting, and is answered, too."""
    server = await serve()
    greedy, modest = await join(server, "_greedy"), await join(server, "_modest")
    await modest.call(["d", "set"], Path("a"), {"x": list(range(100))}, {})
    going = True
    answered = 0

    async def flood() -> None:
        request = encode_frame([4004, ["d", "get"], Path("a")]) * 500
        while going:
            greedy.writer.write(request)
            await greedy.writer.drain()

    async def drain() -> None:
        nonlocal answered
        while going:
            answered += len(await greedy.reader.read(65536))

    tasks = [asyncio.create_task(flood()), asyncio.create_task(drain())]
    took: list[int] = []
    for _ in range(300):
        begin = answered
        assert await modest.call(["i", "ping"]) == ["乓"]
        took.append(answered - begin)
    before = answered
    await until(lambda: answered > before, what="the flood is answered")
    going = False
    for task in tasks:
        task.cancel()
    assert sorted(took)[150] < 200_000, "bytes for the one until the other is answered"
    assert len(server.clients.names) == 2


async def test_who_does_not_read(serve: Start, join: Start) -> None:
    """A walk waits for its reader; who reads nothing for long is dropped, whatever else it says."""
    server = await serve(limits=Limits(stall=0.3))
    for number in range(5000):
        server.tree.store.merge(["n", f"x{number}"], encode("x" * 200), META)
    stuck, other = await join(server, "_stuck"), await join(server, "_other")
    stuck.send([9, ["d", "walk"], Path("n")])
    connection = server.clients.find("_stuck").connection
    await until(lambda: not connection.writer.free)
    assert connection.writer.unsent < 2 << 20
    assert await other.call(["i", "ping"]) == ["乓"]
    while server.clients.find("_stuck") is not None:
        stuck.send([12, ["i", "ping"]])
        await asyncio.sleep(0.01)
    assert server.farewell("_stuck") == "it does not read"


async def test_many_walks_at_once(serve: Start, join: Start) -> None:
    """They share what they go through, take turns, and leave others theirs."""
    server = await serve()
    for number in range(5000):
        server.tree.store.merge(["n", f"x{number}"], encode(number), META)
    greedy, other = await join(server, "_greedy"), await join(server, "_other")
    for number in range(1, 1001):
        greedy.send([4 * number + 1, ["d", "walk"], Path("n")])
    connection = server.clients.find("_greedy").connection
    await until(lambda: connection.exchanges > 900, timeout=20)
    assert await other.call(["i", "ping"]) == ["乓"]
    assert len(store._LISTINGS._known) < 10, "not one for each"
    assert connection.writer.unsent < 16 << 20


async def test_slow_reader(serve: Start, join: Start) -> None:
    """Who reads slowly, but reads, is not dropped."""
    server = await serve(limits=Limits(stall=0.8))
    for number in range(10_000):
        server.tree.store.merge(["n", f"x{number}"], encode("x" * 200), META)
    slow = await join(server, "_slow")
    slow.send([9, ["d", "walk"], Path("n")])
    total = 0
    while total < 2 << 20:
        data = await slow.reader.read(4096)
        total += len(data)
        assert data
        await asyncio.sleep(0.005)
    assert server.clients.find("_slow") is not None


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["d", "walk"], [Path(), 9e10]),
        (["d", "walk"], [Path(), None, 100]),
        (["d", "delete"], [Path("gone"), {"sub": True}]),
        (["d", "search"], [Path("gone", "x")]),
        (["d", "collect"], [Path("a"), Path("x")]),
    ],
)
async def test_looking_for_nothing(
    serve: Start, join: Start, command: list[Any], arguments: list[Any]
) -> None:
    """Others have their turn while many calls of one client look at much and find nothing."""
    server = await serve()
    for number in range(1000):
        server.tree.receive(["a", f"{number}"], number, META)
        server.tree.receive(["gone", f"{number}"], ABSENT, META)
    server.tree.receive(["a"], 1, META)
    greedy, modest = await join(server, "_greedy"), await join(server, "_modest")
    for number in range(1000):
        greedy.send([4 * number + 8, command, *arguments])
    connection = server.clients.find("_greedy").connection
    await until(lambda: connection.exchanges)
    assert await modest.call(["i", "ping"]) == ["乓"]
    assert connection.exchanges


async def test_probe_behind_a_walk(serve: Start, join: Start) -> None:
    """Who reads, but has not come to the probe yet, is there."""
    server = await serve(limits=Limits(probe=0.3, patience=1.0))
    for number in range(20_000):
        server.tree.store.merge(["n", f"x{number}"], encode("x" * 200), META)
    slow = await join(server, "_slow")
    slow.send([9, ["d", "walk"], Path("n")])
    total = 0
    while total < 3 << 20:
        data = await slow.reader.read(4096)
        total += len(data)
        assert data, server.farewell("_slow")
        await asyncio.sleep(0.003)


async def test_relay_to_who_does_not_read(serve: Start, join: Start) -> None:
    """Calls to a client that is stuck wait, and end with it; the caller goes on meanwhile."""
    server = await serve(limits=Limits(stall=0.5))
    stuck, caller = await join(server, "_stuck"), await join(server, "_caller")
    for number in range(1, 200):
        caller.send([4 * number, ["cl", "_stuck", "x"], "x" * 60_000])
    await caller.writer.drain()
    assert await caller.call(["i", "ping"]) == ["乓"]
    connection = server.clients.find("_stuck").connection
    await until(lambda: not connection.writer.free)
    assert connection.writer.unsent < 2 << 20
    heard = [await caller.hear() for _ in range(199)]
    assert all(frame[0] & 3 == 2 for frame in heard)
    assert stuck.reader is not None


async def test_frame_without_an_end(serve: Start, join: Start) -> None:
    """A frame that never ends ends the connection, though a byte comes now and then."""
    server = await serve(limits=Limits(stall=0.3))
    slow = await join(server, "_slow")
    slow.writer.write(b"\x82\x08\x5a\x00\xf0\x00\x00")
    ending = asyncio.create_task(ended(slow.reader))
    while not ending.done():
        slow.writer.write(b"x")
        await asyncio.sleep(0.01)
    assert server.farewell("_slow") == "a frame without an end"


async def test_silent_strangers(serve: Start) -> None:
    """Who does not log in in time goes, though a byte comes now and then."""
    server = await serve(limits=Limits(login=0.3))
    reader, writer = await asyncio.open_unix_connection(server.config.listeners[1].path)
    writer.write(b"\x82\x08\x59\x0f")
    ending = asyncio.create_task(ended(reader))
    while not ending.done():
        writer.write(b"x")
        await asyncio.sleep(0.01)
    writer.close()
    assert server.clients._strangers == {}


async def test_memory_of_all(serve: Start, join: Start) -> None:
    """When all together need too much, the one that needs most goes, and nobody else."""
    server = await serve(limits=Limits(memory=3 << 20))
    greedy, other = await join(server, "_greedy"), await join(server, "_other")
    other.send([9, ["d", "walk"], Path()])
    # frames that wait for their end, items that nobody reads, requests that wait for an answer
    greedy.writer.write(b"\x82\x08\x5a\x00\xf0\x00\x00" + b"x" * (4 << 20))
    await ended(greedy.reader)
    assert "memory" in server.farewell("_greedy")
    items = await join(server, "_items")
    items.send([9, ["cl", "_other", "x"]])
    frame = (await other.until(lambda frame: frame[1:2] == [["x"]]))[-1]
    other.send([-frame[0] - 2])
    await items.until(lambda frame: frame[0] == -11)
    for _ in range(100):
        items.send([9, "x" * 60_000])
    await ended(items.reader)
    assert "memory" in server.farewell("_items")
    asking = await join(server, "_asking")
    for number in range(1, 100):
        asking.send([4 * number, ["cl", "_other", "y"], "x" * 60_000])
    await ended(asking.reader)
    assert "memory" in server.farewell("_asking")
    assert await other.call(["i", "ping"]) == ["乓"]


async def test_many_small_values(serve: Start, join: Start) -> None:
    """What counts is what they take here: an empty map is a byte on the wire, and seventy in memory."""
    server = await serve(limits=Limits(memory=20 << 20))
    greedy, monitored, other = [await join(server, name) for name in ("_1", "_2", "_3")]
    junk: list[Any] = [{} for _ in range(50_000)]
    for number in range(1, 20):
        greedy.send([4 * number, ["cl", "_3", "x"], junk])  # 1 MB in all
    await ended(greedy.reader)
    assert "memory" in server.farewell("_1")
    for number in range(1, 20):
        monitored.send([4 * number + 1, ["e", "mon"], Path("m", number), junk])
    await ended(monitored.reader)
    assert "memory" in server.farewell("_2")
    assert await other.call(["i", "ping"]) == ["乓"]


async def test_log_of_an_action(serve: Start, join: Start, peer: Any) -> None:
    """What is kept of it is limited, and counts."""
    server = await serve()
    caller = await join(server)
    await until(lambda: server.broker.connected)
    for number in range(1, 21):
        caller.send([4 * number + 1, ["e", "mon"], Path("m", f"n{number}")])
        caller.send([4 * number + 1, "begun", {"by": "me"}])
        caller.send([4 * number + 1, [{} for _ in range(5000)]])
        caller.send([4 * number + 1, "x" * 4000])
    assert await caller.call(["i", "ping"]) == ["乓"]
    burden = server.clients.find("_Q5G49yrpcY4Q").connection.burden
    assert 20 * 4000 < burden < 20 * 20_000
    caller.send([4 * 7 + 2, RemoteObject("_ValErr", ("broken",))])
    await until(lambda: peer.last("error/m/n7") is not ABSENT)
    log = peer.last("error/m/n7")["log"]
    assert log == [["begun", {"by": "me"}], ["… (too much to keep)"], ["x" * 4000]]


async def test_stranger_that_talks(serve: Start) -> None:
    """Who says more than a login needs is hung up on, answered or not."""
    server = await serve()
    for command in (["i", "ping"], ["d", "get"], [None, "token"]):
        reader, writer = await asyncio.open_unix_connection(server.config.listeners[1].path)
        writer.write(b"".join(encode_frame([4 * n, command, "x" * 3900]) for n in range(1, 101)))
        heard = b""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                heard += data
        assert len(heard) < 140_000, "not an answer to each"
        writer.close()
    await until(lambda: server.clients._strangers == {})


async def test_client_in_a_hurry(serve: Start) -> None:
    """Who has come in may ask as much as it likes at once, with its last word."""
    server = await serve()
    caller = Caller(*await asyncio.open_unix_connection(server.config.listeners[1].path))
    caller.send([0, [None], 1, False, "_1", ["anon"], {"moat.link": {"version": 0}}])
    caller.send([4, [None, "anon"]])
    await caller.until(lambda frame: frame[0] == -8)
    asked = [[-4, "anon"], *([4 * n, ["i", "ping"], n] for n in range(2, 80))]
    caller.writer.write(b"".join(map(encode_frame, asked)))
    assert (await caller.end_of(79))[-1] == [-320, "乓", 79]
    await caller.close()


async def test_memory_of_strangers(serve: Start, join: Start) -> None:
    """What is kept for them counts, too."""
    server = await serve(limits=Limits(memory=1 << 20))
    client = await join(server, "_1")
    client.writer.write(b"\x82\x08\x5a\x00\x20\x00\x00" + b"x" * 900_000)
    connection = server.clients.find("_1").connection
    await until(lambda: connection.burden > 800_000)
    server.clients.look(0.0)
    assert not connection.closed.done()
    strangers = []
    for _ in range(60):
        _, writer = await asyncio.open_unix_connection(server.config.listeners[1].path)
        writer.write(b"\x82\x08\x59\x0f\xf0" + b"x" * 3800)
        strangers.append(writer)
    await until(lambda: server.farewell("_1") is not None)
    assert "memory" in server.farewell("_1")
    for writer in strangers:
        writer.close()


async def test_same_name(serve: Start, join: Start) -> None:
    """When who has a name goes, calls reach the next one that goes by it."""
    server = await serve()
    first, second, third = [await join(server, "_x") for _ in range(3)]
    assert server.clients.names == ["_x"] * 3
    caller = await join(server, "_caller")
    await first.close()
    for number, (there, gone) in enumerate(((second, second), (third, third)), 1):
        await until(lambda left=4 - number: len(server.clients.names) == left)
        caller.send([4 * number, ["cl", "_x", "hello"]])
        (frame,) = await there.until(lambda frame: frame[1:2] == [["hello"]])
        there.send([-frame[0] - 4, number])
        assert (await caller.end_of(number))[-1] == [-4 * number - 4, number]
        await gone.close()
    await until(lambda: server.clients.find("_x") is None)


async def test_exchanges_of_all(serve: Start, join: Start) -> None:
    """Many may be open in total; who has a few already is told so, others can work."""
    server = await serve(limits=Limits(all_exchanges=100))
    greedy, other = await join(server, "_greedy"), await join(server, "_other")
    stamp = server.new_stamp()
    for number in range(1, 201):
        greedy.send([4 * number, ["i", "sync"], stamp])
    heard = [await greedy.hear() for _ in range(100)]
    assert all("too many" in str(frame[1].arguments) for frame in heard)
    assert server.clients.find("_greedy").connection.exchanges == 100
    assert await other.call(["i", "ping"]) == ["乓"]
    assert await other.call(["d", "set"], Path("a"), 1) == [True]


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("", ""),
        (("127.0.0.1", 5), ""),
        (("::1", 5, 0, 0), ""),
        (("192.168.1.7", 5), "192.168.1.7"),
        (("::ffff:192.168.1.7", 5, 0, 0), "192.168.1.7"),
        (("::ffff:127.0.0.1", 5, 0, 0), ""),
        (("fe80::1%eth0", 5, 0, 2), "fe80:0000:0000:0000"),
        (("2001:db8:1:2:3::1", 5, 0, 0), "2001:0db8:0001:0002"),
    ],
)
def test_peers(address: object, peer: str) -> None:
    """Machines are counted by address, IPv6 by network; this one is not counted."""
    assert _peer(address) == peer


async def test_strangers_of_one_machine(serve: Start) -> None:
    """One machine cannot take all places of strangers."""
    server = await serve(limits=Limits(strangers=5, strangers_of_one=2))
    admitted = [server.clients.admit("main", "192.0.2.7") for _ in range(3)]
    assert [each is not None for each in admitted] == [True, True, False]
    assert server.clients.admit("main", "192.0.2.8") is not None
    for each in admitted[:2]:
        server.clients.dismiss(each)
    assert server.clients.admit("main", "192.0.2.7") is not None
    assert len(server.clients._strangers) == 2


async def test_clients_in_total(serve: Start, join: Start) -> None:
    """Who comes when all places are taken is turned away; a place is free again when somebody goes."""
    server = await serve(limits=Limits(clients=2))
    one, two = await join(server, "_1"), await join(server, "_2")
    with pytest.raises(ConnectionError):
        await join(server, "_3")
    await one.close()
    await until(lambda: len(server.clients.names) == 1)
    await join(server, "_4")
    assert await two.call(["i", "ping"]) == ["乓"]


async def test_clients_that_come_together(serve: Start) -> None:
    """Who was there when places were free, but logs in when they are taken, is turned away, too."""
    server = await serve(limits=Limits(clients=2))
    path = server.config.listeners[1].path
    callers = [Caller(*await asyncio.open_unix_connection(path)) for _ in range(5)]
    await until(lambda: len(server.clients._strangers) == 5)
    await asyncio.gather(*(each.log_in("_together") for each in callers), return_exceptions=True)
    await until(lambda: not server.clients._strangers)
    await until(lambda: len(server.clients._present) == 2)
    answers = [each.call(["i", "ping"]) for each in callers]
    found = await asyncio.gather(*answers, return_exceptions=True)
    assert len([each for each in found if each == ["乓"]]) == 2
    for each in callers:
        await each.close()


# Sockets


async def refused(broker: Mosquitto, listener: Listener) -> str:
    """Try to run a server, and return why it cannot."""
    where = BrokerConfig(host=broker.host, port=broker.port)
    config = ServerConfig(broker=where, root=ROOT, name="refused", listeners=(listener,))
    with pytest.raises(OSError, match="Errno") as caught:
        await Server(config).run()
    return str(caught.value)


async def test_socket_of_a_running_server(serve: Start, broker: Mosquitto, tmp_path: File) -> None:
    """It is not taken away; that of a dead one is; other files stay what they are."""
    path = tmp_path / "link"
    listener = Listener(name="local", path=str(path))
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    first = await serve("first", listeners=(listener,))
    assert "somebody else listens" in await refused(broker, listener)
    reader, writer = await asyncio.open_unix_connection(path)
    assert await reader.read(10)
    writer.close()
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    third = await serve("third", listeners=(listener,))
    first.stop()
    await first.task
    assert path.exists(), "it is the other one's by now"
    third.stop()
    await third.task
    assert not path.exists()
    path.write_text("mine")
    assert "no socket" in await refused(broker, listener)
    assert path.read_text() == "mine"


async def test_port_in_use(serve: Start, broker: Mosquitto) -> None:
    """Which one is told."""
    server = await serve()
    _, port = server.addresses[0]
    said = await refused(broker, Listener(port=port))
    assert "in use" in said
    assert f"127.0.0.1:{port}" in said


async def test_version_six(serve: Start, peer: Any) -> None:
    """IPv6 works like the other one, and is announced."""
    server = await serve(listeners=(Listener(host="::1", port=0),))
    host, port = server.addresses[0]
    assert host == "::1"
    caller = Caller(*await asyncio.open_connection(host, port))
    assert (await caller.hear())[1] == [None]
    await caller.close()
    await until(lambda: peer.heard("run/service/main/server/srv1"))
    assert peer.heard("run/service/main/server/srv1")[0]["link"] == [{"host": host, "port": port}]


async def test_all_addresses(serve: Start) -> None:
    """What is announced then is an address of this machine, or what somebody says."""
    server = await serve(listeners=(Listener(host="0.0.0.0", port=0),), anonymous=False)
    ((host, _),) = server.addresses
    assert host not in ("0.0.0.0", "")
    named = Listener(host="::", port=0, announce="cellar.home")
    other = await serve("other", listeners=(named,), anonymous=False)
    assert other.addresses[0][0] == "cellar.home"
