"""Who is the main server."""

from itertools import pairwise

from firmware_bridge.server.election import REPEAT, Election


def election(name: str = "m") -> Election:
    return Election(name, 0.0)


def test_alone() -> None:
    """After a moment of listening, and again and again."""
    mine = election()
    assert not mine.due(0.5)
    assert mine.due(1.0)
    assert mine.main
    times = [now / 2 for now in range(2, 400) if mine.due(now / 2)]
    assert [later - earlier for earlier, later in pairwise(times)] == [REPEAT] * 2
    assert 55 <= REPEAT <= 60
    mine.renew(150.0)
    assert mine.due(150.0)


def test_stands_back() -> None:
    """A real server that can be reached or heard stays what it is."""
    mine = election()
    mine.announced("real", there=True, now=0.1)
    mine.claimed("real", 0.1)
    mine.linked("real", up=True)
    assert not any(mine.due(float(now)) for now in range(1000))
    assert mine.others == ["real"]
    mine.linked("real", up=False)
    mine.pinged("real", 1000.0)
    assert not mine.due(1070.0)
    assert mine.due(1076.0), "silent, and not to be reached"


def test_takes_over() -> None:
    """At once when nobody else is there; otherwise real servers come first, then smaller names."""
    for message in ("will", "down"):
        mine = election()
        mine.announced("real", there=True, now=0.0)
        mine.claimed("real", 0.0)
        mine.linked("real", up=True)
        assert not mine.due(50.0)
        if message == "will":
            mine.announced("real", there=False, now=50.0)
        else:
            mine.down("real", 50.0)
        assert mine.due(50.0)
    mine = election()
    for name in ("a", "real", "z"):
        mine.announced(name, there=True, now=0.0)
        mine.linked(name, up=True)
    mine.pinged("z", 40.0)
    mine.claimed("real", 0.0)
    mine.announced("real", there=False, now=50.0)
    times = [now / 2 for now in range(100, 160) if mine.due(now / 2)]
    assert times[0] == 63.0
    assert times[0] - 50 < 15


def test_somebody_else_was_quicker() -> None:
    mine = election()
    for name in ("a", "real"):
        mine.announced(name, there=True, now=0.0)
        mine.linked(name, up=True)
    mine.claimed("real", 0.0)
    mine.announced("real", there=False, now=50.0)
    assert not mine.due(51.0)
    mine.claimed("a", 51.5)
    assert not any(mine.due(float(now)) for now in range(52, 200))
    assert mine.owner == "a"


def test_yields() -> None:
    """To a real server, and to the smaller name of our own; others are told again."""
    for name, pings, stays in (("real", True, False), ("a", False, False), ("z", False, True)):
        mine = election()
        assert mine.due(1.0)
        mine.announced(name, there=True, now=10.0)
        if pings:
            mine.pinged(name, 10.0)
        mine.claimed(name, 11.0)
        assert mine.main is stays
        assert mine.due(11.0) is stays


def test_says_of_itself() -> None:
    """Its own messages change nothing; nor do those of nobody known."""
    mine = election()
    mine.announced("m", there=True, now=0.0)
    mine.claimed("m", 0.0)
    mine.pinged("m", 0.0)
    mine.down("m", 0.0)
    mine.linked("nobody", up=True)
    assert mine.due(1.0)
    mine.claimed("nobody", 2.0)
    assert mine.main


def test_stale_announcements() -> None:
    """What dead servers have left is believed for a while only."""
    mine = election()
    mine.announced("dead", there=True, now=0.0)
    mine.claimed("dead", 0.0)
    assert not mine.due(60.0)
    assert mine.due(80.0)
    late = election()
    late.announced("dead", there=True, now=0.0)
    assert late.due(1.0), "nobody has claimed anything"


def test_the_main_server_never_said_so() -> None:
    """Servers that are there, none of which is the main one: after some patience."""
    mine = election()
    mine.announced("a", there=True, now=0.0)
    mine.linked("a", up=True)
    times = [now / 2 for now in range(2, 40) if mine.due(now / 2)]
    assert times
    assert times[0] <= 6
