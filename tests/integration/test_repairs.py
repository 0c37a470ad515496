"""Repair issues: they come from the wire, say what to do, and go when it is over."""

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path as File
from typing import Any

import pytest
from homeassistant.components.repairs import DOMAIN as REPAIRS
from homeassistant.components.repairs.issue_handler import RepairsFlowManager
from homeassistant.config_entries import ConfigEntryState, ConfigSubentryData
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_socket import socket_allow_hosts

from custom_components.moat_link import issues
from custom_components.moat_link.const import (
    CONF_READ_ONLY,
    CONF_SERVER_HOST,
    CONF_SERVER_PORT,
    CONF_USE_SERVER,
    DOMAIN,
)
from tests.support.mosquitto import Mosquitto
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import entry_for, set_up, state_of
from .test_services import refusal
from .wire import Peer, path, point

# Home Assistant's own http component, which this needs
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.AppKey")
TEXTS = File(issues.__file__).parent / "translations"


def shown(hass: HomeAssistant) -> dict[str, ir.IssueEntry]:
    """Return our active issues by their translation key; every text has what it needs."""
    found: dict[str, ir.IssueEntry] = {}
    for (domain, _), issue in ir.async_get(hass).issues.items():
        if domain == DOMAIN and issue.active:
            assert issue.translation_key is not None
            found[issue.translation_key] = issue
            for language in ("en", "de"):
                _fill(language, issue)
    return found


def _fill(language: str, issue: ir.IssueEntry) -> None:
    texts = json.loads((TEXTS / f"{language}.json").read_text())["issues"][issue.translation_key]
    about = issue.translation_placeholders or {}
    flow = texts.get("fix_flow", {}).get("step", {})
    assert ("fix_flow" in texts) is issue.is_fixable
    for text in (
        texts["title"],
        texts.get("description"),
        *(s["description"] for s in flow.values()),
    ):
        if text is not None:
            text.format(**about)


def about(hass: HomeAssistant, key: str) -> dict[str, str]:
    """Return what an issue says, its fixed name left out."""
    placeholders = dict(shown(hass)[key].translation_placeholders or {})
    assert placeholders.pop("name") == "Home"
    return placeholders


async def appears(hass: HomeAssistant, key: str) -> None:
    """Wait for an issue."""
    await until(lambda: key in shown(hass), what=key)


async def goes(hass: HomeAssistant, key: str) -> None:
    """Wait for the end of an issue."""
    await until(lambda: key not in shown(hass), what=f"no {key}")


