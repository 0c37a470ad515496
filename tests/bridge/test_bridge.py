"""The bridge on a real broker, with a driver whose bus is the test."""

import asyncio
import time

import pytest

from firmware_bridge import publisher
from firmware_bridge.bridge import Bridge
from firmware_bridge.config import Config
from firmware_bridge.driver import DriverError
from firmware_bridge.link.clock import Clock
from firmware_bridge.link.codec import ABSENT, Value
from firmware_bridge.link.describe import parse_device
from firmware_bridge.link.errors import NotFoundError, RefusedError
from firmware_bridge.link.path import Path
from firmware_bridge.owners import owner_of
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .conftest import ROOT, SERVICE, Peer, bridge_for, running
from .fake import Bus, ShiftedClock, named


def bridge(broker: Mosquitto, clock: Clock | None = None, **buses: Bus) -> Bridge:
    """Return a bridge with these buses."""
    drivers = {name: bus.make for name, bus in buses.items()}
    config = Config(root=ROOT, host="here", discovery=False, use_server=False, drivers=drivers)
    return bridge_for(broker, config, clock)


async def test_publishes_descriptions_values_and_itself(broker: Mosquitto, peer: Peer) -> None:
    """Everything is there, retained, and says the same to somebody who comes later."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        bus.read("box", 100.0, voltage=12.5, relay=False)
        await until(lambda: peer.state.get("ems/box/out") == {"u": 12.5, "r": False})
        await until(lambda: "device/box" in peer.state)
        box, issues = parse_device("box", peer.state["device/box"])
        assert issues == []
        assert box.alive == SERVICE
        said = peer.state[SERVICE.topic]
        assert isinstance(said, dict)
        assert said["up"] is True
        message = next(each for each in peer.heard if each.topic == "ems/box/out")
        assert message.retained
        assert message.time == 100.0


async def test_takes_leave(broker: Mosquitto, peer: Peer) -> None:
    """At an orderly end the announcement goes; descriptions and values stay."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        bus.read("box", 100.0, voltage=12.5)
        await until(lambda: {"ems/box/out", "device/box", SERVICE.topic} <= peer.state.keys())
    await until(lambda: SERVICE.topic not in peer.state)
    assert peer.state["ems/box/out"] == {"u": 12.5}
    assert "device/box" in peer.state
    assert bus.closed == bus.opened == 1


async def test_stopped_before_it_runs(broker: Mosquitto) -> None:
    """As when a signal comes while the server beside it still reads its files."""
    stopped = bridge(broker, bus=Bus())
    stopped.stop("too early")
    async with asyncio.timeout(15):
        assert await stopped.run() == "too early"


async def test_forgets(broker: Mosquitto, peer: Peer) -> None:
    """If asked, nothing at all stays."""
    bus = Bus()
    async with running(bridge(broker, bus=bus), forget=True):
        bus.read("box", 100.0, voltage=12.5)
        await until(lambda: {"ems/box/out", "device/box", SERVICE.topic} <= peer.state.keys())
    await until(lambda: not peer.state, what="something stays")


