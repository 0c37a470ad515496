"""Actions, from the call to the wire and back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import cbor2
import pytest
from homeassistant.auth.models import User
from homeassistant.core import Context, HomeAssistant, ServiceResponse
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers.json import json_dumps
from probatio import Invalid
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.moat_link import refusals, services
from custom_components.moat_link.const import CONF_ALLOW_WRITE, CONF_READ_ONLY, DOMAIN
from firmware_bridge.link.connection import Request
from firmware_bridge.link.direct import connect
from firmware_bridge.link.frames import Reply
from firmware_bridge.link.path import Path
from tests.support.mosquitto import Mosquitto
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import Settled, entry_for, set_up, state_of
from .wire import Peer

OPEN = {CONF_ALLOW_WRITE: ["garden", "run.host.lab", "error"]}
ANSWERING = ("get", "list", "call", "history")


@pytest.fixture
async def opened(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer
) -> AsyncIterator[MockConfigEntry]:
    """An entry whose options let the garden be written."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options=OPEN)
    assert await hass.config_entries.async_setup(entry.entry_id)
    yield entry
    assert await hass.config_entries.async_unload(entry.entry_id)


@pytest.fixture
async def server(
    hass: HomeAssistant, opened: MockConfigEntry, peer: Peer
) -> AsyncIterator[FakeServer]:
    """A server that is connected."""
    async with FakeServer() as server:
        await peer.put("run.service.main.conn", server.announcement)
        await until(lambda: state_of(hass, "sensor.home_server") == server.name)
        yield server


async def act(
    hass: HomeAssistant, action: str, *, answer: bool | None = None, **data: Any
) -> dict[str, Any]:
    """Call an action, and return its response, which must be fit for JSON."""
    wanted = action in ANSWERING if answer is None else answer
    response: ServiceResponse = await hass.services.async_call(
        DOMAIN, action, data, blocking=True, return_response=wanted
    )
    json_dumps(response)
    return response or {}


async def refusal(hass: HomeAssistant, action: str, **data: Any) -> HomeAssistantError:
    """Call an action that fails, and return how; its text must have all it needs."""
    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, action, **data)
    assert "{" not in str(caught.value)
    return caught.value


# Reading


