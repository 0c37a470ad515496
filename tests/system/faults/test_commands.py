"""Commands in trouble: each has an outcome in 5 s, none arrives later (rows 3, 4, 5, 15)."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from homeassistant.const import EVENT_STATE_CHANGED, EVENT_STATE_REPORTED, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.moat_link.const import CONF_ALLOW_WRITE, DOMAIN
from tests.integration.conftest import entry_for, set_up, state_of
from tests.integration.wire import Peer, point, setter
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Proxy
from tests.support.wait import until

from .gauges import lines, stalls
from .owner import LEVEL, Outcome, Owner, command, commands, late
from .source import Source

CONNECTION = "binary_sensor.home_connection"
COUNT = 20
LIMIT = 5.0
SLACK = 0.3  # for a machine that has other things to do
SETTLE = 1.0  # in which anything that is still under way would arrive


def failed(outcomes: list[Outcome]) -> None:
    """Every one has failed, in time, with an error that can be translated."""
    assert len(outcomes) == COUNT
    for each in outcomes:
        assert each.error is not None, each
        assert each.error.translation_domain == DOMAIN
        assert each.error.translation_key in {
            "command_offline",
            "command_timeout",
            "command_unconfirmed",
        }
        assert "Garden" in str(each.error)  # in words, not just a key
        assert each.seconds < LIMIT + SLACK


async def test_dead_broker(hass: HomeAssistant, broker: Mosquitto) -> None:
    """Row 4: on the way when the broker is killed, or sent while it is dead: no late command."""
    async with Proxy(broker.port) as proxy:
        entry = entry_for(broker, port=proxy.port)
        async with Owner(broker):
            await set_up(hass, entry)
            await until(lambda: state_of(hass, LEVEL) == "0.0")
            broker.pause()
            under_way = commands(hass, 1, COUNT)
            await asyncio.sleep(0.05)
            broker.kill()
            outcomes = [await each for each in under_way]
            failed(outcomes)
            assert all(each.seconds < 1 for each in outcomes)
        await until(lambda: state_of(hass, LEVEL) == STATE_UNAVAILABLE)
        await proxy.close()
        outage = [await each for each in commands(hass, 100, COUNT)]
        failed(outage)
        assert all(each.seconds < 0.1 for each in outage)
        assert {each.error.translation_key for each in outage} == {"command_offline"}  # type: ignore[union-attr]
        broker.start()
        async with Owner(broker) as owner:
            await proxy.open()
            await until(lambda: state_of(hass, LEVEL) == "0.0", 10)
            assert (await command(hass, LEVEL, 7)).error is None
            await asyncio.sleep(SETTLE)
            assert set(owner.heard) == {7.0}
        await hass.config_entries.async_unload(entry.entry_id)


ACTIONS: dict[str, dict[str, Any]] = {
    "get": {"path": "late"},
    "list": {"path": "late"},
    "set": {"path": "late", "value": 1},
    "delete": {"path": "late"},
    "call": {"service": "run.host.lab.garden", "command": "set", "arguments": [1]},
}


async def test_actions_in_an_outage(
    hass: HomeAssistant, broker: Mosquitto, entry: MockConfigEntry
) -> None:
    """Row 4: the actions, too, fail at once, and are not carried out later."""
    entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(entry, options={CONF_ALLOW_WRITE: [":"]})
    assert await hass.config_entries.async_setup(entry.entry_id)
    broker.kill()
    await until(lambda: state_of(hass, CONNECTION) == "off")
    for name, data in ACTIONS.items():
        took = []
        for _ in range(3):
            start = time.monotonic()
            with pytest.raises(HomeAssistantError) as caught:
                await hass.services.async_call(
                    DOMAIN,
                    name,
                    data,
                    blocking=True,
                    return_response=name in {"get", "list", "call"},
                )
            assert caught.value.translation_domain == DOMAIN
            assert caught.value.translation_key is not None
            assert not isinstance(caught.value, ServiceValidationError)
            took.append(time.monotonic() - start)
        assert min(took) < 0.1  # who waits for something does so each time
    broker.start()
    async with Owner(broker) as owner:
        await owner.peer.follow("late")
        await until(lambda: state_of(hass, LEVEL) == "0.0", 10)
        assert (await command(hass, LEVEL, 7)).error is None
        await asyncio.sleep(SETTLE)
        assert set(owner.heard) == {7.0}
        assert owner.peer.values("late") == []
    await hass.config_entries.async_unload(entry.entry_id)


@pytest.mark.parametrize("where", ["broker", "line"])
async def test_half_open(hass: HomeAssistant, broker: Mosquitto, where: str) -> None:
    """Row 4: nobody answers, and nobody has noticed yet: no late command when it goes on."""
    async with Proxy(broker.port) as proxy, Owner(broker) as owner:
        entry = entry_for(broker, port=proxy.port)
        await set_up(hass, entry)
        await until(lambda: state_of(hass, LEVEL) == "0.0")
        if where == "broker":
            broker.pause()
        proxy.frozen = where == "line"
        outcomes = [await each for each in commands(hass, 1, COUNT)]
        failed(outcomes)
        if where == "broker":
            broker.resume()
        proxy.frozen = False
        await until(lambda: state_of(hass, LEVEL) == "0.0", 10)
        assert (await command(hass, LEVEL, 700)).error is None
        await asyncio.sleep(SETTLE)
        assert set(owner.heard) == {700.0}
        await hass.config_entries.async_unload(entry.entry_id)


async def test_slow_line(hass: HomeAssistant, broker: Mosquitto) -> None:
    """Row 3: 2 kB/s for 30 s: done or failed within 5 s, the loop goes on, nothing comes late."""
    outcomes: list[Outcome] = []
    async with (
        Source(broker, boxes=10, rate=10) as source,
        Owner(broker) as owner,
        Proxy(broker.port) as proxy,
    ):
        entry = entry_for(broker, port=proxy.port)
        await set_up(hass, entry)
        await until(lambda: source.available(hass) and state_of(hass, LEVEL) == "0.0")
        proxy.rate = 2000
        async with stalls() as found:
            pending = commands(hass, 1, 20)
            for number in range(30):
                await asyncio.sleep(0.9)
                pending += commands(hass, 100 + number, 1)
            outcomes = [await each for each in pending]
        assert len(outcomes) == 50
        assert max(each.seconds for each in outcomes) < LIMIT + SLACK
        assert found.longest < 0.1
        proxy.rate = None
        await until(lambda: source.available(hass), 10)
        source.rate = 0
        await until(lambda: source.right(hass), 10)
        assert (await command(hass, LEVEL, 700)).error is None
        await asyncio.sleep(SETTLE)
        assert late(outcomes, owner) == []
        done = {each.value for each in outcomes if each.error is None}
        assert done <= set(owner.heard)
        assert len(done) > 25  # the line is slow, not dead
        await hass.config_entries.async_unload(entry.entry_id)


ACL = """\
user owner
topic readwrite #
user ha
topic read home/device/#
topic read home/level
topic read home/flow
topic readwrite home/run/#
topic write home/level
"""


async def test_denied(
    hass: HomeAssistant, socket_enabled: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 5: ten commands that the broker denies are ten errors that name the topic."""
    with Mosquitto(users={"owner": "o", "ha": "h"}, acl=ACL) as broker:
        async with Owner(broker, username="owner", password="o") as owner:
            entry = entry_for(broker, username="ha", password="h")
            await set_up(hass, entry)
            await until(lambda: state_of(hass, LEVEL) == "0.0")
            for number in range(10):
                outcome = await command(hass, LEVEL, number)
                assert outcome.error is not None
                assert outcome.error.translation_key == "command_refused"
                assert outcome.error.translation_placeholders is not None
                assert "home/level/cmd" in outcome.error.translation_placeholders["reason"]
                assert outcome.seconds < LIMIT
            assert (await command(hass, "number.garden_flow", 5)).error is None
            assert set(owner.heard) == {5.0}
            await hass.config_entries.async_unload(entry.entry_id)