async def test_obeys(broker: Mosquitto, peer: Peer) -> None:
    """A command reaches the driver with its value; a trigger comes without."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        await until(lambda: "device/box" in peer.state)
        assert await peer.set("box", "relay", True) is True
        assert await peer.set("box", "go") is True
        assert bus.written == [("box", "relay", True), ("box", "go", None)]
        assert "ems/box/out" not in peer.state  # the state comes from the device alone


async def test_refuses_with_the_reason(broker: Mosquitto, peer: Peer) -> None:
    """Driver, check and bridge all answer with words for people."""
    bus = Bus(refusal=RefusedError("the door is open"))
    async with running(bridge(broker, bus=bus)):
        await until(lambda: "device/box" in peer.state)
        for arguments, reason in (
            (("box", "relay", True), "the door is open"),
            (("box", "relay", 7), "relay takes one of true, false"),
            (("box", "voltage", 7), "voltage can only be read"),
            (("box", "nothing", 7), "there is no box.nothing"),
            (("nothing", "relay", True), "there is no nothing.relay"),
            (("x" * 9999, "relay", True), r"there is no x{64}\.relay$"),
            (("box", ["relay"], True), "device and key are texts"),
            (("box",), "wrong arguments"),
        ):
            with pytest.raises(RefusedError, match=reason):
                await peer.set(*arguments)
        bus.refusal = ValueError("a bug")
        with pytest.raises(RefusedError, match="the driver failed: ValueError"):
            await peer.set("box", "relay", True)
        bus.refusal = DriverError("no cable")
        with pytest.raises(RefusedError, match="box cannot be reached: no cable"):
            await peer.set("box", "relay", True)


async def test_answers_for_a_device_that_does_not(broker: Mosquitto, peer: Peer) -> None:
    """A device without an answer is a refusal before the caller gives up."""
    bus = Bus(stuck=True)
    async with running(bridge(broker, bus=bus)):
        await until(lambda: "device/box" in peer.state)
        with pytest.raises(RefusedError, match="box did not answer within 4 s"):
            await peer.set("box", "relay", True)


async def test_lists_and_refreshes(broker: Mosquitto, peer: Peer) -> None:
    """The service tells its devices, and says everything anew on request."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        bus.read("box", 100.0, voltage=12.5)
        await until(lambda: {"ems/box/out", "device/box"} <= peer.state.keys())
        reply = await peer.link.call(SERVICE, ["devices"])
        assert reply.value == {"box": {"name": "Box", "driver": "bus", "fault": None}}
        await peer.link.call(SERVICE, ["refresh"])
        await until(lambda: len(peer.values("ems/box/out")) == 2)


async def test_events_happen_once_and_are_not_retained(broker: Mosquitto, peer: Peer) -> None:
    """Two presses at the same moment are two messages with growing times; nothing stays."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        await until(lambda: "device/box" in peer.state)
        for _ in range(2):
            bus.read("box", 100.0, press="short")
        await until(lambda: len(peer.values("ems/box/press")) == 2)
        first, second = (each for each in peer.heard if each.topic == "ems/box/press")
        assert (first.value, first.retained) == ("short", False)
        assert second.time > first.time
        with pytest.raises(NotFoundError):
            await peer.link.get(Path("ems", "box", "press"))


async def test_event_that_comes_with_its_device(broker: Mosquitto, peer: Peer) -> None:
    """What happens before it is known whose device that is, is told as soon as it is."""
    bus = Bus()
    bus.read("box", 100.0, press="short")
    bus.read("box", 101.0, press="long")
    async with running(bridge(broker, bus=bus)):
        await until(lambda: peer.values("ems/box/press") == ["short", "long"])


async def test_nobody_tells_who_describes_what(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where descriptions cannot be read, values are published anyway."""
    monkeypatch.setattr(publisher, "SNAPSHOT_TIMEOUT", 0.3)
    monkeypatch.setattr(publisher.Publisher, "_on_survey", lambda self: None)
    bus = Bus()
    bus.read("box", 100.0, voltage=12.5, press="short")
    async with running(bridge(broker, bus=bus)):
        await until(lambda: peer.state.get("ems/box/out") == {"u": 12.5})
        assert peer.values("ems/box/press") == ["short"]


