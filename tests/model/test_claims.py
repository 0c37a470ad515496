"""Two describe the same device: the first keeps it, both are reported, nothing flips."""

from typing import Any

import pytest

from .world import World

POWER = {"key": "p", "quantity": "power", "path": "a.b"}
OTHER = {"key": "p", "quantity": "power", "path": "x.y"}
A, B = "run/host/a/bridge", "run/host/b/bridge"


class Bridges(World):
    """Two bridges with the same device."""

    def __init__(self) -> None:
        super().__init__()
        self.say(A, {"id": "_a"})
        self.say(B, {"id": "_b"})

    def first(self, *points: dict[str, Any], **more: Any) -> None:
        self.describe(*(points or (POWER,)), origin="_a", alive="run.host.a.bridge", **more)

    def second(self, **more: Any) -> None:
        self.describe(OTHER, origin="_b", alive="run.host.b.bridge", **more)

    @property
    def holder(self) -> str:
        return str(self.point().topic)


@pytest.fixture
def world() -> Bridges:
    return Bridges()


def test_the_first_keeps_the_device(world: Bridges) -> None:
    world.first()
    point = world.point()
    world.heard()
    for _ in range(10):
        world.second()
        world.first()
        world.wait(1)
    assert world.point() is point
    assert world.heard() == ["!box"]
    (issue,) = world.site.issues["box"]
    assert issue.key == "(id)"
    assert issue.problem == "is used by run.host.a.bridge, and by run.host.b.bridge too"


def test_the_holder_may_change_its_mind(world: Bridges) -> None:
    world.first()
    world.second()
    world.first(POWER | {"unit": "kW"})
    assert world.point().description.unit == "kW"
    assert len(world.site.issues["box"]) == 1


def test_a_device_moves_to_another_owner(world: Bridges) -> None:
    world.first()
    world.forget(A)
    world.second()
    assert world.holder == "x/y"
    assert world.site.issues == {}


def test_the_holder_goes_for_good(world: Bridges) -> None:
    world.first()
    world.second()
    world.forget(A)
    world.wait(20)
    assert world.holder == "a/b"
    world.wait(11)
    assert world.holder == "x/y"
    assert world.site.issues == {}
    world.say(A, {"id": "_a2"})
    world.first()
    assert world.holder == "x/y"
    assert len(world.site.issues["box"]) == 1


def test_the_holder_was_away_for_a_moment(world: Bridges) -> None:
    world.first()
    world.second()
    world.forget(A)
    world.wait(20)
    world.say(A, {"id": "_a2"})
    world.wait(20)
    world.wait(20)
    assert world.holder == "a/b"


def test_the_rival_goes_for_good(world: Bridges) -> None:
    world.first()
    world.second()
    world.wait(20)
    world.forget(B)
    world.wait(20)
    assert len(world.site.issues["box"]) == 1
    world.wait(20)
    assert world.site.issues == {}
    assert world.holder == "a/b"


def test_the_rival_takes_its_description_back(world: Bridges) -> None:
    world.first()
    world.second()
    world.forget("device/box", origin="_b")
    assert world.holder == "a/b"
    assert world.site.issues == {}
    world.second()
    world.forget("device/box", origin="_a")
    assert world.empty()


def test_while_away_nothing_is_decided(world: Bridges) -> None:
    world.first()
    world.second()
    world.forget(A)
    world.site.set_connected(False)
    world.wait(100)
    assert world.holder == "a/b"


def test_removed_during_a_contest(world: Bridges) -> None:
    world.first()
    world.second()
    world.site.remove("box")
    assert world.empty()
    world.wait(100)


def test_without_owners_a_new_origin_is_an_update() -> None:
    world = World()
    world.describe(POWER, origin="one")
    world.describe(OTHER, origin="two")
    assert world.point().topic == "x/y"
    world.describe(POWER, origin="three")
    assert world.point().topic == "a/b"
    assert world.site.issues == {}


def test_without_owners_the_first_wins_when_both_repeat_themselves() -> None:
    world = World()
    world.describe(POWER, origin="one")
    world.describe(OTHER, origin="two")
    world.describe(POWER, origin="one")
    point = world.point()
    for _ in range(5):
        world.describe(OTHER, origin="two")
        world.describe(POWER, origin="one")
        world.wait(100)
    assert world.point() is point
    assert point.topic == "a/b"
    assert len(world.site.issues["box"]) == 1


def test_without_owners_the_same_words_from_another_origin() -> None:
    world = World()
    world.describe(POWER, origin="one")
    world.describe(POWER, origin="two")
    world.describe(POWER | {"unit": "kW"}, origin="two")
    assert world.point().description.unit == "kW"
    assert world.site.issues == {}
