"""Who gets in, with real clients and real servers."""

from pathlib import Path as File

import pytest

from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.link.transport import tls_context
from firmware_bridge.server.certificate import Certificate
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from tests.support.certificates import Authority
from tests.support.moat import ROOT, MoatError, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.wait import until


def by_announcement(real: MoatServer) -> None:
    """Have the real command line go by what servers announce, not by a socket."""
    text = real.configuration.read_text()
    assert f", path: {real.socket}" in text
    real.configuration.write_text(text.replace(f", path: {real.socket}", ""))


async def test_plain_and_encrypted(real: MoatServer, broker: Mosquitto, tmp_path: File) -> None:
    """A real client takes the plain listener, by the announced token; the encrypted one is ours alone."""
    authority = Authority()
    identity = authority.issue()
    (tmp_path / "server.pem").write_text(identity.certificate + identity.key)
    certificate = Certificate.read(tmp_path / "server.pem", None)
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=Path.parse(ROOT),
        name="ours",
        listeners=(Listener(name="tls", port=0, certificate=certificate), Listener(port=0)),
        anonymous=False,
    )
    server = Server(config)
    by_announcement(real)
    async with running(server.run()):
        await until(lambda: server.election.main, timeout=20)
        await real.link("data", "home.temp", "set", "-f", "-s", ":", "=21.5")
        assert server.tree.store.find(["home", "temp"]).record.value == 21.5  # type: ignore[union-attr]
        host, port = server.addresses[0]
        encrypted = Endpoint(
            host=host, port=port, tls=True, token=server.office._tokens.announced[0]
        )
        mine, _ = await connect(encrypted, name="_mine", tls=tls_context(authority.certificate))
        assert (await mine.call(("d", "get"), Path("home", "temp"))).value == 21.5
        await mine.close()


async def test_no_way_in(real: MoatServer, broker: Mosquitto) -> None:
    """Without a token on the broker, a real client is refused."""
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=Path.parse(ROOT),
        name="ours",
        listeners=(Listener(port=0),),
        tokens={"me": "a-token-of-mine"},
        anonymous=False,
        announce_token=False,
    )
    server = Server(config)
    by_announcement(real)
    async with running(server.run()):
        await until(lambda: server.election.main, timeout=20)
        with pytest.raises(MoatError):
            await real.link("data", "home.temp", "set", "-f", "-s", ":", "=21.5")
        assert server.tree.store.find(["home", "temp"]) is None
