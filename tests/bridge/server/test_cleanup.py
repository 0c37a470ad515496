"""What the dead leave behind."""

from typing import Any

from firmware_bridge.link.codec import ABSENT, decode
from firmware_bridge.server.cleanup import Cleanup
from tests.support.vectors import load

SAID = {"id": "_1", "up": True, "value": 5}
RECORD = {"up": True, "value": 5}


def due(cleanup: Cleanup, until: float, since: float = 0.0) -> list[tuple[float, str, Any]]:
    """Ask every second; return what is written, and when."""
    found = []
    for now in range(int(since), int(until) + 1):
        found += [(float(now), *action) for action in cleanup.due(float(now))]
    return found


def alive(cleanup: Cleanup, start: int, end: int) -> list[tuple[float, str, Any]]:
    """Ping every ten seconds."""
    found = []
    for now in range(start, end, 10):
        cleanup.ping("_1", up=True, now=float(now))
        found += due(cleanup, now + 9, now)
    return found


def replayed() -> tuple[list[tuple[float, str, Any]], list[tuple[float, str, Any]]]:
    """Play what the real service has heard to ours; return what both have written, and when."""
    heard: list[tuple[float, str, Any, str]] = []
    theirs: list[tuple[float, str, Any]] = []
    for said in load("moat-link/host-cleanup")["messages"]:
        if "topic" not in said:
            continue
        payload = bytes.fromhex(said["payload_hex"])
        message = (
            said["t"],
            said["topic"].removeprefix("ml/g7/"),
            decode(payload) if payload else ABSENT,
        )
        origin = said.get("moat", "").partition("\\")[0]
        if origin.startswith("srv-a-local"):
            theirs.append(message)
        else:
            heard.append((*message, origin))
    cleanup, ours = Cleanup(), []
    for now in range(-1, 340):
        while heard and heard[0][0] <= now:
            time, topic, value, origin = heard.pop(0)
            kind, _, name = topic.removeprefix("run/").partition("/")
            match kind:
                case "ping":
                    cleanup.ping(name.removeprefix("id/"), up=value["up"], now=time)
                case "id":
                    cleanup.identity(name, there=value is not ABSENT, now=time)
                case _:
                    cleanup.service(topic, value, time, origin)
        ours += [(float(now), *action) for action in cleanup.due(float(now))]
    return theirs, ours


FLAPS = {"msg": "flapping", "level": 4, "data": {"up": True}}
DIFFERENT = {
    ("error/run/host/vm/moat/link/server/srv-a", str(ABSENT)): "a server that is not ours",
    ("error/run/host/h/b", str(ABSENT)): "cleared when it is up, not 60 s after it was not",
    ("error/run/host/h/d", str(FLAPS)): "its owner has withdrawn it, which is no fault",
    ("error/run/host/h/d", str(ABSENT)): "so there is nothing wrong with it any more",
}
"""What the real service does otherwise than ours, and why."""


def test_recording() -> None:
    """The same stimuli as the real service has had: the same actions within two seconds."""
    theirs, ours = replayed()

    def known(actions: list[tuple[float, str, Any]]) -> list[tuple[str, str, float]]:
        found = []
        for time, topic, value in actions:
            plain = {k: v for k, v in value.items() if k != "aux"} if value is not ABSENT else value
            if (topic, str(plain)) not in DIFFERENT:
                found.append((topic, str(plain), time))
        return sorted(found)

    assert [each[:2] for each in known(ours)] == [each[:2] for each in known(theirs)]
    for mine, real in zip(known(ours), known(theirs), strict=True):
        assert abs(mine[2] - real[2]) < 2, mine


def test_somebody_else_clears_away() -> None:
    """Who is announced counts until it is silent, says goodbye or withdraws; and again when it is back."""
    cleanup = Cleanup()
    assert not cleanup.kept
    cleanup.keeper({"id": "_1"}, 0.0)
    alive(cleanup, 0, 100)
    assert cleanup.kept
    assert due(cleanup, 130, 100) == []
    assert not cleanup.kept
    cleanup.ping("_1", up=True, now=131.0)
    assert cleanup.kept
    cleanup.ping("_1", up=False, now=132.0)
    assert not cleanup.kept
    cleanup.keeper({"id": "_2"}, 133.0)
    assert cleanup.kept
    cleanup.keeper(ABSENT, 134.0)
    assert not cleanup.kept


