"""What somebody configures, as the server needs it."""

import argparse
import socket
from pathlib import Path as File

import pytest

from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server import cli
from firmware_bridge.server.ballot import Parameters
from firmware_bridge.server.config import ServerConfigError, ServerOptions
from tests.support.installation import ROOT

BROKER = BrokerConfig(host="localhost")


def test_turns() -> None:
    """It stands back unless told otherwise; seconds are whole where they can be, as real ones say them."""
    assert ServerOptions().on(BROKER, ROOT).turns is None
    turns = ServerOptions(election="turns", cycle=6.0, gap=0.5).on(BROKER, ROOT).turns
    assert turns == Parameters(cycle=6, gap=0.5)
    assert type(turns.cycle) is int
    with pytest.raises(ServerConfigError, match=r"turns of 5 s with gaps of 3 s"):
        ServerOptions(election="turns", cycle=5, gap=3).on(BROKER, ROOT)


def test_command_line() -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    words = ["--election", "turns", "--cycle", "20", "--gap", "2"]
    assert cli.configure(parser.parse_args(words)).turns == Parameters(cycle=20, gap=2)
    assert cli.configure(parser.parse_args([])).turns is None


def test_name() -> None:
    """A broker may serve several installations: their servers are not each other's namesakes."""
    names = [
        ServerOptions().on(BROKER, Path.parse(root)).name for root in ("moat", "moat.test", "a/b")
    ]
    host = socket.gethostname()
    assert names == [f"bridge-{host}-moat", f"bridge-{host}-moat-test", f"bridge-{host}-a:|b"]


@pytest.mark.parametrize("sync", [-1.0, 3601.0, float("nan"), float("inf")])
def test_sync_that_makes_no_sense(sync: float, tmp_path: File) -> None:
    options = ServerOptions(save=tmp_path, sync=sync)
    with pytest.raises(ServerConfigError, match="sync"):
        options.on(BrokerConfig(host="localhost"), ROOT)
