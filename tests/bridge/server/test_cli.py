"""The server as a process, alone and within the bridge."""

import argparse
import signal
from pathlib import Path as File

import pytest

from firmware_bridge.__main__ import main
from firmware_bridge.config import ConfigError, parse
from firmware_bridge.drivers import DRIVERS
from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.direct import Endpoint, connect
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.cli import add_arguments, configure
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.tokens import add_token
from tests.bridge.test_process import process
from tests.support.certificates import Authority
from tests.support.installation import Peer, link
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until


async def test_alone(broker: Mosquitto, peer: Peer, tmp_path: File) -> None:
    """It serves at TCP and a socket, keeps its data, and goes in order."""
    (tmp_path / "tokens").write_text("me 0123456789ab\n")
    (tmp_path / "tokens").chmod(0o600)
    path = tmp_path / "sock"
    arguments = [
        "server",
        *("--port", str(broker.port), "--root", "moat.test", "--name", "alone"),
        *("--listen", "127.0.0.1:0", "--unix", str(path), "--save", str(tmp_path / "data")),
        *("--token-file", str(tmp_path / "tokens"), "--no-anonymous", "--no-announced-token"),
    ]
    for turn in range(2):
        async with process(*arguments) as running:
            await until(lambda: peer.last("run/service/main/conn") is not ABSENT, 15)
            assert (path.stat().st_mode & 0o777) == 0o600
            endpoint = Endpoint(path=str(path), token="0123456789ab")
            connection, identity = await connect(endpoint, name="_1")
            assert identity.name == "alone"
            if not turn:
                assert (await connection.call(("d", "set"), Path("a"), 5)).value is True
            assert (await connection.call(("d", "get"), Path("a"))).value == 5
            await connection.close()
            running.send_signal(signal.SIGTERM)
            _, log = await running.communicate()
            assert running.returncode == 0, log
            assert b"Server alone ends in order" in log
        assert peer.last("run/service/main/conn") is ABSENT
        assert not path.exists()


