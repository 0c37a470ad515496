"""TLS: contexts from PEM text, and what every way of getting it wrong is called."""

import ssl
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, override

import pytest

from firmware_bridge.link.errors import CannotConnectError, NotMqtt5Error, TlsError
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.session import tls_context
from firmware_bridge.link.transport import Wire
from tests.support.certificates import Authority
from tests.support.fake_broker import FakeBroker, Peer
from tests.support.mosquitto import Mosquitto
from tests.support.sessions import Address, connect
from tests.support.wait import until


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The authority that everybody here trusts."""
    return Authority()


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Mosquitto]:
    """A broker with TLS and a good certificate."""
    with Mosquitto(tls=authority.issue()) as broker:
        yield broker


def server_context(authority: Authority) -> ssl.SSLContext:
    """Return the context of a TLS server with a good certificate."""
    identity = authority.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(identity.certificate + identity.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def failure(broker: Address, **options: Any) -> TlsError:
    """Return why TLS does not come about."""
    with pytest.raises(TlsError) as caught:
        await connect(broker, timeout=5, **options)
    return caught.value


async def test_private_authority(secure: Mosquitto, authority: Authority) -> None:
    """With the right authority everything works, and large messages too."""
    it = await connect(secure, tls=tls_context(authority.certificate))
    await it.session.subscribe("a")
    message = Publish("a", bytes(1_000_000))
    await it.session.publish(message)
    await it.session.barrier()
    await it.session.close()
    assert (it.messages, it.ends) == ([message], [None])


async def test_without_verification(secure: Mosquitto) -> None:
    """Whoever insists may do without verification."""
    it = await connect(secure, tls=tls_context(None, verify=False))
    await it.session.close()


async def test_unknown_authority(secure: Mosquitto) -> None:
    """Neither the system's authorities nor a stranger vouch for this certificate."""
    for context in (tls_context(None), tls_context(Authority("Stranger").certificate)):
        assert "certificate is not accepted" in str(await failure(secure, tls=context))


async def test_wrong_name(authority: Authority) -> None:
    """A certificate is good for its names only."""
    identity = authority.issue("elsewhere", alternatives=["DNS:elsewhere.invalid"])
    with Mosquitto(tls=identity) as broker:
        error = await failure(broker, tls=tls_context(authority.certificate))
    assert "127.0.0.1" in str(error)


async def test_expired(authority: Authority) -> None:
    """A certificate is good until it expires."""
    with Mosquitto(tls=authority.issue(expired=True)) as broker:
        error = await failure(broker, tls=tls_context(authority.certificate))
    assert "expired" in str(error)


async def test_plain_to_a_tls_port(secure: Mosquitto) -> None:
    """We do not talk to a TLS port without TLS, and can tell that it is one."""
    assert "expects TLS" in str(await failure(secure))


async def test_plain_to_a_tls_port_with_certificates(authority: Authority) -> None:
    """Nor does it matter that the port wants a certificate of ours."""
    identity = authority.issue()
    with Mosquitto(tls=identity, client_ca=authority.certificate) as broker:
        assert "expects TLS" in str(await failure(broker))


async def test_tls_to_a_plain_port(authority: Authority) -> None:
    """A port without TLS is recognised."""
    with Mosquitto() as broker:
        error = await failure(broker, tls=tls_context(authority.certificate))
    assert "speak TLS" in str(error)


async def test_tls_to_something_else(authority: Authority) -> None:
    """So is one that answers with something else."""

    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.listen()

    async with FakeBroker(script) as broker:
        error = await failure(broker, tls=tls_context(authority.certificate))
    assert "does not speak TLS" in str(error)


async def test_tls_to_silence(authority: Authority) -> None:
    """Who does not answer to TLS at all does not hold us longer than the time limit."""
    async with FakeBroker(Peer.silence) as broker:
        with pytest.raises(CannotConnectError, match="no answer"):
            await connect(broker, tls=tls_context(authority.certificate), timeout=0.3)


