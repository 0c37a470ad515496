"""Setting up: every way in, every way it fails, and that each failure can be mended."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    SOURCE_ZEROCONF,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_TOKEN, CONF_USERNAME
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_socket import socket_allow_hosts

from custom_components.moat_link.const import (
    CONF_CA,
    CONF_CLIENT_CERT,
    CONF_CLIENT_KEY,
    CONF_ROOT,
    CONF_SERVER_CA,
    CONF_SERVER_HOST,
    CONF_SERVER_PATH,
    CONF_SERVER_PORT,
    CONF_TLS,
    DOMAIN,
)
from firmware_bridge.link.path import Path as LinkPath
from firmware_bridge.link.transport import BrokerConfig
from firmware_bridge.server.certificate import Certificate
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server
from tests.support import fake_broker
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.running import running
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import entry_for, set_up
from .wire import ROOT, Peer, point

USER = {"anna": "secret-word"}
SERVED = {"node": "vm", "link": [{"host": "127.0.0.1", "port": 1}], "auth": {"token": "t"}}


def address(broker: Mosquitto, **more: object) -> dict[str, Any]:
    """Return what a user enters for a broker."""
    return {CONF_HOST: broker.host, CONF_PORT: broker.port, CONF_TLS: "off", **more}


@pytest.fixture
def locked(socket_enabled: None) -> Iterator[Mosquitto]:
    """A broker that asks for credentials."""
    with Mosquitto(users=USER) as broker:
        yield broker


@pytest.fixture(autouse=True)
async def settled(hass: HomeAssistant) -> AsyncIterator[None]:
    """A flow that succeeds sets an entry up in the background: no test ends before that."""
    yield
    await hass.async_block_till_done()


@pytest.fixture
def no_setup() -> Iterator[None]:
    """Entries are made, and not set up."""
    with patch("custom_components.moat_link.async_setup_entry", return_value=True):
        yield


@pytest.fixture
async def home(peer: Peer) -> Peer:
    """An installation with a server's announcement and a described device."""
    await peer.put("run.service.main.conn", SERVED)
    await peer.describe("meter", point("power", "power", "ems.power"))
    return peer


async def start(hass: HomeAssistant) -> ConfigFlowResult:
    """Begin as a user does."""
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})


async def answer(
    hass: HomeAssistant, result: ConfigFlowResult, **values: object
) -> ConfigFlowResult:
    """Fill in the form that is shown."""
    return await hass.config_entries.flow.async_configure(result["flow_id"], values)


def assert_form(result: ConfigFlowResult, step: str, **errors: str) -> None:
    """A form is shown, with these errors."""
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, step)
    assert result["errors"] == errors


def options_of(result: ConfigFlowResult, field: str) -> list[Any]:
    """Return what a form offers to choose from."""
    schema = result["data_schema"]
    assert schema is not None
    selector = next(value for key, value in schema.schema.items() if key == field)
    return list(selector.config["options"])


