"""What must be true of a running installation, proved one after the other."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from firmware_bridge.drivers.simulator.simulator import SHEETS
from firmware_bridge.link.quantity import Kind
from tests.support.lab import LabError

from .furniture import furnish
from .pictures import take_pictures
from .plug import LOAD
from .world import GATE_DEVICE, MissingError, World, eventually

SECONDS = 15.0
HEALING = 40.0
HEATER = 600.0  # W
PAST = "ems.load.house.out"
UNKNOWN = {"unavailable", "unknown"}
NEVER_YET = {("battery", "last_full")}
"""What may be unknown for long: the battery has not been full since the simulation began."""

PROVOKED = re.compile(
    r"Error during service call to switch.turn_on: .* refused the command"
    # of Home Assistant itself, when its language changes while it runs
    r"|homeassistant\.helpers\.translation\] Failed to load integration for translation"
    r"|Referenced entities \S*relay\S* are missing or not currently available"
)
BRIDGE_TROUBLE = re.compile(r" (WARNING|ERROR|CRITICAL) |Traceback")
OUTAGE = re.compile(
    r"custom_components\.moat_link\S*\] .*(lost|connection|broker|back)", re.IGNORECASE
)

type Check = Callable[[World], Awaitable[None]]


async def check(world: World, pictures: Path, say: Callable[[str], None]) -> int:
    """Start everything, try everything, stop everything; return the exit code."""
    failed: list[str] = []

    async def prove(name: str, work: Awaitable[None]) -> None:
        begun = time.monotonic()
        try:
            await work
        except (LabError, MissingError, TimeoutError) as err:
            failed.append(name)
            say(f"✗ {name}: {err}")
        else:
            say(f"✓ {name} ({time.monotonic() - begun:.1f} s)")

    async with world:
        say("✓ set up through its own flows")
        await furnish(world)
        for name, one in CHECKS.items():
            await prove(name, one(world))
        await prove(f"pictures in {pictures}/", take_pictures(world, pictures))
        await prove("the broker's restart heals", _heals(world))
        await prove("the logs are clean", _logs_are_clean(world))
        if failed:
            world.keep_logs(pictures)
    await prove("nothing is left running", _nothing_runs(world))
    if failed:
        say(f"Missing: {', '.join(failed)}; the logs are in {pictures}/")
    return 1 if failed else 0


async def _all_devices(world: World) -> None:
    """Every device of the simulated home, with its parts, its way to us and its room."""
    devices = await world.devices()
    for name, sheet in SHEETS.items():
        _expect(name in devices, f"there is no device {name}")
        _expect(devices[name]["name"] == sheet.name, f"{name} has the wrong name")
        _expect((devices[name]["area_id"] is None) == (sheet.area is None), f"the area of {name}")
        for part in sheet.parts:
            child = devices.get(f"{name}:{part}")
            _expect(child is not None, f"there is no device for {name}, {part}")
    _expect(
        devices["battery"]["via_device_id"] == devices["board"]["id"],
        "the battery is not connected via the board",
    )


async def _server_is_used(world: World) -> None:
    """The bridge is the server, and Home Assistant has found it."""

    async def look() -> bool:
        return (await world.state(world.server))["state"] not in UNKNOWN | {"none"}

    await eventually(look, "Home Assistant is connected to the server")


async def _all_values(world: World) -> None:
    """Every enabled point has an entity, and every one that can has a value."""

    async def look() -> bool:
        return not await _without_value(world)

    with contextlib.suppress(MissingError):
        await eventually(look, "", SECONDS)
    lacking = await _without_value(world)
    _expect(not lacking, f"no value: {', '.join(lacking)}")


async def _without_value(world: World) -> list[str]:
    states, lacking = await world.lab.states(), []
    for name, sheet in SHEETS.items():
        leads = {row.point.group or row.point.key: row.point for row in reversed(sheet.rows)}
        for point in leads.values():
            if not point.enabled or (name, point.key) in NEVER_YET:
                continue
            state = states.get(world.entity(name, point.key), {"state": "missing"})["state"]
            silent = point.info.kind in {Kind.TRIGGER, Kind.EVENT} and state == "unknown"
            if not silent and state in UNKNOWN | {"missing"}:
                lacking.append(f"{name}.{point.key} ({state})")
    return lacking


async def _values_move(world: World) -> None:
    """Powers, energies and cell voltages change by themselves, and so does the picked value."""
    moving = [
        world.entity("house", "power"),
        world.entity("inverter", "ac_power"),
        world.entity("battery", "power"),
        world.entity("solar", "power"),
        world.entity("solar", "energy"),
        world.entity("battery", "charge_energy"),
        world.entity("meter", "l1_power"),
        world.picked,
    ]
    before = await world.lab.states()

    async def look() -> bool:
        after = await world.lab.states()
        moving[:] = [each for each in moving if after[each]["state"] == before[each]["state"]]
        return not moving

    try:
        await eventually(look, "", 4 * SECONDS)
    except MissingError:
        raise MissingError(f"these do not move: {', '.join(moving)}") from None


async def _switch_switches(world: World) -> None:
    """The heater's relay switches, the bridge has seen it, and the house draws more."""
    relay, power = world.entity("board", "relay_1"), world.entity("house", "power")
    before = float((await world.state(power))["state"])
    await world.lab.call("switch", "turn_on", entity_id=relay)
    await world.reaches(relay, "on", timeout=SECONDS)
    _expect("Set board.relay_1 = True" in world.bridge_log, "the bridge has not seen the command")

    async def look() -> bool:
        return float((await world.state(power))["state"]) > before + 0.5 * HEATER

    await eventually(look, "the heater's power at the meter", SECONDS)
    await world.lab.call("switch", "turn_off", entity_id=relay)
    await world.reaches(relay, "off", timeout=SECONDS)


