"""Whoever is not let in by the server says so in the log, and goes on without."""

from pathlib import Path as File

import pytest

from firmware_bridge.bridge import Bridge, link_config
from firmware_bridge.config import Config, parse
from firmware_bridge.drivers import DRIVERS
from firmware_bridge.gates.gates import Gates
from firmware_bridge.link.client import Link
from firmware_bridge.link.config import LinkConfig
from firmware_bridge.link.transport import BrokerConfig, tls_context
from firmware_bridge.server.certificate import Certificate
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server, serving
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until

from .conftest import ROOT, running as running_bridge

TOKEN = "a-token-of-ours"
BEGIN = "Going on with the broker alone: "


def server_at(broker: Mosquitto, folder: File, listener: Listener) -> Server:
    """Return a server that lets in by token alone."""
    tokens = folder / "tokens"
    tokens.write_text(f"tablet {TOKEN}\n")
    tokens.chmod(0o600)
    return Server(
        ServerConfig(
            broker=BrokerConfig(host=broker.host, port=broker.port),
            root=ROOT,
            name="ours",
            listeners=(listener,),
            token_file=tokens,
            anonymous=False,
            announce_token=False,
        )
    )


def link_to(broker: Mosquitto, token: str | None) -> Link:
    """Return a link that has this token."""
    address = BrokerConfig(host=broker.host, port=broker.port)
    return Link(LinkConfig(broker=address, root=ROOT, token=token))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was told, in order."""
    return [each for each in caplog.messages if each.startswith(BEGIN)]


async def test_named(broker: Mosquitto, tmp_path: File) -> None:
    """A server on another machine than the broker's is told the token if it is named."""
    server = server_at(broker, tmp_path, Listener(host="127.0.0.2", port=0))
    async with serving(server):
        await until(lambda: server.election.main, 15)
        host, port = server.addresses[0]
        table = {
            "broker": {"host": broker.host, "port": broker.port},
            "link": {"root": str(ROOT), "server": f"{host}:{port}", "token": TOKEN},
            "driver": {"home": {"type": "simulator"}},
        }
        link = Link(link_config(parse(table, DRIVERS, source="here")))
        async with running(link.run()):
            await until(lambda: link.status.server == "ours", 15)


@pytest.mark.parametrize(
    ("host", "token", "told"),
    [
        ("127.0.0.1", None, "the server does not let us in: "),
        ("127.0.0.2", TOKEN, "the server was not told the token, as it may be a stranger's: "),
    ],
)
async def test_gates(
    broker: Mosquitto,
    tmp_path: File,
    caplog: pytest.LogCaptureFixture,
    host: str,
    token: str | None,
    told: str,
) -> None:
    """A process of its own that drives gates."""
    link = link_to(broker, token)
    async with serving(server_at(broker, tmp_path, Listener(host=host, port=0))) as server:
        await until(lambda: server.election.main, 15)
        async with running(link.run()), running(Gates(link).run()):
            await until(lambda: warnings(caplog))
    assert [each.startswith(f"{BEGIN}{told}") for each in warnings(caplog)] == [True]


async def test_bridge(broker: Mosquitto, tmp_path: File, caplog: pytest.LogCaptureFixture) -> None:
    """It says when it is over, too."""
    caplog.set_level("INFO")
    config = Config(root=ROOT, host="here", discovery=False, drivers={})
    bridge = Bridge(config, link_to(broker, "another-token"))
    async with serving(server_at(broker, tmp_path, Listener(port=0))) as server:
        await until(lambda: server.election.main, 15)
        async with running_bridge(bridge):
            await until(lambda: warnings(caplog))
            with (tmp_path / "tokens").open("a") as tokens:
                tokens.write("bridge another-token\n")
            server.reload()
            await until(lambda: "Server ours lets us in now" in caplog.messages, 20)
    assert len(warnings(caplog)) == 1


async def test_certificate(
    broker: Mosquitto, tmp_path: File, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is not known to be the one is as good as none."""
    issued = Authority().issue()
    (tmp_path / "tls").write_text(issued.certificate + issued.key)
    (tmp_path / "tls").chmod(0o600)
    listener = Listener(name="tls", port=0, certificate=Certificate.read(tmp_path / "tls", None))
    address = BrokerConfig(host=broker.host, port=broker.port)
    authority = tls_context(Authority("another").certificate)
    link = Link(LinkConfig(broker=address, root=ROOT, token=TOKEN, server_tls=authority))
    async with serving(server_at(broker, tmp_path, listener)) as server:
        await until(lambda: server.election.main, 15)
        async with running(link.run()), running(Gates(link).run()):
            await until(lambda: warnings(caplog))
    assert warnings(caplog)[0].startswith(f"{BEGIN}no encrypted connection to the server: ")
