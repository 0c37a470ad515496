"""Getting in: both sides, both ways, against what the real software sent."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from firmware_bridge.link.codec import FrameReader, RemoteObject
from firmware_bridge.link.connection import Answer, Connection, Request
from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.errors import (
    AuthenticationError,
    CannotConnectError,
    ConnectionLostError,
    LinkError,
    NoAnswerError,
    RemoteError,
    TokenNeededError,
)
from firmware_bridge.link.frames import Frame
from firmware_bridge.link.handshake import (
    ClientIdentity,
    ClientLogin,
    ServerIdentity,
    ServerLogin,
    fresh_id,
)
from tests.support.server import FakeServer
from tests.support.vectors import load
from tests.support.wires import Raw

NEW = load("moat-link/rpc-handshake")
LEGACY = load("moat-link/rpc-handshake-legacy")
VECTORS = pytest.mark.parametrize("vector", NEW["vectors"], ids=lambda each: each["title"])


def frames(entries: list[dict[str, Any]], direction: str = "") -> list[Frame]:
    """Return recorded frames, perhaps of one direction."""
    return [
        FrameReader().feed(bytes.fromhex(each["hex"]))[0]
        for each in entries
        if each.get("dir", direction) == direction
    ]


def recorded(vector: dict[str, Any], direction: str) -> dict[Any, Frame]:
    """Return the frames of one side of a recorded handshake by their first item."""
    entries = [each for exchange in vector["exchanges"] for each in exchange["frames"]]
    return {frame[0]: frame for frame in frames(entries, direction)}


def without_rname(frame: Frame) -> Frame:
    """Leave out what is optional."""
    match frame:
        case [*rest, {"moat.link": {"version": version}}]:
            return [*rest, {"moat.link": {"version": version}}]
    return frame


@asynccontextmanager
async def client(**options: Any) -> Any:
    """Run a client's login against a raw server."""
    login = ClientLogin(name=options.pop("name", "me"), **options)
    connection = Connection(login.handle)
    async with Raw.facing(connection) as raw:
        task = asyncio.create_task(login.run(connection, timeout=5))
        yield raw, task
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def server(**options: Any) -> Any:
    """Run a server's login against a raw client."""

    async def handle(request: Request) -> Answer:
        return "served"

    login = ServerLogin(name="srv1", assigned="srv1-main_1", handler=handle, **options)
    connection = Connection(login.handle)
    async with Raw.facing(connection) as raw:
        task = asyncio.create_task(login.run(connection, timeout=5))
        yield raw, task
        task.cancel()
        await asyncio.wait([task])


@VECTORS
async def test_client_does_what_the_real_client_does(vector: dict[str, Any]) -> None:
    """Frame by frame; only the optional `rname` may differ."""
    ours, theirs = recorded(vector, "client>server"), recorded(vector, "server>client")
    hello = ours[0]
    calls = {
        frame[1][1]: frame for frame in ours.values() if isinstance(frame[1], list) and frame[1][1:]
    }  # type: ignore[index]
    token = calls["token"][2] if "token" in calls else None
    async with client(name=hello[4], token=token) as (raw, task):
        raw.send(*theirs[0])
        assert without_rname(await raw.receive()) == without_rname(hello)
        for number in range(1, len(ours) - 1):
            assert await raw.receive() == ours[4 * number]
            raw.send(*theirs[-4 * number - 4])
        assert await raw.receive() == ours[-4]
        raw.send(*theirs[-4])
        assert await task == ServerIdentity(
            name="srv1",
            assigned=theirs[-4][2]["name"],
            method=theirs[-4][1],  # type: ignore[index,call-overload,arg-type]
        )


@VECTORS
async def test_server_does_what_the_real_server_does(vector: dict[str, Any]) -> None:
    """A real client gets the answers that it got."""
    ours, theirs = recorded(vector, "server>client"), recorded(vector, "client>server")
    ours[0][-1]["moat.link"]["rname"] = "srv1-main_1"  # type: ignore[index,call-overload]
    ours[-4][-1]["name"] = "srv1-main_1"  # type: ignore[index,call-overload]
    async with server(check=lambda token: len(token) == 20) as (raw, task):
        for frame in theirs.values():
            raw.send(*frame)
        received = [await raw.receive() for _ in ours]
        assert {frame[0]: frame for frame in received} == ours
        assert await task == ClientIdentity(name=theirs[0][4], method=ours[-4][1])  # type: ignore[arg-type]
        raw.send(40, ["x"])
        assert await raw.receive() == [-44, "served"]
        raw.send(44, [None, "anon"])
        assert await raw.receive() == [-48, None]
        raw.send(48, [None], 2)  # too late to matter
        assert await raw.receive() == [-50, RemoteObject("_AuV", (1, 1))]


