"""Owners: announced, pinging, silent."""

from typing import Any

import pytest

from custom_components.moat_link.link.codec import ABSENT

from .world import OWNER, World

POINT = {"key": "p", "quantity": "power", "path": "a.b"}
PING = "run/ping/id/_x"


@pytest.fixture
def world() -> World:
    world = World()
    world.describe(POINT, alive="run.host.pi.bridge")
    world.say("a/b", 5)
    return world


def test_without_an_owner_a_device_counts_as_alive() -> None:
    world = World()
    world.describe(POINT)
    assert world.device().alive is None
    assert world.device().available


def test_an_owner_that_is_not_announced(world: World) -> None:
    assert world.device().alive is False
    assert not world.device().available
    assert not world.point().available


@pytest.mark.parametrize(
    ("value", "alive"),
    [
        ({"id": "_x", "up": True}, True),
        ({"id": "_x"}, True),
        ({"id": "_x", "up": False}, False),
        ({"id": 5}, True),
        ({"id": "a/b"}, True),
        ({}, True),
        (True, True),
        (0, True),
        ("online", True),
        (False, False),
        (None, False),
        (ABSENT, False),
    ],
)
def test_announcements(world: World, value: Any, alive: bool) -> None:
    world.say(OWNER, value)
    assert world.device().alive is alive
    assert world.point().available is alive


def test_announced_before_the_description() -> None:
    world = World()
    world.say(OWNER, {"id": "_x"})
    world.describe(POINT, alive="run.host.pi.bridge")
    assert world.device().available


def test_everybody_concerned_is_told_once(world: World) -> None:
    told: list[str] = []
    world.describe(POINT | {"path": "a.c"}, id="other", alive="run.host.pi.bridge")
    world.device().subscribe(lambda: told.append("box"))
    world.point().subscribe(lambda: told.append("box.p"))
    world.device("other").subscribe(lambda: told.append("other"))
    world.point(id="other").subscribe(lambda: told.append("other.p"))
    world.say(OWNER, {"id": "_x"})
    world.say(OWNER, {"id": "_x", "value": 5})
    assert told == ["box", "box.p", "other"]


def test_an_owner_anywhere_in_the_tree() -> None:
    world = World()
    world.describe(POINT, alive="home.esp.online")
    assert not world.device().available
    world.say("home/esp/online", True)
    assert world.device().available


def test_pings(world: World) -> None:
    world.say(OWNER, {"id": "_x"})
    world.say(PING, {"up": True, "state": "auto"})
    world.wait(25)
    assert world.device().available
    world.wait(0.1)
    assert world.device().alive is False
    world.say(PING, {"up": True})
    assert world.device().alive is True
    world.say(PING, {"up": False, "state": "closed"})
    assert world.device().alive is False


def test_who_pings_stays(world: World) -> None:
    world.say(OWNER, {"id": "_x"})
    told: list[bool] = []
    world.device().subscribe(lambda: told.append(world.device().available))
    for _ in range(20):
        world.say(PING, {"up": True})
        world.wait(10)
    assert told == []


def test_who_never_pinged_is_believed(world: World) -> None:
    world.say(OWNER, {"id": "_x"})
    world.wait(1000)
    assert world.device().available


def test_a_ping_before_the_announcement(world: World) -> None:
    world.say(PING, {"up": False})
    world.say(OWNER, {"id": "_x"})
    assert not world.device().available
    world.wait(30)
    assert not world.device().available


@pytest.mark.parametrize("value", [ABSENT, None, True, "auto", []])
def test_what_is_no_ping(world: World, value: Any) -> None:
    world.say(OWNER, {"id": "_x"})
    world.say(PING, value)
    world.wait(100)
    assert world.device().available


def test_a_new_id_is_another_life(world: World) -> None:
    world.say(OWNER, {"id": "_x"})
    world.say(PING, {"up": False})
    assert not world.device().available
    world.say(OWNER, {"id": "_y"})
    assert world.device().available


def test_pings_of_strangers_are_forgotten(world: World) -> None:
    for number in range(100):
        world.say(f"run/ping/id/_{number}", {"up": True})
    world.wait(26)
    assert not world.site._owners._pings


def test_nobody_is_silent_while_we_are_away(world: World) -> None:
    world.say(OWNER, {"id": "_x"})
    world.say(PING, {"up": True})
    world.site.set_connected(False)
    world.wait(1000)
    world.site.set_connected(True)
    assert world.device().available
    world.wait(20)
    assert world.device().available
    world.wait(6)
    assert not world.device().available


def test_another_owner(world: World) -> None:
    world.say(OWNER, {"id": "_x"})
    world.say("run/host/nas/bridge", {"id": "_y"})
    world.forget(OWNER)
    world.describe(POINT, alive="run.host.nas.bridge")
    assert world.device().available
    assert list(world.site._owners.topics()) == ["run/host/nas/bridge"]
    world.describe(POINT)
    assert world.device().alive is True
    assert list(world.site.issues) == ["box"]  # the owner that is alive keeps the device
    world.forget("run/host/nas/bridge")
    world.describe(POINT)
    assert world.device().alive is None
    assert list(world.site._owners.topics()) == []


def test_an_owner_matters_as_long_as_any_of_its_devices(world: World) -> None:
    world.describe(POINT, id="other", alive="run.host.pi.bridge")
    world.forget("device/box")
    world.say(OWNER, {"id": "_x"})
    assert world.device("other").available
    world.forget("device/other")
    assert list(world.site._owners.topics()) == []
