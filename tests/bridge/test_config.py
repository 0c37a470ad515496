"""The configuration: what it may say, and one clear error for everything else."""

import tomllib
from pathlib import Path as FilePath

import pytest

from firmware_bridge.bridge import VERSION, link_config
from firmware_bridge.config import ConfigError, parse, read
from firmware_bridge.drivers import DRIVERS
from firmware_bridge.link.direct import Endpoint
from firmware_bridge.link.path import Path
from tests.support.certificates import Authority

EXAMPLE = FilePath("firmware_bridge/packaging/bridge.toml")
SIMULATOR: dict[str, object] = {"home": {"type": "simulator"}}
LEAST: dict[str, object] = {"link": {"root": "moat.home"}, "driver": SIMULATOR}


def test_the_example_is_right(monkeypatch: pytest.MonkeyPatch, tmp_path: FilePath) -> None:
    """The example that we ship can be used as it is."""
    config = read(EXAMPLE, DRIVERS)
    assert config.root == Path("moat")
    assert list(config.drivers) == ["home"]


def test_the_least() -> None:
    """Root and one driver are enough."""
    config = parse(LEAST, DRIVERS, source="here")
    assert (config.broker_host, config.broker_port, config.tls) == ("localhost", 1883, None)
    assert (config.root, config.prefix, config.name) == (
        Path("moat", "home"),
        Path("ems"),
        "bridge",
    )
    settings = link_config(config)
    assert settings.root == config.root
    assert settings.broker.host == "localhost"


@pytest.mark.parametrize(
    ("said", "use_server", "endpoint"),
    [
        (True, True, None),
        (False, False, None),
        ("tls://vm:5", True, Endpoint(host="vm", port=5, tls=True)),
        ("/run/moat", True, Endpoint(path="/run/moat")),
    ],
)
def test_where_the_server_is(said: object, use_server: bool, endpoint: Endpoint | None) -> None:
    """Looked for, left alone, or named."""
    config = parse(LEAST | {"link": {"root": "a", "server": said}}, DRIVERS, source="here")
    settings = link_config(config)
    assert (settings.use_server, settings.endpoint, settings.only) == (use_server, endpoint, False)


@pytest.mark.parametrize("said", ["vm", 5, "tls://"])
def test_no_server_there(said: object) -> None:
    with pytest.raises(ConfigError, match=r"here: link\.server: .*write HOST:PORT"):
        parse(LEAST | {"link": {"root": "a", "server": said}}, DRIVERS, source="here")


@pytest.mark.parametrize("table", ["server", "gates"])
def test_no_driver(table: str) -> None:
    """A server, or the gates, are enough to do."""
    config = parse({"link": LEAST["link"], table: {}}, DRIVERS, source="here")
    assert not config.drivers
    assert config.drives_gates


@pytest.mark.parametrize(
    ("more", "drives"),
    [
        ({}, False),
        ({"server": {}}, True),
        ({"gates": {}}, True),
        ({"gates": {"language": "de"}}, True),
        ({"server": {}, "gates": {"enabled": False}}, False),
    ],
)
def test_whose_gates(more: dict[str, object], drives: bool) -> None:
    """A server drives the gates of its installation, others when told to."""
    assert parse(LEAST | more, DRIVERS, source="here").drives_gates is drives


def test_wrong_gates() -> None:
    """A language that we do not speak is named."""
    with pytest.raises(ConfigError, match=r"here: gates\.language"):
        parse(LEAST | {"gates": {"language": "fr"}}, DRIVERS, source="here")
    with pytest.raises(ConfigError, match=r"here: gates\.backends.*HOST:PORT"):
        parse(LEAST | {"gates": {"backends": ["far"]}}, DRIVERS, source="here")
    with pytest.raises(ConfigError, match=r"here: gates\.allow"):
        parse(LEAST | {"gates": {"allow": [5]}}, DRIVERS, source="here")


