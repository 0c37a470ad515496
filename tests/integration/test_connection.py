"""From an entry's data to the link's configuration: encryption, certificates, a fixed server."""

from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant

from custom_components.moat_link.connection import async_link_config
from custom_components.moat_link.link.errors import TlsError
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto

from .conftest import entry_for, set_up

DATA = {"host": "127.0.0.1", "port": 1883, "root": "moat.home"}


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Somebody who signs certificates."""
    return Authority()


async def test_client_certificate(
    hass: HomeAssistant, socket_enabled: None, authority: Authority
) -> None:
    """A broker that asks for a certificate gets one, and shows one that we can check."""
    me = authority.issue("ha")
    with Mosquitto(tls=authority.issue("127.0.0.1"), client_ca=authority.certificate) as broker:
        entry = entry_for(
            broker,
            tls="on",
            ca=authority.certificate,
            client_cert=me.certificate,
            client_key=me.key,
        )
        await set_up(hass, entry)
        assert entry.state is ConfigEntryState.LOADED
        assert await hass.config_entries.async_unload(entry.entry_id)


@pytest.mark.parametrize(
    ("mode", "state"),
    [("on", ConfigEntryState.SETUP_RETRY), ("insecure_host", ConfigEntryState.LOADED)],
)
async def test_other_name(
    hass: HomeAssistant,
    socket_enabled: None,
    authority: Authority,
    mode: str,
    state: ConfigEntryState,
) -> None:
    """A certificate for another name is good enough only if the user says so."""
    with Mosquitto(tls=authority.issue(alternatives=["DNS:elsewhere.example"])) as broker:
        entry = entry_for(broker, tls=mode, ca=authority.certificate)
        await set_up(hass, entry)
        assert entry.state is state
        await hass.config_entries.async_unload(entry.entry_id)


async def test_broken_client_key(hass: HomeAssistant, authority: Authority) -> None:
    """A key that does not belong to the certificate is found before connecting."""
    one, other = authority.issue("one"), authority.issue("other")
    data = DATA | {"tls": "on", "client_cert": one.certificate, "client_key": other.key}
    with pytest.raises(TlsError):
        await async_link_config(hass, data, {})


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({}, None),
        ({"server_host": "srv", "server_port": 7000}, "srv:7000"),
        ({"server_host": "srv", "server_port": 7000, "server_tls": True}, "tls://srv:7000"),
        ({"server_path": "/run/moat"}, "/run/moat"),
    ],
)
async def test_fixed_server(hass: HomeAssistant, data: dict[str, Any], place: str | None) -> None:
    """A server may be given by its address, or the path of its socket."""
    config = await async_link_config(hass, DATA | data | {"token": "s3cret"}, {"use_server": False})
    assert (str(config.endpoint) if config.endpoint else None) == place
    assert config.token == "s3cret"
    assert not config.use_server
    assert "s3cret" not in repr(config)
    assert str(config.root) == "moat.home"
