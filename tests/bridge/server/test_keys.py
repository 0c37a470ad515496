"""Tokens and certificates that change while the server runs."""

import asyncio
import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.codec import ABSENT, encode_frame
from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.errors import AuthenticationError, CannotConnectError, LinkError, TlsError
from firmware_bridge.link.transport import tls_context
from firmware_bridge.server import files
from firmware_bridge.server.certificate import Certificate, CertificateError
from firmware_bridge.server.config import Listener
from firmware_bridge.server.tokens import add_token, remove_token
from tests.bridge.server.caller import Caller
from tests.bridge.test_process import process
from tests.support.certificates import Authority, Identity
from tests.support.installation import Peer, link
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

type Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at files more often."""
    monkeypatch.setattr(files.Watcher.run, "__defaults__", (0.05,))


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Make an authority."""
    return Authority()


def plain(server: Any, **options: Any) -> Endpoint:
    host, port = server.addresses[0]
    return Endpoint(host=host, port=port, **options)


def write(identity: Identity, folder: File) -> Certificate:
    """Write a certificate where a server finds it."""
    (folder / "server.pem").write_text(identity.certificate)
    (folder / "server.key").write_text(identity.key)
    return Certificate.read(folder / "server.pem", folder / "server.key")


# Tokens


async def test_revoked(serve: Start, tmp_path: File, caplog: pytest.LogCaptureFixture) -> None:
    """A token that is taken back is good no more, and who has come in by it goes; others stay."""
    caplog.set_level("INFO")
    file = tmp_path / "tokens"
    mine, yours = add_token(file, "me"), add_token(file, "you")
    server = await serve(token_file=file, anonymous=False, announce_token=False)
    me, _ = await connect(plain(server, token=mine), name="_me")
    you, _ = await connect(plain(server, token=yours), name="_you")
    remove_token(file, "me")
    await until(me.closed.done)
    with pytest.raises(AuthenticationError):
        await connect(plain(server, token=mine), name="_me")
    new = add_token(file, "me")
    await until(lambda: server._tokens.find(new) == "me")
    again, _ = await connect(plain(server, token=new), name="_me")
    assert (await you.call(("i", "ping"))).value == "乓"
    assert "token me is not good" in caplog.text
    assert not any(token in caplog.text for token in (mine, yours, new))
    file.unlink()
    await until(lambda: you.closed.done() and again.closed.done())


async def test_revoked_after_another_try(serve: Start, join: Start, tmp_path: File) -> None:
    """What somebody tries after it has come in does not hide by which token that was."""
    file = tmp_path / "tokens"
    mine, yours = add_token(file, "me"), add_token(file, "you")
    local = Listener(name="local", path=str(tmp_path / "sock"))
    options = {"anonymous": False, "announce_token": False}
    server = await serve(token_file=file, listeners=(local,), **options)
    evaders = []
    for number, second in enumerate(("wrong", yours)):
        evader = Caller(*await asyncio.open_unix_connection(local.path))
        hello = [0, [None], 1, False, f"_{number}", ["token"], {"moat.link": {"version": 0}}]
        tries = [4, [None, "token"], mine], [8, [None, "token"], second], [-4, "token"]
        evader.writer.write(b"".join(map(encode_frame, (hello, *tries))))
        await evader.until(lambda frame: frame[0] == -4)
        assert await evader.call(["i", "ping"]) == ["乓"]
        evaders.append(evader)
    you = await join(server, "_you", yours)
    remove_token(file, "me")
    await until(lambda: server.clients.names == ["_you"])
    assert await you.call(["i", "ping"]) == ["乓"]
    for evader in evaders:
        await evader.close()


async def test_wrong_file(serve: Start, peer: Peer, tmp_path: File) -> None:
    """A mistake in the file is reported, changes nothing, and is over when it is corrected."""
    file = tmp_path / "tokens"
    token = add_token(file, "me")
    server = await serve(token_file=file, anonymous=False, announce_token=False)
    me, _ = await connect(plain(server, token=token), name="_me")
    right = file.read_text()
    file.write_text("me")
    where = "error/link/server/srv1/tokens"
    await until(lambda: peer.last(where) is not ABSENT)
    said: Any = peer.last(where)
    assert "write `name token`" in said["msg"]
    assert token not in said["msg"]
    assert not me.closed.done()
    file.write_text(right)
    await until(lambda: peer.last(where) is ABSENT)
    assert not me.closed.done()