async def test_old_and_double_readings_are_dropped(broker: Mosquitto, peer: Peer) -> None:
    """Whatever order a bus delivers in, time on the link only grows."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        await until(lambda: "device/box" in peer.state)
        bus.read("box", 100.0, relay=True)
        bus.read("box", 100.0, relay=False)
        bus.read("box", 99.0, relay=False)
        bus.read("box", 101.0, relay=False)
        await until(lambda: len(peer.values("ems/box/out")) == 2)
        assert peer.values("ems/box/out") == [{"r": True}, {"r": False}]


async def test_a_clock_that_is_set_back(broker: Mosquitto, peer: Peer) -> None:
    """The bridge goes on at once, it does not wait until the old time comes again."""
    bus, clock = Bus(), ShiftedClock()
    async with running(bridge(broker, clock, bus=bus)):
        bus.read("box", clock.time(), relay=True)
        await until(lambda: peer.state.get("ems/box/out") == {"r": True})
        clock.offset = -3600.0
        bus.read("box", clock.time(), relay=False)
        await until(lambda: peer.state.get("ems/box/out") == {"r": False})


@pytest.mark.parametrize(
    "broker", ["topic readwrite #\ntopic deny test/home/device/one\n"], indirect=True
)
async def test_a_broker_that_denies_something(
    broker: Mosquitto, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """What may not be published is logged; everything else goes on."""
    bus = Bus(devices=(named("one"), named("two")))
    async with running(bridge(broker, bus=bus)):
        bus.read("two", 100.0, voltage=2.0)
        await until(lambda: {"device/two", "ems/two/out"} <= peer.state.keys(), 10)
        assert "device/one" not in peer.state
        assert "Not said" in caplog.text


async def test_devices_come_change_and_go(broker: Mosquitto, peer: Peer) -> None:
    """The driver's devices are described while they are there, values included."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        bus.devices = (named("one"), named("two"))
        bus.read("one", 100.0, voltage=1.0)
        await until(lambda: {"device/one", "device/two", "ems/one/out"} <= peer.state.keys())
        await until(lambda: "device/box" not in peer.state)
        bus.devices = (named("two", "Zwei"),)
        bus.read("two", 101.0, voltage=2.0)
        await until(lambda: peer.state.keys() & {"device/one", "ems/one/out"} == set())
        await until(lambda: peer.state.get("ems/two/out") == 2.0)
        two, _ = parse_device("two", peer.state["device/two"])
        assert two.name == "Zwei"


async def test_what_was_configured_before_is_removed(broker: Mosquitto, peer: Peer) -> None:
    """Descriptions of ours without a device go, with their values; those of others stay."""
    bus = Bus(devices=(named("old"), named("kept")))
    async with running(bridge(broker, bus=bus)):
        bus.read("old", 100.0, voltage=1.0)
        bus.read("kept", 100.0, voltage=1.0)
        await until(lambda: {"device/old", "device/kept", "ems/old/out"} <= peer.state.keys())
    foreign: Value = {
        "v": 1,
        "name": "Foreign",
        "alive": Path("run", "host", "other"),
        "points": [],
    }
    await peer.link.set(Path("device", "foreign"), foreign)
    await peer.link.set(Path("device", "broken"), "nonsense")
    async with running(bridge(broker, bus=Bus(devices=(named("kept"),)))):
        await until(lambda: peer.state.keys() & {"device/old", "ems/old/out"} == set())
        assert {"device/kept", "ems/kept/out", "device/foreign"} <= peer.state.keys()


async def test_nothing_is_removed_while_a_driver_is_missing(broker: Mosquitto, peer: Peer) -> None:
    """As long as a bus is down, nobody knows whether its devices are gone."""
    async with running(bridge(broker, bus=Bus(devices=(named("old"),)))):
        await until(lambda: "device/old" in peer.state)
    down, up = Bus(devices=(named("old"),), broken=DriverError("no cable")), Bus()
    async with running(bridge(broker, down=down, up=up)):
        await until(lambda: "device/box" in peer.state)
        await until(lambda: _fault(peer, "down") == "no cable", 10)
        assert "device/old" in peer.state
        down.broken = None
        down.read("old", 100.0, voltage=1.0)
        await until(lambda: down.opened == 1, 10)
        await until(lambda: _fault(peer, "down") is None, 10)
        assert "device/old" in peer.state


def _fault(peer: Peer, driver: str) -> object:
    said = peer.state.get(SERVICE.topic)
    value = said.get("value") if isinstance(said, dict) else None
    drivers = value.get("drivers") if isinstance(value, dict) else None
    return drivers.get(driver) if isinstance(drivers, dict) else None


