"""How the command line says where an installation is: the same everywhere."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path as File

import pytest

from firmware_bridge.__main__ import main
from tests.bridge.test_process import process
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto

COMMANDS = [
    (["server", "--check"], []),
    (["gates"], ["list"]),
    (["simulate", "--check"], []),
    (["link"], ["list"]),
]


class Guarded:
    """A broker that lets in who has a certificate, a name and a password; and one way around."""

    def __init__(self, directory: File) -> None:
        authority = Authority()
        ours = authority.issue("client", alternatives=())
        files = {"ca": authority.certificate, "cert": ours.certificate, "key": ours.key}
        for name, text in {**files, "password": "hush\n"}.items():
            (directory / name).write_text(text)
        self.directory = directory
        self.broker = Mosquitto(
            users={"me": "hush"},
            tls=authority.issue(),
            client_ca=authority.certificate,
        )

    def words(self, *, ca: str = "ca") -> list[str]:
        """What makes any command get there."""
        here = self.directory
        return [
            *("--host", "127.0.0.1", "--port", str(self.broker.port), "--root", "moat.test"),
            *("--username", "me", "--password-file", str(here / "password")),
            *("--tls", "--ca", str(here / ca)),
            *("--client-cert", str(here / "cert"), "--client-key", str(here / "key")),
        ]


@pytest.fixture
def guarded(tmp_path: File) -> Iterator[Guarded]:
    """The broker runs."""
    made = Guarded(tmp_path)
    with made.broker:
        yield made


async def asked(guarded: Guarded, *words: str) -> str:
    """Ask `moat-bridge link`, which has to get there as well."""
    async with process("link", *guarded.words(), "--no-server", *words) as running:
        out, err = await running.communicate()
        assert running.returncode in {0, 1}, err
        return out.decode()


@pytest.mark.parametrize(
    ("command", "appears"),
    [
        (["server", "--listen", "127.0.0.1:0"], "run.service.main.conn"),
        (["gates"], "run.host.gate.js"),
        (["simulate", "--no-discovery", "--no-server"], "device.battery"),
    ],
)
async def test_all_encrypt(guarded: Guarded, command: list[str], appears: str) -> None:
    """To a broker that wants certificates, names and passwords."""
    entry = '{"driver": "mqtt", "src": ["home"], "dst": ["ext"], "codec": "json"}'
    await asked(guarded, "set", "gate.js", entry)
    async with process(command[0], *guarded.words(), *command[1:]) as running:
        async with asyncio.timeout(30):
            while appears not in await asked(guarded, "get", appears):
                await asyncio.sleep(0.2)
        running.send_signal(signal.SIGTERM)
        _, log = await running.communicate()
        assert running.returncode == 0, log


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Return the exit code and what was complained about."""
    try:
        code: object = main(words)
    except SystemExit as err:  # of argparse
        code = err.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("before", "after"), COMMANDS)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--root", ":"], "must not be empty"),
        (["--root", "a:"], "an empty name"),
        (["--port", "0"], "'0' is no port"),
        (["--password-file", "/nonexistent"], "/nonexistent"),
        (["--ca", "/nonexistent"], "/nonexistent"),
        (["--client-key", "/nonexistent"], "--client-key is of no use without --client-cert"),
    ],
)
def test_wrong(
    before: list[str],
    after: list[str],
    words: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is told before anything is tried."""
    code, complaint = said([*before, *words, *after], capsys)
    assert code == 2
    assert told in complaint


def test_the_port_of_tls(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """An authority alone means TLS, and TLS the other port, unless one is given."""
    (tmp_path / "ca").write_text(Authority().certificate)
    words = ["server", "--check", "--ca", str(tmp_path / "ca")]
    assert main(words) == 0
    assert "broker localhost:8883" in capsys.readouterr().out
    assert main([*words, "--port", "1883"]) == 0
    assert "broker localhost:1883" in capsys.readouterr().out
