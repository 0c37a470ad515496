"""What we ship for systemd works with what we ship as a configuration."""

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

FOLDER = Path("firmware_bridge/packaging")
UNIT = FOLDER / "moat-bridge.service"
PROGRAM = "/opt/moat-bridge/bin/moat-bridge"


def service() -> configparser.SectionProxy:
    """Return the unit's section."""
    parser = configparser.ConfigParser(interpolation=None, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


def server_table() -> dict[str, object]:
    """Return the example's table [server], as if none of its keys were commented out."""
    text = (FOLDER / "bridge.toml").read_text()
    table = text[text.index("# [server]") :].split("\n\n")[0]
    found = tomllib.loads(re.sub(r"(?m)^# ", "", table))["server"]
    assert isinstance(found, dict)
    return found


def test_the_unit_may_write_what_the_example_says() -> None:
    """Data, tokens and sockets are where the service has a directory; its program is one."""
    unit, server = service(), server_table()
    state, run = f"/var/lib/{unit['StateDirectory']}/", f"/run/{unit['RuntimeDirectory']}/"
    assert str(server["save"]).startswith(state)
    assert str(server["token_file"]).startswith(state)
    (socket,) = server["unix"]  # type: ignore[misc]
    assert socket.startswith(run)
    assert unit["ProtectSystem"] == "strict"
    words = unit["ExecStart"].split()
    assert words[:2] == [PROGRAM, "run"]
    assert unit["ExecStartPre"].split() == [PROGRAM, "run", "--check", *words[2:]]
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_example_as_the_unit_runs_it(tmp_path: Path) -> None:
    """The example with a server and without a driver is right."""
    text = (FOLDER / "bridge.toml").read_text()
    head, _ = text.split("# One table a driver")
    file = tmp_path / "bridge.toml"
    file.write_text(head + f'[server]\nlisten = ["127.0.0.1:0"]\nsave = "{tmp_path}/data"\n')
    command = [sys.executable, "-m", "firmware_bridge", "run", "--check", str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "0 driver(s)" in done.stdout
    assert f"Keeps the data in {tmp_path}/data" in done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Nothing in it is unknown or wrong."""
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    concerning = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert concerning == []
    assert done.returncode == 0, done.stderr
