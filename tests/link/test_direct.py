"""Where a server can be found, and how the connection to it is kept."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from firmware_bridge.link.clock import Backoff
from firmware_bridge.link.codec import Value
from firmware_bridge.link.connection import Answer, Request
from firmware_bridge.link.direct import (
    DirectLink,
    DirectStatus,
    Endpoint,
    connect,
    endpoints,
    same_machine,
    with_token,
)
from firmware_bridge.link.errors import (
    AuthenticationError,
    CannotConnectError,
    ConnectionLostError,
    DecodeError,
    LinkError,
    TlsError,
)
from firmware_bridge.link.path import Path
from tests.support.server import FakeServer
from tests.support.vectors import load
from tests.support.wait import until

# Announcements


@pytest.mark.parametrize(
    ("announcement", "found"),
    [
        ({"link": [{"host": "a", "port": 1}]}, [("a", 1)]),
        ({"link": {"host": "a", "port": 1}}, [("a", 1)]),
        ({"link": [{"host": "a"}, {"host": "b", "port": 2}], "x": 1}, [("a", 27587), ("b", 2)]),
        ({"link": [{"host": "a", "port": 1}, {"host": "a", "port": 1, "y": 2}]}, [("a", 1)]),
        ({"link": ["a", None, {"host": 5}, {"port": 3}, {"host": "b"}]}, [("b", 27587)]),
        ({"link": [{"host": "a", "port": port} for port in (0, 65536, True, "1", None)]}, []),
        ({"link": [{"host": ""}, {"host": "x" * 256}]}, []),
        ({"link": [{"host": "a", "port": port} for port in range(1, 99)]}, [*range(1, 17)]),
        ({"link": []}, []),
        ({}, []),
        (None, []),
        ([{"host": "a"}], []),
        ("a:1", []),
    ],
)
def test_endpoints(announcement: Value, found: list[Any]) -> None:
    """What makes sense is taken, the rest left out."""
    expected = [("a", each) if isinstance(each, int) else each for each in found]
    assert [(each.host, each.port) for each in endpoints(announcement)] == expected


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("vm:1", Endpoint(host="vm", port=1)),
        ("[::1]:27587", Endpoint(host="::1", port=27587)),
        ("tls://vm:65535", Endpoint(host="vm", port=65535, tls=True)),
        ("tls://[::1]:2", Endpoint(host="::1", port=2, tls=True)),
        ("/run/moat", Endpoint(path="/run/moat")),
    ],
)
def test_written(text: str, endpoint: Endpoint) -> None:
    """What people write is what they are shown."""
    assert Endpoint.parse(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize("text", ["", "vm", "vm:", ":1", "vm:0", "vm:65536", "vm:²", "tls://vm"])
def test_written_wrong(text: str) -> None:
    with pytest.raises(DecodeError, match=r"write HOST:PORT, tls://HOST:PORT or /PATH"):
        Endpoint.parse(text)


def test_encrypted_endpoints() -> None:
    """Those are for who can recognise servers, and come first; nobody else gets to see them."""
    said: Value = {
        "link": [{"host": "a", "port": 1}],
        "tls": [{"host": "a", "port": 2}, {"host": 5}, "x"],
    }
    assert [str(each) for each in endpoints(said)] == ["a:1"]
    assert [str(each) for each in endpoints(said, encrypted=True)] == ["tls://a:2", "a:1"]


@pytest.mark.parametrize(
    ("auth", "token"),
    [({"token": "t"}, "t"), ({"token": 5}, None), ({}, None), ("t", None), (None, None)],
)
def test_token(auth: Value, token: str | None) -> None:
    """The token goes with the end points, and is shown nowhere."""
    (endpoint,) = endpoints({"link": {"host": "a"}, "auth": auth}, server="srv1")
    assert endpoint == Endpoint(host="a", token=token, server="srv1")
    assert "'t'" not in repr(endpoint)
    assert str(endpoint) == "a:27587"


def test_recorded_announcements() -> None:
    """What real servers announce is understood."""
    seen = []
    for each in load("moat-link/announcements")["vectors"]:
        decoded = each.get("payload_decoded") or each.get("decoded")
        if isinstance(decoded, dict) and "link" in decoded:
            (endpoint,) = endpoints(decoded)
            assert endpoint.token
            seen.append(endpoint.port)
    assert seen


def test_unix_socket() -> None:
    """The name of a Unix socket is its path."""
    assert str(Endpoint(path="/run/moat")) == "/run/moat"


# The link


class Watcher:
    """Candidates that may change, and the statuses that were reported."""

    def __init__(self, *candidates: Endpoint) -> None:
        """Start with some candidates."""
        self.candidates = [*candidates]
        self.statuses: list[DirectStatus] = []

    @property
    def connected(self) -> list[bool]:
        """Return the ups and downs so far."""
        return [status.connected for status in self.statuses]

    @property
    def error(self) -> LinkError | None:
        """Return the newest error."""
        return self.statuses[-1].error if self.statuses else None


@asynccontextmanager
async def running(watcher: Watcher, **options: Any) -> AsyncIterator[DirectLink]:
    """Run a link on the candidates."""
    options.setdefault("backoff", Backoff(0.01, 0.05))
    link = DirectLink(lambda: watcher.candidates, on_status=watcher.statuses.append, **options)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    with pytest.raises(ConnectionLostError):
        _ = link.connection
    assert not link.status.connected


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """Return a server."""
    async with FakeServer() as server:
        yield server


async def test_connects_and_reports(fake: FakeServer) -> None:
    """One report with everything in it."""
    watcher = Watcher(fake.endpoint)
    async with running(watcher) as link:
        await until(lambda: watcher.connected == [True])
        (status,) = watcher.statuses
        assert status is link.status
        assert status.endpoint == fake.endpoint
        assert status.identity is not None
        assert (status.identity.name, status.identity.assigned) == ("srv1", "srv1-main_1")
        assert (await link.connection.call(("i", "stamp"))).value == 1
    await until(lambda: not fake.clients)


async def test_without_anybody_to_tell(fake: FakeServer) -> None:
    """The status can be asked for, too."""
    link = DirectLink(lambda: [fake.endpoint])
    task = asyncio.create_task(link.run())
    await until(lambda: link.status.connected)
    task.cancel()
    await asyncio.wait([task])


async def test_reconnects_under_a_new_name(fake: FakeServer) -> None:
    """A lost connection is replaced; the server may still hold the old name."""
    watcher = Watcher(fake.endpoint)
    async with running(watcher):
        names = []
        for number in range(3):
            await until(lambda: len(fake.clients) == 1 and watcher.connected[-1:] == [True])
            names.append(fake.clients[0].name)
            fake.drop()
            await until(lambda n=number: watcher.connected[2 * n + 1 :][:1] == [False])  # type: ignore[misc]
        assert isinstance(watcher.statuses[1].error, ConnectionLostError)
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"_\w{12}", name) for name in names)


async def test_given_names(fake: FakeServer) -> None:
    """Somebody else may choose the names."""
    watcher = Watcher(fake.endpoint)
    async with running(watcher, name=lambda: "mine"):
        await until(lambda: len(fake.clients) == 1)
        assert fake.clients[0].name == "mine"


async def test_first_that_works(fake: FakeServer) -> None:
    """Candidates are tried in order."""
    dead = Endpoint(host="127.0.0.1", port=1)
    async with FakeServer(name="srv2") as second:
        watcher = Watcher(dead, second.endpoint, fake.endpoint)
        async with running(watcher) as link:
            await until(lambda: watcher.connected == [True])
            assert link.status.endpoint == second.endpoint
            await second.stop()
            await until(lambda: watcher.connected == [True, False, True])
            assert link.status.endpoint == fake.endpoint
            await second.start()


async def test_unix_socket_server(tmp_path: Any) -> None:
    """A configured socket works as well."""
    async with FakeServer(path=str(tmp_path / "sock")) as server:
        watcher = Watcher(server.endpoint)
        async with running(watcher) as link:
            await until(lambda: watcher.connected == [True])
            assert (await link.connection.call(("i", "stamp"))).value == 1


async def test_unreachable_is_reported_once(fake: FakeServer) -> None:
    """The same trouble again is no news; back-off goes on."""
    await fake.stop()
    watcher = Watcher(fake.endpoint)
    attempts: list[float] = []

    class Counting(Backoff):
        def wait(self) -> float:
            attempts.append(super().wait())
            return 0.001

    async with running(watcher, backoff=Counting(1, 30)):
        await until(lambda: len(attempts) >= 12)
        assert len(watcher.statuses) == 1
        assert isinstance(watcher.error, CannotConnectError)
        await fake.start()
        await until(lambda: watcher.connected == [False, True])
    assert 0.75 <= attempts[0] <= 1
    assert 20 <= attempts[11] <= 30


async def test_no_candidates() -> None:
    """Nobody has been announced: say so, and wait."""
    watcher = Watcher()
    async with running(watcher):
        await until(lambda: watcher.connected == [False])
        assert "no server is known" in str(watcher.error)


async def test_news_are_tried_at_once(fake: FakeServer) -> None:
    """A changed announcement ends the waiting; a repeated one does not."""
    dead = Endpoint(host="127.0.0.1", port=1)
    watcher = Watcher(dead)
    waits: list[float] = []

    class Patient(Backoff):
        def wait(self) -> float:
            waits.append(1000)
            return 1000

    async with running(watcher, backoff=Patient()) as link:
        await until(lambda: len(waits) == 1)
        link.announced()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(waits) == 1
        watcher.candidates.append(fake.endpoint)
        link.announced()
        await until(lambda: watcher.connected == [False, True])
        link.announced()
        watcher.candidates.clear()
        link.announced()
        assert link.status.connected
        assert fake.accepted == 1


async def test_a_flood_of_news() -> None:
    """Whoever announces another end point all the time does not make us connect all the time."""
    watcher = Watcher()
    async with running(watcher, backoff=Backoff(1000, 1000)) as link:
        for port in range(1, 40):
            reports = len(watcher.statuses)
            watcher.candidates = [Endpoint(host="127.0.0.1", port=port)]
            link.announced()
            await asyncio.sleep(0.02)
            assert len(watcher.statuses) <= reports + 1
        assert 1 <= len(watcher.statuses) <= 4


async def test_news_during_an_attempt(fake: FakeServer) -> None:
    """They count, too."""
    async with FakeServer() as silent:
        silent.greeting = "silent"
        watcher = Watcher(silent.endpoint)
        async with running(watcher, timeout=0.1, backoff=Backoff(1000, 1000)) as link:
            await until(lambda: silent.accepted == 1)
            watcher.candidates = [fake.endpoint]
            link.announced()
            await until(lambda: watcher.connected[-1:] == [True])


async def test_backoff_starts_over_when_it_held(fake: FakeServer) -> None:
    """Only a connection that lasts is a success."""
    resets: list[int] = []

    class Counting(Backoff):
        def reset(self) -> None:
            resets.append(1)

    for settled in (1000, 0):
        watcher = Watcher(fake.endpoint)
        async with running(watcher, settled=settled, backoff=Counting(0.01, 0.05)):
            await until(lambda w=watcher: w.connected == [True])  # type: ignore[misc]
            await until(lambda: len(fake.clients) == 1)
            fake.drop()
            await until(lambda w=watcher: w.connected == [True, False, True])  # type: ignore[misc]
        assert bool(resets) is (settled == 0)
        await until(lambda: not fake.clients)


@pytest.mark.parametrize("order", [1, -1])
async def test_credentials_matter_most(order: int) -> None:
    """A refused login is what the user must know about, whatever else is wrong."""
    dead = Endpoint(host="127.0.0.1", port=1)
    async with FakeServer(anonymous=False) as strict:
        watcher = Watcher(*[strict.endpoint, dead][::order])
        async with running(watcher):
            await until(lambda: watcher.connected == [False])
            assert isinstance(watcher.error, AuthenticationError)


def test_personal_token() -> None:
    """It is for servers that announce none, and goes over no plain connection of one that encrypts."""
    plain = Endpoint(host="a", port=1, server="one")
    encrypted = Endpoint(host="a", port=2, server="one", tls=True)
    open_ = Endpoint(host="b", port=1, server="two", token="announced")
    other = Endpoint(host="C", port=1, server="three")
    stranger = Endpoint(host="d", port=1, server="four")
    trusted = same_machine("A", "c", None)
    assert with_token([encrypted, plain, open_, other, stranger], "mine", trusted) == [
        replace(encrypted, token="mine"),
        open_,
        replace(other, token="mine"),
        stranger,
    ]
    assert with_token([encrypted, plain], None, trusted) == [encrypted, plain]


def test_same_machine() -> None:
    """This machine has several names; another one may have its broker's address."""
    near, far = Endpoint(host="127.0.0.1"), Endpoint(host="10.0.0.1")
    assert [same_machine("localhost")(each) for each in (near, far)] == [True, False]
    assert [same_machine("broker", "10.0.0.1")(each) for each in (near, far)] == [False, True]