@pytest.mark.parametrize(
    "title", ["unknown method", "auth protocol version 2", "role clash: both servers"]
)
async def test_server_refuses_as_the_real_server_does(title: str) -> None:
    """The same error to the same mistakes."""
    (vector,) = [each for each in NEW["negative"] if each["title"] == title]
    (expected,) = [each for each in frames(vector["server_frames"]) if each[0] != 0]
    async with server(check=lambda token: False) as (raw, task):
        for frame in frames(vector["client_frames"]):
            raw.send(*frame)
        assert (await raw.receive())[0] == 0
        assert await raw.receive() == expected
        with pytest.raises(AuthenticationError):
            await task


@pytest.mark.parametrize("title", ["command before auth", "legacy hello"])
async def test_server_lets_nobody_in_without_login(title: str) -> None:
    """Nothing else is answered before."""
    (vector,) = [each for each in NEW["negative"] if each["title"] == title]
    (expected,) = [each for each in frames(vector["server_frames"]) if each[0] != 0]
    async with server() as (raw, _):
        for frame in frames(vector["client_frames"]):
            raw.send(*frame)
        assert (await raw.receive())[0] == 0
        assert await raw.receive() == expected


async def test_server_refuses_a_wrong_token() -> None:
    """Other than the real one; other methods may still succeed."""
    (vector,) = [each for each in NEW["negative"] if each["title"] == "wrong token only"]
    hello, token, *_ = frames(vector["client_frames"])
    async with server(check=lambda token: False) as (raw, task):
        raw.send(*hello)
        raw.send(*token)
        assert (await raw.receive())[0] == 0
        answers = [await raw.receive(), await raw.receive()]
        assert sorted(answers, key=str) == [
            [-2, RemoteObject("_AuD", ("No auth method worked.",))],
            [-6, RemoteObject("_AuR", ("token",))],
        ]
        with pytest.raises(AuthenticationError):
            await task
        assert await raw.receive() == [2, -3]  # our own greeting needs no answer any more
        raw.send(8, ["d", "get"])
        assert await raw.receive() == [-10, RemoteObject("_ValErr", ("No Auth",))]


@pytest.mark.parametrize("path", [[None, "password"], [None, "token"], [None, "anon"], [None, 1]])
async def test_server_knows_only_what_it_offers(path: list[Any]) -> None:
    """Other methods are not supported."""
    async with server(anonymous=False) as (raw, _):
        assert (await raw.receive())[5] == frozenset()
        raw.send(0, path)
        assert await raw.receive() == [-2, RemoteObject("_AuNR", (path[1],))]


@pytest.mark.parametrize(
    "greeting",
    [
        [0, [None]],
        [0, [None], 1],
        [0, [None], 1, False, None, ["anon"]],
        [0, [None], 1, False, "x", "anon"],
        [0, [None], "1", 0, "x", ["anon"]],
    ],
)
async def test_greeting_without_sense(greeting: Frame) -> None:
    """It is refused by either side."""
    async with server() as (raw, task):
        raw.send(*greeting)
        assert (await raw.receive())[0] == 0
        assert await raw.receive() == [-2, RemoteObject("_AuE")]
        with pytest.raises(AuthenticationError, match="no sense"):
            await task


async def test_client_refuses_a_greeting_without_sense() -> None:
    """It says so, and gives up."""
    async with client() as (raw, task):
        raw.send(0, [None])
        with pytest.raises(AuthenticationError, match="no sense"):
            await task
        assert await raw.receive() == [-2, RemoteObject("_AuE")]


async def test_client_accepts_a_list_of_methods_and_no_keywords() -> None:
    """Sets are lists for some; names may come late, or not at all."""
    async with client() as (raw, task):
        raw.send(0, [None], 1, True, "srv", ["anon", 5])
        await raw.receive()
        assert await raw.receive() == [4, [None, "anon"]]
        raw.send(-8, None)
        assert await raw.receive() == [-4, "anon"]
        raw.send(-4, "anon")
        assert await task == ServerIdentity(name="srv", assigned="", method="anon")


async def test_client_serves_during_the_handshake() -> None:
    """The server is trusted: what it asks is answered; probes, too."""

    async def handle(request: Request) -> Answer:
        return "served"

    async with client(handler=handle) as (raw, _):
        raw.send(0, [None], 1, True, "srv", ["anon"])
        raw.send(4, ["x"])
        raw.send(8, ["i", "乒"])
        received = [await raw.receive() for _ in range(4)]
        assert [-8, "served"] in received
        assert [-12, "乓"] in received
        raw.send(12, [None], 1, True, "srv", ["anon"])
        assert await raw.receive() == [-16, "served"]


