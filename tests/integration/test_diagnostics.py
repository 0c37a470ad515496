"""Diagnostics: enough to understand what is wrong, and no secret anywhere."""

import logging
from typing import Any

import cbor2
import pytest
from homeassistant.components.diagnostics import REDACTED
from homeassistant.config_entries import ConfigSubentryData
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.json import json_dumps
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import DOMAIN
from custom_components.moat_link.diagnostics import (
    async_get_config_entry_diagnostics,
    async_get_device_diagnostics,
)
from tests.support.certificates import Authority
from tests.support.keeper import Served
from tests.support.mosquitto import Mosquitto
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import entry_for, set_up, state_of
from .wire import Peer, path, point, setter

PASSWORD = "Pa55-word+1"
TOKEN = "T0ken-of-the-server"
USER = "paul"


async def diagnose(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, Any]:
    """Return an entry's diagnostics, which must be fit for JSON."""
    found = await async_get_config_entry_diagnostics(hass, entry)
    json_dumps(found)
    return found


async def diagnose_device(
    hass: HomeAssistant, entry: MockConfigEntry, device_id: str
) -> dict[str, Any]:
    """Return a device's diagnostics, which must be fit for JSON."""
    name = f"{entry.entry_id}_{device_id}" if device_id else entry.entry_id
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, name), entry.entry_id)
    assert device is not None
    found = await async_get_device_diagnostics(hass, entry, device)
    json_dumps(found)
    return found


async def test_entry(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, served: Served | None
) -> None:
    """The link, its figures, errors, descriptions, devices and what could not be decoded."""
    await peer.put("meter", {"u": 230.5, "i": "odd"}, when=1_700_000_000.5)
    await peer.describe(
        "meter",
        point("u", "voltage", "meter", item="u"),
        point("i", "current", "meter", item="i"),
        point("x", "nonsense", "meter"),
    )
    await peer.put("error.app.pump", {"msg": "dry"})
    await until(lambda: state_of(hass, "sensor.meter_voltage") == "230.5")
    await until(lambda: state_of(hass, "sensor.home_errors") == "1")
    await peer.raw("meter", b"\xff\xff")
    await until(lambda: loaded.runtime_data.link.statistics.undecodable)
    found = await diagnose(hass, loaded)
    link = found["link"]
    assert link["connected"] is link["ready"] is True
    assert link["error"] is None
    assert (link["degraded"], link["server"], link["server_error"]) == (
        (False, served.name, None) if served else (True, None, "NoServerError: no server is known")
    )
    assert link["received"] > 0
    assert link["sent"] > 0
    assert link["undecodable"] == 1
    assert [each["topic"] for each in link["undecodable_topics"]] == ["meter"]
    pump = {"path": "app.pump", "message": "dry", "level": 3, "count": 1, "acknowledged": False}
    assert pump in found["errors"]  # the real server reports what cannot be decoded, too
    (broken,) = found["descriptions"]
    assert broken["id"] == "meter"
    assert broken["issues"][0]["key"] == "points[2].quantity"
    assert found["devices"] == [
        {
            "id": "meter",
            "name": "Meter",
            "alive": None,
            "available": True,
            "in_doubt": False,
            "points_available": 2,
            "points_count": 2,
            "mistakes": 1,
            "last_time": 1_700_000_000.5,
        }
    ]
    assert found["entry"]["data"]["root"] == "home"


async def test_device(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A device with its description and its readings."""
    await peer.put("lamp", True, when=1_700_000_000)
    await peer.describe(
        "lamp",
        point("on", "relay", "lamp", access="rw", write=setter("lamp.cmd")),
        point("key", "button", "x", access="w", write=setter("lamp.key")),
        alive=path("run.host.lab.lamp"),
    )
    await peer.put("run.host.lab.lamp", {"id": "x", "up": True})
    await until(lambda: state_of(hass, "switch.lamp_relay") == "on")
    found = await diagnose_device(hass, loaded, "lamp")
    assert found["alive"] is found["available"] is True
    assert found["description"]["alive"] == "run.host.lab.lamp"
    assert found["description"]["points"][0]["write"]["path"] == "lamp.cmd"
    assert found["points"]["on"] == {
        "available": True,
        "mistakes": 0,
        "value": True,
        "time": 1_700_000_000,
    }
    assert found["points"]["key"]["time"] is None
    assert found["issues"] == []


async def test_installation(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """The installation's own device has no description, but a link."""
    assert set(await diagnose_device(hass, loaded, "")) == {"link"}


async def test_broken_link(hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto) -> None:
    """Diagnostics are for when it does not work."""
    broker.kill()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "off")
    link = (await diagnose(hass, loaded))["link"]
    assert link["connected"] is False
    assert "Error: " in link["error"]