def test_what_gates_may_touch() -> None:
    table = {"allow": ["zigbee2mqtt", "tasmota.+"], "backends": ["Far:1883"]}
    gates = parse(LEAST | {"gates": table}, DRIVERS, source="here").gates
    assert gates is not None
    assert gates.limits.allow == [Path("zigbee2mqtt"), Path("tasmota", "+")]
    assert gates.limits.backends == ["far:1883"]


def test_secrets_come_from_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: FilePath) -> None:
    """A password may be in the environment or in a file; it is never shown."""
    (tmp_path / "token").write_text("geheim\n")
    monkeypatch.setenv("MOAT_PASSWORD", "hush")
    table = {
        **LEAST,
        "broker": {"username": "me", "password": {"env": "MOAT_PASSWORD"}},
        "link": {"root": "moat", "token": {"file": "token"}},
    }
    config = parse(table, DRIVERS, source="here", directory=tmp_path)
    assert (config.password, config.token) == ("hush", "geheim")
    assert "hush" not in repr(config)
    assert "hush" not in repr(link_config(config))


def test_tls(tmp_path: FilePath) -> None:
    """Certificates are named relative to the file; unreadable ones are told at the check."""
    (tmp_path / "ca.pem").write_text(Authority().certificate)
    table = {**LEAST, "broker": {"tls": True, "ca": "ca.pem"}}
    config = parse(table, DRIVERS, source="here", directory=tmp_path)
    assert link_config(config).broker.tls is not None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "link: required key not provided"),
        ({"link": {}, "driver": SIMULATOR}, "link.root: required key not provided"),
        ({**LEAST, "link": {"root": "a..b"}}, "link.root: is not a dotted path"),
        ({**LEAST, "link": {"root": 7}}, "link.root: must be a dotted path"),
        ({**LEAST, "driver": {}}, "nothing to do: no [driver.NAME], no [server], no [gates]"),
        ({"link": LEAST["link"], "gates": {"enabled": False}}, "nothing to do"),
        ({**LEAST, "driver": {"x": {"type": "foo"}}}, "driver.x.type: must be one of simulator"),
        ({**LEAST, "driver": {"x": {}}}, "driver.x.type: must be one of simulator"),
        (
            {**LEAST, "driver": {"x": {"type": "simulator", "speed": "fast"}}},
            "driver.x.speed: expected float",
        ),
        (
            {**LEAST, "driver": {"x": {"type": "simulator", "faults": ["x:y"]}}},
            "driver.x.faults.0: is not FAULT:DEVICE",
        ),
        (
            {**LEAST, "driver": {"x": {"type": "simulator", "start": "soon"}}},
            "driver.x.start: is not a date and time",
        ),
        ({**LEAST, "broker": {"port": 0}}, "broker.port: value must be at least 1"),
        ({**LEAST, "broker": {"ca": "nowhere"}}, "broker.ca: there is no readable file"),
        (
            {**LEAST, "broker": {"password": {"env": "NOT_SET_ANYWHERE"}}},
            "broker.password: the environment has no variable NOT_SET_ANYWHERE",
        ),
        ({**LEAST, "broker": {"password": {"file": "nowhere"}}}, "broker.password: cannot read"),
        ({**LEAST, "broker": {"password": 7}}, "broker.password: must be a text"),
        ({**LEAST, "more": 1}, "more: extra keys not allowed"),
    ],
)
def test_mistakes_are_named(table: dict[str, object], message: str) -> None:
    """File, key and problem stand in one line."""
    with pytest.raises(ConfigError) as wrong:
        parse(table, DRIVERS, source="bridge.toml")
    assert str(wrong.value).startswith(f"bridge.toml: {message}")


@pytest.mark.parametrize("content", [b"[link", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml(tmp_path: FilePath, content: bytes) -> None:
    """The file and the place are named."""
    file = tmp_path / "bridge.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bridge\.toml"):
        read(file, DRIVERS)


def test_no_file() -> None:
    """A missing file is a wrong configuration, too."""
    with pytest.raises(ConfigError, match="nowhere: No such file"):
        read(FilePath("nowhere"), DRIVERS)


def test_version() -> None:
    """What the announcement says is what is packaged."""
    project = tomllib.loads(FilePath("pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