async def test_a_failing_bus_is_told_and_opened_again(broker: Mosquitto, peer: Peer) -> None:
    """An error on the link while it lasts; the other bus does not notice."""
    bad, good = Bus(devices=(named("bad"),)), Bus()
    async with running(bridge(broker, bad=bad, good=good)):
        await until(lambda: {"device/bad", "device/box"} <= peer.state.keys())
        bad.queue.put_nowait(DriverError("no cable"))
        await until(lambda: "error/here/bridge/driver/bad" in peer.state, 10)
        error = peer.state["error/here/bridge/driver/bad"]
        assert isinstance(error, dict)
        assert error["msg"] == "no cable"
        with pytest.raises(RefusedError, match=r"no bad\.relay"):
            await peer.set("bad", "relay", True)
        good.read("box", 100.0, voltage=1.0)
        await until(lambda: "ems/box/out" in peer.state)
        await until(lambda: bad.opened == 2, 10)
        bad.read("bad", 100.0, voltage=1.0)
        await until(lambda: "error/here/bridge/driver/bad" not in peer.state, 10)


async def test_a_fault_from_before_is_over(broker: Mosquitto, peer: Peer) -> None:
    """An error that an earlier run left behind goes as soon as the bus works."""
    await peer.link.report_error(Path("here", "bridge", "driver", "bus"), "no cable")
    await until(lambda: "error/here/bridge/driver/bus" in peer.state)
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        bus.read("box", 100.0, voltage=1.0)
        await until(lambda: "error/here/bridge/driver/bus" not in peer.state)


async def test_a_driver_with_a_bug_harms_only_itself(broker: Mosquitto, peer: Peer) -> None:
    """Any exception ends that driver's turn, not the bridge."""
    bad, good = Bus(devices=(named("bad"),)), Bus()
    async with running(bridge(broker, bad=bad, good=good)):
        bad.queue.put_nowait(KeyError("x"))
        await until(lambda: bad.opened == 2, 10)
        good.read("box", 100.0, voltage=1.0)
        await until(lambda: "ems/box/out" in peer.state)


async def test_totals_go_on_after_a_restart(broker: Mosquitto, peer: Peer) -> None:
    """A driver gets back what it had published last, before its first batch."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        bus.read("box", 100.0, voltage=12.5, relay=True)
        await until(lambda: "ems/box/out" in peer.state)
    again = Bus()
    async with running(bridge(broker, bus=again)):
        await until(lambda: again.opened == 1)
        values = {key: value for each in again.restored for key, value in each.values.items()}
        assert values == {"voltage": 12.5, "relay": True}
        assert {each.time for each in again.restored} == {100.0}


async def test_says_everything_anew_to_an_empty_broker(broker: Mosquitto, peer: Peer) -> None:
    """A broker that lost everything has everything again within 10 s."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        bus.read("box", time.time(), voltage=12.5, relay=True)
        await until(lambda: {"ems/box/out", "device/box", SERVICE.topic} <= peer.state.keys())
        broker.kill()
        await until(lambda: not peer.link.status.connected, 10)
        bus.read("box", time.time(), voltage=13.5)  # during the outage
        peer.heard.clear()
        broker.start()
        await until(lambda: {"u": 13.5, "r": True} in peer.values("ems/box/out"), 10)
        await until(lambda: peer.values("device/box") != [], 10)
        assert await peer.set("box", "relay", False) is True


async def test_starts_before_the_broker(broker: Mosquitto, peer: Peer) -> None:
    """Without a broker the drivers run, and are published as soon as there is one."""
    broker.stop()
    bus = Bus()
    async with running(bridge(broker, bus=bus)):
        await until(lambda: bus.opened == 1, 15)
        bus.read("box", 100.0, voltage=12.5)
        broker.start()
        await until(lambda: "ems/box/out" in peer.state, 40)


