"""How to get in touch, and what is said when that fails."""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.access import UsageError
from firmware_bridge.config import ConfigError
from firmware_bridge.link.client import Link, LinkConfig
from firmware_bridge.link.direct import Endpoint
from firmware_bridge.link.errors import ConnectionLostError, NotFoundError, RefusedError
from firmware_bridge.link.path import Path
from firmware_bridge.linkcli import add_arguments
from firmware_bridge.linkcli.connect import settings
from firmware_bridge.linkcli.show import Screen
from firmware_bridge.linkcli.trouble import explained
from firmware_bridge.server.certificate import Certificate
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from tests.support.certificates import Authority
from tests.support.installation import ROOT, BrokerConfig
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.running import running
from tests.support.wait import until

from .conftest import Ask, say


def configured(*words: str, **environ: str) -> LinkConfig:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return settings(parser.parse_args([*words, "list"]), environ)


def test_defaults() -> None:
    config = configured()
    assert (config.broker.host, config.broker.port) == ("localhost", 1883)
    assert (config.broker.username, config.broker.password, config.broker.tls) == (None, None, None)
    assert (config.root, config.endpoint, config.token) == (Path("moat"), None, None)
    assert config.use_server
    assert not configured("--no-server").use_server


@pytest.mark.parametrize("command", ["list", "get x", "errors", "errors show", "errors ack x"])
def test_on_either_side(command: str) -> None:
    """What is said of the connection may stand before the command, or after it."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["--host", "vm", "--root", "a", "--json", "--timeout", "5"]
    for line in ([*words, *command.split()], [*command.split(), *words]):
        options = parser.parse_args(line)
        config = settings(options, {})
        assert (config.broker.host, config.root) == ("vm", Path("a"))
        assert (options.json, options.timeout, options.colour) == (True, 5.0, "auto")


def test_from_everywhere(tmp_path: File) -> None:
    """The command line counts most, then the environment, then the file."""
    (tmp_path / "secret").write_text("hush\n")
    file = tmp_path / "bridge.toml"
    file.write_text(
        '[broker]\nhost = "file"\nport = 1\nusername = "f"\npassword = "p"\ntls = true\n'
        '[link]\nroot = "from.file"\ntoken = "t"\n[driver.home]\ntype = "simulator"\n'
    )
    given = configured("-c", str(file))
    assert (given.broker.host, given.broker.port, given.broker.username) == ("file", 1, "f")
    assert (given.broker.password, given.token, given.root) == ("p", "t", Path("from", "file"))
    assert given.broker.tls is not None
    environ = {
        "MOAT_CONFIG": str(file),
        "MOAT_HOST": "env",
        "MOAT_PORT": "2",
        "MOAT_USERNAME": "e",
        "MOAT_PASSWORD_FILE": str(tmp_path / "secret"),
        "MOAT_TOKEN_FILE": str(tmp_path / "secret"),
        "MOAT_ROOT": "from.env",
        "MOAT_SERVER": "box:5",
    }
    given = configured(**environ)
    assert (given.broker.host, given.broker.port, given.broker.username) == ("env", 2, "e")
    assert (given.broker.password, given.token, given.root) == ("hush", "hush", Path("from", "env"))
    assert given.endpoint == Endpoint(host="box", port=5)
    words = [
        "--host",
        "word",
        "--port",
        "3",
        "--username",
        "w",
        "--root",
        "w",
        "--server",
        "[::1]:7",
    ]
    given = configured(*words, **environ)
    assert (given.broker.host, given.broker.port, given.broker.username) == ("word", 3, "w")
    assert (given.root, given.endpoint) == (Path("w"), Endpoint(host="::1", port=7))
    assert configured("--unix", "/run/x", **environ).endpoint == Endpoint(path="/run/x")
    assert configured("--no-server", **environ).endpoint is None
    encrypted = Endpoint(host="box", port=5, tls=True)
    assert configured("--server", "tls://box:5").endpoint == encrypted
    assert configured(MOAT_SERVER="/run/y").endpoint == Endpoint(path="/run/y")


def test_the_server_of_the_bridge(tmp_path: File) -> None:
    """As the bridge does: at first there, but not only there; unless the command line names one."""
    file = tmp_path / "bridge.toml"
    file.write_text(
        '[link]\nroot = "a"\nserver = "tls://vm:5"\n[driver.home]\ntype = "simulator"\n'
    )
    given = configured("-c", str(file))
    assert (str(given.endpoint), given.only) == ("tls://vm:5", False)
    given = configured("-c", str(file), "--server", "box:1")
    assert (str(given.endpoint), given.only) == ("box:1", True)


def test_encrypted() -> None:
    assert configured("--tls").broker.port == 8883
    assert configured("--tls", "--port", "5").broker.port == 5


@pytest.mark.parametrize(
    ("words", "environ", "told"),
    [
        (["--server", "box"], {}, "--server box: write HOST:PORT"),
        (["--server", "a:1", "--unix", "b"], {}, "two servers"),
        (["--no-server", "--unix", "b"], {}, "--no-server"),
        (["--root", ":"], {}, "must not be empty"),
        ([], {"MOAT_ROOT": "a..b"}, "MOAT_ROOT: "),
        ([], {"MOAT_PORT": "x"}, "MOAT_PORT: x is no port"),
        (["--password-file", "/nonexistent"], {}, "--password-file /nonexistent: No such file"),
        ([], {"MOAT_TOKEN_FILE": "/nonexistent"}, "--token-file /nonexistent: No such file"),
    ],
)
def test_wrong(words: list[str], environ: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        configured(*words, **environ)


def test_wrong_files(tmp_path: File) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"--password-file .*binary: 'utf-8' codec"):
        configured("--password-file", str(tmp_path / "binary"))
    with pytest.raises(UsageError, match=r"--token-file .*binary: 'utf-8' codec"):
        configured("--token-file", str(tmp_path / "binary"))
    (tmp_path / "many").write_text("me 0123456789ab\nyou ba9876543210\n")
    with pytest.raises(UsageError, match=r"--token-file .*many: 2 tokens: a client has one"):
        configured("--token-file", str(tmp_path / "many"))
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(UsageError, match=r"--token-file .*empty: there is no token in it"):
        configured("--token-file", str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="No such file"):
        configured("--config", str(tmp_path / "none"))


async def test_usage(run: Ask) -> None:
    """What is wrong is said in a line, with exit code 2, before anything is tried."""
    for words, told in (
        (("--server", "box", "get", "a"), "--server box: write HOST:PORT"),
        (("--config", "/nonexistent", "get", "a"), "/nonexistent: No such file or directory"),
        (("--tls", "--ca", "/nonexistent", "get", "a"), "No such file or directory"),
        (("get", "a..b"), "'a..b' is no path"),
        (("get",), "required: path"),
        (("gte", "a"), "invalid choice: 'gte'"),
    ):
        found = await run(*words)
        assert (found.code, found.out) == (2, [])
        assert told in found.err[-1]


async def test_no_broker(run: Ask) -> None:
    port = free_port()
    found = await run("--port", str(port), "get", "a")
    assert found.code == 1
    assert found.err == [
        f"cannot reach the broker at localhost:{port}: Connection refused",
        "See --host and --port.",
    ]


async def test_no_answer(run: Ask) -> None:
    """Somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        found = await run("--port", str(port), "--timeout", "1s", "get", "a")
    assert found.code == 1
    assert found.err == [
        f"the broker at localhost:{port}: not ready within 1 s",
        "See --timeout.",
    ]


