"""Errors of the installation, from the wire to sensor, event and what an automation sees."""

import time
from typing import Any

import cbor2
import pytest
from homeassistant.components.event import ATTR_EVENT_TYPE
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from homeassistant.helpers.json import json_dumps
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.link.codec import ABSENT, Value
from custom_components.moat_link.link.message import Message
from custom_components.moat_link.link.meta import Meta
from custom_components.moat_link.problem import Occurrence, Problem, Problems
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import Settled, set_up, state_of
from .wire import Peer

PROBLEM = "binary_sensor.home_problem"
COUNT = "sensor.home_errors"
EVENT = "event.home_error"


def attributes(hass: HomeAssistant, entity_id: str) -> dict[str, Any]:
    """Return the attributes of an entity, which must be fit for JSON."""
    state = hass.states.get(entity_id)
    assert state is not None
    json_dumps(state.as_dict())
    return dict(state.attributes)


async def test_count_and_newest(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """The sensor tells how many errors hold, and what the newest is."""
    assert attributes(hass, PROBLEM)["count"] == 0
    assert attributes(hass, PROBLEM)["message"] is None
    await peer.put("error.app.pump", {"msg": "dry", "level": 2})
    await peer.put("error.app.lamp", {"msg": "dark" * 1000, "level": 1})
    await until(lambda: state_of(hass, COUNT) == "2")
    found = attributes(hass, PROBLEM)
    assert (found["count"], found["path"]) == (2, "app.lamp")
    assert found["message"] == ("dark" * 1000)[:255]
    assert [each["path"] for each in found["problems"]] == ["app.pump", "app.lamp"]


async def test_attributes_stay_small(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Of very many errors only some are listed."""
    for number in range(30):
        await peer.put(f"error.app.n{number}", {"msg": "x" * 500, "level": 3})
    await until(lambda: state_of(hass, COUNT) == "30")
    found = attributes(hass, PROBLEM)
    assert found["count"] == 30
    assert len(found["problems"]) == 10
    assert len(json_dumps(found)) < 8192


async def test_history(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Raised, repeated, acknowledged, cleared: one event each, with path, message and level."""
    seen: list[tuple[str, str, str, int]] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        assert new is not None
        what = new.attributes
        seen.append((what[ATTR_EVENT_TYPE], what["path"], what["message"], what["level"]))

    async_track_state_change_event(hass, [EVENT], note)
    record: dict[str, Any] = {"msg": "dry", "level": 4}
    await peer.put("error.app.pump", record)
    await peer.put("error.app.pump", record | {"n": 2})
    await peer.put("error.app.pump", record | {"n": 2, "val": 1})
    await peer.put("error.app.pump", record | {"n": 2, "ack": True})
    await peer.delete("error.app.pump")
    await until(lambda: seen[-1:] and seen[-1][0] == "cleared")
    assert seen == [
        (word, "app.pump", "dry", 4) for word in ("raised", "repeated", "acknowledged", "cleared")
    ]


async def test_outage_hides_nothing(
    hass: HomeAssistant, loaded: MockConfigEntry, broker: Mosquitto, peer: Peer
) -> None:
    """During an outage the errors are unknown; what happened meanwhile is told afterwards."""
    await peer.put("error.app.pump", {"msg": "dry"})
    await until(lambda: state_of(hass, COUNT) == "1")
    broker.kill()
    await until(lambda: state_of(hass, COUNT) == "unavailable")
    assert state_of(hass, PROBLEM) == "unavailable"
    broker.start()
    async with Peer(broker, origin="other") as other:
        await other.put("error.app.pump", {"msg": "dry"}, when=time.time() - 60)
        await other.put("error.app.fire", {"msg": "hot", "level": 4})
        await until(lambda: state_of(hass, COUNT) == "2", 20)
    assert attributes(hass, EVENT)["path"] == "app.fire"
    assert attributes(hass, EVENT)[ATTR_EVENT_TYPE] == "raised"


async def test_level_and_count_are_bounded(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """Nonsense on the wire is no nonsense here, and never harms whoever reads the states."""
    await peer.raw("error.app.one", cbor2.dumps({"level": 5, "n": 2**70}))
    await peer.raw("error.app.two", cbor2.dumps({"level": -3, "n": -1}))
    await peer.raw("error.app.three", cbor2.dumps({"level": True, "n": 2.5, "msg": b"\x00"}))
    await peer.put("error", {"msg": "at the very top"})
    await until(lambda: state_of(hass, COUNT) == "3")
    found = {each["path"]: each for each in attributes(hass, PROBLEM)["problems"]}
    assert (found["app.one"]["level"], found["app.one"]["count"]) == (4, 2**53 - 1)
    assert (found["app.two"]["level"], found["app.two"]["count"]) == (0, 1)
    assert (found["app.three"]["level"], found["app.three"]["count"]) == (3, 1)


async def test_many_old_errors(
    hass: HomeAssistant, entry: MockConfigEntry, peer: Peer, settled: Settled
) -> None:
    """Those that were there before are one change, and no event."""
    for number in range(300):
        await peer.put(f"error.app.n{number}", {"msg": "old"})
    await settled()
    changes = 0

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        nonlocal changes
        changes += 1

    async_track_state_change_event(hass, [COUNT], note)
    await set_up(hass, entry)
    assert state_of(hass, COUNT) == "300"
    assert state_of(hass, EVENT) == "unknown"
    assert changes < 10
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_many_errors_at_once(
    hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer
) -> None:
    """A flood is summed up now and then; at its end the sum is right."""
    sums: list[str] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        if (state := event.data["new_state"]) is not None:
            sums.append(state.state)

    async_track_state_change_event(hass, [COUNT], note)
    start = time.monotonic()
    for number in range(300):
        await peer.put(f"error.app.n{number}", {"msg": "flood", "level": 4})
    await until(lambda: sums[-1:] == ["300"])
    assert len(sums) <= 2 + (time.monotonic() - start) / 0.5


def message(value: Value, *, at: str = "error/app/pump", when: float = 1.0) -> Message:
    """Return a message about an error."""
    return Message(at, value, Meta("test", when), retained=True)


class Log:
    """What was told, in order."""

    def __init__(self, problems: Problems) -> None:
        self.changes = 0
        self.seen: list[Occurrence] = []
        self._forget = (problems.subscribe(self._change), problems.on_occurrence(self._note))

    def _change(self) -> None:
        self.changes += 1

    def _note(self, problem: Problem, occurrence: Occurrence) -> None:
        self.seen.append(occurrence)

    def stop(self) -> None:
        """Hear no more."""
        for forget in self._forget:
            forget()


def test_snapshot_is_one_change() -> None:
    """Nothing is told before the mark, then everything at once."""
    problems = Problems()
    log = Log(problems)
    problems.apply(message({"msg": "dry"}))
    problems.apply(message({"msg": "dry", "ack": True}, when=2))
    problems.apply(message(ABSENT, at="error/app/lamp"))
    assert (log.changes, log.seen) == (0, [])
    problems.mark()
    assert (log.changes, log.seen) == (1, [])
    problems.apply(message(ABSENT, when=3))
    assert log.seen == [Occurrence.CLEARED]
    log.stop()
    problems.apply(message({"msg": "dry"}, when=4))
    assert log.seen == [Occurrence.CLEARED]


@pytest.mark.parametrize("value", [ABSENT, None, {"msg": "x", "ok": True}])
def test_what_clears(value: Value) -> None:
    """A deleted error is over, and one that says so."""
    problems = Problems()
    problems.mark()
    problems.apply(message({"msg": "x"}))
    assert problems.newest is not None
    problems.apply(message(value, when=2))
    assert not problems.open
    assert problems.newest is None
    assert problems.worst(3) == []


def test_worst_first() -> None:
    """By level, then by age."""
    problems = Problems()
    for name, level, when in (("a", 1, 9.0), ("b", 3, 1.0), ("c", 3, 2.0), ("d", 0, 5.0)):
        problems.apply(message({"level": level}, at=f"error/{name}", when=when))
    assert [str(each.path) for each in problems.worst(3)] == ["c", "b", "a"]
    newest = problems.newest
    assert newest is not None
    assert str(newest.path) == "a"