async def test_within_the_bridge(broker: Mosquitto, tmp_path: File) -> None:
    """The simulated home is its own server; a link finds both."""
    arguments = [
        *("simulate", "--port", str(broker.port), "--root", "moat.test", "--no-discovery"),
        *("--with-server", "--listen", "127.0.0.1:0", "--save", str(tmp_path), "--as-host", "here"),
    ]
    async with process(*arguments) as running, link(broker) as mine:
        await until(lambda: mine.status.server is not None, 15)
        watch = mine.watch(Path("device"), lambda _: None)
        await until(lambda: "device/battery" in watch.messages, 15)
        watch.close()
        assert (await mine.get(Path("device", "battery"))).value
        running.send_signal(signal.SIGTERM)
        _, log = await running.communicate()
        assert running.returncode == 0, log


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--root", ""], "--root"),
        (["--root", "a:"], "--root"),
        (["--listen", "here"], "HOST:PORT"),
        (["--listen", "0.0.0.0:0"], "anonymous"),
        (["--token-file", "/nonexistent"], "nonexistent"),
        (["--certificate", "/nonexistent"], "say where"),
        (["--listen-tls", "127.0.0.1:0"], "need a certificate"),
        (
            ["--certificate", "/nonexistent", "--listen-tls", "127.0.0.1:0"],
            "/nonexistent: No such file",
        ),
        (["--name", "a/b"], "name"),
        (["--peer-token", "servers"], "there is no token servers"),
        (["--server-ca", "/nonexistent"], "/nonexistent: no such file"),
        (["--server-ca", __file__], "no certificate of an authority"),
        (["--history", "a=x", "--save", "/tmp"], "--history a=x: x is no number of days"),
        (["--history", "a:=1", "--save", "/tmp"], "history: "),
        (["--history", "a=1"], "directory"),
        (["--history", "run.x=1", "--save", "/tmp"], "history: run.x: what is below run is not"),
        (["--save", __file__], "the data need a directory"),
        (["--cycle", "-3"], "turns of -3 s"),
        (["--most-data", "1"], "--most-data: 1 is too small"),
        (["--history-size", "much"], "--history-size: much is no size"),
    ],
)
def test_wrong_usage(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_check(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that the options mean is said, and nothing is done."""
    identity = Authority().issue()
    (tmp_path / "both.pem").write_text(identity.certificate + identity.key)
    words = ["--unix", "/run/s", "--listen", "127.0.0.1:5", "--listen-tls", "[::1]:6"]
    words += ["--certificate", str(tmp_path / "both.pem"), "--save", str(tmp_path / "data")]
    assert main(["server", "--check", *words]) == 0
    told = capsys.readouterr().out.splitlines()
    assert f"Listens at /run/s, 127.0.0.1:5, [::1]:6 (TLS with {tmp_path / 'both.pem'})" in told
    assert "Drives the installation's gates" in told
    assert not (tmp_path / "data").exists()
    assert main(["server", "--check", "--no-gates"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "Listens at 127.0.0.1:27587" in told
    assert "Leaves gates to others" in told


def test_other_servers(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """What is needed to agree with them, on the command line and in the table."""
    (tmp_path / "ca.pem").write_text(Authority().certificate)
    token = add_token(tmp_path / "tokens", "servers")
    words = ["--token-file", str(tmp_path / "tokens"), "--peer-token", "servers"]
    assert main(["server", "--check", *words, "--server-ca", str(tmp_path / "ca.pem")]) == 0
    told = capsys.readouterr().out
    assert "Logs in at other servers with the token of servers" in told
    assert token not in told
    rest = {"link": {"root": "x"}, "driver": {"home": {"type": "simulator"}}}
    server = {"token_file": "tokens", "peer_token": "servers", "server_ca": "ca.pem"}
    found = parse(rest | {"server": server}, DRIVERS, source="x", directory=tmp_path).server
    assert found is not None
    config = found.on(BrokerConfig(host="x"), Path("r"))
    assert config.peer_token == "servers"
    assert config.peer_tls is not None
    assert len(config.peer_tls.get_ca_certs()) == 1


def test_history_on_the_command_line(tmp_path: File) -> None:
    """Several prefixes, each with its own rule."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = [
        "--history",
        "ems=2",
        "--history",
        ":=,500M",
        "--history-size",
        "1G",
        "--most-data",
        "64M",
    ]
    config = configure(parser.parse_args([*words, "--save", str(tmp_path)]))
    assert config.most_data == 64 << 20
    assert configure(parser.parse_args([])).most_data == 512 << 20
    assert config.history is not None
    assert config.history.file == tmp_path / "history.db"
    assert config.history.keep == {"ems": Keep(age=172_800.0), "": Keep(size=500 << 20)}
    assert config.history.size == 1 << 30


def test_directory_in_use(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be written is told."""
    (tmp_path / "file").write_text("")
    save = str(tmp_path / "file" / "data")
    assert main(["server", "--save", save, "--unix", str(tmp_path / "s")]) == 1
    assert "file" in capsys.readouterr().err


def test_table(tmp_path: File) -> None:
    """The table is checked with the rest of the configuration."""
    rest = {"link": {"root": "x"}, "driver": {"home": {"type": "simulator"}}}
    server = {"save": "data", "listen": ["[::1]:5"], "tokens": {"me": "0123456789ab"}}
    config = parse(rest | {"server": server}, DRIVERS, source="x", directory=tmp_path)
    assert config.server is not None
    assert config.server.save == tmp_path / "data"
    assert parse(rest, DRIVERS, source="x").server is None
    past = {"save": "data", "history": {"a": 1, "b": {"days": 2, "size": "1M"}, ":": {"size": 1e6}}}
    config = parse(
        rest | {"server": past | {"history_size": "2M", "most_data": "1G"}}, DRIVERS, source="x"
    )
    assert config.server is not None
    made = config.server.on(BrokerConfig(host="x"), Path("r"))
    history = made.history
    assert made.most_data == 1 << 30
    assert history is not None
    assert history.size == 2 << 20
    assert history.keep == {
        "a": Keep(age=86_400.0),
        "b": Keep(age=172_800.0, size=1 << 20),
        "": Keep(size=1_000_000),
    }
    for wrong in (
        *({"listen": ["x"]}, {"tokens": {"me": "short"}}, {"unknown": 1}),
        *({"history": {"a": each}} for each in (0, True, "1", {}, {"days": 1, "x": 2})),
        {"history": {"a": {"size": []}}},
        {"history_size": "1"},
        {"most_data": "much"},
    ):
        with pytest.raises(ConfigError, match="server"):
            parse(rest | {"server": wrong}, DRIVERS, source="x")
