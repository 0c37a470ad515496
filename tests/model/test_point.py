"""Points: value, availability, freshness, occurrences."""

from typing import Any

import pytest

from custom_components.moat_link.link.codec import ABSENT

from .world import OWNER, World


@pytest.fixture
def world() -> World:
    return World()


def test_a_point_without_a_value(world: World) -> None:
    point, calls = world.follow(quantity="power")
    assert (point.value, point.reading, point.available) == (None, None, False)
    assert point.topic == "a/b"
    assert calls == []


def test_a_value_arrives(world: World) -> None:
    point, calls = world.follow(quantity="power")
    world.say("a/b", 5, age=2.0)
    assert point.value == 5.0
    assert point.available
    assert point.reading is not None
    assert point.reading.time == world.clock.time() - 2.0
    assert point.reading.received == world.clock.monotonic()
    assert calls == [5.0]


def test_the_same_value_again_wakes_nobody(world: World) -> None:
    point, calls = world.follow(quantity="power")
    world.say("a/b", 5)
    world.clock.now += 1
    world.say("a/b", 5.0)
    assert calls == [5.0]
    assert point.reading is not None
    assert point.reading.received == world.clock.now


def test_a_value_of_a_wrong_type_is_unknown_and_counted(world: World) -> None:
    point, calls = world.follow(quantity="power")
    world.say("a/b", 5)
    world.say("a/b", "5")
    assert (point.value, point.available, point.mistakes) == (None, True, 1)
    world.say("a/b", None)
    assert point.mistakes == 1
    assert calls == [5.0, None]


def test_a_deleted_value_is_gone(world: World) -> None:
    point, calls = world.follow(quantity="power")
    world.say("a/b", 5)
    world.forget("a/b")
    assert (point.value, point.reading, point.available) == (None, None, False)
    assert calls == [5.0, None]
    world.forget("a/b")
    assert calls == [5.0, None]


def test_unknown_and_gone_differ_in_availability_only(world: World) -> None:
    point, calls = world.follow(quantity="power")
    world.say("a/b", None)
    assert (point.value, point.available) == (None, True)
    world.forget("a/b")
    assert (point.value, point.available) == (None, False)
    assert calls == [None, None]


def test_an_item_of_a_map_in_a_list(world: World) -> None:
    point, calls = world.follow(quantity="voltage", item=[1, "u"])
    world.say("a/b", [{"u": 3.1}, {"u": 3.2, "t": 20}])
    world.say("a/b", [{"u": 3.0}, {"u": 3.2, "t": 21}])
    assert calls == [3.2]
    world.say("a/b", [{"u": 3.0}])
    assert not point.available
    world.say("a/b", 5)
    world.say("a/b", [0, {"u": 3.2}])
    assert calls == [3.2, None, 3.2]


def test_only_points_whose_value_changed_are_woken(world: World) -> None:
    world.describe(
        {"key": "u", "quantity": "voltage", "path": "a.b", "item": "u"},
        {"key": "i", "quantity": "current", "path": "a.b", "item": "i"},
        {"key": "p", "quantity": "power", "path": "a.c"},
    )
    calls: list[str] = []
    for key in ("u", "i", "p"):
        world.point(key).subscribe(lambda key=key: calls.append(key))
    world.say("a/b", {"u": 1, "i": 2})
    world.say("a/b", {"u": 1, "i": 3})
    world.say("a/d", {"u": 1, "i": 3})
    assert calls == ["u", "i", "i"]


def test_all_followers_have_changed_when_the_first_is_told(world: World) -> None:
    world.describe(
        {"key": "u", "quantity": "voltage", "path": "a.b", "item": "u"},
        {"key": "i", "quantity": "current", "path": "a.b", "item": "i"},
    )
    seen: list[Any] = []
    world.point("u").subscribe(lambda: seen.append(world.point("i").value))
    world.say("a/b", {"u": 1, "i": 2})
    assert seen == [2.0]


def test_a_value_becomes_too_old(world: World) -> None:
    point, calls = world.follow(quantity="power", max_age=10)
    world.say("a/b", 5)
    world.wait(9.9)
    assert point.available
    world.wait(0.1)
    assert (point.value, point.available) == (5.0, False)
    assert calls == [5.0, 5.0]
    world.say("a/b", 5)
    assert point.available
    assert calls == [5.0, 5.0, 5.0]


def test_a_value_that_keeps_coming_stays(world: World) -> None:
    point, calls = world.follow(quantity="power", max_age=10)
    for _ in range(20):
        world.say("a/b", 5)
        world.wait(6)
        assert point.available
    assert calls == [5.0]
    world.wait(6)
    assert not point.available


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -1e9])
def test_the_wall_clock_does_not_matter_for_what_is_live(world: World, jump: float) -> None:
    point, _ = world.follow(quantity="power", max_age=10)
    world.say("a/b", 5)
    world.clock.offset += jump
    world.wait(5)
    assert point.available
    world.say("a/b", 6, age=jump)
    assert point.available


def test_a_snapshot_is_as_old_as_it_says() -> None:
    world = World(connected=False)
    point, _ = world.follow(quantity="power", max_age=10)
    world.say("a/b", 5, age=100)
    world.site.set_connected(True)
    assert (point.value, point.available) == (5.0, False)
    world.say("a/b", 6, live=False, age=4)
    assert point.available
    world.wait(5.9)
    assert point.available
    world.wait(0.2)
    assert not point.available


