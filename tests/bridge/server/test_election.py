"""Who is the main server."""

from itertools import pairwise

from firmware_bridge.server.ballot import Init, Parameters, Ping
from firmware_bridge.server.election import REPEAT, Election
from firmware_bridge.server.ring import Ring
from firmware_bridge.server.turns import Turns


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
    mine.linked("real", up=True, now=0.0)
    mine.real("real")
    assert not any(mine.due(float(now)) for now in range(1000))
    assert mine.others == ["real"]
    mine.linked("real", up=False, now=1000.0)
    assert not mine.due(1003.5)
    mine.linked("real", up=True, now=1003.5)
    assert not mine.due(1005.0), "reached again"
    mine.linked("real", up=False, now=1100.0)
    assert mine.due(1104.0), "nobody answers any more"
    far = election()
    far.announced("real", there=True, now=0.1)
    far.claimed("real", 0.1)
    far.heard(Init("real"), 1000.0)
    assert not far.due(1074.0)
    assert far.due(1076.0), "silent, and never reached"


def test_takes_over() -> None:
    """At once when nobody else is there; otherwise real servers come first, then smaller names."""
    for message in ("will", "down"):
        mine = election()
        mine.announced("real", there=True, now=0.0)
        mine.claimed("real", 0.0)
        mine.linked("real", up=True, now=0.0)
        assert not mine.due(50.0)
        if message == "will":
            mine.announced("real", there=False, now=50.0)
        else:
            mine.announced("real", there=False, now=50.0)
        assert mine.due(50.0)
    mine = election()
    for name in ("a", "real", "z"):
        mine.announced(name, there=True, now=0.0)
        mine.linked(name, up=True, now=0.0)
    mine.real("z")
    mine.real("nobody")
    mine.claimed("real", 0.0)
    mine.announced("real", there=False, now=50.0)
    times = [now / 2 for now in range(100, 160) if mine.due(now / 2)]
    assert times[0] == 61.5
    assert times[0] - 50 < 15


def test_somebody_else_was_quicker() -> None:
    mine = election()
    for name in ("a", "real"):
        mine.announced(name, there=True, now=0.0)
        mine.linked(name, up=True, now=0.0)
    mine.claimed("real", 0.0)
    mine.announced("real", there=False, now=50.0)
    assert not mine.due(51.0)
    mine.claimed("a", 51.5)
    assert not any(mine.due(float(now)) for now in range(52, 120))
    mine.claimed("a", 120.0)
    assert not any(mine.due(float(now)) for now in range(120, 190))
    assert mine.owner == "a"


def test_yields() -> None:
    """To a real server, and to the smaller name of our own; others are told again."""
    for name, pings, stays in (("real", True, False), ("a", False, False), ("z", False, True)):
        mine = election()
        assert mine.due(1.0)
        mine.announced(name, there=True, now=10.0)
        if pings:
            mine.heard(Init(name), 10.0)
        mine.claimed(name, 11.0)
        assert mine.main is stays
        assert mine.due(11.0) is stays
        mine.claimed(name, 11.1)
        assert not mine.due(11.1), "nobody argues without a pause"
        assert mine.due(13.0) is stays


def test_says_of_itself() -> None:
    """Its own messages change nothing; nor do those of nobody known."""
    mine = election()
    mine.announced("m", there=True, now=0.0)
    mine.claimed("m", 0.0)
    mine.heard(Init("m"), 0.0)
    mine.announced("m", there=False, now=0.0)
    mine.linked("nobody", up=True, now=0.0)
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


def test_nobody_where_it_was() -> None:
    """A server of this machine whose door is shut is not waited for."""
    mine = election()
    mine.announced("dead", there=True, now=0.0)
    mine.claimed("dead", 0.0)
    mine.dead("dead", 1.0)
    mine.dead("nobody", 1.0)
    assert not mine.due(4.0)
    mine.dead("dead", 4.0)
    assert mine.due(5.0)
    mine.announced("there", there=True, now=6.0)
    mine.linked("there", up=True, now=6.0)
    mine.dead("there", 6.0)
    assert mine.others == ["dead", "there"]


def test_the_main_server_never_said_so() -> None:
    """Servers that are there, none of which is the main one: after some patience."""
    mine = election()
    mine.announced("a", there=True, now=0.0)
    mine.linked("a", up=True, now=0.0)
    times = [now / 2 for now in range(2, 40) if mine.due(now / 2)]
    assert times
    assert times[0] <= 6


def test_broker_forgot() -> None:
    """Who is main says so again; who is not waits for who is."""
    mine = election()
    assert mine.due(1.0)
    mine.renew(5.0)
    assert mine.due(5.0)
    standing = election()
    standing.announced("a", there=True, now=0.0)
    standing.linked("a", up=True, now=0.0)
    standing.claimed("a", 0.0)
    standing.renew(5.0)
    assert not standing.due(5.0)


def test_crowd() -> None:
    """Names without number are not kept, and odd ones are none."""
    mine = election()
    for number in range(1000):
        mine.heard(Init(f"ghost{number}"), 1.0)
        mine.announced(f"srv{number}", there=True, now=1.0)
    mine.heard(Init("a/b"), 1.0)
    mine.announced("a/b", there=True, now=1.0)
    assert len(mine._peers) == 256
    assert len(mine.others) <= 256
    assert "a/b" not in mine.others
    assert mine.ballots(1.0) == ()


def turns(name: str = "m") -> Turns:
    parameters = Parameters(cycle=6, gap=1)
    ring = Ring(name, parameters=parameters)
    ring.join(0.0)
    return Turns(name, 0.0, ring=ring)


def test_takes_turns() -> None:
    """It is the main server while it is its turn, and whenever nobody else is."""
    mine = turns()
    assert mine.ballots(0.5)[0] == Init("m")
    assert mine.due(1.0), "nobody is there"
    assert mine.main
    assert mine.wake == 8.0
    mine.announced("real", there=True, now=2.0)
    mine.heard(Ping("real", True, ("real",)), 2.0)
    mine.claimed("real", 7.0)
    assert not mine.main
    mine.claimed("m", 7.0)
    assert mine.owner == "real"
    mine.linked("real", up=True, now=7.0)
    now = 7.0
    while not mine.main:
        now = max(now, mine.wake)
        mine.ballots(now)
        mine.due(now)
    assert mine.ring.members == ["m", "real"]
    assert now < 20
    mine.renew(now)
    mine.ballots(now)
    assert mine.due(now), "the broker is back"
    assert mine.wake == now + 8


def test_follows_in_turns() -> None:
    """A main server that has ended is replaced as the ring does it, and however the ring is."""
    mine = turns()
    for name in ("a", "b"):
        mine.announced(name, there=True, now=0.1)
        mine.linked(name, up=True, now=0.1)
    mine.ballots(0.1)
    mine.heard(Ping("a", True, ("a", "m", "b")), 0.1)
    mine.claimed("a", 1.1)
    mine.announced("a", there=False, now=3.0)
    assert mine.wake == 3.0 + 1 / 3
    mine.ballots(mine.wake)
    assert mine.due(3.4)
    outside = turns()
    outside.announced("a", there=True, now=0.1)
    outside.linked("a", up=True, now=0.1)
    outside.claimed("a", 0.1)
    outside.announced("a", there=False, now=3.0)
    assert outside.due(3.0), "nobody else is left"
