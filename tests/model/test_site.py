"""Devices come, change and go; what is not concerned stays what it is."""

from typing import Any

import pytest

from custom_components.moat_link.link.codec import ABSENT
from custom_components.moat_link.link.describe import parse_device
from custom_components.moat_link.link.path import Path
from custom_components.moat_link.model.site import DEVICES, HOSTS, PINGS

from .world import World

POWER = {"key": "p", "quantity": "power", "path": "a.b"}
RELAY = {"key": "r", "quantity": "relay", "path": "a.c"}


@pytest.fixture
def world() -> World:
    return World()


def test_a_device_comes_whole(world: World) -> None:
    seen: list[Any] = []
    world.site.on_device_added(lambda device: seen.append((list(device.points), device.available)))
    world.describe(POWER, RELAY)
    assert seen == [(["p", "r"], True)]
    assert world.heard() == ["+box", "+box.p", "+box.r"]


def test_the_same_description_again_changes_nothing(world: World) -> None:
    world.describe(POWER, RELAY)
    point = world.point()
    world.heard()
    world.describe(POWER, RELAY)
    assert world.point() is point
    assert world.heard() == []


def test_a_device_changes_its_name(world: World) -> None:
    world.describe(POWER)
    point = world.point()
    world.heard()
    world.describe(POWER, name="Other")
    assert world.point() is point
    assert world.device().description.name == "Other"
    assert world.heard() == ["~box"]


def test_points_come_change_and_go(world: World) -> None:
    world.describe(POWER, RELAY)
    power, relay = world.point("p"), world.point("r")
    world.heard()
    world.describe({"key": "new", "quantity": "power", "path": "a.d"}, POWER | {"unit": "kW"})
    assert world.point("p") is not power
    assert power.removed
    assert relay.removed
    assert list(world.device().points) == ["new", "p"]
    assert world.heard() == ["-box.p", "-box.r", "+box.new", "+box.p", "~box"]
    world.say("a/b", 5)
    assert world.point("p").value == 5.0
    assert power.value is None


def test_a_changed_point_keeps_its_value(world: World) -> None:
    world.describe(POWER | {"max_age": 10})
    world.clock.offset += 1e6  # whoever measures has a clock of another time
    world.say("a/b", 5, age=1e6)
    world.describe(POWER | {"max_age": 10, "name": "Power"})
    assert (world.point().value, world.point().available) == (5.0, True)


def test_a_changed_path(world: World) -> None:
    world.describe(POWER)
    world.say("a/b", 5)
    world.say("a/x", 7)
    world.describe(POWER | {"path": "a.x"})
    assert world.point().value == 7.0
    world.say("a/b", 8)
    assert world.point().value == 7.0


def test_raw_one_and_true_are_different_descriptions(world: World) -> None:
    world.describe(RELAY | {"on": 1, "off": 0})
    world.say("a/c", True)
    assert world.point("r").value is None
    world.describe(RELAY | {"on": True, "off": False})
    assert world.point("r").value is True


def test_a_device_goes(world: World) -> None:
    world.describe(POWER, RELAY, alive="run.host.x")
    world.say("a/b", 5)
    power = world.point()
    world.heard()
    world.forget("device/box")
    assert world.heard() == ["-box.p", "-box.r", "-box"]
    assert power.removed
    assert world.empty()
    world.forget("device/box")
    assert world.heard() == []


def test_a_flapping_device_leaves_nothing(world: World) -> None:
    for _ in range(100):
        world.describe(POWER | {"max_age": 1e6}, {"key": "p"}, alive="run.host.x", area=5)
        world.say("run/host/x", {"id": "_x"})
        world.say("a/b", 5)
        assert world.point().available
        assert len(world.site._deadlines) == 1
        world.forget("run/host/x")
        world.forget("device/box")
    assert world.empty()


def test_a_bad_point_is_left_out(world: World) -> None:
    world.describe(POWER, {"key": "x", "quantity": "flux"})
    assert list(world.device().points) == ["p"]
    assert [issue.key for issue in world.site.issues["box"]] == ["points[1].quantity"]
    assert world.heard() == ["+box", "+box.p", "!box"]
    world.describe(POWER)
    assert world.site.issues == {}
    assert world.heard() == ["!box"]