async def test_something_else_there(run: Ask) -> None:
    """Who hangs up is no broker."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        found = await run("--port", str(port), "get", "a")
    assert found.code == 1
    assert found.err[0].startswith(f"the broker at localhost:{port} does not speak MQTT 5: ")


TOKEN = "0123456789ab"


async def test_lost(broker: Mosquitto) -> None:
    """When the connection is lost on the way, names cannot be offered any more."""
    lost = Link(configured("--port", str(broker.port)))
    options = argparse.Namespace(path=Path("a"))
    told = await explained(ConnectionLostError("it broke"), lost, options)
    assert str(told) == "the connection was lost: it broke"
    assert str(await explained(NotFoundError("a"), lost, options)) == "nothing at a"
    assert str(await explained(told, lost, options)) == str(told)
    refused = RefusedError("no")
    assert await explained(refused, lost, options) is refused


@pytest.fixture
def guarded(tmp_path: File) -> Iterator[Mosquitto]:
    """A broker that wants a password."""
    with Mosquitto(users={"me": "secret"}) as broker:
        yield broker


async def test_wrong_password(run: Ask, guarded: Mosquitto, tmp_path: File) -> None:
    (tmp_path / "wrong").write_text("wrong")
    words = ("--username", "me", "--password-file", str(tmp_path / "wrong"))
    found = await run("--port", str(guarded.port), *words, "get", "a")
    assert found.code == 1
    assert found.err[0].startswith(
        f"the broker at localhost:{guarded.port} refuses the credentials"
    )
    assert found.err[1] == "See --username and --password-file."
    (tmp_path / "right").write_text("secret\n")
    words = ("--username", "me", "--password-file", str(tmp_path / "right"))
    found = await run("--port", str(guarded.port), *words, "set", "a", "1")
    assert found.code == 0


async def test_no_tls_there(run: Ask, broker: Mosquitto) -> None:
    found = await run("--port", str(broker.port), "--tls", "get", "a")
    assert found.code == 1
    assert "no encrypted connection" in found.err[0]
    assert found.err[-1] == "See --tls and --ca."


async def test_a_given_server(ask: Ask, server: Server) -> None:
    """By address or socket; if it is not there, nothing else takes its place."""
    say(server, "a", 1)
    host, port = server.addresses[0]
    (path,) = [each.path for each in server.config.listeners if each.path]
    for words in (("--server", f"{host}:{port}"), ("--unix", path)):
        assert (await ask(*words, "get", "--value", "a")).out == ["1"]


async def test_a_given_server_that_is_gone(ask: Ask, broker: Mosquitto) -> None:
    place = f"127.0.0.1:{free_port()}"
    found = await ask("--server", place, "get", "a")
    assert found.code == 1
    assert found.err == [f"no connection to the server at {place}: Connection refused"]


async def test_no_other_server_instead(ask: Ask, server: Server) -> None:
    """One that announces itself is not the one that was asked for."""
    say(server, "a", 1)
    place = f"127.0.0.1:{free_port()}"
    for words in (("--server", place), ("--server", f"tls://{place}"), ("--unix", "/nonexistent")):
        found = await ask(*words, "get", "a")
        assert (found.code, found.out) == (1, [])
        assert found.err[0].startswith("no connection to the server at ")


@asynccontextmanager
async def strict(broker: Mosquitto, **options: Any) -> AsyncIterator[Server]:
    """Run a server that lets nobody in without a token of his own."""
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=ROOT,
        name="srv",
        anonymous=False,
        announce_token=False,
        **({"listeners": (Listener(port=0),), "tokens": {"me": TOKEN}} | options),
    )
    server = Server(config)
    server.election.settle = 0.05
    async with running(server.run()):
        await until(lambda: server.election.main)
        yield server


@pytest.fixture
def certificate(tmp_path: File) -> Certificate:
    """Make a certificate of an authority that nobody knows but by `ca.pem`."""
    authority = Authority()
    identity = authority.issue()
    (tmp_path / "ca.pem").write_text(authority.certificate)
    (tmp_path / "both.pem").write_text(identity.certificate + identity.key)
    return Certificate.read(tmp_path / "both.pem", None)


async def test_an_untrusted_server(
    ask: Ask, broker: Mosquitto, tmp_path: File, certificate: Certificate
) -> None:
    """A refused certificate is the end of it: the token goes nowhere else."""
    (tmp_path / "token").write_text(TOKEN)
    listeners = (Listener(port=0), Listener(name="tls", port=0, certificate=certificate))
    async with strict(broker, listeners=listeners) as server:
        say(server, "a", 1)
        place = f"127.0.0.1:{server.addresses[1][1]}"
        token = ("--token-file", str(tmp_path / "token"))
        for words in ((), ("--server", f"tls://{place}")):
            found = await ask(*token, *words, "get", "--value", "a")
            assert (found.code, found.out) == (1, [])
            assert "the server's certificate is not accepted: " in found.err[0]
            assert found.err[0].startswith(f"No encrypted connection to the server: tls://{place}")
            assert found.err[1].startswith("Nothing was sent to it in clear. See --server-ca")
            trusting = ("--server-ca", str(tmp_path / "ca.pem"))
            found = await ask(*token, *trusting, *words, "get", "--value", "a")
            assert (found.code, found.out, found.err) == (0, ["1"], [])
        found = await ask("--server", place, "get", "a")
        assert found.code == 1
        assert found.err == [
            f"the server at {place} encrypts its connections: write --server tls://{place}"
        ]


async def test_not_let_in(ask: Ask, broker: Mosquitto, tmp_path: File) -> None:
    """The server wants a token: that is said; what the broker holds is shown all the same."""
    async with strict(broker) as server:
        say(server, "a", 1)
        found = await ask("get", "--value", "a")
        assert (found.code, found.out) == (0, ["1"])
        assert found.err[0].startswith("The server does not let us in: ")
        assert found.err[0].endswith("See --token-file, or --no-server.")
        for text in (TOKEN, f"# mine\nme {TOKEN}\n"):
            (tmp_path / "token").write_text(text)
            found = await ask("--token-file", str(tmp_path / "token"), "get", "--value", "a")
            assert (found.code, found.out, found.err) == (0, ["1"], [])


async def test_a_wrong_token(ask: Ask, broker: Mosquitto, tmp_path: File) -> None:
    """Who has a token wants the server: nothing else takes its place."""
    (tmp_path / "token").write_text("not the right one")
    async with strict(broker) as server:
        say(server, "a", 1)
        words = ("--token-file", str(tmp_path / "token"), "--json", "get", "a")
        found = await ask(*words)
        assert (found.code, found.out) == (1, [])
        assert found.err[0].startswith("The server does not let us in: ")
        assert found.err[1] == "See --token-file, or --no-server."
        found = await ask("--no-server", *words)
        assert (found.code, len(found.out)) == (0, 1)


async def test_a_token_that_is_not_told(ask: Ask, broker: Mosquitto, tmp_path: File) -> None:
    """A server that anybody may have announced is told none: it is said how it would be."""
    (tmp_path / "token").write_text(TOKEN)
    async with strict(broker, listeners=(Listener(host="127.0.0.2", port=0),)) as server:
        say(server, "a", 1)
        place = ":".join(map(str, server.addresses[0]))
        words = ("--token-file", str(tmp_path / "token"))
        found = await ask(*words, "get", "--value", "a")
        assert (found.code, found.out) == (1, [])
        assert found.err[0].startswith("The server was not told the token: ")
        assert place in found.err[0]
        assert found.err[1] == "If the address is right, name it with --server."
        found = await ask(*words, "--server", place, "get", "--value", "a")
        assert (found.code, found.out) == (0, ["1"])


async def test_a_token_that_is_taken_back(
    ask: Ask, broker: Mosquitto, tmp_path: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitor says so, goes on with the broker, and says when the server is back."""
    (tmp_path / "token").write_text(TOKEN)
    notes: list[str] = []
    monkeypatch.setattr(Screen, "note", lambda _, text: notes.append(text))

    async def take_back(server: Server) -> None:
        await until(lambda: server.clients.names)
        server.clients.revoke(server._tokens.replace({}))
        await until(lambda: any("does not let us in" in each for each in notes), 20)
        server._tokens.replace({"me": TOKEN})
        await until(lambda: notes[-1] == "Connected again.", 20)
        for number in (1, 2, 3):
            say(server, "a", number, number / 10)

    async with strict(broker) as server, running(take_back(server)):
        found = await ask("--token-file", str(tmp_path / "token"), "monitor", "a", "-n", "3")
    assert found.code == 0
    assert notes[-2].startswith("The server does not let us in: ")
    assert notes[-1] == "Connected again."


ACL = "topic readwrite moat/test/#\n"


@pytest.mark.parametrize("broker", [ACL], indirect=True)
async def test_not_allowed(run: Ask, broker: Mosquitto) -> None:
    """The broker's list does not let us there."""
    found = await run("--port", str(broker.port), "--root", "other", "get", "a")
    assert found.code == 1
    assert found.err[0].startswith("The broker denies us something: other/run/")