async def test_hangup(broker: Mosquitto, tmp_path: File, peer: Peer) -> None:
    """SIGHUP has a process read everything at once."""
    file = tmp_path / "tokens"
    token = add_token(file, "me")
    path = tmp_path / "sock"
    arguments = [
        *("server", "--port", str(broker.port), "--root", "moat.test", "--name", "alone"),
        *("--unix", str(path), "--token-file", str(file), "--no-anonymous", "--no-announced-token"),
    ]
    async with process(*arguments) as running:
        await until(lambda: peer.last("run/service/main/conn") is not ABSENT, 15)
        me, _ = await connect(Endpoint(path=str(path), token=token), name="_1")
        remove_token(file, "me")
        running.send_signal(signal.SIGHUP)
        await until(me.closed.done, 5)
        running.send_signal(signal.SIGTERM)
        _, log = await running.communicate()
        assert running.returncode == 0, log


# Certificates


async def test_encrypted(serve: Start, tmp_path: File, authority: Authority, peer: Peer) -> None:
    """Plain and encrypted listeners beside each other: announced apart, each takes only its own."""
    certificate = write(authority.issue(), tmp_path)
    listeners = (Listener(port=0), Listener(name="tls", port=0, certificate=certificate))
    server = await serve(listeners=listeners)
    (_, port), (host, encrypted) = server.addresses
    await until(lambda: peer.last("run/service/main/server/srv1") is not ABSENT)
    said: Any = peer.last("run/service/main/server/srv1")
    assert said["link"] == [{"host": host, "port": port}]
    assert said["tls"] == [{"host": host, "port": encrypted}]
    good = tls_context(authority.certificate)
    here = Endpoint(host=host, port=encrypted, tls=True)
    connection, identity = await connect(here, name="_1", tls=good)
    assert identity.name == "srv1"
    assert (await connection.call(("i", "ping"))).value == "乓"
    await connection.close()
    with pytest.raises(TlsError, match="certificate is not accepted"):
        await connect(here, name="_1", tls=tls_context(None))
    with pytest.raises(TlsError, match="no authority"):
        await connect(here, name="_1")
    with pytest.raises(LinkError):
        await connect(Endpoint(host=host, port=encrypted), name="_1", timeout=1)
    with pytest.raises(CannotConnectError):
        await connect(Endpoint(host=host, port=port, tls=True), name="_1", tls=good, timeout=1)
    assert server.clients._strangers == {}


async def test_expired(serve: Start, tmp_path: File, authority: Authority) -> None:
    certificate = write(authority.issue(expired=True), tmp_path)
    server = await serve(listeners=(Listener(port=0, certificate=certificate),))
    with pytest.raises(TlsError, match="expired"):
        await connect(plain(server, tls=True), name="_1", tls=tls_context(authority.certificate))


async def test_renewed(serve: Start, tmp_path: File, authority: Authority, peer: Peer) -> None:
    """A renewed certificate is used for new connections; one that is wrong is not, and is reported."""
    certificate = write(authority.issue(), tmp_path)
    server = await serve(listeners=(Listener(port=0, certificate=certificate),))
    first, _ = await connect(
        plain(server, tls=True), name="_1", tls=tls_context(authority.certificate)
    )
    other = Authority("Another")
    (tmp_path / "server.pem").write_text(other.issue().certificate)
    where = "error/link/server/srv1/certificate"
    await until(lambda: peer.last(where) is not ABSENT)
    second, _ = await connect(
        plain(server, tls=True), name="_2", tls=tls_context(authority.certificate)
    )
    write(other.issue(), tmp_path)
    server.reload()
    await until(lambda: peer.last(where) is ABSENT)
    third, _ = await connect(plain(server, tls=True), name="_3", tls=tls_context(other.certificate))
    for connection in (first, second, third):
        assert (await connection.call(("i", "ping"))).value == "乓"
        await connection.close()