async def test_a_refused_certificate_matters() -> None:
    """More than that somebody else is not there."""
    encrypted = Endpoint(host="127.0.0.1", port=1, tls=True)
    watcher = Watcher(encrypted, Endpoint(host="127.0.0.1", port=1))
    async with running(watcher):
        await until(lambda: watcher.connected == [False])
        assert isinstance(watcher.error, TlsError)


async def test_an_address_that_leads_nowhere(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a name with several addresses, those that answer are used before the patience ends."""
    loop = asyncio.get_running_loop()
    families = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "two.places"
        return [
            (socket.AF_INET, *families.values(), "", (each, port))
            for each in ("127.0.0.3", fake.host)
        ]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.3", fake.port), backlog=0))
        for _ in range(8):  # what nobody accepts fills the queue, then all is silence
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        connection, _ = await connect(Endpoint(host="two.places", port=fake.port), name="_1")
        await connection.close()


async def test_probes_are_answered(fake: FakeServer) -> None:
    """The server is content."""
    async with FakeServer(probe_interval=0.01, probe_timeout=1) as probing:
        watcher = Watcher(probing.endpoint)
        async with running(watcher):
            await until(lambda: probing.probed >= 5)
            assert probing.unanswered == 0
            assert watcher.connected == [True]


async def test_silence_ends_a_connection(fake: FakeServer) -> None:
    """A server that has gone without a word is noticed."""
    watcher = Watcher(fake.endpoint)
    async with running(watcher, silence=0.2):
        await until(lambda: len(fake.clients) == 1)
        fake.freeze()
        await until(lambda: watcher.connected == [True, False, True])
        assert "nothing heard" in str(watcher.statuses[1].error)


async def test_quiet_servers_are_asked(fake: FakeServer) -> None:
    """A server that does not probe stays connected as long as it answers."""
    watcher = Watcher(fake.endpoint)
    async with running(watcher, silence=0.08) as link:
        await until(lambda: watcher.connected == [True])
        loop = asyncio.get_running_loop()
        start, heard = loop.time(), [link.connection.last_heard]
        while len(heard) < 4:
            await until(lambda: link.connection.last_heard > heard[-1])
            heard.append(link.connection.last_heard)
        assert loop.time() - start > 0.15
        assert watcher.connected == [True]


async def test_requests_are_handled(fake: FakeServer) -> None:
    """What the server asks goes to the handler, right from the start."""

    async def handle(request: Request) -> Answer:
        return [*request.path]

    watcher = Watcher(fake.endpoint)
    async with running(watcher, handler=handle) as link:
        await until(lambda: len(fake.clients) == 1)
        assert (await fake.ask(["x", 1])).value == ["x", 1]
        name = fake.clients[0].name
        reply = await link.connection.call(("cl", name, "y"), 2)
        assert reply.value == ["y"]
        reply = await link.connection.call(("srv", "srv1", "cl", name, "y"), 2)
        assert reply.value == ["y"]


async def test_walk_of_many_nodes(fake: FakeServer) -> None:
    """A snapshot through the fake server."""
    for number in range(3000):
        fake.put(Path("n", number), number)
    watcher = Watcher(fake.endpoint)
    async with running(watcher) as link:
        await until(lambda: watcher.connected == [True])
        async with link.connection.stream(("d", "walk"), ["n"]) as stream:
            assert len([item async for item in stream]) == 3000
