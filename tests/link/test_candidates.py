"""Where a server may be, and who of them is told our token."""

from dataclasses import replace

from firmware_bridge.link.candidates import candidates
from firmware_bridge.link.config import LinkConfig
from firmware_bridge.link.direct import Endpoint
from firmware_bridge.link.path import Path
from firmware_bridge.link.transport import BrokerConfig

CONFIG = LinkConfig(broker=BrokerConfig(host="broker"), root=Path("moat"), token="mine")
NEAR = Endpoint(host="broker", port=1)
FAR = Endpoint(host="far", port=2)
SAFE = Endpoint(host="safe", port=3, tls=True)


def told(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, token="mine")


def test_announced() -> None:
    """Those on the broker's machine are told the token, by whichever of its names."""
    assert candidates(CONFIG, [FAR, NEAR, NEAR], None) == [FAR, told(NEAR)]
    assert candidates(CONFIG, [FAR, NEAR], "far") == [told(FAR), told(NEAR)]


def test_configured() -> None:
    """It comes first, or is the only one; who asks for encryption there gets nothing plain."""
    fixed = replace(CONFIG, endpoint=Endpoint(host="far", port=5))
    first = Endpoint(host="far", port=5, token="mine")
    assert candidates(fixed, [FAR], None) == [first, told(FAR)]
    assert candidates(replace(fixed, only=True), [FAR], None) == [first]
    encrypted = replace(CONFIG, endpoint=SAFE)
    assert candidates(encrypted, [NEAR, SAFE], None) == [told(SAFE)]