def test_what_is_newer_did_not_come_earlier() -> None:
    world = World(connected=False)
    point, _ = world.follow(quantity="power", max_age=10)
    world.site.set_connected(True)
    world.say("a/b", 6, live=False, age=-50)
    world.say("a/b", 7, live=False, age=4)
    world.wait(9.9)
    assert point.available
    world.wait(0.2)
    assert not point.available


def test_a_value_before_its_description(world: World) -> None:
    world.say("a/b", 5, age=3)
    world.clock.now += 2
    point, calls = world.follow(quantity="power", max_age=10)
    assert (point.value, point.available, calls) == (5.0, True, [])
    world.wait(4.9)
    assert point.available
    world.wait(0.2)
    assert not point.available


def test_a_command_only(world: World) -> None:
    world.describe(
        {"key": "p", "quantity": "relay", "write": {"path": "a.cmd"}, "access": "w", "path": "a.b"},
        {"key": "b", "quantity": "identify", "write": {"path": "a.cmd"}},
    )
    assert world.point().topic is None
    assert world.point().available
    assert world.point("b").available
    world.say("a/b", True)
    assert world.point().value is None
    world.site.set_connected(False)
    assert not world.point().available
    world.forget("device/box")
    assert world.empty()


def test_occurrences(world: World) -> None:
    world.say("a/b", "press", age=50)
    point, calls = world.follow(quantity="button_event", options=["press", "hold"])
    assert point.available
    assert point.reading is None
    world.say("a/b", "press", age=1)
    first = point.reading
    world.say("a/b", "press", age=0.5)
    assert point.reading is not first
    assert calls == ["press", "press"]


@pytest.mark.parametrize("value", [None, ABSENT, "smash", 5, {}])
def test_what_is_no_occurrence(world: World, value: Any) -> None:
    point, calls = world.follow(quantity="event", options=["press"])
    world.say("a/b", value)
    assert calls == []
    assert point.reading is None
    assert point.available


def test_replays_are_no_occurrences(world: World) -> None:
    point, calls = world.follow(quantity="event", options=["press"], max_age=5)
    world.say("a/b", "press", live=False, age=-1)
    world.say("a/b", "press", age=-1)
    world.say("a/b", "press", age=60)
    assert calls == []
    world.say("a/b", "press", age=-2)
    assert calls == ["press"]
    world.wait(100)
    assert point.available
    world.site.set_connected(False)
    world.say("a/b", "press", age=-3)
    assert calls == ["press", "press"]
    assert not point.available


def test_an_occurrence_in_the_future(world: World) -> None:
    """A button whose clock is wrong is heard, each time once, and also when the clock is right."""
    _, calls = world.follow(quantity="event", options=["press"])
    world.say("a/b", "press", age=-3600)
    world.say("a/b", "press", age=-3600)
    world.say("a/b", "press", age=-3601)
    assert calls == ["press"] * 2
    world.say("a/b", "press")
    world.say("a/b", "press", age=1)
    assert calls == ["press"] * 3


def test_an_occurrence_within_a_map(world: World) -> None:
    _, calls = world.follow(quantity="event", options=[[1, "one"], [2, "two"]], item="n")
    world.say("a/b", {"n": 1}, age=2)
    world.say("a/b", {"m": 1}, age=1)
    world.say("a/b", {"n": 2})
    assert calls == ["one", "two"]


WISH = {
    "quantity": "enum",
    "options": [[None, "auto"], [True, "on"], [False, "off"]],
    "write": {"path": "a.b", "expires": 900},
}


def test_a_wish_shows_itself(world: World) -> None:
    point, calls = world.follow(**WISH)
    assert (point.value, point.available) == ("auto", True)
    world.say("a/b", {"value": True, "expires": 5})
    assert point.value == "on"
    world.say("a/b", False)
    world.say("a/b", None)
    world.say("a/b", {"other": 1})
    assert (point.value, point.mistakes) == (None, 1)
    world.forget("a/b")
    assert (point.value, point.available) == ("auto", True)
    assert calls == ["on", "off", "auto", None, "auto"]


def test_a_wish_that_cannot_be_null_is_unknown(world: World) -> None:
    point, _ = world.follow(
        quantity="temperature", min=0, max=50, write={"path": "a.b", "expires": 900}
    )
    assert (point.value, point.available) == (None, True)


def test_a_wish_elsewhere_is_not_the_state(world: World) -> None:
    point, _ = world.follow(**WISH | {"write": {"path": "a.cmd", "expires": 900}})
    assert not point.available


def test_subscribers_leave(world: World) -> None:
    point, calls = world.follow(quantity="power")
    leave = point.subscribe(lambda: calls.append("second"))
    leave()
    world.say("a/b", 5)
    assert calls == [5.0]


def test_the_owner_and_the_link_count_too(world: World) -> None:
    world.say(OWNER, {"id": "_x"})
    world.describe({"key": "p", "quantity": "power", "path": "a.b"}, alive="run.host.pi.bridge")
    point, calls = world.point(), []
    point.subscribe(lambda: calls.append(point.available))
    world.say("a/b", 5)
    world.site.set_connected(False)
    world.forget(OWNER)
    world.site.set_connected(True)
    world.say(OWNER, {"id": "_y"})
    assert calls == [True, False, True]