def test_a_broken_description_changes_nothing(world: World) -> None:
    world.describe(POWER)
    point = world.point()
    world.heard()
    world.say("device/box", {"v": 2})
    assert world.point() is point
    assert [issue.key for issue in world.site.issues["box"]] == ["v"]
    world.describe(POWER)
    assert world.site.issues == {}
    assert world.point() is point


def test_a_description_that_never_was_any_good(world: World) -> None:
    world.say("device/box", "garbage")
    assert world.site.devices == {}
    assert world.heard() == ["!box"]
    world.forget("device/box")
    assert world.heard() == ["!box"]
    assert world.empty()


def test_other_topics_are_ignored(world: World) -> None:
    for topic in ("device", "device/a/b", "run/ping", "run/host/x", "x", ""):
        world.say(topic, {"v": 1, "name": "X"})
    assert world.empty()
    world.say("device/", {"v": 1})
    assert [issue.key for issue in world.site.issues[""]] == ["(id)"]


def test_two_devices_may_follow_one_topic(world: World) -> None:
    world.describe(POWER, id="one")
    world.describe(POWER, id="two")
    world.say("a/b", 5)
    assert world.point(id="one").value == world.point(id="two").value == 5.0
    world.forget("device/one")
    world.say("a/b", 6)
    assert world.point(id="two").value == 6.0


def test_the_link_goes_and_comes(world: World) -> None:
    world.describe(POWER, RELAY)
    world.say("a/b", 5)
    calls: list[str] = []
    world.device().subscribe(lambda: calls.append("box"))
    world.point("p").subscribe(lambda: calls.append("p"))
    world.point("r").subscribe(lambda: calls.append("r"))
    world.site.set_connected(False)
    world.site.set_connected(False)
    assert calls == ["box", "p"]
    assert world.point().value == 5.0
    world.site.set_connected(True)
    assert calls == ["box", "p", "box", "p"]


def test_too_old_while_away(world: World) -> None:
    world.describe(POWER | {"max_age": 10})
    world.say("a/b", 5)
    calls: list[str] = []
    world.point().subscribe(lambda: calls.append("p"))
    world.site.set_connected(False)
    world.wait(20)
    world.site.set_connected(True)
    assert calls == ["p"]
    assert not world.point().available


def test_a_subscriber_may_turn_everything_around(world: World) -> None:
    world.describe(POWER, POWER | {"key": "q"})
    world.point("p").subscribe(lambda: world.forget("device/box"))
    world.say("a/b", 5)
    assert world.empty()


def test_described_here(world: World) -> None:
    description, issues = parse_device("value-1", {"v": 1, "name": "Mine", "points": [POWER, 5]})
    world.say("a/b", 5)
    world.site.put(description, issues)
    assert world.point(id="value-1").value == 5.0
    assert [issue.key for issue in world.site.issues["value-1"]] == ["points[1]"]
    world.forget("device/value-1")
    assert "value-1" in world.site.devices
    world.describe(RELAY, id="value-1")
    assert list(world.device("value-1").points) == ["p"]
    assert len(world.site.issues["value-1"]) == 2
    world.site.remove("value-1")
    world.site.remove("value-1")
    assert world.empty()


def test_wanted_prefixes(world: World) -> None:
    always = {DEVICES, HOSTS, PINGS}
    assert world.site.wanted_prefixes() == always
    world.describe(POWER, RELAY, alive="run.host.x")
    assert world.site.wanted_prefixes() == always | {Path("a", "b"), Path("a", "c")}
    world.describe(
        *({"key": f"p{n}", "quantity": "power", "path": ["home", n, "power"]} for n in range(8)),
        id="home",
        alive="home.x.online",
    )
    assert world.site.wanted_prefixes() == always | {Path("a", "b"), Path("a", "c"), Path("home")}
    world.forget("device/home")
    world.forget("device/box")
    assert world.site.wanted_prefixes() == always


def test_nothing_comes_out_of_the_door(world: World) -> None:
    world.describe(POWER | {"item": ["x", 3]}, alive="run.host.x")
    for value in (ABSENT, None, [], {}, {"x": [1]}, {"x": {3: 10**400}}, b"", "x", float("nan")):
        for topic in ("a/b", "run/host/x", "run/ping/id/_x", "run/ping/id/", "device/other"):
            world.say(topic, value)
    world.say("a/b", {"x": [1, 2, 3, 4]})
    assert world.point().value == 4.0