def test_left_over() -> None:
    """Nobody has ever heard of them: the identity goes soon, the announcement much later."""
    cleanup = Cleanup()
    cleanup.identity("_1", there=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    cleanup.identity("_2", there=True, now=0.0)
    assert due(cleanup, 300) == [
        (15.0, "run/id/_1", ABSENT),
        (15.0, "run/id/_2", ABSENT),
        (60.0, "error/run/host/x", ABSENT),
        (165.0, "run/host/x", ABSENT),
        (180.0, "error/run/host/x", {"msg": "down", "level": 4}),
    ]


def test_alive_and_then_silent() -> None:
    cleanup = Cleanup()
    cleanup.identity("_1", there=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    assert alive(cleanup, 0, 100) == [(60.0, "error/run/host/x", ABSENT)]
    assert due(cleanup, 300, 100) == [
        (112.0, "run/id/_1", ABSENT),
        (262.0, "run/host/x", ABSENT),
        (277.0, "error/run/host/x", {"msg": "down", "level": 4}),
    ]


def test_a_heavy_announcement() -> None:
    """Of what takes much memory nothing is kept, and nothing told."""
    cleanup = Cleanup()
    cleanup.ping("_1", up=True, now=0.0)
    cleanup.service("run/host/x", SAID | {"heap": [[] for _ in range(10_000)]}, 0.0)
    assert not cleanup._places["run/host/x"].record
    cleanup.service("run/host/x", ABSENT, 1.0)
    assert due(cleanup, 1)[0][2] == {"msg": "flapping", "level": 4, "data": {}}


def test_says_goodbye() -> None:
    cleanup = Cleanup()
    cleanup.identity("_1", there=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    cleanup.ping("_1", up=False, now=5.0)
    assert due(cleanup, 6, 5) == [(5.0, "run/id/_1", ABSENT), (5.0, "run/host/x", ABSENT)]
    cleanup.identity("_1", there=False, now=6.0)
    cleanup.service("run/host/x", ABSENT, 6.0)
    assert due(cleanup, 100, 6) == [(20.0, "error/run/host/x", {"msg": "down", "level": 4})]


def test_says_goodbye_in_order() -> None:
    """Who closes leaves nothing, and takes back what was wrong; what it has left is cleared away."""
    cleanup = Cleanup()
    cleanup.identity("_1", there=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    cleanup.service("run/host/y", SAID, 0.0)
    cleanup.service("run/host/y", ABSENT, 4.0, "_1")
    assert due(cleanup, 4, 4) == [(4.0, "error/run/host/y", ABSENT)]
    cleanup.ping("_1", up=False, now=5.0, orderly=True)
    assert due(cleanup, 1000, 5) == [
        (5.0, "run/id/_1", ABSENT),
        (5.0, "run/host/x", ABSENT),
        (5.0, "error/run/host/x", ABSENT),
    ]
    cleanup.service("run/host/x", ABSENT, 1001.0, "_1")
    assert due(cleanup, 1100, 1001) == []


def test_withdrawn_by_its_owner() -> None:
    """Soon or late, again and again: it may come and go. Somebody else may not take it away."""
    cleanup = Cleanup()
    for now in range(0, 10, 2):
        cleanup.service("run/host/x", SAID, float(now))
        cleanup.service("run/host/x", ABSENT, now + 1.0, "_1")
    assert {each[1:] for each in due(cleanup, 9)} == {("error/run/host/x", ABSENT)}
    cleanup.service("run/host/x", SAID | {"id": "a:b/c"}, 10.0)
    assert alive(cleanup, 10, 80) == [(70.0, "error/run/host/x", ABSENT)]
    cleanup.service("run/host/x", ABSENT, 80.0, "a:b/c")
    assert due(cleanup, 200, 80) == [(80.0, "error/run/host/x", ABSENT)]
    cleanup.service("run/host/x", SAID, 200.0)
    alive(cleanup, 200, 270)
    cleanup.service("run/host/x", ABSENT, 270.0, "_2")
    assert due(cleanup, 290, 270) == [
        (285.0, "error/run/host/x", {"msg": "down", "level": 4}),
    ]


def test_replaced_at_once() -> None:
    """Who takes a place before it has been cleared keeps it."""
    cleanup = Cleanup()
    cleanup.identity("_1", there=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    cleanup.ping("_1", up=False, now=5.0)
    cleanup.identity("_2", there=True, now=5.0)
    cleanup.service("run/host/x", SAID | {"id": "_2"}, 5.0)
    assert due(cleanup, 19, 5) == [(5.0, "run/id/_1", ABSENT)]


def test_the_broker_comes_and_goes() -> None:
    """That clients start anew with it, under another name, is nobody's fault."""
    cleanup = Cleanup()
    cleanup.ping("_1", up=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    cleanup.restart(5.0)
    cleanup.service("run/host/x", SAID, 5.0)
    cleanup.ping("_2", up=True, now=6.0)
    cleanup.service("run/host/x", SAID | {"id": "_2"}, 6.0)
    assert due(cleanup, 19, 5) == []
    cleanup.service("run/host/x", SAID | {"id": "_3"}, 20.0)
    assert [each[2]["msg"] for each in due(cleanup, 21, 20)] == ["flapping"]


def test_who_follows_the_dead() -> None:
    """What a broker still holds of somebody from before is no service that has ended just now."""
    cleanup = Cleanup()
    cleanup.identity("_1", there=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    cleanup.ping("_2", up=True, now=6.0)
    cleanup.service("run/host/x", SAID | {"id": "_2"}, 6.0)
    assert due(cleanup, 14, 5) == []


def test_comes_and_goes() -> None:
    """Gone, or taken over, within a minute; not up in time; the same said again is nothing."""
    cleanup = Cleanup()
    cleanup.ping("_1", up=True, now=0.0)
    cleanup.service("run/host/x", SAID, 0.0)
    cleanup.service("run/host/x", SAID, 1.0)
    cleanup.ping("_2", up=True, now=2.0)
    cleanup.service("run/host/x", SAID | {"id": "_2"}, 2.0)
    assert due(cleanup, 3, 2) == [
        (2.0, "error/run/host/x", {"msg": "flapping", "level": 4, "data": RECORD})
    ]
    cleanup.service("run/host/x", ABSENT, 4.0)
    cleanup.service("run/host/x", ABSENT, 5.0)
    assert [each[2]["msg"] for each in due(cleanup, 19, 4)] == ["flapping"]
    cleanup = Cleanup()
    cleanup.service("run/host/y", {"id": "_1"}, 0.0)
    assert alive(cleanup, 0, 30) == [(20.0, "error/run/host/y", {"msg": "not up", "level": 4})]
    cleanup.service("run/host/y", SAID, 30.0)
    assert alive(cleanup, 30, 100) == [(60.0, "error/run/host/y", ABSENT)]


def test_after_an_outage() -> None:
    """Nobody is dead because we have heard nothing."""
    cleanup = Cleanup()
    cleanup.identity("_1", there=True, now=0.0)
    cleanup.ping("_1", up=True, now=0.0)
    cleanup.restart(100.0)
    assert due(cleanup, 121, 100) == []
    assert due(cleanup, 130, 122) == [(122.0, "run/id/_1", ABSENT)]


def test_odd_ids() -> None:
    """An id is recognized however topics spell it; one that fits into none is nobody's."""
    cleanup = Cleanup()
    cleanup.service("run/host/x", {"id": "a:b/c", "up": True}, 0.0)
    cleanup.ping("a::b:|c", up=True, now=1.0)
    cleanup.ping("a::b:|c", up=False, now=2.0)
    assert due(cleanup, 3) == [(0.0, "run/host/x", ABSENT)]
    cleanup.service("run/host/y", {"id": "x" * 70_000, "up": True}, 0.0)
    cleanup.keeper({"id": "a:b"}, 0.0)
    assert cleanup.kept
    cleanup.ping("a::b", up=False, now=1.0)
    assert not cleanup.kept
