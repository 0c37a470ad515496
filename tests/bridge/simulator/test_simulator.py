"""The simulated home as a driver: its sheets hold what they promise, its commands do something."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from typing import override

import pytest

from firmware_bridge.catalogue import Catalogue
from firmware_bridge.commands import checked
from firmware_bridge.driver import Driver, DriverError, Offer, Reading
from firmware_bridge.drivers.simulator import configure
from firmware_bridge.drivers.simulator.german import GERMAN, refusal_in_german
from firmware_bridge.drivers.simulator.simulator import SHEETS
from firmware_bridge.link.clock import Clock
from firmware_bridge.link.codec import Value, encode_payload
from firmware_bridge.link.describe import Access, Category, PointDescription, parse_device
from firmware_bridge.link.errors import NotFoundError, RefusedError
from firmware_bridge.link.fields import finite
from firmware_bridge.link.path import Path
from firmware_bridge.link.quantity import QUANTITIES, Family, Kind

SUMMER = "2026-06-21T10:00:00Z"
WINTER = "2026-01-10T03:00:00Z"


class HandClock(Clock):
    """A clock that the test moves."""

    def __init__(self) -> None:
        """Start somewhere."""
        self.now = 1_800_000_000.0

    @override
    def time(self) -> float:
        """Return the seconds since 1970."""
        return self.now

    @override
    def monotonic(self) -> float:
        """Return the same."""
        return self.now


class Lab:
    """An open simulator and its clock."""

    def __init__(self, driver: Driver, clock: HandClock) -> None:
        """Start reading."""
        self.driver = driver
        self.clock = clock
        self._batches = driver.readings()

    async def read(self, seconds: float = 1.0) -> dict[str, dict[str, Value]]:
        """Let time pass and return all values by device."""
        self.clock.now += seconds
        values: dict[str, dict[str, Value]] = {}
        for reading in await self.batch():
            values.setdefault(reading.device, {}).update(reading.values)
        return values

    async def batch(self) -> list[Reading]:
        """Return the next batch."""
        return list(await anext(self._batches))

    async def close(self) -> None:
        """End the reading."""
        assert isinstance(self._batches, AsyncGenerator)
        await self._batches.aclose()


@contextlib.asynccontextmanager
async def lab(**options: object) -> AsyncIterator[Lab]:
    """Open a simulator whose time stands still."""
    clock = HandClock()
    table = {"start": SUMMER, "interval": 0.05, **options}
    async with configure(table)(clock) as driver:
        opened = Lab(driver, clock)
        try:
            yield opened
        finally:
            await opened.close()


def described(offers: tuple[Offer, ...]) -> dict[str, dict[str, PointDescription]]:
    """Return the points as the bridge describes them."""
    catalogue = Catalogue(Path("ems"), Path("run", "host", "here", "bridge"))
    assert catalogue.replace("home", offers).problems == ()
    found = {}
    for entry in catalogue.entries:
        device, issues = parse_device(entry.description.id, entry.value)
        assert issues == []
        found[device.id] = {point.key: point for point in device.points}
    return found


async def test_descriptions_show_what_the_vocabulary_can_do() -> None:
    """Together the devices use every kind of point, and all that a description can say."""
    async with lab() as home:
        devices = described(home.driver.offers())
        points = [point for device in devices.values() for point in device.values()]
        uses = {(point.info.kind, point.access) for point in points if not point.info.family}
        assert uses == {
            (Kind.NUMBER, Access.READ),
            (Kind.NUMBER, Access.READ_WRITE),
            (Kind.BOOLEAN, Access.READ),
            (Kind.BOOLEAN, Access.READ_WRITE),
            (Kind.CHOICE, Access.READ),
            (Kind.CHOICE, Access.READ_WRITE),
            (Kind.TEXT, Access.READ),
            (Kind.TEXT, Access.READ_WRITE),
            (Kind.MOMENT, Access.READ),
            (Kind.EVENT, Access.READ),
            (Kind.TRIGGER, Access.WRITE),
        }
        assert {point.info.family for point in points} == {None, *Family}
        assert {point.category for point in points} == {None, *Category}
        assert {point.enabled for point in points} == {True, False}
        offers = [offer.description for offer in home.driver.offers()]
        assert sum(bool(device.parts) for device in offers) >= 4
        assert {device.via for device in offers} > {"board", "inverter"}
        assert len({device.area for device in offers}) >= 4


async def test_every_value_fits_its_description() -> None:
    """Types, options, digits: what is read is what was promised, and can be sent."""
    async with lab() as home:
        devices = described(home.driver.offers())
        values = await home.read()
        for device, points in devices.items():
            for key, point in points.items():
                if not point.readable or point.info.kind is Kind.EVENT:
                    continue
                value = values[device][key]
                encode_payload(value)
                assert _fits(point, value), f"{device}.{key} = {value!r}"


def _fits(point: PointDescription, value: Value) -> bool:
    match point.info.kind:
        case Kind.NUMBER:
            digits = point.precision
            number = finite(value)
            return number is not None and (digits is None or round(number, digits) == number)
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.CHOICE:
            return value in (point.options or QUANTITIES[point.quantity].words)
        case Kind.MOMENT:
            return value is None or isinstance(value, datetime)
        case _:
            return isinstance(value, str)


async def test_every_command_does_something() -> None:
    """Each writable point takes a value that its description allows, and shows it."""
    async with lab() as home:
        devices = described(home.driver.offers())
        for device, points in devices.items():
            for key, point in points.items():
                if not point.writable:
                    continue
                value = checked(point, _another(point))
                await home.driver.write(device, key, value)
                home.clock.now += 30
                await home.batch()
                values = await home.read(30)
                if point.readable and point.quantity not in ("cover", "cover_position"):
                    assert values[device][key] == value, f"{device}.{key}"


def _another(point: PointDescription) -> Value:
    match point.info.kind:
        case Kind.NUMBER:
            low, high = point.minimum, point.maximum
            assert low is not None
            assert high is not None
            step = point.step or 1.0
            return low + round((high - low) / 2 / step) * step
        case Kind.BOOLEAN:
            return True
        case Kind.CHOICE:
            return (point.options or point.info.words)[-1 if point.key != "mode" else 1]
        case Kind.TEXT:
            return "hello"
        case _:
            return None


@pytest.mark.parametrize(
    ("prepare", "command", "reason"),
    [
        (
            [("simulation", "door", "open")],
            ("board", "relay_2", True),
            "the interlock holds relay 2 off while the door is open",
        ),
        ([("board", "restart", None)], ("board", "relay_1", True), "the board is starting"),
        ([], ("nothing", "at_all", 1), "nothing has no at_all"),
        ([], ("battery", "voltage", 1.0), "voltage cannot be written"),
        (
            [("battery", "contactor_request", "off")],
            ("inverter", "mode", "charge"),
            "the battery does not permit charging: the contactor is open",
        ),
    ],
)
async def test_refusals(
    prepare: list[tuple[str, str, Value]], command: tuple[str, str, Value], reason: str
) -> None:
    """What a real device would refuse is refused, in words."""
    async with lab() as home:
        for each in prepare:
            await home.read(0.5)
            await home.driver.write(*each)
        await home.read(0.5)
        with pytest.raises(RefusedError) as refused:
            await home.driver.write(*command)
        assert str(refused.value) == reason


async def test_refusals_in_german() -> None:
    """A German home says no in German; what has no translation stays as it is."""
    async with lab(language="de", start=WINTER) as home:
        await home.driver.write("simulation", "door", "open")
        for command, reason in (
            (("board", "relay_2", True), "die Verriegelung hält das Pumpenrelais aus"),
            (("valve", "valve", "open"), "es friert ("),
        ):
            await home.read(0.5)
            with pytest.raises(RefusedError) as refused:
                await home.driver.write(*command)
            assert str(refused.value).startswith(reason)
    assert refusal_in_german("no") == "no"


async def test_the_valve_stays_closed_in_frost() -> None:
    """In a winter's night the garden gets no water."""
    async with lab(start=WINTER) as home:
        await home.read()
        with pytest.raises(RefusedError, match="there is frost"):
            await home.driver.write("valve", "valve", "open")