async def test_names_some_devices(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """A root is known by its devices, but not all of them are named."""
    for name in ("roof", "car", "well", "heat"):
        await home.describe(name, point("power", "power", f"ems.{name}"))
    result = await answer(hass, await start(hass), **address(broker))
    label = options_of(result, CONF_ROOT)[0]["label"]
    assert label == "home (⚙, car, heat, meter, +2)"


async def test_user_finds_root(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """Name the broker, take the root that was found, and everything is there."""
    result = await start(hass)
    assert_form(result, "broker")
    result = await answer(hass, result, **address(broker))
    assert_form(result, "root")
    assert options_of(result, CONF_ROOT) == [{"value": ROOT, "label": "home (⚙, meter)"}]
    result = await answer(hass, result, **{CONF_ROOT: ROOT})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == ROOT
    assert result["data"] == address(broker) | {CONF_ROOT: ROOT}
    entry = result["result"]
    assert entry.unique_id == f"127.0.0.1:{broker.port}/home"
    await until(lambda: entry.state is ConfigEntryState.LOADED, what="the entry")
    assert hass.states.get("sensor.meter_power") is not None


async def test_other_root(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """A root nobody uses yet is taken only when the user insists; nonsense never is."""
    result = await answer(hass, await start(hass), **address(broker))
    for root in (":", "a.:i0x", ""):
        result = await answer(hass, result, **{CONF_ROOT: root})
        assert_form(result, "root", root="invalid_root")
    result = await answer(hass, result, **{CONF_ROOT: "moat.empty"})
    assert_form(result, "root", base="no_moat_link")
    result = await answer(hass, result, **{CONF_ROOT: "moat.empty", "anyway": True})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "moat.empty"


@pytest.mark.no_server("one would be found")
async def test_nothing_found(hass: HomeAssistant, broker: Mosquitto, peer: Peer) -> None:
    """On an empty broker the root is typed."""
    await peer.raw("device.rubbish", b"\xff")
    await peer.put("device.text", "no description")
    await peer.put("device.foreign", {"some": "thing"})
    result = await answer(hass, await start(hass), **address(broker))
    assert_form(result, "root")
    assert (result["description_placeholders"] or {})["found"] == "0"


TOKEN = "a-token-of-ours"
HAS_ONE = pytest.mark.no_server("has servers of its own")


@asynccontextmanager
async def serving(broker: Mosquitto, *listeners: Listener, **changes: Any) -> AsyncIterator[None]:
    """Run a server of ours that lets in who has the token, and wait until it says so."""
    options: dict[str, Any] = {"anonymous": False, "announce_token": False} | changes
    server = Server(
        ServerConfig(
            broker=BrokerConfig(host=broker.host, port=broker.port),
            root=LinkPath(ROOT),
            name="srv",
            listeners=listeners or (Listener(port=free_port()),),
            tokens={"ha": TOKEN},
            **options,
        )
    )
    async with running(server.run()), Peer(broker) as witness:
        await witness.follow("run.service.main.conn")
        await until(lambda: any(witness.values("run.service.main.conn")), 10)
        yield


def encrypting(folder: Path, authority: Authority) -> Listener:
    """Return a listener that encrypts with a certificate of this authority."""
    issued = authority.issue()
    file = folder / "server.pem"
    file.write_text(issued.certificate + issued.key)
    file.chmod(0o600)
    return Listener(name="tls", port=free_port(), certificate=Certificate.read(file, None))


async def test_server_is_an_address(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """What is no end point is told before anything is tried."""
    result = await answer(hass, await start(hass), **address(broker))
    for wrong in ("vm", "vm:", ":27587", "vm:0", "vm:99999", "vm:x", "tls://vm", "tls://:1"):
        result = await answer(hass, result, **{CONF_ROOT: ROOT, "server": wrong})
        assert_form(result, "root", server="invalid_server")


@HAS_ONE
@pytest.mark.parametrize("place", ["127.0.0.1", "::1", "socket"])
async def test_server_of_choice(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, no_setup: None, tmp_path: Path, place: str
) -> None:
    """A server's end point and token are stored when the server lets us in, and only then."""
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    port, path = free_port(), str(tmp_path / "sock")
    listener, server, stored = {
        "socket": (Listener(path=path), path, {CONF_SERVER_PATH: path}),
        "::1": (
            Listener(host="::1", port=port),
            f"[::1]:{port}",
            {CONF_SERVER_HOST: "::1", CONF_SERVER_PORT: port},
        ),
        "127.0.0.1": (
            Listener(port=port),
            f"127.0.0.1:{port}",
            {CONF_SERVER_HOST: "127.0.0.1", CONF_SERVER_PORT: port},
        ),
    }[place]
    result = await answer(hass, await start(hass), **address(broker))
    given = {CONF_ROOT: ROOT, "server": server}
    async with serving(broker, listener):
        result = await answer(hass, result, **given, token="a-wrong-token")
        assert_form(result, "root", token="wrong_token")
        result = await answer(hass, result, **given)
        assert_form(result, "root", token="token_needed")
        result = await answer(hass, result, **given, token=TOKEN)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == address(broker) | {CONF_ROOT: ROOT, CONF_TOKEN: TOKEN} | stored


@HAS_ONE
async def test_token_for_announced(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, no_setup: None
) -> None:
    """A token alone is tried where the server says that it is."""
    await peer.raw("run.service.main.server.odd", b"\xff")
    result = await answer(hass, await start(hass), **address(broker))
    async with serving(broker):
        result = await answer(hass, result, **{CONF_ROOT: ROOT, CONF_TOKEN: "a-wrong-token"})
        assert_form(result, "root", token="wrong_token")
        result = await answer(hass, result, **{CONF_ROOT: ROOT, CONF_TOKEN: TOKEN})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == address(broker) | {CONF_ROOT: ROOT, CONF_TOKEN: TOKEN}


@HAS_ONE
async def test_token_is_not_for_strangers(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, no_setup: None
) -> None:
    """Anybody may announce a server: who is asked for it decides whether it is told the token."""
    socket_allow_hosts(["127.0.0.1", "127.0.0.2"])
    async with FakeServer(host="127.0.0.2", tokens=[TOKEN], anonymous=False) as server:
        said = {"link": server.announcement["link"]}
        await peer.put("run.service.main.conn", said, origin=server.name)
        place = f"{server.host}:{server.port}"
        result = await answer(hass, await start(hass), **address(broker))
        result = await answer(hass, result, **{CONF_ROOT: ROOT, CONF_TOKEN: TOKEN})
        assert_form(result, "root", server="server_not_trusted")
        assert (result["description_placeholders"] or {})["error"] == place
        assert server.accepted == 0
        entry = entry_for(broker, token=TOKEN)
        entry.add_to_hass(hass)
        result = await answer(hass, await reconfigure(hass, entry), **address(broker))
        assert_form(result, "reconfigure", server="server_not_trusted")
        assert (result["description_placeholders"] or {})["error"] == place
        result = await answer(hass, result, **address(broker, server=place))
    assert result["reason"] == "reconfigure_successful"


@HAS_ONE
async def test_token_counts(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, no_setup: None
) -> None:
    """A wrong token is told even by a server that lets everybody in, or announces another."""
    result = await answer(hass, await start(hass), **address(broker))
    async with serving(broker, anonymous=True, announce_token=True):
        result = await answer(hass, result, **{CONF_ROOT: ROOT, CONF_TOKEN: "a-wrong-token"})
        assert_form(result, "root", token="wrong_token")


@HAS_ONE
async def test_token_stays_secret(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, no_setup: None, tmp_path: Path
) -> None:
    """Where a server encrypts, the token is never told in clear."""
    result = await answer(hass, await start(hass), **address(broker))
    encrypted = encrypting(tmp_path, Authority())
    async with serving(broker, Listener(port=free_port()), encrypted):
        result = await answer(hass, result, **{CONF_ROOT: ROOT, CONF_TOKEN: TOKEN})
    assert_form(result, "root", server_ca="server_tls")
    assert "certificate" in (result["description_placeholders"] or {})["error"]


@HAS_ONE
@pytest.mark.parametrize("fixed", [True, False])
async def test_encrypted_server(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, tmp_path: Path, fixed: bool
) -> None:
    """A server with an authority of its own is used over a broker that does not encrypt."""
    authority = Authority()
    listener = encrypting(tmp_path, authority)
    place = f"127.0.0.1:{listener.port}"
    given = {CONF_ROOT: ROOT, CONF_TOKEN: TOKEN} | ({"server": f"tls://{place}"} if fixed else {})
    result = await answer(hass, await start(hass), **address(broker))
    async with serving(broker, listener):
        result = await answer(hass, result, **given | {"server": place})
        assert_form(result, "root", server="server_encrypts")
        result = await answer(hass, result, **given)
        assert_form(result, "root", server_ca="server_tls")
        result = await answer(hass, result, **given, server_ca="no certificate")
        assert_form(result, "root", server_ca="invalid_ca")
        result = await answer(hass, result, **given, server_ca=authority.certificate)
        assert result["type"] is FlowResultType.CREATE_ENTRY
        entry = result["result"]
        await until(lambda: entry.state is ConfigEntryState.LOADED, what="the entry")
        link = entry.runtime_data.link
        await until(lambda: link.status.server == "srv", what="the server")
        result = await reconfigure(hass, entry)
        assert result["data_schema"] is not None
        hints = {str(key): key.description for key in result["data_schema"].schema}
        assert hints["server"] == {"suggested_value": f"tls://{place}" if fixed else ""}
        assert hints[CONF_SERVER_CA] == {"suggested_value": authority.certificate}


@HAS_ONE
async def test_no_server_for_the_token(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, no_setup: None
) -> None:
    """A server that does not answer, or is not there, is told; the user may know better."""
    await peer.describe("meter", point("power", "power", "ems.power"))
    result = await answer(hass, await start(hass), **address(broker))
    result = await answer(hass, result, **{CONF_ROOT: ROOT, CONF_TOKEN: TOKEN})
    assert_form(result, "root", token="no_server")
    port = free_port()
    given = {CONF_ROOT: ROOT, CONF_TOKEN: TOKEN, "server": f"127.0.0.1:{port}"}
    result = await answer(hass, result, **given)
    assert_form(result, "root", server="server_unreachable")
    assert str(port) in (result["description_placeholders"] or {})["error"]
    result = await answer(hass, result, **given, anyway=True)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"][CONF_TOKEN] == TOKEN


@HAS_ONE
async def test_reconfigure_token(
    hass: HomeAssistant, broker: Mosquitto, peer: Peer, no_setup: None
) -> None:
    """A wrong token changes nothing; a stored one may have become unnecessary."""
    entry = entry_for(broker, token="removed-at-the-server")
    entry.add_to_hass(hass)
    async with serving(broker):
        result = await answer(hass, await reconfigure(hass, entry), **address(broker))
        assert_form(result, "reconfigure", token="wrong_token")
        result = await answer(hass, result, **address(broker, token="a-wrong-token"))
        assert_form(result, "reconfigure", token="wrong_token")
        assert entry.data[CONF_TOKEN] == "removed-at-the-server"
        result = await answer(hass, result, **address(broker, token=TOKEN))
        assert result["reason"] == "reconfigure_successful"
        assert entry.data[CONF_TOKEN] == TOKEN
    hass.config_entries.async_update_entry(entry, data={**entry.data, CONF_TOKEN: "removed"})
    async with serving(broker, anonymous=True):
        result = await answer(hass, await reconfigure(hass, entry), **address(broker))
    assert result["reason"] == "reconfigure_successful"


async def test_unreachable_then_right(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """A wrong port is named as such, and mended in the same form."""
    result = await answer(hass, await start(hass), **address(broker, port=free_port()))
    assert_form(result, "broker", base="cannot_connect")
    result = await answer(hass, result, **address(broker))
    assert_form(result, "root")


async def test_credentials(hass: HomeAssistant, locked: Mosquitto) -> None:
    """The broker's refusal is told; the right password goes on."""
    result = await answer(hass, await start(hass), **address(locked, username="anna", password="x"))
    assert_form(result, "broker", base="invalid_auth")
    shown = {key: key.description for key in result["data_schema"].schema}  # type: ignore[union-attr]
    assert not any((hint or {}).get("suggested_value") == "x" for hint in shown.values())
    right = address(locked, username="anna", password=USER["anna"])
    assert_form(await answer(hass, result, **right), "root")


async def test_not_mqtt5(hass: HomeAssistant, socket_enabled: None) -> None:
    """A broker of the older protocol is recognised."""

    async def refuse(peer: fake_broker.Peer) -> None:
        await peer.accept(b"\x20\x02\x00\x01")

    async with fake_broker.FakeBroker(refuse) as broker:
        result = await answer(
            hass, await start(hass), host="127.0.0.1", port=broker.port, tls="off"
        )
    assert_form(result, "broker", base="not_mqtt5")


async def test_garbage(hass: HomeAssistant, socket_enabled: None) -> None:
    """Something that accepts us and then talks nonsense is no usable broker."""

    async def talk(peer: fake_broker.Peer) -> None:
        await peer.accept()
        peer.send(b"\x00\x00\x00")
        await peer.stay()

    async with fake_broker.FakeBroker(talk) as broker:
        result = await answer(
            hass, await start(hass), host="127.0.0.1", port=broker.port, tls="off"
        )
    assert_form(result, "broker", base="cannot_connect")


async def test_busy_broker(hass: HomeAssistant, socket_enabled: None) -> None:
    """A broker's own reason for a refusal is shown."""

    async def refuse(peer: fake_broker.Peer) -> None:
        await peer.accept(b"\x20\x03\x00\x97\x00")

    async with fake_broker.FakeBroker(refuse) as broker:
        result = await answer(
            hass, await start(hass), host="127.0.0.1", port=broker.port, tls="off"
        )
    assert_form(result, "broker", base="cannot_connect")
    placeholders = result["description_placeholders"]
    assert placeholders is not None
    assert "quota" in placeholders["error"].lower()


async def test_tls(hass: HomeAssistant, socket_enabled: None) -> None:
    """Unknown authorities, wrong protocols and broken certificates are told; the right ones work."""
    authority = Authority()
    client = authority.issue("homeassistant")
    secured = {
        CONF_CA: authority.certificate,
        CONF_CLIENT_CERT: client.certificate,
        CONF_CLIENT_KEY: client.key,
    }
    with (
        Mosquitto() as plain,
        Mosquitto(tls=authority.issue(), client_ca=authority.certificate) as broker,
    ):
        result = await start(hass)
        for wrong in (
            address(broker, tls="on"),
            address(broker, tls="on", certificates={CONF_CA: "no certificate"}),
            address(plain, tls="on", certificates={CONF_CA: authority.certificate}),
        ):
            result = await answer(hass, result, **wrong)
            assert_form(result, "broker", base="tls")
        result = await answer(hass, result, **address(broker, tls="on", certificates=secured))
        assert_form(result, "root")


async def test_acl(hass: HomeAssistant, socket_enabled: None, locked: Mosquitto) -> None:
    """An account that may not read there is told so."""
    refused = {"trace": 0}

    async def deny(peer: fake_broker.Peer) -> None:
        await peer.accept()
        while True:
            head, body = await peer.packet()
            if head >> 4 == 8:
                refused["trace"] += 1
                peer.send(fake_broker.packet(0x90, body[:2] + b"\x00\x87"))
            elif head >> 4 == 12:
                peer.send(b"\xd0\x00")
            elif head >> 4 == 14:
                return

    async with fake_broker.FakeBroker(deny) as broker:
        place = {CONF_HOST: "127.0.0.1", CONF_PORT: broker.port, CONF_TLS: "off"}
        result = await answer(hass, await start(hass), **place)
        assert_form(result, "root")
        result = await answer(hass, result, **{CONF_ROOT: ROOT})
        assert_form(result, "root", base="not_authorized")
    assert refused["trace"] > 1


async def test_core_mqtt(hass: HomeAssistant, locked: Mosquitto) -> None:
    """The broker of the MQTT integration is offered, with its credentials."""
    data = {"broker": locked.host, "port": locked.port, "username": "anna"}
    data["password"] = USER["anna"]
    MockConfigEntry(domain="mqtt", data={"broker": "ws", "transport": "websockets"}).add_to_hass(
        hass
    )
    MockConfigEntry(domain="mqtt", data=data).add_to_hass(hass)
    async with Peer(locked, username="anna", password=USER["anna"]) as peer:
        await peer.describe("meter", point("power", "power", "ems.power"))
        result = await start(hass)
        assert (result["type"], result["step_id"]) == (FlowResultType.MENU, "user")
        assert result["menu_options"] == ["core_mqtt", "broker"]
        result = await answer(hass, result, next_step_id="core_mqtt")
        assert_form(result, "root")
        result = await answer(hass, result, **{CONF_ROOT: ROOT})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"][CONF_PASSWORD] == USER["anna"]


async def test_core_mqtt_tls(hass: HomeAssistant, socket_enabled: None) -> None:
    """Certificates of the MQTT integration come along, and that it does not look at names."""
    authority = Authority()
    client = authority.issue("homeassistant")
    server = authority.issue("elsewhere", alternatives=["DNS:elsewhere"])
    with Mosquitto(tls=server, client_ca=authority.certificate) as broker:
        data = {"broker": broker.host, "port": broker.port, "certificate": authority.certificate}
        data |= {"client_cert": client.certificate, "client_key": client.key, "tls_insecure": True}
        MockConfigEntry(domain="mqtt", data=data).add_to_hass(hass)
        result = await answer(hass, await start(hass), next_step_id="core_mqtt")
        assert_form(result, "root")


async def test_core_mqtt_fails(hass: HomeAssistant, socket_enabled: None) -> None:
    """When that broker does not answer, its form opens; when it is gone, the flow ends."""
    data = {"broker": "127.0.0.1", "port": free_port(), "certificate": "auto"}
    mqtt = MockConfigEntry(domain="mqtt", data=data)
    mqtt.add_to_hass(hass)
    other = await start(hass)
    result = await answer(hass, await start(hass), next_step_id="core_mqtt")
    assert_form(result, "broker", base="cannot_connect")
    await hass.config_entries.async_remove(mqtt.entry_id)
    result = await answer(hass, other, next_step_id="core_mqtt")
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "core_mqtt_gone")


async def test_once_per_root_and_broker(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """The same root on the same broker is set up once."""
    for expected in (FlowResultType.CREATE_ENTRY, FlowResultType.ABORT):
        result = await answer(hass, await start(hass), **address(broker))
        result = await answer(hass, result, **{CONF_ROOT: ROOT})
        assert result["type"] is expected
    assert result["reason"] == "already_configured"


async def test_reauth_of_failed_entry(hass: HomeAssistant, locked: Mosquitto) -> None:
    """An entry whose password is refused at start asks for one, and then loads."""
    entry = entry_for(locked, username="anna", password="old")
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    result = await hass.config_entries.flow.async_configure(flow["flow_id"])
    assert_form(result, "reauth_confirm")
    result = await answer(hass, result, username="anna", password="wrong")
    assert_form(result, "reauth_confirm", base="invalid_auth")
    result = await answer(hass, result, username="anna", password=USER["anna"])
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reauth_successful")
    await until(lambda: entry.state is ConfigEntryState.LOADED, what="the entry")
    assert entry.data[CONF_PASSWORD] == USER["anna"]
    assert entry.data[CONF_ROOT] == ROOT


async def test_reauth_of_running_entry(
    hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto
) -> None:
    """A running entry is reloaded with the new credentials."""
    result = await loaded.start_reauth_flow(hass)
    hub = loaded.runtime_data
    result = await answer(hass, result, username="anna", password="any")
    assert result["reason"] == "reauth_successful"
    await until(
        lambda: loaded.state is ConfigEntryState.LOADED and loaded.runtime_data is not hub,
        what="the reload",
    )
    assert loaded.data[CONF_USERNAME] == "anna"


async def reconfigure(hass: HomeAssistant, entry: MockConfigEntry) -> ConfigFlowResult:
    """Begin to change how an installation is reached."""
    return await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    )


@pytest.mark.no_server("tells of one that does not answer")
async def test_reconfigure(
    hass: HomeAssistant, home: Peer, broker: Mosquitto, no_setup: None
) -> None:
    """Address and server change; password and token stay when they are left empty."""
    data = {CONF_USERNAME: "anna", CONF_PASSWORD: "kept", CONF_TOKEN: "tok"}
    data |= {CONF_CA: "ca", CONF_CLIENT_CERT: "cert", CONF_CLIENT_KEY: "key"}
    entry = entry_for(broker, **data, server_host="vm", server_port=1)
    entry.add_to_hass(hass)
    result = await reconfigure(hass, entry)
    assert_form(result, "reconfigure")
    schema = result["data_schema"]
    assert schema is not None
    hints = {str(key): key.description for key in schema.schema}
    inside = schema.schema["certificates"].schema.schema
    assert {str(key): key.description for key in inside} == {
        CONF_CA: {"suggested_value": "ca"},
        CONF_CLIENT_CERT: {"suggested_value": "cert"},
        CONF_CLIENT_KEY: None,
    }
    assert hints["server"] == {"suggested_value": "vm:1"}
    assert not hints[CONF_PASSWORD]
    assert not hints[CONF_TOKEN]
    given = address(broker, username="anna")
    result = await answer(hass, result, **given | {"server": "nonsense"})
    assert_form(result, "reconfigure", server="invalid_server")
    result = await answer(hass, result, **given | {CONF_PORT: free_port()})
    assert_form(result, "reconfigure", base="cannot_connect")
    cert = {CONF_CLIENT_CERT: "cert"}
    result = await answer(hass, result, **given, certificates=cert)
    assert_form(result, "reconfigure", token="server_unreachable")
    result = await answer(hass, result, **given, certificates=cert, anyway=True)
    assert result["reason"] == "reconfigure_successful"
    assert dict(entry.data) == given | {
        CONF_CLIENT_CERT: "cert",
        CONF_CLIENT_KEY: "key",
        CONF_ROOT: ROOT,
        CONF_PASSWORD: "kept",
        CONF_TOKEN: "tok",
    }
    assert entry.unique_id == f"127.0.0.1:{broker.port}/home"


async def test_reconfigure_user(
    hass: HomeAssistant, home: Peer, broker: Mosquitto, no_setup: None
) -> None:
    """Another user does not inherit the password; a socket and IPv6 are shown as they were."""
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    entry = entry_for(broker, username="anna", password="old", server_path="/run/moat.sock")
    entry.add_to_hass(hass)
    result = await reconfigure(hass, entry)
    moved = address(broker, server="[::1]:1", token="new")
    result = await answer(hass, result, **moved)
    assert_form(result, "reconfigure", server="server_unreachable")
    result = await answer(hass, result, **moved, anyway=True)
    assert result["reason"] == "reconfigure_successful"
    assert CONF_PASSWORD not in entry.data
    assert CONF_SERVER_PATH not in entry.data
    assert entry.data[CONF_TOKEN] == "new"
    result = await reconfigure(hass, entry)
    schema = result["data_schema"]
    assert schema is not None
    hints = {str(key): key.description for key in schema.schema}
    assert hints["server"] == {"suggested_value": "[::1]:1"}


@pytest.mark.no_server("one would be found")
async def test_reconfigure_empty_broker(
    hass: HomeAssistant, broker: Mosquitto, no_setup: None
) -> None:
    """A broker without the installation is taken only when the user insists."""
    entry = entry_for(broker, port=1)
    entry.add_to_hass(hass)
    result = await answer(hass, await reconfigure(hass, entry), **address(broker))
    assert_form(result, "reconfigure", base="no_moat_link")
    result = await answer(hass, result, **address(broker, anyway=True))
    assert result["reason"] == "reconfigure_successful"
    assert "anyway" not in entry.data


async def test_reconfigure_onto_another(hass: HomeAssistant, home: Peer, broker: Mosquitto) -> None:
    """An entry cannot be moved to where another one is."""
    MockConfigEntry(
        domain=DOMAIN,
        unique_id=f"127.0.0.1:{broker.port}/home",
        data=address(broker) | {CONF_ROOT: ROOT},
    ).add_to_hass(hass)
    entry = entry_for(broker, port=1)
    entry.add_to_hass(hass)
    result = await answer(hass, await reconfigure(hass, entry), **address(broker))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


def announced(broker: Mosquitto, **changes: str | None) -> ZeroconfServiceInfo:
    """Return what a bridge announces on the network."""
    properties = {"root": ROOT, "host": broker.host, "port": str(broker.port)} | changes
    return ZeroconfServiceInfo(
        ip_address=ip_address("127.0.0.1"),
        ip_addresses=[ip_address("127.0.0.1")],
        port=0,
        hostname="bridge.local.",
        type="_moat-link._tcp.local.",
        name="bridge._moat-link._tcp.local.",
        properties={key: value for key, value in properties.items() if value is not None},
    )


async def discover(hass: HomeAssistant, info: ZeroconfServiceInfo) -> ConfigFlowResult:
    """Let a bridge be found."""
    return await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_ZEROCONF}, data=info
    )


async def test_zeroconf(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """A bridge that announces itself is one click away."""
    result = await discover(hass, announced(broker))
    assert_form(result, "zeroconf_confirm")
    result = await answer(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == {
        CONF_HOST: broker.host,
        CONF_PORT: broker.port,
        CONF_ROOT: ROOT,
    }


async def test_zeroconf_credentials(hass: HomeAssistant, locked: Mosquitto) -> None:
    """The broker of a bridge may ask for a password."""
    async with Peer(locked, username="anna", password=USER["anna"]) as peer:
        await peer.describe("meter", point("power", "power", "ems.power"))
        result = await discover(hass, announced(locked))
        result = await answer(hass, result)
        assert_form(result, "zeroconf_confirm", base="invalid_auth")
        result = await answer(hass, result, username="anna", password=USER["anna"])
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_zeroconf_tls(hass: HomeAssistant, broker: Mosquitto, home: Peer) -> None:
    """A bridge tells whether its broker is encrypted; nothing is tried without, then."""
    result = await discover(hass, announced(broker, tls="1"))
    result = await answer(hass, result)
    assert_form(result, "zeroconf_confirm", base="tls")


@pytest.mark.parametrize(
    "changes", [{"root": None}, {"root": ":"}, {"root": "a.:i0x"}, {"port": "x"}, {"port": "70000"}]
)
async def test_zeroconf_nonsense(
    hass: HomeAssistant, broker: Mosquitto, changes: dict[str, str | None]
) -> None:
    """What cannot be used is not offered."""
    result = await discover(hass, announced(broker, **changes))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "invalid_discovery_info")


async def test_zeroconf_known(
    hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto
) -> None:
    """An installation that works is not offered again, under whatever address."""
    result = await discover(hass, announced(broker, host="localhost"))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert loaded.data[CONF_HOST] == broker.host


@pytest.mark.parametrize(
    ("secret", "moves"),
    [
        ({}, True),
        ({CONF_PASSWORD: "p"}, False),
        ({CONF_PASSWORD: "p", CONF_TLS: "on"}, False),
        ({CONF_PASSWORD: "p", CONF_TLS: "on", CONF_CA: "ours"}, True),
    ],
)
async def test_zeroconf_moved(
    hass: HomeAssistant, broker: Mosquitto, home: Peer, secret: dict[str, str], moves: bool
) -> None:
    """An installation out of reach moves to the announced address, unless that risks a password."""
    other = entry_for(broker, root="other")
    other.add_to_hass(hass)
    port = free_port()
    entry = MockConfigEntry(
        domain=DOMAIN,
        data={CONF_HOST: broker.host, CONF_PORT: port, CONF_ROOT: ROOT} | secret,
    )
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    result = await discover(hass, announced(broker))
    assert result["reason"] == "already_configured"
    assert (entry.data[CONF_PORT] == broker.port) is moves
    await hass.async_block_till_done(wait_background_tasks=False)
    await hass.config_entries.async_unload(entry.entry_id)