def secrets_in(text: str, secrets: list[str]) -> list[str]:
    """Return those of the secrets that a text gives away."""
    return [secret for secret in secrets if secret in text]


async def test_no_secrets(
    hass: HomeAssistant, socket_enabled: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither diagnostics nor the log at its most talkative, nor any repr, give a secret away."""
    caplog.set_level(logging.DEBUG)
    with Mosquitto(users={USER: PASSWORD}) as broker:
        picked = ConfigSubentryData(
            subentry_type="value",
            title="Odd",
            unique_id=None,
            data={"path": "odd", "quantity": "text"},
            subentry_id="one",
        )
        base = entry_for(broker, username=USER, password=PASSWORD, token=TOKEN)
        entry = MockConfigEntry(
            domain=DOMAIN, title="Home", data=base.data, subentries_data=[picked]
        )
        async with (
            FakeServer(tokens=[TOKEN], anonymous=False) as server,
            Peer(broker, username=USER, password=PASSWORD) as peer,
        ):
            await peer.put("odd", f"the password is {PASSWORD}, the user {USER}!")
            await peer.put("error.app.login", {"msg": f"{USER} with {TOKEN} refused", "level": 4})
            await set_up(hass, entry)
            await peer.put("run.service.main.conn", server.announcement)
            await until(lambda: state_of(hass, "sensor.home_server") == server.name)
            found = await diagnose(hass, entry)
            device = await diagnose_device(hass, entry, "value-one")
            link = entry.runtime_data.link
            told = f"{link.config!r} {link.status!r} {link.statistics!r} {entry.runtime_data!r}"
            server.tokens = ["another"]
            server.drop()
            await until(lambda: state_of(hass, "sensor.home_server") == "none")
            refused = await diagnose(hass, entry)
            broker.set_users({USER: "changed"})
            broker.restart()
            await until(lambda: list(entry.async_get_active_flows(hass, {"reauth"})), 20)
            locked_out = await diagnose(hass, entry)
            assert await hass.config_entries.async_unload(entry.entry_id)
    assert found["entry"]["data"]["password"] == found["entry"]["data"]["token"] == REDACTED
    assert found["entry"]["data"]["username"] == REDACTED
    assert found["errors"][0]["message"] == f"{REDACTED} with {REDACTED} refused"
    everything = [PASSWORD, TOKEN, USER]
    for part in (found, device, refused, locked_out):
        assert secrets_in(json_dumps(part), everything) == []
    assert f"the user {REDACTED}!" in json_dumps(device)
    assert secrets_in(told, [PASSWORD, TOKEN]) == []
    ours = [record for record in caplog.records if "moat_link" in record.name]
    log = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in ours)
    assert secrets_in(log, [PASSWORD, TOKEN]) == []


async def test_no_certificates(hass: HomeAssistant, socket_enabled: None) -> None:
    """Certificates and keys are left out as a whole."""
    authority = Authority()
    server, client = authority.issue("localhost"), authority.issue("client")
    with Mosquitto(tls=server, client_ca=authority.certificate) as broker:
        entry = entry_for(
            broker,
            host="localhost",
            tls="on",
            ca=authority.certificate,
            client_cert=client.certificate,
            client_key=client.key,
        )
        await set_up(hass, entry)
        text = json_dumps(await diagnose(hass, entry))
        assert "BEGIN" not in text
        assert client.key.splitlines()[1] not in text
        assert await hass.config_entries.async_unload(entry.entry_id)


async def test_errors_tell_no_secrets(hass: HomeAssistant, socket_enabled: None) -> None:
    """An entry that cannot be set up does not tell why by quoting the password."""
    with Mosquitto(users={USER: "right"}) as broker:
        entry = entry_for(broker, username=USER, password=PASSWORD)
        await set_up(hass, entry)
        assert entry.reason is not None
        assert PASSWORD not in entry.reason


async def test_odd_description(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Whatever can be described can be diagnosed."""
    codes = [[1, "one"], [b"\x02", "two"], [True, "three"]]
    await peer.put("odd", 1)
    await peer.raw(
        "device.odd",
        cbor2.dumps(
            {
                "v": 1,
                "name": "Odd",
                "points": [point("e", "enum", "odd", item=[1, "x"], options={1: "one", 2: "two"})],
                "parts": {"p": {"name": "Part"}},
                "extra": codes,
            }
        ),
    )
    await until(lambda: "odd" in loaded.runtime_data.devices._shown)
    found = await diagnose_device(hass, loaded, "odd")
    assert found["description"]["parts"] == {"p": {"name": "Part"}}