async def _gate_translates(world: World) -> None:
    """A plug that speaks plain JSON switches and measures; the gate counts what it translates."""
    relay, power = world.entity("plug", "relay"), world.entity("plug", "power")
    taken, sent = world.entity(GATE_DEVICE, "in"), world.entity(GATE_DEVICE, "out")
    await world.lab.call("switch", "turn_on", entity_id=relay)
    await world.reaches(relay, "on", timeout=SECONDS)

    async def draws() -> bool:
        return float((await world.state(power))["state"]) == LOAD

    await eventually(draws, f"the plug draws {LOAD} W", SECONDS)

    async def counts() -> bool:
        return min([float((await world.state(each))["state"]) for each in (taken, sent)]) > 0

    await eventually(counts, "the gate counts both ways", 2 * SECONDS)
    await world.reaches(world.entity(GATE_DEVICE, "state"), "running", timeout=SECONDS)


async def _history_is_kept(world: World) -> None:
    """The action for history answers with values and with samples of the house's power."""

    async def past(**span: object) -> Any:
        asked = {"path": PAST, "item": "p", "duration": {"minutes": 5}} | span
        answer = await world.lab.api(
            "POST", "/api/services/moat_link/history?return_response", asked
        )
        return answer["service_response"]

    async def sampled() -> bool:
        samples = (await past(step={"seconds": 1}))["samples"]
        return len(samples) >= 3 and all(
            each["min"] <= each["mean"] <= each["max"] and each["max"] > 0 for each in samples
        )

    await eventually(sampled, f"samples of {PAST}", SECONDS)
    values = [each["value"] for each in (await past())["values"]]
    _expect(len(set(values)) > 1, f"the values of {PAST} do not change: {values[:3]}")


async def _refusal_is_told(world: World) -> None:
    """A command that the device refuses fails with the device's reason, in both languages."""
    door, pump = world.entity("simulation", "door"), world.entity("board", "relay_2")
    await world.lab.call("select", "select_option", entity_id=door, option="open")
    await world.reaches(world.entity("board", "door"), "on", timeout=SECONDS)
    try:
        await world.lab.ws(_action("switch", "turn_on", pump))
    except LabError as err:
        text = str(err)
    else:
        raise MissingError("the pump runs although the door is open")
    _expect("'translation_key': 'command_refused'" in text, f"no translated error: {text}")
    _expect("while the door is open" in text, f"the device's reason is missing: {text}")
    _expect((await world.state(pump))["state"] == "off", "the pump shows a state it does not have")
    for language in ("en", "de"):
        texts = {"type": "frontend/get_translations", "language": language}
        (found,) = await world.lab.ws(
            texts | {"category": "exceptions", "integration": "moat_link"}
        )
        key = "component.moat_link.exceptions.command_refused.message"
        _expect(key in found["resources"], f"no text for a refusal in {language}")
    await world.lab.call("select", "select_option", entity_id=door, option="auto")


async def _number_sets(world: World) -> None:
    """The inverter takes a set point, and refuses one the battery does not permit by range."""
    number = world.entity("inverter", "set_power")
    await world.lab.call("number", "set_value", entity_id=number, value=1230)

    async def look() -> bool:
        return float((await world.state(number))["state"]) == 1230

    await eventually(look, "the set point is 1230 W", SECONDS)
    _expect("Set inverter.set_power = 1230" in world.bridge_log, "the bridge has not seen it")


