"""Services of links for each other: with a server, and by MQTT's request and response without."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import ABSENT, RemoteObject, Value
from firmware_bridge.link.connection import Answer, Request
from firmware_bridge.link.errors import (
    NoAnswerError,
    NotFoundError,
    OutOfDateError,
    RefusedError,
    RemoteError,
)
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.link.rpc import Reply
from firmware_bridge.link.services import Command
from firmware_bridge.link.session import Session
from tests.support.installation import Peer, ShiftedClock, backbone, config, link
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

SERVICE = Path("run", "host", "there", "oven")


@pytest.fixture(params=["server", "request"])
async def pair(request: pytest.FixtureRequest, broker: Mosquitto) -> AsyncIterator[list[Link]]:
    """Two links, one to call and one to serve, connected in either way."""
    async with AsyncExitStack() as stack:
        if request.param == "server":
            base = await stack.enter_async_context(backbone(broker))
            await base.announce()
        caller = await stack.enter_async_context(link(broker))
        owner = await stack.enter_async_context(link(broker, host="there"))
        expected = "srv1" if request.param == "server" else None
        await until(lambda: {caller.status.server, owner.status.server} == {expected})
        yield [caller, owner]


async def offer(owner: Link, **commands: Any) -> list[tuple[Any, ...]]:
    """Offer a service with a few commands; returns the list of what was executed."""
    done: list[tuple[Any, ...]] = []

    async def heat(degrees: float, *, fast: bool = False) -> Value:
        done.append((degrees, fast))
        if degrees > 300:
            raise RefusedError("too hot")
        return {"heating": degrees}

    async def hang() -> Value:
        try:
            await asyncio.Event().wait()
        finally:
            done.append(("cancelled",))
        return None

    async def many() -> Reply:
        return Reply((1, [2], {"three": 3}), {"four": 4})

    async def bad() -> Value:
        done.append(("bad",))
        return float("nan")

    offered: dict[str, Command] = {"heat": heat, "hang": hang, "many": many, "bad": bad}
    owner.serve(Path("oven"), offered | commands, value={"v": 1})
    return done


async def test_call(pair: list[Link]) -> None:
    """Arguments, keywords, results and refusals pass in both ways."""
    caller, owner = pair
    done = await offer(owner)
    await until_announced(caller)
    assert (await caller.call(SERVICE, ["heat"], 200, fast=True)).value == {"heating": 200}
    with pytest.raises(RefusedError, match=r"^too hot$"):
        await caller.call(SERVICE, ["heat"], 400)
    assert done == [(200, True), (400, False)]
    reply = await caller.call(SERVICE, ["many"])
    assert (reply.arguments, reply.keywords) == ((1, [2], {"three": 3}), {"four": 4})
    assert (await caller.call(SERVICE, ["i", "ping"], 5)).arguments == ("乓", 5)


async def test_no_such(pair: list[Link]) -> None:
    """Neither service nor command, or wrong arguments."""
    caller, owner = pair
    await offer(owner)
    await until_announced(caller)
    with pytest.raises(NotFoundError):
        await caller.call(Path("run", "host", "nowhere"), ["x"])
    with pytest.raises(NotFoundError):
        await caller.call(SERVICE, ["cool"])
    with pytest.raises(RefusedError, match="wrong arguments"):
        await caller.call(SERVICE, ["heat"])


async def test_answer_that_cannot_be_sent(pair: list[Link]) -> None:
    """The caller hears so, and it was done once."""
    caller, owner = pair
    done = await offer(owner)
    await until_announced(caller)
    with pytest.raises(RefusedError):
        await caller.call(SERVICE, ["bad"])
    assert done == [("bad",)]


async def test_no_answer(pair: list[Link]) -> None:
    """A command that takes too long is an error after the time limit."""
    caller, owner = pair
    done = await offer(owner)
    await until_announced(caller)
    start = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"0\.2 s"):
        await caller.call(SERVICE, ["hang"], timeout=0.2)
    assert time.monotonic() - start < 1
    if caller.status.server is not None:  # a request cannot be called back
        await until(lambda: done == [("cancelled",)])


async def test_own_service(pair: list[Link]) -> None:
    """Nothing is special about calling oneself."""
    _, owner = pair
    await offer(owner)
    await until_announced(owner)
    assert (await owner.call(SERVICE, ["heat"], 1)).value == {"heating": 1}


async def test_known_from_a_watch(pair: list[Link]) -> None:
    """Where the announcements are followed anyway, nobody is asked for them."""
    caller, owner = pair
    marks: list[int] = []
    caller.watch(Path("run"), lambda _: None, on_mark=lambda: marks.append(1))
    await offer(owner)
    await until_announced(caller)
    await until(lambda: marks)
    assert (await caller.call(SERVICE, ["heat"], 1)).value == {"heating": 1}


async def until_announced(one: Link) -> None:
    """Wait until the service and its owner's record can be seen."""
    async with asyncio.timeout(5):
        while True:
            try:
                await one.get(SERVICE)
            except NotFoundError:
                await asyncio.sleep(0.01)
            else:
                return


