"""Who may not be trusted, who is not welcome, and what nobody may read (matrix rows 17, 18, 19)."""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from homeassistant.config_entries import SOURCE_REAUTH, SOURCE_USER, ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_TOKEN, CONF_USERNAME
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link import diagnostics
from custom_components.moat_link.const import (
    CONF_CA,
    CONF_CLIENT_CERT,
    CONF_CLIENT_KEY,
    CONF_TLS,
    DOMAIN,
)
from tests.integration.conftest import entry_for, set_up, state_of
from tests.integration.wire import Peer, point
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Proxy
from tests.support.server import FakeServer
from tests.support.wait import until

from .gauges import lines

CONNECTION = "binary_sensor.home_connection"


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Who signs the broker's certificates."""
    return Authority()


@pytest.mark.parametrize("mode", ["on", "insecure_host"])
@pytest.mark.parametrize("fault", ["unknown authority", "wrong name", "expired", "no TLS there"])
async def test_unauthorised_broker(
    hass: HomeAssistant, socket_enabled: None, authority: Authority, fault: str, mode: str
) -> None:
    """Row 17: refused within 10 s, with the reason, and before it has heard a word from us."""
    identity = authority.issue(
        alternatives=["DNS:elsewhere"] if fault == "wrong name" else ["IP:127.0.0.1"],
        expired=fault == "expired",
    )
    asked: dict[str, Any] = {CONF_TLS: mode, CONF_USERNAME: "ha", CONF_PASSWORD: "pw"}
    if fault != "unknown authority":
        asked[CONF_CA] = authority.certificate
    with Mosquitto(tls=None if fault == "no TLS there" else identity) as broker:
        start = time.monotonic()
        result = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        given = {key: value for key, value in asked.items() if key != CONF_CA}
        certificates = {key: value for key, value in asked.items() if key == CONF_CA}
        result = await hass.config_entries.flow.async_configure(
            result["flow_id"],
            {CONF_HOST: broker.host, CONF_PORT: broker.port, "certificates": certificates} | given,
        )
        assert time.monotonic() - start < 10
        assert result["type"] is FlowResultType.FORM
        if fault == "wrong name" and mode == "insecure_host":
            assert result["step_id"] == "root"  # as the user has asked for, and only that
            return
        assert result["step_id"] == "broker"
        assert result["errors"] == {"base": "tls"}
        assert "New client connected" not in broker.log
        entry = entry_for(broker, **asked)
        await set_up(hass, entry)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert entry.error_reason_translation_key == "setup_tls"
        assert "New client connected" not in broker.log


async def test_plain_to_tls_port(
    hass: HomeAssistant, socket_enabled: None, authority: Authority
) -> None:
    """Row 17: without TLS to a port that speaks it: told within 10 s, no endless waiting."""
    with Mosquitto(tls=authority.issue()) as broker:
        start = time.monotonic()
        result = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        result = await hass.config_entries.flow.async_configure(
            result["flow_id"],
            {CONF_HOST: broker.host, CONF_PORT: broker.port, CONF_TLS: "off"},
        )
        assert time.monotonic() - start < 10
        assert result["errors"] == {"base": "tls"}


async def test_changed_certificate(
    hass: HomeAssistant, socket_enabled: None, authority: Authority
) -> None:
    """Row 17: a broker whose certificate is another one of a sudden is not spoken to again."""
    with Mosquitto(tls=authority.issue()) as broker, Mosquitto(tls=Authority().issue()) as false:
        async with Proxy(broker.port) as proxy:
            entry = entry_for(broker, port=proxy.port, tls="on", ca=authority.certificate)
            await set_up(hass, entry)
            assert state_of(hass, CONNECTION) == "on"
            proxy.target = false.port
            proxy.cut()
            await until(lambda: state_of(hass, CONNECTION) == "off")
            await until(lambda: "SSL" in false.log or "ssl" in false.log, 10)
            assert state_of(hass, CONNECTION) == "off"
            assert "New client connected" not in false.log
            proxy.target = broker.port
            await until(lambda: state_of(hass, CONNECTION) == "on", 10)
            await hass.config_entries.async_unload(entry.entry_id)


def flows(hass: HomeAssistant, entry: MockConfigEntry) -> list[Any]:
    """Return the flows that ask for other credentials."""
    return list(entry.async_get_active_flows(hass, {SOURCE_REAUTH}))


@pytest.fixture
def locked(socket_enabled: None) -> Iterator[Mosquitto]:
    """A broker that wants a password."""
    with Mosquitto(users={"ha": "right", "peer": "p"}) as broker:
        yield broker