async def test_a_set_point_beyond_the_battery_is_refused() -> None:
    """Near the bottom the battery permits less than the inverter could."""
    async with lab(start=WINTER) as home:
        known = Reading(device="battery", values={"state_of_charge": 1.0}, time=1.0)
        home.driver.restore([known])
        await home.read()
        await home.driver.write("inverter", "mode", "discharge")
        with pytest.raises(RefusedError, match="the battery permits discharging with at most"):
            await home.driver.write("inverter", "set_power", 5000.0)


async def test_goes_on_where_it_was() -> None:
    """Totals never step back over a restart; switches stay as they were."""
    async with lab() as home:
        await home.driver.write("light", "light", True)
        await home.driver.write("inverter", "mode", "charge")
        values = await home.read(1200)
    before = [Reading(device=name, values=each, time=1.0) for name, each in values.items()]
    async with lab() as again:
        again.driver.restore(before)
        after = await again.read(1)
        assert after["light"]["light"] is True
        assert after["inverter"]["mode"] == "charge"
        for device, key in (
            ("battery", "charge_energy"),
            ("battery", "discharge_energy"),
            ("meter", "import_energy"),
            ("meter", "export_energy"),
            ("solar", "energy"),
            ("house", "energy"),
        ):
            old, new = finite(values[device][key]), finite(after[device][key])
            assert old is not None
            assert new is not None
            assert new >= old
        charge = finite(after["battery"]["state_of_charge"])
        was = finite(values["battery"]["state_of_charge"])
        assert charge is not None
        assert charge == pytest.approx(was, abs=0.5)


