"""The action `history`, with the bridge's own server."""

import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path as File
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util
from probatio import Invalid
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link import services
from firmware_bridge.link.codec import ABSENT, Value
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server import reach
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.history import HistoryConfig
from firmware_bridge.server.retention import Keep
from firmware_bridge.server.server import Server
from tests.support.mosquitto import Mosquitto
from tests.support.running import running
from tests.support.server import FakeServer
from tests.support.wait import until

from .conftest import state_of
from .test_services import act, refusal
from .wire import ROOT, Peer

pytestmark = pytest.mark.no_server("has servers of its own")

START = 1_700_000_000.0


@pytest.fixture
async def server(
    hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto, tmp_path: File
) -> AsyncIterator[Server]:
    """A server that remembers the garden, and that Home Assistant is connected to."""
    config = ServerConfig(
        broker=BrokerConfig(host=broker.host, port=broker.port),
        root=Path(ROOT),
        name="srv",
        listeners=(Listener(port=0),),
        history=HistoryConfig(file=tmp_path / "h.db", keep={"garden": Keep()}),
    )
    one = Server(config)
    async with running(one.run()):
        await until(lambda: state_of(hass, "sensor.home_server") == "srv", 10)
        yield one


def say(server: Server, later: float, value: Value) -> None:
    server.tree.write(["garden", "soil"], value, Meta("me", START + later))


def local(later: float) -> str:
    return dt_util.as_local(dt_util.utc_from_timestamp(START + later)).isoformat()


def moment(later: float) -> datetime:
    return dt_util.utc_from_timestamp(START + later)


async def test_values(hass: HomeAssistant, server: Server) -> None:
    """Local times, values as JSON, deletions told from nothing; the newest few."""
    say(server, 0, {"moisture": 40, "raw": b"\x01"})
    say(server, 10.5, None)
    say(server, 20, ABSENT)
    say(server, 30, 5)
    found = await act(hass, "history", path="garden.soil")
    whole = [
        {"time": local(0), "value": {"moisture": 40, "raw": "01"}, "origin": "me"},
        {"time": local(10.5), "value": None, "origin": "me"},
        {"time": local(20), "value": None, "origin": "me", "deleted": True},
        {"time": local(30), "value": 5, "origin": "me"},
    ]
    assert found == {"path": "garden.soil", "values": whole, "truncated": False}
    found = await act(hass, "history", path="garden.soil", start=moment(12), end=moment(25))
    assert found["values"] == whole[1:3], "with what held at the start"
    found = await act(hass, "history", path="garden.soil", newest=1)
    assert (found["values"], found["truncated"]) == (whole[3:], False)
    found = await act(hass, "history", path="garden.soil", item="moisture", end=moment(5))
    assert [each["value"] for each in found["values"]] == [40]
    error = await refusal(hass, "history", path="garden.soli")
    assert isinstance(error, ServiceValidationError)
    assert error.translation_key == "history_nothing"
    found = await act(hass, "history", path="garden.soil", end=moment(-1))
    assert found["values"] == [], "there was none yet, but it is there"


async def test_samples(hass: HomeAssistant, server: Server) -> None:
    """Mean, min and max of a number in a map, for intervals of the clock."""
    say(server, 0, {"moisture": [40]})
    say(server, 90, {"moisture": [60]})
    found = await act(
        hass,
        "history",
        path="garden.soil",
        start=moment(0),
        duration={"minutes": 3},
        step={"minutes": 1},
        item=["moisture", 0],
    )
    common = {"count": 0, "seconds": 60}
    assert found == {
        "path": "garden.soil",
        "samples": [
            {"start": local(0), "end": local(60), "mean": 40, "min": 40, "max": 40}
            | common
            | {"count": 1},
            {"start": local(60), "end": local(120), "mean": 50, "min": 40, "max": 60}
            | common
            | {"count": 1},
            {"start": local(120), "end": local(180), "mean": 60, "min": 60, "max": 60} | common,
        ],
        "truncated": False,
    }
    say(server, time.time() - START - 7200, 7)
    found = await act(hass, "history", path="garden.soil", duration="01:00:00", step="00:15:00")
    assert len(found["samples"]) in (4, 5)
    assert {each["mean"] for each in found["samples"]} == {7}
    assert {datetime.fromisoformat(each["start"]).minute % 15 for each in found["samples"]} == {0}


async def test_not_too_much(
    hass: HomeAssistant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many the newest are returned, and that there are more is told."""
    monkeypatch.setattr(services, "MOST_VALUES", 3)
    for number in range(5):
        say(server, number, number)
    found = await act(hass, "history", path="garden.soil", newest=100)
    assert [each["value"] for each in found["values"]] == [2, 3, 4]
    assert found["truncated"] is True
    found = await act(
        hass, "history", path="garden.soil", start=moment(0), end=moment(5), step={"seconds": 1}
    )
    assert [each["mean"] for each in found["samples"]] == [2, 3, 4]
    assert found["truncated"] is True


async def test_times_without_a_date(
    hass: HomeAssistant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that believes any clock may have what is later than all dates."""
    monkeypatch.setattr(reach, "LATEST", 1e13)
    say(server, 1e12, 2)
    found = await act(hass, "history", path="garden.soil")
    assert [each["time"][:4] for each in found["values"]] == ["9999"]


async def test_not_kept(hass: HomeAssistant, server: Server) -> None:
    """Of other paths there is none."""
    error = await refusal(hass, "history", path="house")
    assert isinstance(error, ServiceValidationError)
    assert error.translation_key == "history_not_kept"
    assert error.translation_placeholders == {
        "path": "house",
        "server": "srv",
        "reason": "no history is kept of house",
    }


async def test_no_server(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    error = await refusal(hass, "history", path="garden")
    assert not isinstance(error, ServiceValidationError)
    assert error.translation_key == "history_no_server"


async def test_a_server_that_cannot(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Other servers do not know the command."""
    async with FakeServer() as fake:
        await peer.put("run.service.main.conn", fake.announcement)
        await until(lambda: state_of(hass, "sensor.home_server") == fake.name)
        error = await refusal(hass, "history", path="garden")
        assert error.translation_key == "history_not_kept"
        assert (error.translation_placeholders or {})["server"] == fake.name


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"path": ""}, "invalid_path"),
        ({"path": "a", "start": moment(5), "end": moment(0)}, "history_backwards"),
    ],
)
async def test_wrong_questions(
    hass: HomeAssistant, loaded: MockConfigEntry, data: dict[str, Any], key: str
) -> None:
    assert (await refusal(hass, "history", **data)).translation_key == key


@pytest.mark.parametrize(
    "data",
    [
        {"start": "yesterday"},
        {"duration": "-1:00"},
        {"step": {"seconds": 0}},
        {"step": timedelta(milliseconds=5)},
        {"newest": 0},
        {"newest": "many"},
        {"item": 1.5},
        {"item": [["a"]]},
    ],
)
async def test_fields(hass: HomeAssistant, loaded: MockConfigEntry, data: dict[str, Any]) -> None:
    """What makes no sense is refused before anybody is asked."""
    with pytest.raises((Invalid, HomeAssistantError)) as caught:
        await act(hass, "history", path="garden", **data)
    assert isinstance(caught.value, Invalid)