async def test_get(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """Value, time and origin of a path."""
    await peer.put("garden.soil", {"moisture": 40.5, "dry": False}, when=1_700_000_000.25)
    await settled()
    expected = {
        "path": "garden.soil",
        "value": {"moisture": 40.5, "dry": False},
        "time": 1_700_000_000.25,
        "origin": "peer",
    }
    assert await act(hass, "get", path="garden.soil") == expected
    found = await act(hass, "get", path=":R.garden.soil", config_entry_id=loaded.entry_id)
    assert found["value"] == expected["value"]


PLAIN: list[tuple[Any, Any]] = [
    (b"\x01\xfe", "01fe"),
    (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
    (cbor2.CBORTag(39, ["a", 1, "b.c"]), "a:1.b:.c"),
    (cbor2.CBORTag(258, [3, 1, "x", 2, None]), [1, 2, 3, None, "x"]),
    (
        {1: "one", "1": "text", None: "none", b"\x02": "hex"},
        {"1": "text", "null": "none", "02": "hex", ":1": "one"},
    ),
    ({True: "yes", False: {"a": 1}}, {"true": "yes", "false": {"a": 1}}),
    ({1.5: [None, 2]}, {"1.5": [None, 2]}),
    (2**64, str(2**64)),
    (-(2**63), -(2**63)),
    (
        cbor2.CBORTag(27, ["_ValErr", "no", {"k": b"\x00"}]),
        {"name": "_ValErr", "arguments": ["no"], "keywords": {"k": "00"}},
    ),
    (cbor2.CBORTag(4711, [b"\x00"]), {"tag": 4711, "value": ["00"]}),
    (cbor2.CBORTag(32769, "R"), ":R"),
    (cbor2.CBORTag(52, b"\x0a\x00\x00\x01"), "10.0.0.1"),
    ([cbor2.undefined], [None]),
]


@pytest.mark.parametrize(("value", "shown"), PLAIN)
async def test_values_as_json(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    settled: Settled,
    value: Any,
    shown: Any,
) -> None:
    """Whatever stands on the wire comes back as JSON, and never as Python."""
    await peer.raw("odd", cbor2.dumps(value))
    await settled()
    assert (await act(hass, "get", path="odd"))["value"] == shown


@pytest.mark.no_server("the real one refuses it", kind="real")
async def test_no_numbers(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """Not a number, and infinity, are none in JSON either."""
    await peer.raw("odd", cbor2.dumps([float("nan"), float("inf")]))
    await settled()
    assert (await act(hass, "get", path="odd"))["value"] == [None, None]


async def test_get_nothing(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """What is not there is named."""
    error = await refusal(hass, "get", path="no.such.thing")
    assert isinstance(error, ServiceValidationError)
    assert error.translation_key == "nothing_there"
    assert error.translation_placeholders == {"path": "no.such.thing"}


async def test_list(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """Children with their paths, and their values if wanted."""
    await peer.put("garden.pump", True, when=1_700_000_000)
    await peer.put("garden.soil.moisture", 40)
    await peer.raw("garden.:1", cbor2.dumps("first"), when=1_700_000_001)
    await settled()
    plain = await act(hass, "list", path="garden")
    assert plain["count"] == 3
    assert sorted(plain["children"], key=lambda child: child["path"]) == [
        {"name": "pump", "path": "garden.pump"},
        {"name": "soil", "path": "garden.soil"},
        {"name": 1, "path": "garden:1"},
    ]
    full = await act(hass, "list", path="garden", values=True)
    by_path = {child["path"]: child for child in full["children"]}
    assert by_path["garden.pump"]["value"] is True
    assert by_path["garden.pump"]["time"] == 1_700_000_000
    assert by_path["garden:1"]["value"] == "first"
    assert "value" not in by_path["garden.soil"]
    everything = await act(hass, "list", path=":")
    assert "garden" in [child["name"] for child in everything["children"]]
    assert await act(hass, "list", path="nowhere") == {
        "path": "nowhere",
        "children": [],
        "count": 0,
    }


async def test_list_nested_name(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """A child may be named by a tuple."""
    name = Path("garden", ("a", 1))
    await peer.raw(name.topic.replace("/", "."), cbor2.dumps(1))
    await settled()
    (child,) = (await act(hass, "list", path="garden"))["children"]
    assert child == {"name": ["a", 1], "path": str(name)}


async def test_list_is_bounded(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    peer: Peer,
    settled: Settled,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of too many children some are returned, and their number."""
    monkeypatch.setattr(services, "MOST_CHILDREN", 2)
    for number in range(3):
        await peer.put(f"garden.{number}", number)
    await settled()
    found = await act(hass, "list", path="garden")
    assert (len(found["children"]), found["count"]) == (2, 3)


async def test_read_offline(
    hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto
) -> None:
    """Without a connection nothing is read, nothing waits."""
    broker.kill()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "off")
    for action in ("get", "list", "history"):
        error = await refusal(hass, action, path="garden")
        assert error.translation_key == "read_offline"


@pytest.mark.no_server("has one of its own")
async def test_read_from_a_mute_server(
    hass: HomeAssistant, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer is an error within the time limit."""
    monkeypatch.setattr(refusals, "READ_WITHIN", 0.2)
    server.freeze()
    error = await refusal(hass, "get", path="garden.pump")
    assert error.translation_key == "read_failed"
    assert error.translation_placeholders == {"path": "garden.pump", "reason": "no answer"}


# Writing


async def test_set(hass: HomeAssistant, opened: MockConfigEntry, peer: Peer) -> None:
    """A value is published, retained or not, and the response tells its time."""
    await peer.follow("garden")
    response = await act(
        hass, "set", answer=True, path="garden.pump", value={"on": [1, 2.5, None, "ü"]}
    )
    await until(lambda: peer.values("garden.pump"))
    assert peer.values("garden.pump") == [{"on": [1, 2.5, None, "ü"]}]
    assert response["path"] == "garden.pump"
    found = await act(hass, "get", path="garden.pump")
    assert found["time"] == response["time"]
    await act(hass, "set", path="garden.command", value="start", retain=False)
    await until(lambda: peer.values("garden.command") == ["start"])


@pytest.mark.no_server("servers remember what the broker forgets")
async def test_not_retained(hass: HomeAssistant, opened: MockConfigEntry) -> None:
    """What is not to be retained is not there afterwards."""
    await act(hass, "set", path="garden.command", value="start", retain=False)
    assert (await refusal(hass, "get", path="garden.command")).translation_key == "nothing_there"


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (float("nan"), "value: not finite"),
        ({"a": [1, float("inf")]}, "value.a[1]: not finite"),
        (_deep(40), "nested too deeply"),
        (2**700, "integer too large"),
        (date(2026, 1, 1), "date cannot be sent"),
        (datetime(2026, 1, 1), "datetime cannot be sent"),
        ("x" * 70_000, "too many"),
        ("\ud800", "surrogate"),
        ({(1, 2): 3}, "key is a tuple"),
        (object(), "object cannot be sent"),
    ],
    ids=str.split("nan inf deep big date naive long surrogate key object"),
)
async def test_set_poison(
    hass: HomeAssistant, opened: MockConfigEntry, peer: Peer, value: Any, place: str
) -> None:
    """What others could not read is refused before it is sent: what, and where in it."""
    error = await refusal(hass, "set", path="garden.pump", value=value)
    assert isinstance(error, ServiceValidationError)
    assert error.translation_key == "command_invalid"
    placeholders = error.translation_placeholders
    assert placeholders is not None
    assert placeholders["name"] == "garden.pump"
    assert place in placeholders["reason"]
    assert (await refusal(hass, "get", path="garden.pump")).translation_key == "nothing_there"


@pytest.mark.parametrize(
    "text", ["", "a..b", "a:zb", "a:", "x" * 70_000], ids=["empty", "dots", "z", "end", "long"]
)
@pytest.mark.parametrize("action", ["get", "delete", "clear_error"])
async def test_bad_path(
    hass: HomeAssistant, opened: MockConfigEntry, action: str, text: str
) -> None:
    """A path that is none is refused, and the field named."""
    error = await refusal(hass, action, path=text)
    assert isinstance(error, ServiceValidationError)
    assert error.translation_key == "invalid_path"
    placeholders = error.translation_placeholders
    assert placeholders is not None
    assert placeholders["field"] == "path"


@pytest.mark.parametrize("root", [":", ":R"])
async def test_root_is_no_target(hass: HomeAssistant, opened: MockConfigEntry, root: str) -> None:
    """Nobody deletes an installation by a slip."""
    for action in ("delete", "clear_error", "acknowledge_error"):
        error = await refusal(hass, action, path=root)
        assert error.translation_key == "path_is_root"
    assert (await refusal(hass, "set", path=root, value=1)).translation_key == "path_is_root"


async def test_delete(
    hass: HomeAssistant, opened: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """One path, or everything below it."""
    for name in ("garden", "garden.a", "garden.a.b", "garden.c"):
        await peer.put(name, 1)
    await settled()
    assert await act(hass, "delete", answer=True, path="garden.a") == {"path": "garden.a"}
    assert (await refusal(hass, "get", path="garden.a")).translation_key == "nothing_there"
    assert (await act(hass, "get", path="garden.a.b"))["value"] == 1
    await act(hass, "delete", path="garden", recursive=True)
    assert (await act(hass, "list", path="garden"))["count"] == 0


@pytest.mark.no_server("has one of its own")
async def test_compare_and_set(hass: HomeAssistant, server: FakeServer) -> None:
    """Only what is still as it was is changed."""
    path = Path("garden", "pump")
    server.put(path, 1, time=1_700_000_000.5)
    error = await refusal(hass, "set", path="garden.pump", value=2, expected_time=1_600_000_000)
    assert error.translation_key == "out_of_date"
    error = await refusal(hass, "delete", path="garden.pump", expected_time=1_600_000_000)
    assert error.translation_key == "out_of_date"
    error = await refusal(hass, "set", path="garden.pump", value=2, expected_time=False)
    assert error.translation_key == "command_refused"
    read = await act(hass, "get", path="garden.pump")
    assert read["time"] == 1_700_000_000.5
    wrote = await act(
        hass, "set", answer=True, path="garden.pump", value=2, expected_time=read["time"]
    )
    assert server.nodes[tuple(path)].value == 2
    await act(hass, "set", path="garden.pump", value=3, expected_time=True)
    assert server.nodes[tuple(path)].value == 3
    assert server.nodes[tuple(path)].meta.time > wrote["time"]
    newest = (await act(hass, "get", path="garden.pump"))["time"]
    await act(hass, "delete", path="garden.pump", expected_time=newest)
    assert (await refusal(hass, "get", path="garden.pump")).translation_key == "nothing_there"


@pytest.mark.no_server("about having none")
async def test_compare_without_server(hass: HomeAssistant, opened: MockConfigEntry) -> None:
    """Comparing needs a server; without one nothing is written."""
    error = await refusal(hass, "set", path="garden.pump", value=2, expected_time=True)
    assert error.translation_key == "command_refused"
    assert "needs a server" in str(error.translation_placeholders)


async def test_denied_by_the_broker(hass: HomeAssistant, socket_enabled: None) -> None:
    """The broker's refusal reaches the user, with the topic."""
    with Mosquitto(acl="topic read #\ntopic write home/run/#\n") as broker:
        entry = entry_for(broker)
        entry.add_to_hass(hass)
        hass.config_entries.async_update_entry(entry, options=OPEN)
        assert await hass.config_entries.async_setup(entry.entry_id)
        error = await refusal(hass, "set", path="garden.pump", value=1)
        assert error.translation_key == "command_refused"
        assert "home/garden/pump" in str(error.translation_placeholders)
        assert await hass.config_entries.async_unload(entry.entry_id)


async def test_write_offline(
    hass: HomeAssistant, opened: MockConfigEntry, broker: Mosquitto, peer: Peer
) -> None:
    """During an outage everything fails at once, and nothing is sent later."""
    broker.kill()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "off")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("set", {"path": "garden.pump", "value": 1}),
        ("delete", {"path": "garden.pump"}),
        ("call", {"service": "run.host.lab.garden", "command": "set"}),
        ("acknowledge_error", {"path": "pump"}),
        ("clear_error", {"path": "pump"}),
    ]
    for action, data in calls:
        error = await refusal(hass, action, **data)
        assert error.translation_key == "command_offline"
        assert not isinstance(error, ServiceValidationError)
    broker.start()
    await until(lambda: state_of(hass, "binary_sensor.home_connection") == "on", 20)
    assert (await refusal(hass, "get", path="garden.pump")).translation_key == "nothing_there"


# Calling


async def test_call(hass: HomeAssistant, opened: MockConfigEntry, peer: Peer) -> None:
    """A service gets command, arguments and keywords; its answer comes back."""
    calls: list[Any] = []

    def answer(arguments: list[Any], keywords: dict[str, Any]) -> list[Any]:
        calls.append((arguments, keywords))
        return [True, {"level": b"\x01"}, datetime(2026, 1, 1, tzinfo=UTC), {"left": 3}]

    await peer.serve("lab", "garden", answer)
    found = await act(
        hass,
        "call",
        service="run.host.lab.garden",
        command="water.now",
        arguments=["bed", 5],
        keywords={"gently": True},
        timeout=30,
    )
    assert calls == [(["water", "now", "bed", 5], {"gently": True})]
    assert found == {
        "value": {"level": "01"},
        "arguments": [{"level": "01"}, "2026-01-01T00:00:00+00:00"],
        "keywords": {"left": 3},
    }


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ([False, cbor2.CBORTag(27, ["_AuD", "x" * 5000, {}])], "command_refused"),
        ([False, cbor2.CBORTag(27, ["_ValErr", "no", {}])], "command_refused"),
        (["yes"], "command_timeout"),
        ([True], "command_timeout"),
    ],
)
async def test_odd_answers(
    hass: HomeAssistant, opened: MockConfigEntry, peer: Peer, answer: list[Any], key: str
) -> None:
    """Whatever an owner answers is its word, and no mistake of whoever asked."""
    await peer.serve("lab", "garden", lambda arguments, keywords: answer)
    error = await refusal(hass, "call", service="run.host.lab.garden", command="water")
    assert error.translation_key == key
    assert not isinstance(error, ServiceValidationError)
    assert len(str(error)) < 300


@pytest.mark.no_server("has one of its own")
async def test_call_through_the_server(
    hass: HomeAssistant, opened: MockConfigEntry, server: FakeServer, peer: Peer
) -> None:
    """With a server, a client of it is called through it."""

    async def answer(request: Request) -> Reply:
        if request.path == ("garden", "hang"):
            await asyncio.Event().wait()
        return Reply(tuple(request.arguments), {"far": True})

    client, _ = await connect(server.endpoint, name="_lab", handler=answer)
    server.put(Path("run", "host", "lab", "garden"), {"id": "_lab", "path": ["garden"]})
    server.put(Path("run", "id", "_lab"), {"host": "lab", "srv": server.name})
    target = {"service": "run.host.lab.garden"}
    found = await act(hass, "call", **target, command="echo", arguments=[1, "two"])
    assert found == {"value": 1, "arguments": [1, "two"], "keywords": {"far": True}}
    error = await refusal(hass, "call", **target, command="hang", timeout=0.1)
    assert error.translation_key == "command_timeout"
    await client.close()


async def test_call_fails(hass: HomeAssistant, opened: MockConfigEntry, peer: Peer) -> None:
    """Nobody there, a refusal, a keyword that cannot be passed, poison."""
    target: dict[str, Any] = {"service": "run.host.lab.garden", "command": "set"}
    assert (await refusal(hass, "call", **target)).translation_key == "command_refused"
    refused = [False, cbor2.CBORTag(27, ["_ValErr", "the tank is empty"])]
    await peer.serve("lab", "garden", lambda *_: refused)
    error = await refusal(hass, "call", **target)
    assert error.translation_key == "command_refused"
    assert "the tank is empty" in str(error.translation_placeholders)
    error = await refusal(hass, "call", **target, keywords={"timeout": 3})
    assert error.translation_key == "command_invalid"
    assert "keyword timeout" in str(error.translation_placeholders)
    error = await refusal(hass, "call", **target, arguments=[{"x": float("nan")}])
    assert error.translation_key == "command_invalid"


@pytest.mark.parametrize(
    "data",
    [
        {"timeout": 31},
        {"timeout": 0},
        {"timeout": "long"},
        {"arguments": "text"},
        {"keywords": [1]},
        {"other": 1},
    ],
)
async def test_call_validates(
    hass: HomeAssistant, opened: MockConfigEntry, data: dict[str, Any]
) -> None:
    """Fields are what they should be."""
    with pytest.raises(Invalid):
        await act(hass, "call", service="run.host.lab.garden", command="set", **data)


# Errors


async def test_acknowledge_and_clear(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Errors can be settled, whatever paths may be written."""
    await peer.put("error.app.pump", {"msg": "dry"})
    await until(lambda: state_of(hass, "sensor.home_errors") == "1")
    (topic,) = loaded.runtime_data.problems.open
    await act(hass, "acknowledge_error", path="app.pump")
    await until(lambda: loaded.runtime_data.problems.open[topic].acknowledged)
    await act(hass, "clear_error", path="app.pump")
    await until(lambda: state_of(hass, "sensor.home_errors") == "0")


@pytest.mark.no_server("has one of its own")
async def test_acknowledge_through_the_server(
    hass: HomeAssistant, server: FakeServer, peer: Peer
) -> None:
    """With a server, it keeps the errors."""
    path = Path("error", "app", "pump")
    server.put(path, {"msg": "dry"})
    await act(hass, "acknowledge_error", path="app.pump")
    assert server.nodes[tuple(path)].value == {"msg": "dry", "ack": True}
    await act(hass, "clear_error", path="app.pump")
    assert not server.nodes[tuple(path)].value


# Who may


async def test_open_by_default(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Unless the options name paths, administrators may write anywhere."""
    await act(hass, "set", path="garden.pump", value=1)
    await act(hass, "delete", path="garden.pump")


@pytest.mark.parametrize("where", ["gardens.pump", "gate", "garde", ":t", "run.host.labs.x"])
async def test_outside(hass: HomeAssistant, opened: MockConfigEntry, where: str) -> None:
    """Only what is at or below a named path may be written."""
    error = await refusal(hass, "set", path=where, value=1)
    assert error.translation_key == "not_allowed"
    assert (await refusal(hass, "delete", path=where)).translation_key == "not_allowed"
    error = await refusal(hass, "call", service=where, command="set")
    assert error.translation_key == "not_allowed"


async def test_errors_outside(hass: HomeAssistant, entry: MockConfigEntry, peer: Peer) -> None:
    """Where only some paths may be written, errors must be among them to be settled."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={CONF_ALLOW_WRITE: [":R.garden"]})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await act(hass, "set", path="garden.pump", value=1)
    assert (await refusal(hass, "clear_error", path="x")).translation_key == "not_allowed"
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_read_only(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """Read-only goes before everything."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={**OPEN, CONF_READ_ONLY: True})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await peer.put("garden.pump", 1)
    await settled()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("set", {"path": "garden.pump", "value": 2}),
        ("delete", {"path": "garden.pump"}),
        ("call", {"service": "run.host.lab.garden", "command": "set"}),
        ("acknowledge_error", {"path": "garden"}),
        ("clear_error", {"path": "garden"}),
    ]
    for action, data in calls:
        assert (await refusal(hass, action, **data)).translation_key == "not_allowed"
    assert (await act(hass, "get", path="garden.pump"))["value"] == 1
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_administrators_only(
    hass: HomeAssistant, opened: MockConfigEntry, hass_read_only_user: User
) -> None:
    """Who is no administrator may not even read."""
    context = Context(user_id=hass_read_only_user.id)
    data = {"path": "garden", "service": "run.host.lab", "command": "x", "value": 1}
    fields = {"call": ("service", "command"), "set": ("path", "value")}
    for action in services.ACTIONS:
        wanted = {key: data[key] for key in fields.get(action, ("path",))}
        with pytest.raises(Unauthorized):
            await hass.services.async_call(
                DOMAIN,
                action,
                wanted,
                blocking=True,
                context=context,
                return_response=action in ANSWERING,
            )
    admin = MockUser(is_owner=True).add_to_hass(hass)
    await hass.services.async_call(
        DOMAIN,
        "set",
        {"path": "garden.pump", "value": 1},
        blocking=True,
        context=Context(user_id=admin.id),
    )
    assert (await act(hass, "get", path="garden.pump"))["value"] == 1


async def test_which_entry(
    hass: HomeAssistant, entry: MockConfigEntry, broker: Mosquitto, peer: Peer
) -> None:
    """The entry may be left out only if there is one; it must be loaded, and one of ours."""
    other = MockConfigEntry(domain=DOMAIN, title="Shed", data={**entry.data, "root": "shed"})
    await set_up(hass, entry)
    await set_up(hass, other)
    await peer.put("place", "home")
    assert isinstance(await refusal(hass, "get", path="place"), ServiceValidationError)
    found = await act(hass, "get", path="place", config_entry_id=entry.entry_id)
    assert found["value"] == "home"
    error = await refusal(hass, "get", path="place", config_entry_id=other.entry_id)
    assert error.translation_key == "nothing_there"
    error = await refusal(hass, "get", path="place", config_entry_id="nonsense")
    assert error.translation_key == "service_config_entry_not_found"
    for each in (entry, other):
        assert await hass.config_entries.async_unload(each.entry_id)
    error = await refusal(hass, "get", path="place", config_entry_id=entry.entry_id)
    assert error.translation_key == "service_config_entry_not_loaded"