async def _light_dims(world: World) -> None:
    """The light goes on at 40 %, and off."""
    light = world.entity("light", "light")
    await world.lab.call("light", "turn_on", entity_id=light, brightness_pct=40)

    async def look() -> bool:
        state = await world.state(light)
        return bool(
            state["state"] == "on" and round(state["attributes"]["brightness"] / 2.55) == 40
        )

    await eventually(look, "the light is on at 40 %", SECONDS)


async def _the_rest_obeys(world: World) -> None:
    """Select, button with its event, cover and valve do what they are told."""
    mode = world.entity("inverter", "mode")
    options = (await world.state(mode))["attributes"]["options"]
    before = (await world.state(mode))["state"]
    other = next(each for each in options if each in {"idle", "standby", "off", "hold"} - {before})
    for option in (other, before):
        await world.lab.call("select", "select_option", entity_id=mode, option=option)
        await world.reaches(mode, option, timeout=SECONDS)
    event = world.entity("board", "button")
    pressed = (await world.state(event))["state"]
    await world.lab.call("button", "press", entity_id=world.entity("simulation", "press"))

    async def look() -> bool:
        return bool((await world.state(event))["state"] != pressed)

    await eventually(look, "the push button's event", SECONDS)
    cover, valve = world.entity("blind", "cover"), world.entity("valve", "valve")
    await world.lab.call("cover", "set_cover_position", entity_id=cover, position=60)
    await world.lab.call("valve", "open_valve", entity_id=valve)
    await world.reaches(valve, "open", timeout=SECONDS)

    async def arrived() -> bool:
        return bool((await world.state(cover))["attributes"].get("current_position") == 60)

    await eventually(arrived, "the blind is at 60 %", HEALING)


async def _heals(world: World) -> None:
    """After the broker's restart everything is there again, and a command works."""
    before = await _available(world)
    connected = next(
        each["entity_id"]
        for name, each in (await world.learn()).items()
        if name.endswith("_connected")
    )
    await asyncio.to_thread(world.broker.stop)
    await world.reaches(connected, "off", timeout=SECONDS)
    relay = world.entity("board", "relay_1")
    with contextlib.suppress(LabError):
        await world.lab.ws(_action("switch", "turn_on", relay))
    await asyncio.to_thread(world.broker.start)
    await world.reaches(connected, "on", timeout=HEALING)

    async def look() -> bool:
        return before <= await _available(world)

    try:
        await eventually(look, "", HEALING)
    except MissingError:
        lacking = before - await _available(world)
        raise MissingError(f"still unavailable: {', '.join(sorted(lacking))}") from None
    _expect(
        (await world.state(relay))["state"] == "off",
        "the command of the outage was carried out later",
    )
    await _switch_switches(world)


async def _available(world: World) -> set[str]:
    """Return our entities that are available."""
    ours = {each["entity_id"] for each in (await world.learn()).values()}
    states = await world.lab.states()
    return {each for each in ours & states.keys() if states[each]["state"] != "unavailable"}


async def _logs_are_clean(world: World) -> None:
    """No warning of Home Assistant or the bridge but those of the broker's restart, told once."""
    lines = [line for line in world.lab.warnings() if not PROVOKED.search(line)]
    outage = [line for line in lines if OUTAGE.search(line)]
    others = [line for line in lines if line not in outage]
    _expect(not others, "Home Assistant's log:\n  " + "\n  ".join(others))
    _expect(len(outage) <= 2, "the outage is told too often:\n  " + "\n  ".join(outage))
    trouble = [line for line in world.bridge_log.splitlines() if BRIDGE_TROUBLE.search(line)]
    _expect(len(trouble) <= 2, "the bridge's log:\n  " + "\n  ".join(trouble))


async def _nothing_runs(world: World) -> None:
    """The bridge has ended orderly, the broker and Home Assistant are gone."""
    assert world.bridge is not None
    _expect(world.bridge.returncode == 0, f"the bridge ended with {world.bridge.returncode}")
    _expect(not world.broker.running, "the broker runs on")
    _expect(world.lab.process is None, "Home Assistant runs on")


def _action(domain: str, name: str, entity_id: str) -> dict[str, Any]:
    """Return an action as the frontend performs it."""
    return {
        "type": "call_service",
        "domain": domain,
        "service": name,
        "target": {"entity_id": entity_id},
    }


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise MissingError(what)


CHECKS: dict[str, Check] = {
    "devices, parts, rooms": _all_devices,
    "the bridge is the server": _server_is_used,
    "every point has a value": _all_values,
    "values move": _values_move,
    "a switch switches": _switch_switches,
    "a plain MQTT plug obeys, through a gate": _gate_translates,
    "history is kept": _history_is_kept,
    "a refusal is told": _refusal_is_told,
    "a number sets": _number_sets,
    "the light dims": _light_dims,
    "select, event, blind and valve obey": _the_rest_obeys,
}
