"""What somebody writes at `gate.<name>`: read, or refused with the key and the reason."""

import re

import pytest

from firmware_bridge.gates.codecs import Json
from firmware_bridge.gates.entry import Entry, EntryError, is_ours, parse
from firmware_bridge.link.codec import Value
from firmware_bridge.link.path import ROOT, Path
from firmware_bridge.link.transport import BrokerConfig
from tests.support.gates import entry

HOME = BrokerConfig(host="localhost")
BASE = Path("moat", "home")


def read(value: Value, name: str = "js") -> Entry:
    return parse(Path.parse(name), value, BASE, HOME)


def test_reads_an_entry() -> None:
    found = read(entry(speed=2, retain=None))
    assert (found.src, found.dst) == (Path("home"), Path("ext", "js"))
    assert isinstance(found.codec, Json)
    assert found.origin == "GATE.js"
    assert (found.speed, found.timeout, found.retain) == (2.0, 0.05, None)
    assert found.backend is None


def test_defaults() -> None:
    found = read({"driver": "mqtt", "src": ["home"], "dst": ["ext"]}, "a.b")
    assert (found.speed, found.timeout, found.retain) == (0.0, 0.5, True)
    assert found.codec.name == "cbor"  # type: ignore[union-attr]
    assert found.origin == "GATE.a.b"
    assert read(entry(name="other")).origin == "GATE.other"
    assert read(entry(codec=Path("tas"))).codec == Path("tas")
    assert read(entry(src=":R.home")).src == Path("home")


def test_another_broker() -> None:
    backend: Value = {
        "driver": "mqtt",
        "host": "far",
        "ssl": True,
        "username": "u",
        "password": "p",
        "keep_alive": 0,
        "codec": "json",
    }
    found = read(entry(backend=backend))
    assert found.backend is not None
    assert (found.backend.host, found.backend.port) == ("far", 8883)
    assert (found.backend.username, found.backend.password) == ("u", "p")
    assert found.encrypted
    assert "password" not in repr(found)
    plain = read(entry(backend={"host": "far", "port": 1884, "keep_alive": 60}))
    assert plain.backend is not None
    assert (plain.backend.port, plain.backend.keep_alive) == (1884, 60)
    unix = read(entry(backend={"transport": "unix", "path": "/run/mqtt"}))
    assert unix.backend is not None
    assert unix.backend.unix_path == "/run/mqtt"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"src": None}, "src: must be a path"),
        ({"src": "home"}, "src: must be a path"),
        ({"src": Path()}, "src: must not be empty"),
        ({"dst": Path()}, "dst: must not be empty"),
        ({"src": Path("gate")}, "src: gate is nothing that may be shown outside"),
        ({"src": Path("run", "x")}, "nothing that may be shown"),
        ({"src": Path(ROOT, "codec")}, "nothing that may be shown"),
        ({"codec": "yaml"}, "codec: codec 'yaml' is not one of"),
        ({"codec": 5}, "codec: 5 is not a codec"),
        ({"speed": "x"}, "speed: must be a number"),
        ({"speed": -1}, "speed: must be a number"),
        ({"timeout": float("nan")}, "timeout: must be a number"),
        ({"timeout": True}, "timeout: must be a number"),
        ({"retain": 1}, "retain: must be true, false or null"),
        ({"name": ""}, "name: must be a short text"),
        ({"name": "a/b"}, "name: a/b must have neither"),
        ({"name": 5}, "name: must be"),
        ({"backend": 5}, "backend: must be a map"),
        ({"backend": {"websocket_path": "x"}}, "backend.'websocket_path': is not supported"),
        ({"backend": {"host": 5}}, "backend.host: must be a text"),
        ({"backend": {"port": "1883"}}, "backend.port: must be a number"),
        ({"backend": {"port": True}}, "backend.port: must be a number"),
        ({"backend": {"port": 0}}, "backend.port: must be a port"),
        ({"backend": {"driver": "redis"}}, "backend.driver: 'redis' is not supported"),
        ({"backend": {"transport": "ws"}}, "backend.transport: 'ws' is not supported"),
        ({"backend": {"transport": "unix"}}, "backend.path: is missing"),
        # it would loop
        ({"dst": Path("moat", "home", "home")}, "overlap: that would loop"),
        ({"dst": Path("moat", "home", "home", "x")}, "overlap"),
        ({"dst": Path("moat", "home")}, "overlap"),
        ({"dst": Path("moat")}, "overlap"),
        ({"dst": Path("moat", "home", "ext")}, "lies within the installation's own root moat.home"),
        ({"dst": Path("moat"), "backend": {"host": "127.0.0.1"}}, "overlap"),
    ],
)
def test_refuses(change: dict[str, Value], problem: str) -> None:
    """With the key and the reason."""
    base = entry()
    assert isinstance(base, dict)
    with pytest.raises(EntryError, match=re.escape(problem)):
        read({**base, **dict(change.items())})


def test_refuses_what_is_no_map() -> None:
    with pytest.raises(EntryError, match="not a map"):
        read("mqtt")


def test_elsewhere_the_same_topics_are_others() -> None:
    assert read(entry(dst="moat.home", backend={"host": "far"})).dst == BASE


def test_which_entries_are_ours() -> None:
    assert is_ours(entry())
    assert not is_ours({"driver": "kv"})
    assert not is_ours({"src": Path("home")})
    assert not is_ours("mqtt")
