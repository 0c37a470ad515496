"""Descriptions are completed, proven and kept apart."""

from dataclasses import replace

from firmware_bridge.catalogue import Catalogue, Entry
from firmware_bridge.driver import Offer
from firmware_bridge.link.describe import (
    Access,
    DeviceDescription,
    PointDescription,
    WriteService,
    parse_device,
)
from firmware_bridge.link.path import Path
from firmware_bridge.link.quantity import Quantity

SERVICE = Path("run", "host", "here", "bridge")
RELAY = PointDescription(
    key="relay", quantity=Quantity.RELAY, path=Path("r", "out"), access=Access.READ_WRITE
)
BUTTON = PointDescription(key="go", quantity=Quantity.BUTTON, access=Access.WRITE)
EVENT = PointDescription(
    key="press", quantity=Quantity.EVENT, path=Path("r", "press"), options=("short",)
)


def offer(device: str, *points: PointDescription) -> Offer:
    """Return a device with these points."""
    return Offer(description=DeviceDescription(id=device, name=device.title(), points=points))


def catalogue() -> Catalogue:
    """Return an empty one."""
    return Catalogue(Path("ems"), SERVICE)


def entry(of: Catalogue, device: str) -> Entry:
    """Return a device that is there."""
    found = of.get(device)
    assert found is not None
    return found


def test_descriptions_are_completed() -> None:
    """Paths get the prefix, writable points the way to write them, the device its owner."""
    devices = catalogue()
    changes = devices.replace("d", (offer("board", RELAY, BUTTON, EVENT),))
    assert [each.description.id for each in changes.published] == ["board"]
    board, issues = parse_device("board", entry(devices, "board").value)
    assert issues == []
    assert board.alive == SERVICE
    relay, button, event = board.points
    assert relay.path == Path("ems", "r", "out")
    assert relay.write == WriteService(service=SERVICE, command=("set",), args=("board", "relay"))
    assert button.write == WriteService(service=SERVICE, command=("set",), args=("board", "go"))
    assert event.write is None
    assert entry(devices, "board").events == {"press"}
    assert entry(devices, "board").state_paths == {relay.path, event.path}
    assert list(entry(devices, "board").outlets) == ["relay"]


def test_the_same_offers_change_nothing() -> None:
    """As long as the driver returns the same tuple, or says the same, nothing is published."""
    devices = catalogue()
    offers = (offer("board", RELAY),)
    devices.replace("d", offers)
    assert devices.replace("d", offers) == devices.replace("d", (offer("board", RELAY),))
    assert devices.replace("d", (offer("board", RELAY),)).published == ()


def test_devices_come_change_and_go() -> None:
    """Only what is different is published or removed."""
    devices = catalogue()
    devices.replace("d", (offer("one", RELAY), offer("two")))
    renamed = replace(offer("two").description, name="Other")
    changes = devices.replace("d", (Offer(description=renamed), offer("three")))
    assert [each.description.id for each in changes.published] == ["two", "three"]
    assert [each.description.id for each in changes.removed] == ["one"]
    assert [each.description.id for each in devices.entries] == ["two", "three"]


def test_a_new_description_keeps_the_values() -> None:
    """A device that only changes its name does not lose what it had read."""
    devices = catalogue()
    devices.replace("d", (offer("board", RELAY),))
    entry(devices, "board").outlets["relay"].update("relay", True, 1.0, 1.0)
    renamed = replace(offer("board", RELAY).description, name="Other")
    devices.replace("d", (Offer(description=renamed),))
    assert entry(devices, "board").description.name == "Other"
    assert entry(devices, "board").outlets["relay"].value() is True


def test_broken_points_are_left_out_and_told() -> None:
    """A driver's mistake is named; the rest of the device works."""
    broken = replace(RELAY, key="Not a key")
    devices = catalogue()
    changes = devices.replace("d", (offer("board", RELAY, broken), offer("not an id")))
    assert list(entry(devices, "board").points) == ["relay"]
    assert len(changes.problems) == 2
    assert "points[1].key" in changes.problems[0]


def test_nobody_takes_anothers_id_or_path() -> None:
    """The first driver keeps the device id and the state path."""
    devices = catalogue()
    devices.replace("one", (offer("board", RELAY),))
    changes = devices.replace("two", (offer("board"), offer("other", RELAY), offer("mine")))
    assert [each.description.id for each in changes.published] == ["mine"]
    assert changes.problems == (
        "device.board: another device has this id",
        "device.other: another device publishes at ems.r.out",
    )
    assert entry(devices, "board").driver == "one"