async def test_events_are_told_once() -> None:
    """Pressing the simulated button is an event, not a state."""
    async with lab() as home:
        await home.read()
        await home.driver.write("simulation", "press", None)
        assert (await home.read())["board"]["button"] == "short"
        assert "button" not in (await home.read())["board"]


async def test_speed() -> None:
    """A second can be an hour."""
    async with lab(speed=3600) as home:
        before = (await home.read(0.1))["simulation"]["time"]
        after = (await home.read(1))["simulation"]["time"]
        assert isinstance(before, datetime)
        assert isinstance(after, datetime)
        assert (after - before).total_seconds() == 3600
        assert before == datetime.fromisoformat(SUMMER).astimezone(UTC) + (
            before - datetime.fromisoformat(SUMMER)
        )


async def test_a_selection_under_other_ids() -> None:
    """Two simulated homes can live side by side."""
    async with lab(devices=["board", "light"], id_prefix="sim-") as home:
        offers = {offer.description.id: offer.description for offer in home.driver.offers()}
        assert list(offers) == ["sim-board", "sim-light"]
        assert offers["sim-light"].via == "sim-board"
        await home.driver.write("sim-light", "light", True)
        assert (await home.read())["sim-light"]["light"] is True
        with pytest.raises(NotFoundError):
            await home.driver.write("sim-battery", "identify", None)


async def test_fault_silent() -> None:
    """Neither values nor answers."""
    async with lab(faults=["silent:light"]) as home:
        assert "light" not in await home.read()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await home.driver.write("light", "light", True)


async def test_fault_refuse() -> None:
    """Everything is refused."""
    async with lab(faults=["refuse:light"]) as home:
        with pytest.raises(RefusedError, match="refuses everything"):
            await home.driver.write("light", "light", True)


async def test_fault_duplicate() -> None:
    """Every reading comes three times, once too late."""
    async with lab(faults=["duplicate:light"]) as home:
        times = [each.time for each in await home.batch() if each.device == "light"]
        assert times[0] == times[1] > times[2]


async def test_fault_flap() -> None:
    """The device is offered every other time."""
    async with lab(faults=["flap:light"]) as home:
        there = []
        for _ in range(4):
            there.append("light" in {each.description.id for each in home.driver.offers()})
            home.clock.now += 2
        assert there == [True, False, True, False]


async def test_fault_crash() -> None:
    """The whole bus fails."""
    async with lab(faults=["crash:light"]) as home:
        await home.read()
        with pytest.raises(DriverError):
            await home.read(5)


def test_sheets_have_different_paths() -> None:
    """No two points share a place."""
    places = [
        (str(row.point.path), row.point.item)
        for sheet in SHEETS.values()
        for row in sheet.rows
        if row.point.path is not None
    ]
    assert len(places) == len(set(places))


def names(driver: Driver) -> list[str]:
    """Return every name that a simulator gives, in order."""
    return [
        name
        for offer in driver.offers()
        for about in (offer.description,)
        for name in (
            about.name,
            about.model,
            about.area,
            *(part.name for part in about.parts.values()),
            *(point.name for point in about.points),
        )
        if name is not None
    ]


def test_german() -> None:
    """The same home in German: every English word has a translation that is used."""
    english = names(configure({})(HandClock()))
    german = names(configure({"language": "de"})(HandClock()))
    said = dict(zip(english, german, strict=True))
    assert said["Ceiling light"] == "Deckenlampe"
    assert said["Cell 16"] == "Zelle 16"
    assert {name for name in said if name in GERMAN} == GERMAN.keys()
    assert {name for name, other in said.items() if name == other} == {
        *("L1", "L2", "L3", "Simulation", "Firmware"),
        *("7.98 kWp", "Dimmer 14 W", "Hybrid 6 kW", "LFP 16S 280 Ah"),
    }