async def test_plain_to_a_strange_tls_port() -> None:
    """Nor that its TLS is too old or too new for us."""

    async def script(peer: Peer) -> None:
        if await peer.reader.read(1) == b"\x16":  # a ClientHello
            peer.send(HANDSHAKE_FAILURE)
            await peer.listen()

    async with FakeBroker(script) as broker:
        assert "expects TLS" in str(await failure(broker))


async def test_tls_that_says_nothing_of_mqtt(authority: Authority) -> None:
    """A TLS server that hangs up after the handshake is not MQTT 5."""

    async def script(peer: Peer) -> None:
        await peer.until(0x10)

    async with FakeBroker(script, tls=server_context(authority)) as broker:
        with pytest.raises(NotMqtt5Error):
            await connect(broker, tls=tls_context(authority.certificate))


async def test_client_certificates(authority: Authority) -> None:
    """A broker may want to see a certificate of ours, of its own authority."""
    mine = authority.issue("me", alternatives=())
    stranger = Authority("Stranger").issue("me", alternatives=())
    with Mosquitto(tls=authority.issue(), client_ca=authority.certificate) as broker:
        it = await connect(
            broker, tls=tls_context(authority.certificate, mine.certificate, mine.key)
        )
        await it.session.close()
        error = await failure(broker, tls=tls_context(authority.certificate))
        assert "certificate required" in str(error)
        context = tls_context(authority.certificate, stranger.certificate, stranger.key)
        assert "unknown ca" in str(await failure(broker, tls=context))


async def test_killed_over_tls(authority: Authority) -> None:
    """The end of a broker is noticed over TLS too."""
    with Mosquitto(tls=authority.issue()) as broker:
        it = await connect(broker, tls=tls_context(authority.certificate))
        broker.kill()
        await until(lambda: it.ends, 2, "the end is noticed")
        assert it.end is not None


def test_unusable_texts(authority: Authority) -> None:
    """It is said which of the texts is not usable, and nothing of what is in it."""
    mine = authority.issue("me", alternatives=())
    other = authority.issue("me", alternatives=())
    for ca in ("nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "ä"):
        with pytest.raises(TlsError, match="the CA certificate"):
            tls_context(ca)
    for certificate, key in (
        ("nonsense", mine.key),
        (mine.certificate, "nonsense"),
        (mine.certificate, None),
        (mine.certificate, other.key),
        (mine.certificate, ENCRYPTED),
    ):
        with pytest.raises(TlsError, match="the client certificate") as caught:
            tls_context(authority.certificate, certificate, key)
        assert "PRIVATE" not in repr(caught.value)


def test_key_beside_the_certificate(authority: Authority) -> None:
    """Certificate and key may come as one text."""
    mine = authority.issue("me", alternatives=())
    tls_context(authority.certificate, mine.certificate + mine.key)


def test_key_on_disk(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key touches the disk for a moment only, and for our eyes only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes: list[int] = []

    class Context(ssl.SSLContext):
        @override
        def load_cert_chain(self, certfile: Any, *_: Any, **__: Any) -> None:
            modes.append(stat.S_IMODE(Path(certfile).stat().st_mode))

    def create(**_: Any) -> ssl.SSLContext:
        return Context(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(ssl, "create_default_context", create)
    mine = authority.issue("me", alternatives=())
    tls_context(authority.certificate, mine.certificate, mine.key)
    assert (modes, list(tmp_path.iterdir())) == ([0o600], [])


def test_verification_is_the_default(authority: Authority) -> None:
    """Names and certificates are checked unless somebody says otherwise."""
    for context in (tls_context(None), tls_context(authority.certificate)):
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED


async def test_wire_that_was_never_connected() -> None:
    """A wire without a connection takes everything and does nothing."""
    wire = Wire(lambda data: None, lambda error: None)
    wire.send(b"x")
    wire.pause_reading()
    wire.resume_reading()
    wire.abort()
    await wire.close()
    assert not wire.connected


HANDSHAKE_FAILURE = bytes.fromhex("15 0303 0002 0228")
ENCRYPTED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhVyTTU9wQxrAICCAAw
-----END ENCRYPTED PRIVATE KEY-----
"""