async def test_denied_to_follow(
    hass: HomeAssistant, denying: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 5: a subscription that is denied is an issue that names it; it goes when it is granted."""
    async with Peer(denying) as peer:
        await peer.describe("meter", point("power", "power", "secret.power"))
        await peer.put("level", 3.5)
        await peer.describe("tank", point("level", "distance", "level"))
        entry = entry_for(denying)
        await set_up(hass, entry)
        await until(lambda: state_of(hass, "sensor.tank_distance") == "3.5")
        assert state_of(hass, "sensor.meter_power") in {STATE_UNAVAILABLE, "unknown"}
        issues = ir.async_get(hass)

        def issue() -> ir.IssueEntry | None:
            return issues.async_get_issue(DOMAIN, f"not_authorized_{entry.entry_id}")

        await until(issue, what="an issue")
        about = issue()
        assert about is not None
        assert about.translation_placeholders is not None
        assert about.translation_placeholders["topic"].startswith("home/secret/power")
        assert len([line for line in lines(caplog) if "secret" in line]) == 1
        await hass.config_entries.async_unload(entry.entry_id)
        assert issue() is None


async def test_echo(hass: HomeAssistant, loaded: MockConfigEntry, peer: Peer) -> None:
    """Row 15: 100 commands whose echoes come back, doubled and late: the slider never bounces."""
    await peer.put("dimmer", 0)
    dimmer = point(
        "dimmer", "number", "dimmer", name="Dimmer", min=0, max=200, write=setter("dimmer.cmd")
    )
    own = point(
        "own", "number", "own", name="Own", min=0, max=200, write=setter("own", retain=True)
    )
    await peer.put("own", 0)
    await peer.describe("lamp", dimmer, own)
    await until(lambda: state_of(hass, "number.lamp_own") == "0.0")
    times = [1.0]

    async def obey(value: float) -> None:
        """Publish the new state twice, and then once more what it was before."""
        times.append(time.time())
        await peer.put("dimmer", value, when=times[-1])
        await peer.put("dimmer", value, when=times[-1])
        await peer.put("dimmer", value - 1, when=times[-2])

    await peer.follow("dimmer.cmd", obey)
    written: dict[str, list[str]] = {"number.lamp_dimmer": [], "number.lamp_own": []}

    @callback
    def note(data: Mapping[str, Any]) -> bool:
        if (shown := written.get(data["entity_id"])) is not None:
            state = hass.states.get(data["entity_id"])
            assert state is not None
            shown.append(state.state)
        return False

    for event in (EVENT_STATE_CHANGED, EVENT_STATE_REPORTED):
        hass.bus.async_listen(event, lambda _: None, event_filter=note)
    for number in range(1, 101):
        both = await asyncio.gather(*(command(hass, entity_id, number) for entity_id in written))
        assert [each.error for each in both] == [None, None]
    await until(lambda: len(times) == 101)
    await asyncio.sleep(0.2)
    right = [f"{number}.0" for number in range(1, 101)]
    assert written == dict.fromkeys(written, right)