def test_changed_while_it_is_read(
    tmp_path: File, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is read is used as a whole, even if the file is broken right after."""
    certificate = write(authority.issue(), tmp_path)
    load = ssl.SSLContext.load_cert_chain

    def and_break(context: ssl.SSLContext, *args: Any, **options: Any) -> None:
        load(context, *args, **options)
        (tmp_path / "server.pem").write_text("nonsense")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", and_break)
    former = certificate.context
    certificate.renew()
    renewed = certificate.context
    assert renewed is not former
    with pytest.raises(CertificateError):
        certificate.renew()
    assert certificate.context is renewed


def test_unusable_certificates(tmp_path: File, authority: Authority) -> None:
    """What is wrong is told with the name of the file."""
    one = authority.issue()
    file, key = tmp_path / "a.pem", tmp_path / "a.key"
    with pytest.raises(CertificateError, match="No such file"):
        Certificate.read(file, key)
    file.write_text(one.certificate)
    with pytest.raises(CertificateError, match="needs --key"):
        Certificate.read(file, None)
    file.write_text("nonsense")
    key.write_text(authority.issue().key)
    with pytest.raises(CertificateError, match=r"a\.pem"):
        Certificate.read(file, key)
    file.write_text(one.certificate)
    with pytest.raises(CertificateError, match="mismatch"):
        Certificate.read(file, key)
    file.write_text(one.certificate + one.key)
    assert isinstance(Certificate.read(file, None).context, ssl.SSLContext)


async def test_our_link_encrypts(
    serve: Start, broker: Mosquitto, tmp_path: File, authority: Authority
) -> None:
    """A link takes the encrypted way if it knows an authority, else the plain one."""
    certificate = write(authority.issue(), tmp_path)
    listeners = (Listener(port=0), Listener(name="tls", port=0, certificate=certificate))
    server = await serve(listeners=listeners)
    await until(lambda: server.election.main)
    async with link(broker, server_tls=tls_context(authority.certificate)) as mine:
        await until(lambda: mine.status.server == "srv1")
        (name,) = [each.assigned for each in server.clients._present]
        assert name.startswith("srv1-tls_")
    async with link(broker, server_tls=tls_context(None)) as other, link(broker) as third:
        await until(lambda: other.status.server == third.status.server == "srv1", timeout=10)


async def test_a_token_is_not_overheard(
    serve: Start, broker: Mosquitto, tmp_path: File, authority: Authority
) -> None:
    """A certificate that is not accepted keeps a personal token in, whatever else is announced."""
    certificate = write(authority.issue(), tmp_path)
    server = await serve(
        listeners=(Listener(port=0), Listener(name="tls", port=0, certificate=certificate)),
        tokens={"me": "0123456789ab"},
        anonymous=False,
        announce_token=False,
    )
    await until(lambda: server.election.main)
    there = Endpoint(host="127.0.0.1", port=server.addresses[1][1], tls=True)
    for mistaken in ({}, {"endpoint": there}, {"endpoint": there, "only": True}):
        options = {"token": "0123456789ab", **mistaken}
        async with link(broker, server_tls=tls_context(None), **options) as mine:
            await until(lambda m=mine: m.status.server_error is not None)  # type: ignore[misc]
            assert isinstance(mine.status.server_error, TlsError)
            assert "certificate is not accepted" in str(mine.status.server_error)
            assert mine.status.server is None
        async with link(broker, server_tls=tls_context(authority.certificate), **options) as mine:
            await until(lambda m=mine: m.status.server == "srv1")  # type: ignore[misc]


async def test_who_asks_for_encryption_gets_it(
    serve: Start, broker: Mosquitto, tmp_path: File, authority: Authority
) -> None:
    """Then a plain listener is no way out, even where it would let us in."""
    certificate = write(authority.issue(), tmp_path)
    server = await serve(
        listeners=(Listener(port=0), Listener(name="tls", port=0, certificate=certificate))
    )
    await until(lambda: server.election.main)
    there = Endpoint(host="127.0.0.1", port=server.addresses[1][1], tls=True)
    async with link(broker, server_tls=tls_context(None), endpoint=there) as mine:
        await until(lambda: mine.status.server_error is not None)
        assert isinstance(mine.status.server_error, TlsError)


async def test_unnoticed_changes(tmp_path: File) -> None:
    """A file counts as changed when two looks agree, and not twice."""
    file = tmp_path / "x"
    file.write_text("1")
    watcher = files.Watcher()
    read = 0

    async def note() -> None:
        nonlocal read
        read += 1

    watcher.add([file], note)
    task = asyncio.create_task(watcher.run(0.02))
    file.write_text("22")
    os.utime(file, (5, 5))
    await until(lambda: read == 1)
    watcher.ask()
    await until(lambda: read == 2)
    task.cancel()