async def test_wrong_password(
    hass: HomeAssistant, locked: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 18: wrong from the beginning: the user is asked once, and nobody tries on."""
    entry = entry_for(locked, username="ha", password="wrong")
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert len(flows(hass, entry)) == 1
    attempts = locked.log.count("New connection")
    await asyncio.sleep(3)
    assert locked.log.count("New connection") == attempts
    await _right_again(hass, entry, "right")


async def test_revoked(
    hass: HomeAssistant, locked: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 18: revoked while running: asked within 5 s, once; the rest is silence until then."""
    async with Peer(locked, username="peer", password="p") as peer:
        await peer.put("power", 5.5)
        await peer.describe("meter", point("power", "power", "power"))
        entry = entry_for(locked, username="ha", password="right")
        await set_up(hass, entry)
        await until(lambda: state_of(hass, "sensor.meter_power") == "5.5")
        caplog.clear()
        locked.set_users({"ha": "changed", "peer": "p"})
        locked.reload()
        await until(lambda: flows(hass, entry), 5, "to be asked")
        assert state_of(hass, "sensor.meter_power") == "unavailable"
        attempts = locked.log.count("New connection")
        await asyncio.sleep(4)
        assert len(flows(hass, entry)) == 1
        assert locked.log.count("New connection") <= attempts + 1
        assert len(lines(caplog)) == 1
        await _right_again(hass, entry, "changed")
        await until(lambda: state_of(hass, "sensor.meter_power") == "5.5")
        await hass.config_entries.async_unload(entry.entry_id)


async def _right_again(hass: HomeAssistant, entry: MockConfigEntry, password: str) -> None:
    """Answer the one question, and find everything as before."""
    [flow] = flows(hass, entry)
    result = await hass.config_entries.flow.async_configure(
        flow["flow_id"], {CONF_USERNAME: "ha", CONF_PASSWORD: password}
    )
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reauth_successful"
    await until(lambda: entry.state is ConfigEntryState.LOADED, 10)
    assert flows(hass, entry) == []


PASSWORD = "pw-secret-1"
TOKEN = "tok-secret-2"


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A server that wants a token."""
    async with FakeServer(tokens=[TOKEN], anonymous=False) as server:
        yield server


async def test_secrets(
    hass: HomeAssistant,
    socket_enabled: None,
    authority: Authority,
    server: FakeServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 19: whatever goes wrong: no secret in diagnostics, debug log, errors, representations."""
    caplog.set_level(logging.DEBUG)
    client = authority.issue("ha", alternatives=())
    key = "".join(client.key.splitlines()[1:2])
    secrets = [PASSWORD, TOKEN, key, key[:20]]
    said: list[str] = []
    users = {"ha": PASSWORD}
    with Mosquitto(tls=authority.issue(), client_ca=authority.certificate, users=users) as broker:
        data: dict[str, Any] = {
            CONF_TLS: "on",
            CONF_USERNAME: "ha",
            CONF_PASSWORD: PASSWORD,
            CONF_CA: authority.certificate,
            CONF_CLIENT_CERT: client.certificate,
            CONF_CLIENT_KEY: client.key,
            "server_host": "127.0.0.1",
            "server_port": server.port,
            CONF_TOKEN: TOKEN,
        }
        entry = entry_for(broker, **data)
        await set_up(hass, entry)
        assert entry.state is ConfigEntryState.LOADED
        hub = entry.runtime_data
        await until(lambda: hub.link.status.server == server.name)
        config = hub.link.config
        said += map(repr, (hub, hub.link, config, config.broker, config.endpoint, hub.link.status))
        found = await diagnostics.async_get_config_entry_diagnostics(hass, entry)
        said.append(json.dumps(found, default=repr))
        server.tokens = ["another"]
        server.drop()
        await until(lambda: hub.link.status.server_error is not None, 10)
        said += [repr(hub.link.status), str(hub.link.status.server_error)]
        broker.set_users({"ha": "changed"})
        broker.reload()
        await until(lambda: flows(hass, entry))
        error = hub.link.status.error
        said += [str(error), repr(error), *traceback.format_exception(error)]
        said.append(json.dumps(flows(hass, entry), default=repr))
        found = await diagnostics.async_get_config_entry_diagnostics(hass, entry)
        said.append(json.dumps(found, default=repr))
        assert await hass.config_entries.async_unload(entry.entry_id)
        hass.config_entries.async_update_entry(entry, data=entry.data | {CONF_CLIENT_KEY: "bad"})
        await hass.config_entries.async_setup(entry.entry_id)
        said.append(f"{entry.reason} {entry.error_reason_translation_placeholders}")
    assert caplog.records
    said += [each.getMessage() + str(each.exc_text) for each in caplog.records]
    text = "\n".join(said)
    assert [secret for secret in secrets if secret in text] == []