@pytest.fixture
async def server(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> AsyncIterator[FakeServer]:
    """A server that is connected."""
    async with FakeServer() as server:
        await announce(peer, server)
        await until(lambda: state_of(hass, "sensor.home_server") == server.name)
        yield server


async def announce(peer: Peer, server: FakeServer, *, ahead: float = 0) -> None:
    """Have the server say where it is, by its own clock."""
    when = time.time() + ahead
    where = "run.service.main.conn"
    await peer.put(where, server.announcement, when=when, origin=server.name)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Miss a server at once."""
    monkeypatch.setattr(issues, "SERVER_PATIENCE", 0.5)


@pytest.mark.no_server("about having none")
async def test_quiet(hass: HomeAssistant, loaded: MockConfigEntry, impatient: None) -> None:
    """An installation that never had a server has nothing to repair."""
    hub = loaded.runtime_data
    assert hub.link.status.degraded
    hub.issues.tick(0.0)
    hub.issues.tick(1e9)
    assert shown(hass) == {}


# Errors of the link


async def test_fatal_error(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A fatal error is an issue until it is cleared; others are none."""
    await peer.put("error.app.lamp", {"msg": "dark", "level": 3})
    await peer.put("error.app.pump", {"msg": "dry `[x](y)`\nvery", "level": 4})
    await appears(hass, "link_error")
    assert about(hass, "link_error") == {"path": "app.pump", "message": "dry '[x](y)' very"}
    issue = shown(hass)["link_error"]
    assert issue.severity is ir.IssueSeverity.ERROR
    await peer.put("error.app.pump", {"msg": "burning", "level": 4, "n": 2})
    await until(lambda: about(hass, "link_error")["message"] == "burning")
    await peer.delete("error.app.pump")
    await goes(hass, "link_error")
    assert shown(hass) == {}


async def test_acknowledged_error(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Whoever has been heard need not shout."""
    await peer.put("error.app.pump", {"msg": "", "level": 4})
    await appears(hass, "link_error")
    assert about(hass, "link_error")["message"] == "—"
    await peer.put("error.app.pump", {"level": 4, "ack": True})
    await goes(hass, "link_error")


async def test_many_errors(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """So many that nobody would read them are one issue."""
    for number in range(11):
        await peer.put(f"error.app.n{number}", {"msg": f"no {number}", "level": 4})
    await appears(hass, "many_errors")
    await goes(hass, "link_error")
    assert about(hass, "many_errors") == {"count": "11", "path": "app.n10", "message": "no 10"}
    await peer.delete("error.app.n3")
    await goes(hass, "many_errors")
    registry = ir.async_get(hass)
    assert len([key for key in registry.issues if key[0] == DOMAIN]) == 10


# The server


@pytest.mark.no_server("has one of its own")
async def test_server_gone(
    hass: HomeAssistant, server: FakeServer, peer: Peer, impatient: None
) -> None:
    """A server that was there and is not any more is missed, until it is back."""
    await server.stop()
    await appears(hass, "server_gone")
    assert about(hass, "server_gone")["server"] == server.name
    assert about(hass, "server_gone")["reason"]
    await server.start()
    await announce(peer, server)
    await goes(hass, "server_gone")


@pytest.mark.no_server("has one of its own")
async def test_server_withdrawn(
    hass: HomeAssistant, server: FakeServer, peer: Peer, impatient: None
) -> None:
    """One that took leave is missed as well."""
    await peer.delete("run.service.main.conn")
    server.drop()
    await appears(hass, "server_gone")
    assert about(hass, "server_gone")["reason"] == "no server is known"


@pytest.mark.no_server("has one of its own")
async def test_short_outage(hass: HomeAssistant, server: FakeServer) -> None:
    """A server that restarts is no issue."""
    server.drop()
    await until(lambda: state_of(hass, "sensor.home_server") == "none")
    await until(lambda: state_of(hass, "sensor.home_server") == server.name)
    assert shown(hass) == {}


@pytest.mark.no_server("about one that is not there")
async def test_degraded(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, impatient: None
) -> None:
    """A server that says it is there, and is not, is an issue until it withdraws that."""
    with Mosquitto() as nobody:
        port = nobody.port
    await peer.put(
        "run.service.main.conn", {"link": [{"host": "127.0.0.1", "port": port}]}, origin="ghost"
    )
    await appears(hass, "degraded")
    assert str(port) in about(hass, "degraded")["reason"]
    assert shown(hass)["degraded"].severity is ir.IssueSeverity.WARNING
    await peer.delete("run.service.main.conn")
    await goes(hass, "degraded")


async def refusals(hass: HomeAssistant) -> set[str | None]:
    """Return what actions that need a server say."""
    past = await refusal(hass, "history", path="a")
    compared = await refusal(hass, "set", path="a", value=1, expected_time=True)
    return {past.translation_key, compared.translation_key}


@pytest.mark.no_server("has one of its own")
async def test_refused(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A server that does not let us in is an issue at once, and until it does."""
    async with FakeServer(tokens=["secret"], anonymous=False) as server:
        said = {"link": server.announcement["link"]}
        await peer.put("run.service.main.conn", said, origin=server.name)
        await appears(hass, "server_token_needed")
        assert await refusals(hass) == {"server_token_needed"}
        hass.config_entries.async_update_entry(loaded, data={**loaded.data, CONF_TOKEN: "wrong"})
        await hass.config_entries.async_reload(loaded.entry_id)
        await appears(hass, "server_wrong_token")
        assert "server_token_needed" not in shown(hass)
        assert await refusals(hass) == {"server_wrong_token"}
        hass.config_entries.async_update_entry(loaded, data={**loaded.data, CONF_TOKEN: "secret"})
        await hass.config_entries.async_reload(loaded.entry_id)
        await until(lambda: state_of(hass, "sensor.home_server") == server.name)
        await goes(hass, "server_wrong_token")


@pytest.mark.no_server("has one of its own")
async def test_not_told_the_token(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Not to know whether it is the right server is another trouble than a wrong token."""
    socket_allow_hosts(["127.0.0.1", "127.0.0.2"])
    hass.config_entries.async_update_entry(loaded, data={**loaded.data, CONF_TOKEN: "secret"})
    await hass.config_entries.async_reload(loaded.entry_id)
    async with FakeServer(host="127.0.0.2", tokens=["secret"], anonymous=False) as server:
        said = {"link": server.announcement["link"]}
        await peer.put("run.service.main.conn", said, origin=server.name)
        await appears(hass, "server_not_trusted")
        reason = about(hass, "server_not_trusted")["reason"]
        assert reason.startswith(f"{server.host}:{server.port}: ")
        assert await refusals(hass) == {"server_not_trusted"}
        place = {CONF_SERVER_HOST: server.host, CONF_SERVER_PORT: server.port}
        hass.config_entries.async_update_entry(loaded, data={**loaded.data, **place})
        await hass.config_entries.async_reload(loaded.entry_id)
        await goes(hass, "server_not_trusted")


async def test_without_server_on_purpose(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, impatient: None
) -> None:
    """Who does not want a server misses none."""
    await peer.put("run.service.main.conn", {"link": [{"host": "127.0.0.1", "port": 1}]})
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={CONF_USE_SERVER: False})
    assert await hass.config_entries.async_setup(entry.entry_id)
    hub = entry.runtime_data
    hub.issues.tick(0.0)
    hub.issues.tick(1e9)
    assert shown(hass) == {}
    assert await hass.config_entries.async_unload(entry.entry_id)


@pytest.mark.no_server("has one of its own")
async def test_clock_ahead(hass: HomeAssistant, server: FakeServer, peer: Peer) -> None:
    """A server whose clock is ahead is named, with the figure."""
    await announce(peer, server, ahead=42.4)
    await appears(hass, "clock_skew")
    assert about(hass, "clock_skew") == {"seconds": "+42", "server": server.name}
    assert state_of(hass, "sensor.home_server") == server.name


@pytest.mark.no_server("has one of its own")
async def test_clock_put_right(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """A clock that was behind and is right again is no issue any more."""
    async with FakeServer() as server:
        await announce(peer, server, ahead=-200)
        await until(lambda: state_of(hass, "sensor.home_server") == server.name)
        await announce(peer, server, ahead=-100)
        await appears(hass, "clock_skew")
        assert about(hass, "clock_skew")["seconds"] == "-100"
        await announce(peer, server)
        await goes(hass, "clock_skew")


# Descriptions


async def test_broken_description(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Path and key are named, one issue for a device; it ends with the mistake."""
    good = point("a", "voltage", "meter.a")
    await peer.describe("meter", good, point("b", "nonsense", "meter.b"), {"key": "c"})
    await appears(hass, "broken_description")
    found = about(hass, "broken_description")
    assert found["path"] == "device.meter"
    assert found["key"] == "points[1].quantity"
    assert "nonsense" in found["problem"]
    assert int(found["count"]) >= 2
    await peer.describe("meter", good)
    await goes(hass, "broken_description")
    await peer.put("device.other", "no map")
    await appears(hass, "broken_description")
    assert about(hass, "broken_description")["path"] == "device.other"
    await peer.delete("device.other")
    await goes(hass, "broken_description")


async def test_many_descriptions(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Many broken descriptions are one issue."""
    for number in range(11):
        await peer.put(f"device.d{number:02}", 5)
    await appears(hass, "many_descriptions")
    await goes(hass, "broken_description")
    found = about(hass, "many_descriptions")
    assert found["count"] == "11"
    assert found["paths"].startswith("device.d00, device.d01")


async def test_duplicate_device(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Two who describe the same device are both named."""
    owner = {"id": "x", "up": True}
    await peer.put("run.host.one.app", owner)
    await peer.put("run.host.two.app", owner)
    row = point("a", "voltage", "meter.a")
    await peer.describe("meter", row, alive=path("run.host.one.app"))
    await until(lambda: "meter" in loaded.runtime_data.site.devices)
    await peer.describe("meter", row, alive=path("run.host.two.app"))
    await appears(hass, "duplicate_device")
    found = about(hass, "duplicate_device")
    assert found["path"] == "device.meter"
    assert "run.host.one.app" in found["problem"]
    assert "run.host.two.app" in found["problem"]
    assert "broken_description" not in shown(hass)


async def test_invalid_id(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """An id that is none is a mistake, no duplicate."""
    await peer.put("device.bad!id", {"v": 1, "name": "x", "points": []})
    await appears(hass, "broken_description")
    assert about(hass, "broken_description")["key"] == "(id)"
    assert "duplicate_device" not in shown(hass)


async def test_broken_value(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """A value that the user picked is corrected where it was picked."""
    data = {"path": "odd", "quantity": "temperature", "unit": "furlong"}
    picked = ConfigSubentryData(
        subentry_type="value", title="Odd place", unique_id=None, data=data, subentry_id="one"
    )
    entry = MockConfigEntry(domain=DOMAIN, title="Home", data=entry.data, subentries_data=[picked])
    await set_up(hass, entry)
    await appears(hass, "broken_value")
    assert about(hass, "broken_value")["path"] == "Odd place"
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert shown(hass) == {}


# The broker


@pytest.fixture
def denying(tmp_path: File, socket_enabled: None) -> Any:
    """A broker that lets nobody follow requests."""
    [plugin] = File("/usr/lib").glob("**/mosquitto_dynamic_security.so")
    settings = tmp_path / "security.json"
    rule = {"acltype": "subscribePattern", "topic": "home/run/request/#", "allow": False}
    access = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    security = {
        "defaultACLAccess": dict.fromkeys(access, True),
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "some"}], "clients": []}],
        "roles": [{"rolename": "some", "acls": [rule]}],
        "anonymousGroup": "all",
    }
    settings.write_text(json.dumps(security))
    with Mosquitto(extra=f"plugin {plugin}\nplugin_opt_config_file {settings}\n") as broker:
        yield broker


async def test_subscription_denied(hass: HomeAssistant, denying: Mosquitto) -> None:
    """What the broker denies is named, until the entry is gone."""
    entry = entry_for(denying)
    await set_up(hass, entry)
    await appears(hass, "not_authorized")
    assert about(hass, "not_authorized")["topic"].startswith("home/run/request/")
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert shown(hass) == {}


# Life


async def test_unload_clears(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """An entry that is not there has no issues; they are back when it is."""
    await peer.put("error.app.pump", {"msg": "dry", "level": 4})
    await peer.put("device.d", 5)
    await appears(hass, "link_error")
    await appears(hass, "broken_description")
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert shown(hass) == {}
    assert await hass.config_entries.async_setup(loaded.entry_id)
    await appears(hass, "link_error")
    await appears(hass, "broken_description")


async def test_outage_keeps_issues(
    hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto, peer: Peer
) -> None:
    """While the broker is away nothing is known to be over."""
    await peer.put("error.app.pump", {"msg": "dry", "level": 4})
    await appears(hass, "link_error")
    broker.kill()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "off")
    loaded.runtime_data.issues.tick(0.0)
    assert set(shown(hass)) == {"link_error"}


# Fix flows


async def flow(hass: HomeAssistant, key: str) -> tuple[RepairsFlowManager, Any]:
    """Start repairing an issue."""
    assert await async_setup_component(hass, REPAIRS, {})
    issue = shown(hass)[key]
    manager: RepairsFlowManager = hass.data[REPAIRS]["flow_manager"]
    result = await manager.async_init(DOMAIN, data={"issue_id": issue.issue_id})
    return manager, result


@pytest.mark.parametrize(
    ("choice", "settled"),
    [
        ("acknowledge", lambda problems: next(iter(problems.open.values())).acknowledged),
        ("clear", lambda problems: not problems.open),
    ],
)
async def test_settle_error(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    choice: str,
    settled: Callable[[Any], bool],
) -> None:
    """The user acknowledges or clears an error where it is shown."""
    await peer.put("error.app.pump", {"msg": "dry", "level": 4})
    await appears(hass, "link_error")
    manager, menu = await flow(hass, "link_error")
    assert menu["type"] is FlowResultType.MENU
    assert menu["description_placeholders"]["message"] == "dry"
    result = await manager.async_configure(menu["flow_id"], {"next_step_id": choice})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await until(lambda: settled(loaded.runtime_data.problems))
    await goes(hass, "link_error")


async def test_settle_refused(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """What cannot be done is said, and the issue stays."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={CONF_READ_ONLY: True})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await peer.put("error.app.pump", {"msg": "dry", "level": 4})
    await appears(hass, "link_error")
    manager, menu = await flow(hass, "link_error")
    result = await manager.async_configure(menu["flow_id"], {"next_step_id": "clear"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "failed")
    assert "link_error" in shown(hass)
    manager, menu = await flow(hass, "link_error")
    assert await hass.config_entries.async_unload(entry.entry_id)
    result = await manager.async_configure(menu["flow_id"], {"next_step_id": "acknowledge"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_loaded")


async def test_stopped(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Whoever was stopped takes part again when the user says so; only that is shown."""
    await peer.put("error.app.pump", {"msg": "dry", "level": 4})
    await appears(hass, "link_error")
    host = loaded.runtime_data.link.config.host
    await peer.put(f"run.stop.{host}.homeassistant", {"reason": "`tea`"}, retain=False)
    await appears(hass, "stopped")
    await goes(hass, "link_error")
    assert about(hass, "stopped") == {"reason": "'tea'"}
    manager, form = await flow(hass, "stopped")
    assert form["type"] is FlowResultType.FORM
    assert form["description_placeholders"]["reason"] == "'tea'"
    result = await manager.async_configure(form["flow_id"], {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "on", 10)
    await hass.async_block_till_done()
    assert loaded.state is ConfigEntryState.LOADED
    await appears(hass, "link_error")
    assert "stopped" not in shown(hass)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n b\t`c`", "a b 'c'"),
        ("x" * 300, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_plain(text: str, line: str) -> None:
    """What comes from the wire cannot break out of its line."""
    assert issues.plain(text) == line
