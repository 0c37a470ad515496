"""Deadlines: late values are found, removed points leave nothing behind."""

from .world import World

AGING = {"quantity": "power", "path": "a.b", "max_age": 10}


def rows(count: int) -> list[dict]:
    return [AGING | {"key": f"p{number}"} for number in range(count)]


def test_removed_points_go_when_they_are_the_majority() -> None:
    world = World()
    world.describe(*rows(10))
    world.say("a/b", 5)
    deadlines = world.site._deadlines
    assert len(deadlines) == 10
    world.describe(*rows(6))
    assert len(deadlines) == 10
    world.describe(*rows(3))
    assert len(deadlines) == 4
    world.describe(*rows(2))
    assert len(deadlines) <= 4


def test_removed_points_go_when_their_time_has_come() -> None:
    world = World()
    world.describe(*rows(4))
    world.say("a/b", 5)
    world.describe(*rows(3))
    woken: list[str] = []
    for key in ("p0", "p1", "p2"):
        world.point(key).subscribe(lambda key=key: woken.append(key))
    world.wait(10)
    assert sorted(woken) == ["p0", "p1", "p2"]
    assert len(world.site._deadlines) == 0
    world.say("a/b", 6)
    world.describe(*rows(1))
    world.wait(10)
    assert len(world.site._deadlines) == 0


def test_removed_points_go_when_the_others_have_gone_late() -> None:
    world = World()
    young = AGING | {"key": "young", "path": "c.d", "max_age": 30}
    world.describe(AGING | {"key": "old"}, young)
    world.say("a/b", 5)
    world.say("c/d", 5)
    world.describe(AGING | {"key": "old"})
    assert len(world.site._deadlines) == 2
    world.wait(10)
    assert len(world.site._deadlines) == 0


def test_a_value_that_was_deleted_cannot_become_too_old() -> None:
    world = World()
    point, calls = world.follow(**AGING)
    world.say("a/b", 5)
    world.forget("a/b")
    world.wait(20)
    assert calls == [5.0, None]
    world.say("a/b", 6)
    world.wait(20)
    assert calls == [5.0, None, 6.0, 6.0]
    assert not point.available


def test_thousands_of_points_cost_nothing_while_they_are_fresh() -> None:
    world = World()
    world.describe(*rows(500))
    for _ in range(100):
        world.say("a/b", 5)
        world.wait(1)
    assert len(world.site._deadlines) == 500


def test_the_hub_may_say_what_time_it_is() -> None:
    world = World()
    point, _ = world.follow(**AGING)
    world.say("a/b", 5)
    world.site.tick(world.clock.now + 9)
    assert point.available
    world.site.tick(world.clock.now + 10)
    assert not point.available
