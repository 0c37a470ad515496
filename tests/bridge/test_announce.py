"""The announcement on the local network."""

import asyncio

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from firmware_bridge.announce import SERVICE_TYPE, announced, own_addresses, properties
from firmware_bridge.config import Config
from firmware_bridge.link.path import Path


def config(*, broker: str = "broker.example", discovery: bool = True) -> Config:
    """Return a configuration; no driver is needed here."""
    return Config(
        root=Path("moat", "home"),
        broker_host=broker,
        broker_port=2883,
        username="me",
        password="hush",
        host="cellar",
        discovery=discovery,
        drivers={},
    )


@pytest.mark.parametrize(
    ("broker", "host"),
    [
        ("broker.example", "broker.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("localhost", None),
        ("127.0.0.1", None),
        ("::1", None),
    ],
)
def test_tells_how_to_connect_and_no_secret(broker: str, host: str | None) -> None:
    """A broker on this machine is at the address that the announcement comes from."""
    told = properties(config(broker=broker))
    assert told.pop("host", None) == host
    assert told == {"root": "moat.home", "port": "2883", "tls": "0", "name": "bridge"}


async def found() -> AsyncServiceInfo | None:
    """Look for the announcement."""
    async with AsyncZeroconf() as zeroconf:
        info = AsyncServiceInfo(SERVICE_TYPE, f"bridge-cellar.{SERVICE_TYPE}")
        return info if await info.async_request(zeroconf.zeroconf, 3000) else None


async def test_is_found_while_it_lasts() -> None:
    """Others on the network see the bridge with its properties."""
    async with announced(config()):
        info = await found()
        assert info is not None
        assert info.port == 2883
        assert info.decoded_properties["root"] == "moat.home"


async def test_says_nothing_unless_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without discovery, or without the package, the bridge just runs."""
    async with announced(config(discovery=False)):
        pass
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    async with announced(config()):
        await asyncio.sleep(0)


def test_has_an_address() -> None:
    """There is always one."""
    assert own_addresses()