async def test_announcement(broker: Mosquitto, peer: Peer) -> None:
    """Announced when connected, repeated after a reconnect under the new id, and withdrawn."""
    async with link(broker, host="there") as owner:
        service = owner.serve(Path("oven"), {}, value=1)
        await until(lambda: peer.state("run/host"))
        said: Any = peer.last("run/host/there/oven")
        path = Path(service.key)
        expected = {"id": owner.id, "path": path, "value": 1, "up": True, "request": True}
        assert said == expected
        service.update(2)
        await until(lambda: peer.last("run/host/there/oven")["value"] == 2)  # type: ignore[index, call-overload]  # a map
        broker.kill()
        await until(lambda: not owner.status.connected)
        broker.start()
        await until(lambda: owner.status.ready)
        again = await Peer.join(broker.port)
        said = again.last("run/host/there/oven")
        assert (said["id"], said["path"], said["value"]) == (owner.id, path, 2)
        service.close()
        await until(lambda: again.last("run/host/there/oven") is ABSENT)
        owner.serve(Path("other"), {})
        await until(lambda: again.state("run/host"))
        # the orderly end withdraws the rest
    await until(lambda: not again.state("run/host"))
    await again.leave()


async def test_removed_by_others(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An announcement that somebody cleans away although we are here comes back."""
    monkeypatch.setattr("firmware_bridge.link.announcer.PATIENCE", 0.05)
    async with link(broker, host="there") as owner:
        await offer(owner)
        await until(lambda: peer.state("run/host"))
        await peer.say("run/host/there/oven", ABSENT, time=time.time() + 1)
        await until(lambda: not peer.state("run/host"))
        await until(lambda: peer.state("run/host"))
        await peer.say_bytes("run/host/there/oven", b"\xff")
        await until(lambda: len(peer.packets) > 0 and isinstance(_last(peer), dict))


def _last(peer: Peer) -> Value:
    payloads = [each for each in peer.packets if each.topic.endswith("run/host/there/oven")]
    return {} if payloads[-1].payload != b"\xff" else None


async def test_removed_by_others_again_and_again(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred removals are answered once."""
    monkeypatch.setattr("firmware_bridge.link.announcer.PATIENCE", 0.3)
    async with link(broker, host="there") as owner:
        owner.serve(Path("oven"), {})
        await until(lambda: peer.state("run/host"))
        later = time.time() + 1
        for number in range(100):
            await peer.say("run/host/there/oven", ABSENT, time=later + number)
        await until(lambda: peer.state("run/host"))
        await asyncio.sleep(0.4)
        assert sum(isinstance(said, dict) for said in peer.heard("run/host/there/oven")) == 2


async def test_announcement_without_confirmation(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the broker has not confirmed is announced again."""
    monkeypatch.setattr("firmware_bridge.link.announcer.PATIENCE", 0.05)
    publish = Session.publish
    failed: list[str] = []

    async def fail_once(self: Session, message: Publish, **options: Any) -> bool:
        if message.topic.endswith("oven") and not failed:
            failed.append(message.topic)
            raise NoAnswerError("not confirmed")
        return await publish(self, message, **options)

    async with link(broker, host="there") as owner:
        monkeypatch.setattr(Session, "publish", fail_once)
        owner.serve(Path("oven"), {})
        await until(lambda: peer.state("run/host"))
        assert failed


async def test_stop_request(broker: Mosquitto, peer: Peer) -> None:
    """The owner is told the reason, and decides."""
    reasons: list[str] = []
    async with link(broker, host="there") as owner:
        owner.serve(Path("oven"), {}, on_stop=reasons.append)
        await until(lambda: peer.state("run/host"))
        await peer.say("run/stop/there/oven", {"reason": "enough"}, retain=False)
        await peer.say("run/stop/there/oven", True, retain=False)
        await peer.say("run/stop/there/oven", ABSENT, retain=False)
        await until(lambda: len(reasons) == 2)
        assert reasons == ["enough", "no reason given"]
        assert peer.state("run/host")


async def test_short_lived_service(broker: Mosquitto, peer: Peer) -> None:
    """Closed before it could be announced, or while it was to be announced again."""
    async with link(broker, host="there") as owner:
        owner.serve(Path("short"), {}).close()
        service = owner.serve(Path("oven"), {})
        await until(lambda: peer.state("run/host"))
        await peer.say("run/host/there/oven", ABSENT, time=time.time() + 1)
        await until(lambda: not peer.state("run/host"))
        service.close()
        await asyncio.sleep(1.2)
        assert not peer.state("run/host")
        assert peer.heard("run/host/there/short") == []


async def test_nobody_knows_who_is_alive(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In doubt, our place stays ours."""
    monkeypatch.setattr("firmware_bridge.link.announcer.PATIENCE", 0.05)

    async def refuse(request: Request) -> Answer:
        raise RefusedError("no")

    async with backbone(broker) as base:
        base.server.commands["i", "checkid"] = refuse
        await base.announce()
        async with link(broker, host="there") as owner:
            owner.serve(Path("oven"), {})
            await until(lambda: peer.state("run/host"))
            await peer.say("run/host/there/oven", {"id": "_x"}, time=time.time() + 1)
            await until(lambda: peer.last("run/host/there/oven") == {"id": "_x"})
            await until(lambda: peer.last("run/host/there/oven") != {"id": "_x"})


@pytest.mark.parametrize("with_server", [True, False])
async def test_superseded(broker: Mosquitto, peer: Peer, with_server: bool) -> None:
    """A living newcomer in our place wins; the announcement is left alone."""
    reasons: list[str] = []
    async with AsyncExitStack() as stack:
        if with_server:
            await (await stack.enter_async_context(backbone(broker))).announce()
        first = await stack.enter_async_context(link(broker, host="there"))
        first.serve(Path("oven"), {}, on_stop=reasons.append)
        await until(lambda: peer.state("run/host"))
        second = await stack.enter_async_context(link(broker, host="there"))
        await until(lambda: first.status.server == second.status.server)
        second.serve(Path("oven"), {}, value="second")
        await until(lambda: reasons)
        assert reasons == [f"superseded by {second.id}"]
        said: Any = peer.last("run/host/there/oven")
        assert said["id"] == second.id


@pytest.mark.parametrize("with_server", [True, False])
async def test_not_superseded_by_the_dead(
    broker: Mosquitto, peer: Peer, with_server: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An announcement by nobody is replaced by ours."""
    monkeypatch.setattr("firmware_bridge.link.announcer.PATIENCE", 0.05)
    async with AsyncExitStack() as stack:
        if with_server:
            await (await stack.enter_async_context(backbone(broker))).announce()
        owner = await stack.enter_async_context(link(broker, host="there"))
        reasons: list[str] = []
        owner.serve(Path("oven"), {}, on_stop=reasons.append)
        await until(lambda: peer.state("run/host"))
        await peer.say("run/host/there/oven", {"id": "_ghost"}, time=time.time() + 1)
        await until(lambda: peer.last("run/host/there/oven") == {"id": "_ghost"})
        await until(lambda: peer.last("run/host/there/oven") != {"id": "_ghost"})
        said: Any = peer.last("run/host/there/oven")
        assert said["id"] == owner.id
        assert reasons == []


async def test_clocks_that_differ(broker: Mosquitto) -> None:
    """The owner refuses what looks late; the caller asks again in the owner's time, once."""
    clock = ShiftedClock()
    clock.offset = -100
    async with link(broker) as caller, link(broker, host="there", clock=clock) as owner:
        done = await offer(owner)
        await until_announced(caller)
        assert (await caller.call(SERVICE, ["heat"], 1)).value == {"heating": 1}
        assert (await caller.call(SERVICE, ["heat"], 2)).value == {"heating": 2}
        assert done == [(1, False), (2, False)]


async def test_late_request_is_refused(broker: Mosquitto, peer: Peer) -> None:
    """What was sent long ago is not executed, and says why; foreign nonsense is ignored."""
    async with link(broker, host="there") as owner:
        done = await offer(owner)
        await until(lambda: peer.state("run/host"))
        key = owner_key(peer)
        target = f"run/request/{owner.id}"
        back: dict[str, Any] = {"response_topic": "moat/test/run/reply/_me", "retain": False}
        request: Value = [[key, "heat"], 5, {}]
        for number, sent in enumerate((-10, +10, 0)):
            await peer.say(
                target, request, time=time.time() + sent, correlation=bytes([number]), **back
            )
        await until(lambda: len(peer.heard("run/reply/_me")) == 3)
        late, early, right = peer.heard("run/reply/_me")
        for refused in (late, early):
            match refused:
                case [False, RemoteObject(name="_EMLClDt", arguments=(RemoteObject() as meta,))]:
                    assert meta.arguments[0] == owner.id
                case _:
                    pytest.fail(f"{refused!r}")
        assert right == [True, {"heating": 5}, {}]
        assert done == [(5, False)]


async def test_odd_requests(broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions are executed once; what has no way back, or one out of the root, not at all."""
    monkeypatch.setattr("firmware_bridge.link.requests.REMEMBERED", 3)
    async with link(broker, host="there") as owner:
        done = await offer(owner)
        await until(lambda: peer.state("run/host"))
        target = f"run/request/{owner.id}"
        request: Value = [Path(owner_key(peer), "heat"), 5, {}]
        back: dict[str, Any] = {"response_topic": "moat/test/run/reply/_me", "retain": False}
        for _ in range(3):
            await peer.say(target, request, time=time.time(), correlation=b"1", **back)
        await peer.say(target, request, time=time.time(), correlation=b"2", retain=False)
        for number, topic in enumerate(("other/topic", "moat/test/home/a", "moat/test/run/reply/")):
            await peer.say(
                target,
                request,
                time=time.time(),
                correlation=bytes([80 + number]),
                response_topic=topic,
                retain=False,
            )
        for number in range(3):  # more than are remembered
            await peer.say(target, "x", time=time.time(), correlation=bytes([90 + number]), **back)
        await until(lambda: len(peer.heard("run/reply/_me")) == 4)
        peer.packets.clear()
        await peer.say(target, request, time=time.time(), correlation=b"1", **back)
        await peer.say(target, "nonsense", time=time.time(), correlation=b"3", **back)
        await peer.say(target, [["x"], 1, {2: 3}], time=time.time(), correlation=b"4", **back)
        await peer.say(target, request, correlation=b"5", **back)
        await until(lambda: len(peer.heard("run/reply/_me")) == 4)
        answers: list[Any] = peer.heard("run/reply/_me")
        assert sorted(answer[0] for answer in answers) == [False, False, False, True]
        assert len(done) == 3


async def test_odd_answers(broker: Mosquitto, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """An owner that answers nonsense, an exception of its own, or somebody else's question."""
    caplog.set_level(logging.DEBUG)
    request_topic = "moat/test/run/request/_owner"
    announced: Value = {"id": "_owner", "path": ["key"], "request": True}
    await peer.say("run/host/there/oven", announced, time=10)
    await peer.session.subscribe(request_topic)
    answers: list[Any] = [
        ["nonsense"],
        [False, RemoteObject("_RemErr", ("ZeroDivisionError", "oops"))],
        [False, RemoteObject("_EMLClDt", ("no meta",))],
        [True, 5, {}],
    ]
    async with link(broker) as caller:

        async def answer() -> None:
            for number, value in enumerate(answers):
                await until(lambda count=number: len(_requests()) > count)
                packet = _requests()[number]
                reply = f"run/reply/{caller.id}"
                await peer.say(reply, value, correlation=b"unknown", retain=False)
                await peer.say(reply, value, correlation=packet.correlation, retain=False)
                await peer.say(reply, value, correlation=packet.correlation, retain=False)

        def _requests() -> list[Any]:
            unique = {
                each.correlation: each for each in peer.packets if each.topic == request_topic
            }
            return list(unique.values())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answer())
            with pytest.raises(Exception, match="not an answer"):
                await caller.call(SERVICE, ["x"])
            with pytest.raises(RemoteError) as caught:
                await caller.call(SERVICE, ["x"])
            assert caught.value.arguments == ("ZeroDivisionError", "oops")
            with pytest.raises(OutOfDateError):
                await caller.call(SERVICE, ["x"])
            assert (await caller.call(SERVICE, ["x"])).value == 5


@pytest.mark.parametrize(
    ("announced", "error"),
    [
        ({"id": "_x"}, "takes no commands"),
        ({"id": "_x", "path": ["k"]}, "no way to"),
        ({"path": ["k"]}, "no service at"),
        ("text", "no service at"),
        ({"id": "_x", "path": ["k"], "request": True}, "nobody is there"),
    ],
)
async def test_cannot_be_called(
    broker: Mosquitto, peer: Peer, announced: Value, error: str
) -> None:
    """Said at once."""
    await peer.say("run/host/there/oven", announced, time=10)
    await peer.session.unsubscribe("moat/test/#")
    async with link(broker) as caller:
        with pytest.raises(RefusedError, match=error):
            await caller.call(SERVICE, ["x"])


async def test_owner_without_record(broker: Mosquitto, peer: Peer) -> None:
    """With a server, an owner that has none (or says nothing of it) is asked by request."""
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker) as caller, link(broker, host="there", use_server=False) as owner:
            await offer(owner)
            await until_announced(caller)
            assert (await caller.call(SERVICE, ["heat"], 1)).value == {"heating": 1}
            await peer.say(f"run/id/{owner.id}", ABSENT, time=time.time() + 1)
            await until(lambda: base.server.nodes["run", "id", owner.id].value is ABSENT)
            assert (await caller.call(SERVICE, ["heat"], 2)).value == {"heating": 2}


async def test_owner_with_an_old_record(broker: Mosquitto, peer: Peer) -> None:
    """The record names a server that does not know the owner (any more): it is asked by request."""
    async with backbone(broker) as base:
        await base.announce()
        async with link(broker) as caller, link(broker, host="there", use_server=False) as owner:
            done = await offer(owner)
            await until_announced(caller)
            record: Value = {"host": "there", "srv": base.server.name}
            await peer.say(f"run/id/{owner.id}", record, time=time.time() + 1)
            await until(lambda: base.server.nodes["run", "id", owner.id].value == record)
            assert (await caller.call(SERVICE, ["heat"], 1)).value == {"heating": 1}
            assert done == [(1, False)]
            silent: Value = {"id": "_gone", "path": ["k"], "up": True}
            await peer.say("run/host/there/silent", silent, time=time.time())
            await peer.say("run/id/_gone", record, time=time.time())
            with pytest.raises(RefusedError, match="no way to"):
                await caller.call(Path("run", "host", "there", "silent"), ["x"])


def owner_key(peer: Peer) -> str:
    """Return the first element of the path where the service's commands are called."""
    said: Any = peer.last("run/host/there/oven")
    return str(said["path"][0])


async def test_faults_without_a_server(broker: Mosquitto, peer: Peer) -> None:
    """Errors are kept at `error.…` the way a server does it."""
    path = Path("boiler", 1)
    record: Any
    async with link(broker) as one:
        await one.clear_error(path)
        await one.report_error(path, "cold", level=3, bt=["trace"], val=5)
        record = peer.last("error/boiler/:1")
        assert record == {"msg": "cold", "level": 3, "val": 5}
        assert peer.last("run/error/boiler/:1") == record | {"bt": ["trace"]}
        first = (await one.get(Path("error") / path)).time
        await one.report_error(path, "colder", level=4)
        await one.ack_error(path)
        await one.report_error(path, "coldest", level=4)
        record = peer.last("error/boiler/:1")
        assert record == {
            "msg": "coldest",
            "level": 4,
            "val": 5,
            "n": 3,
            "first": first,
            "ack": True,
        }
        await one.clear_error(path)
        assert peer.last("run/error/boiler/:1") == record | {"ok": True}
        await until(lambda: not peer.state("error"))
        await one.ack_error(path)
        assert peer.last("error/boiler/:1") == {"ack": True}
        await peer.say("error/odd", "text", time=10)
        await one.report_error(Path("odd"), "new")
        assert peer.last("error/odd") == {
            "data": "text",
            "n": 2,
            "first": 10.0,
            "msg": "new",
            "level": 3,
        }
        await peer.say("error/odd", {"n": "x", "ok": True}, time=time.time() + 1)
        await one.report_error(Path("odd"), "new")
        record = peer.last("error/odd")
        assert (record["n"], "ok" in record) == (2, False)
        for wrong, level in ((Path(), 3), (Path("error", "x"), 3), (path, 5)):
            with pytest.raises(ValueError, match="error"):
                await one.report_error(wrong, "text", level=level)


async def test_heard_while_leaving(broker: Mosquitto, peer: Peer) -> None:
    """What is heard while a command takes its time to end starts nothing any more."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> Value:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await ended.wait()
        return None

    async with link(broker) as caller:
        async with AsyncExitStack() as stack:
            owner = Link(config(broker, host="there"))
            owner.serve(Path("oven"), {"slow": slow})
            task = asyncio.create_task(owner.run())
            stack.callback(ended.set)
            await until(lambda: peer.state("run/host/there/oven"))
            call = asyncio.create_task(caller.call(SERVICE, ["slow"], timeout=0.5))
            await begun.wait()
            task.cancel()
            await peer.say("run/host/there/oven", ABSENT, time=time.time())
            with pytest.raises(NoAnswerError):
                await call
        await asyncio.wait([task])
    assert failures == []


async def test_place_for_the_whole_installation(broker: Mosquitto, peer: Peer) -> None:
    """A service may have another place than our host, and say that it is not ready."""
    async with link(broker) as one:
        service = one.serve(Path("js"), {}, host="gate", up=False)
        await until(lambda: peer.last("run/host/gate/js"))
        assert peer.last("run/host/gate/js")["up"] is False  # type: ignore[index, call-overload]
        service.update("running")
        await until(lambda: peer.last("run/host/gate/js")["up"] is True)  # type: ignore[index, call-overload]


async def test_closed_just_before_the_end(broker: Mosquitto, peer: Peer) -> None:
    """A service that is closed when the link ends is withdrawn all the same."""
    async with link(broker) as one:
        service = one.serve(Path("js"), {}, host="gate")
        await until(lambda: peer.last("run/host/gate/js"))
        service.close()
    await until(lambda: peer.last("run/host/gate/js") is ABSENT)
