"""What gates may touch: the owner's lists."""

import pytest

from firmware_bridge.gates.entry import Entry, EntryError, parse
from firmware_bridge.gates.limits import Limits, parse_broker, parse_prefix
from firmware_bridge.link.codec import Value
from firmware_bridge.link.path import Path
from firmware_bridge.link.transport import BrokerConfig
from tests.support.gates import entry


def read(**more: Value) -> Entry:
    value = entry(**more)  # type: ignore[arg-type]
    return parse(Path("js"), value, Path("moat"), BrokerConfig(host="localhost"))


def allowed(limits: Limits, **more: Value) -> bool:
    try:
        limits.check(read(**more))
    except EntryError:
        return False
    return True


@pytest.mark.parametrize(
    ("prefix", "dst", "expected"),
    [
        ("ext", "ext", True),
        ("ext", "ext.a.b", True),
        ("ext.a", "ext", False),
        ("ext", "exterior", False),
        ("ext.+", "ext", False),
        ("ext.+.x", "ext.a.x.y", True),
        ("ext.+.x", "ext.a.b", False),
        ("ext:1", "ext.1", False),
        ("ext", "other", False),
    ],
)
def test_topics(prefix: str, dst: str, expected: bool) -> None:
    """A prefix counts element by element; one of several is enough."""
    assert allowed(Limits(allow=[parse_prefix(prefix)]), dst=dst) is expected
    assert allowed(Limits(allow=[Path("x"), parse_prefix(prefix)]), dst=dst) is expected


def test_without_a_list() -> None:
    """All topics of the installation's broker, and no other broker."""
    assert allowed(Limits())
    assert allowed(Limits(), backend={"host": "127.0.0.1"})
    assert not allowed(Limits(), backend={"host": "far"})
    assert not allowed(Limits(allow=[]))


@pytest.mark.parametrize(
    ("listed", "backend"),
    [
        ("far:1883", {"host": "FAR"}),
        ("far:8883", {"host": "far.", "ssl": True}),
        ("localhost:1884", {"port": 1884}),
        ("[::2]:1883", {"host": "::2"}),
        ("unix:/run/mqtt", {"transport": "unix", "path": "/run/mqtt"}),
    ],
)
def test_other_brokers(listed: str, backend: dict[str, Value]) -> None:
    """By their address; all of their topics, whatever is allowed at the installation's."""
    limits = Limits(allow=[], backends=[parse_broker(listed)])
    assert allowed(limits, backend=dict(backend.items()))
    assert not allowed(limits, backend={"host": "else"})


@pytest.mark.parametrize("text", ["far", "far:", ":1883", "far:x", "far:0", "far:65536", "unix:"])
def test_no_broker(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT, nor unix:PATH"):
        parse_broker(text)


@pytest.mark.parametrize("text", [":", "a..b"])
def test_no_prefix(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty|dotted path"):
        parse_prefix(text)


@pytest.mark.parametrize(
    ("text", "right"),
    [("zigbee2mqtt/#", "zigbee2mqtt"), ("a/b", r"a\.b"), ("a.b.#", r"a\.b"), ("#", "a name")],
)
def test_a_filter_is_no_prefix(text: str, right: str) -> None:
    """Who knows MQTT is told how it is written here: it would allow nothing, without a word."""
    with pytest.raises(ValueError, match=f": write {right}; what is below counts as well"):
        parse_prefix(text)