async def test_two_bridges_do_not_fight_for_a_device(broker: Mosquitto, peer: Peer) -> None:
    """Who describes a device first keeps it as long as it lives."""
    first, second = Bus(), Bus()
    config = Config(
        root=ROOT,
        host="elsewhere",
        prefix=Path("other"),
        discovery=False,
        use_server=False,
        drivers={"bus": second.make},
    )
    late = bridge_for(broker, config)
    second.read("box", 100.0, voltage=1.0, press="short")
    async with running(bridge(broker, bus=first)):
        await until(lambda: "device/box" in peer.state)
        async with running(late):
            await until(lambda: "run/host/elsewhere/bridge" in peer.state)
            await until(lambda: second.opened and second.queue.empty())
            await peer.link.call(Path("run", "host", "elsewhere", "bridge"), ["refresh"])
            first.read("box", 100.0, voltage=2.0)
            await until(lambda: peer.state.get("ems/box/out") == {"u": 2.0})
            box, _ = parse_device("box", peer.state["device/box"])
            assert box.alive == SERVICE
            with pytest.raises(NotFoundError):
                await peer.link.get(Path("other", "box", "out"))
            assert not peer.values("other/box/press")


async def test_takes_over_from_a_dead_owner(broker: Mosquitto, peer: Peer) -> None:
    """Who was killed leaves announcement and description behind, but gives no sign of life."""
    dead = Path("run", "host", "grave", "bridge")
    await peer.link.set(dead, {"id": "_dead", "up": True})
    await peer.link.set(Path("device", "box"), {"v": 1, "name": "Old", "alive": dead})
    bus, clock = Bus(), ShiftedClock()
    async with running(bridge(broker, clock, bus=bus)):
        await until(lambda: SERVICE.topic in peer.state)
        bus.read("box", 100.0, voltage=1.0)
        await until(bus.queue.empty)
        assert "ems/box/out" not in peer.state
        clock.ahead = 30.0
        bus.read("box", 101.0, voltage=2.0)
        await until(lambda: peer.state.get("ems/box/out") == {"u": 2.0})
        assert owner_of("box", peer.state["device/box"]) == SERVICE


@pytest.mark.parametrize("forget", [False, True])
async def test_leaves_alone_what_belongs_to_a_living_owner(
    broker: Mosquitto, peer: Peer, forget: bool
) -> None:
    """Another owner's description is neither replaced nor removed."""
    other = Path("run", "host", "there", "other")
    service = peer.link.serve(Path("other"), {})
    await until(lambda: other.topic in peer.state)
    said: Value = {"v": 1, "name": "Theirs", "alive": other, "points": []}
    await peer.link.set(Path("device", "box"), said)
    bus, clock = Bus(), ShiftedClock()
    async with running(bridge(broker, clock, bus=bus), forget=forget):
        await until(lambda: bus.opened == 1)
        await until(lambda: SERVICE.topic in peer.state)
        bus.read("box", 100.0, voltage=1.0, press="short")
        await until(bus.queue.empty)
    await until(lambda: SERVICE.topic not in peer.state)
    assert owner_of("box", peer.state["device/box"]) == other
    assert {each.topic for each in peer.heard if each.topic.startswith("ems")} == set()
    service.close()


async def test_stops_when_asked_on_the_link(broker: Mosquitto, peer: Peer) -> None:
    """A stop request ends it orderly, with the reason."""
    bus = Bus()
    async with running(bridge(broker, bus=bus)) as task:
        await until(lambda: SERVICE.topic in peer.state)
        stop = Path("run", "stop", "here", "bridge")
        await peer.link.set(stop, {"reason": "enough"}, retain=False)
        async with asyncio.timeout(5):
            assert await asyncio.shield(task) == "enough"
    await until(lambda: SERVICE.topic not in peer.state)


async def test_values_that_cannot_be_sent_harm_nobody(broker: Mosquitto, peer: Peer) -> None:
    """A driver's nonsense is dropped, its other paths go on."""
    bus = Bus(devices=(named("one"), named("two")))
    async with running(bridge(broker, bus=bus)):
        bus.read("one", 100.0, voltage={(1, 2): ABSENT})  # type: ignore[dict-item]
        bus.read("two", 100.0, voltage=2.0)
        await until(lambda: peer.state.get("ems/two/out") == 2.0)
        bus.read("one", 101.0, voltage=1.0)
        await until(lambda: peer.state.get("ems/one/out") == 1.0)