@pytest.mark.parametrize("connection", LEGACY["connections"])
async def test_legacy(connection: list[dict[str, Any]]) -> None:
    """The older way, chosen by what the server says first."""
    theirs = {frame[0]: frame for frame in frames(connection, "server>client")}
    ours = {frame[0]: frame for frame in frames(connection, "client>server")}
    async with client(name=ours[0][4]) as (raw, task):
        raw.send(*theirs[0])
        received = {frame[0]: frame for frame in [await raw.receive(), await raw.receive()]}
        received[0][5] = ours[0][5]  # optional: who we think the server is
        assert received == {0: ours[0], -4: ours[-4]}
        raw.send(*theirs[-4])
        assert await task == ServerIdentity(
            name="old1",
            assigned=theirs[0][5],
            method="anon",
            legacy=True,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize(
    ("answer", "assigned"), [([-4, True], "given"), ([-4, {"name": "other"}], "other")]
)
async def test_legacy_names(answer: Frame, assigned: str) -> None:
    """The name comes with the greeting, or with the answer."""
    async with client() as (raw, task):
        raw.send(0, ["i", "hello"], 0, True, "old1", "given", True)
        await raw.receive()
        await raw.receive()
        raw.send(*answer)
        assert (await task).assigned == assigned


@pytest.mark.parametrize("answer", [[-4, False], [-2, RemoteObject("_AuE", ("denied",))]])
async def test_legacy_refused(answer: Frame) -> None:
    """A refusal is an authentication error."""
    async with client() as (raw, task):
        raw.send(0, ["i", "hello"], 0, True, "old1")
        await raw.receive()
        await raw.receive()
        raw.send(*answer)
        with pytest.raises(AuthenticationError):
            await task


async def test_legacy_role_clash() -> None:
    """Two clients have nothing to say to each other."""
    async with client() as (raw, task):
        raw.send(0, ["i", "hello"], 0, False, "old1")
        assert await raw.receive() == [-2, RemoteObject("_AuC")]
        with pytest.raises(AuthenticationError, match="not a server"):
            await task


@pytest.mark.parametrize(
    ("greeting", "reply", "reason"),
    [
        ([0, [None], 2, True, "s", ["anon"]], [-2, RemoteObject("_AuV", (1, 1))], "protocol 2"),
        ([0, [None], 1, False, "s", ["anon"]], [-2, RemoteObject("_AuC")], "same role"),
        ([0, [None], 1, True, "s" * 256, ["anon"]], [-2, RemoteObject("_AuE")], "no sense"),
        ([0, [None], 1, True, "s\x1b[2J", ["anon"]], [-2, RemoteObject("_AuE")], "no sense"),
        ([0, ["i", "hello"], 0, True, "s" * 256], [-2, RemoteObject("_AuC")], "not a server"),
    ],
)
async def test_client_refuses(greeting: Frame, reply: Frame, reason: str) -> None:
    """It tells the server why, in the form that everybody knows."""
    async with client() as (raw, task):
        raw.send(*greeting)
        with pytest.raises(AuthenticationError, match=reason):
            await task
        assert await raw.receive() == reply


async def test_no_common_method() -> None:
    """The server wants something else."""
    async with client() as (raw, task):
        raw.send(0, [None], 1, True, "srv", ["password"])
        with pytest.raises(AuthenticationError, match="No auth method worked"):
            await task


async def test_the_servers_own_words_count() -> None:
    """A refusal of our greeting says more than a lost connection."""
    async with client() as (raw, task):
        raw.send(0, [None], 1, True, "srv", ["anon"])
        await raw.receive()
        await raw.receive()
        raw.send(-2, RemoteObject("_AuD", ("We are closed.",)))
        raw.end()
        with pytest.raises(AuthenticationError, match="We are closed"):
            await task


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([[-6, RemoteObject("_AuR", ("anon",))]], "anon"),
        ([[-2, RemoteObject("_ValErr", ("No Auth",))], [-6, -3]], "No Auth"),
        ([[-8, None], [-2, RemoteObject("_ValErr", ("No Auth",))]], "No Auth"),
    ],
)
async def test_refusals(answers: list[Frame], error: str) -> None:
    """Whatever is refused in the handshake is an authentication error."""
    async with client() as (raw, task):
        raw.send(0, [None], 1, True, "srv", ["anon"])
        await raw.receive()
        await raw.receive()
        for answer in answers:
            raw.send(*answer)
        with pytest.raises(AuthenticationError, match=error):
            await task


# With a server in between


async def join(fake: FakeServer, **changes: Any) -> ServerIdentity:
    """Log in and out again."""
    endpoint = fake.endpoint
    if "token" in changes:
        endpoint = Endpoint(host=endpoint.host, port=endpoint.port, token=changes["token"])
    connection, identity = await connect(endpoint, name="me", timeout=changes.get("timeout", 5))
    await connection.close()
    return identity


@pytest.mark.parametrize(
    ("options", "token", "method"),
    [
        ({}, None, "anon"),
        ({}, "any", "anon"),
        ({"tokens": ["a", "b"]}, "b", "token"),
        ({"tokens": ["a"], "anonymous": False}, "a", "token"),
        ({"tokens": ["a"]}, "wrong", "anon"),
    ],
)
async def test_ways_in(options: dict[str, Any], token: str | None, method: str) -> None:
    """The token if it is right, else anonymously."""
    async with FakeServer(**options) as fake:
        identity = await join(fake, token=token)
        assert identity == ServerIdentity(name="srv1", assigned="srv1-main_1", method=method)


@pytest.mark.parametrize(
    ("options", "token", "error"),
    [
        ({"tokens": ["a"], "anonymous": False}, "wrong", AuthenticationError),
        ({"tokens": ["a"], "anonymous": False}, None, TokenNeededError),
        ({"anonymous": False}, None, AuthenticationError),
    ],
)
async def test_no_way_in(
    options: dict[str, Any], token: str | None, error: type[AuthenticationError]
) -> None:
    """The reason is clear."""
    async with FakeServer(**options) as fake:
        with pytest.raises(AuthenticationError, match=r"token|No auth method worked") as caught:
            await join(fake, token=token)
        assert caught.type is error


async def test_legacy_server() -> None:
    """A whole session with an old server."""
    async with FakeServer(legacy=True, name="old1") as fake:
        connection, identity = await connect(fake.endpoint, name="me")
        assert identity.legacy
        assert identity.assigned == "old1-main_1"
        assert (await connection.call(("i", "stamp"))).value == 1
        await connection.close()


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        ("silent", NoAnswerError),
        ("garbage", ConnectionLostError),
        ("close", ConnectionLostError),
        ("nonsense", AuthenticationError),
    ],
)
async def test_odd_servers(greeting: str, error: type[LinkError]) -> None:
    """Each has its own error, in time."""
    async with FakeServer() as fake:
        fake.greeting = greeting
        with pytest.raises(error):
            await join(fake, timeout=0.3)


async def test_client_that_says_nothing() -> None:
    """The server has no patience either."""

    async def handle(request: Request) -> Answer:
        raise AssertionError("not reached")

    login = ServerLogin(name="srv1", assigned="x", handler=handle)
    connection = Connection(login.handle)
    async with Raw.facing(connection):
        with pytest.raises(NoAnswerError):
            await login.run(connection, timeout=0.02)


async def test_client_that_goes() -> None:
    """The server does not wait for who is gone."""
    async with server() as (raw, task):
        await raw.receive()
        raw.end()
        with pytest.raises(ConnectionLostError):
            await task


async def test_client_that_refuses_the_server() -> None:
    """A client may not like the server."""
    async with server() as (raw, task):
        await raw.receive()
        raw.send(0, [None], 1, False, "me", ["anon"])
        raw.send(4, [None, "anon"])
        raw.send(-2, RemoteObject("_ValErr", ("no",)))
        with pytest.raises(RemoteError, match="no"):
            await task


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint(host="127.0.0.1", port=1),
        Endpoint(host="nowhere.invalid"),
        Endpoint(host="x" * 200),
        Endpoint(path="/nowhere/at/all"),
        Endpoint(path="\0" * 300),
    ],
    ids=["refused", "unknown", "odd", "no socket", "no path"],
)
async def test_nobody_there(endpoint: Endpoint) -> None:
    """The error names the end point."""
    with pytest.raises(CannotConnectError) as caught:
        await connect(endpoint, name="me")
    assert str(endpoint) in str(caught.value)


async def test_nobody_answers() -> None:
    """A machine that does not answer is given up on in time."""
    with pytest.raises(CannotConnectError, match="localhost:1 does not answer"):
        await connect(Endpoint(host="localhost", port=1), name="me", timeout=0)


def test_fresh_id() -> None:
    """Names are new each time, and easy to read out."""
    ids = {fresh_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(each) for each in ids} == {13}
    assert all(each[0] == "_" and each[1:].isalnum() for each in ids)
