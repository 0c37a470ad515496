"""The link in trouble: denied, thrown out, an empty broker, a flood, a slow line, an abrupt end."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path as File
from typing import Any

import pytest

from firmware_bridge.link.client import Link
from firmware_bridge.link.codec import ABSENT, RemoteObject, Value, encode_payload
from firmware_bridge.link.connection import Answer, Request
from firmware_bridge.link.errors import (
    AuthenticationError,
    ConnectionLostError,
    LinkError,
    NoAnswerError,
    NotAuthorizedError,
    NotFoundError,
    OutOfDateError,
    RefusedError,
)
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from firmware_bridge.link.presence import Presence
from firmware_bridge.link.session import Session
from firmware_bridge.link.transport import BrokerConfig
from tests.support.installation import ROOT, Peer, backbone, config, link, other
from tests.support.mosquitto import Mosquitto
from tests.support.recorder import Recorder
from tests.support.running import running
from tests.support.throttle import throttled
from tests.support.wait import until

HOME = Path("home")
CLIENT = "firmware_bridge.link.client"
SERVICE = Path("run", "host", "there", "oven")


@pytest.fixture
async def denying(tmp_path: File) -> AsyncIterator[Mosquitto]:
    """Run a broker that forbids to follow `secret` and `run/request`."""
    [plugin] = File("/usr/lib").glob("**/mosquitto_dynamic_security.so")
    settings = tmp_path / "security.json"
    deny = [f"{ROOT.topic}/secret/#", f"{ROOT.topic}/run/request/#"]
    rules = [{"acltype": "subscribePattern", "topic": topic, "allow": False} for topic in deny]
    access = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    security = {
        "defaultACLAccess": dict.fromkeys(access, True),
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "some"}], "clients": []}],
        "roles": [{"rolename": "some", "acls": rules}],
        "anonymousGroup": "all",
    }
    settings.write_text(json.dumps(security))
    with Mosquitto(extra=f"plugin {plugin}\nplugin_opt_config_file {settings}\n") as broker:
        yield broker


async def test_denied_to_follow(denying: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    """What may not be followed is named; everything else works."""
    recorder = Recorder()
    async with link(denying) as one, other(denying) as peer:
        assert isinstance(one.status.error, NotAuthorizedError)
        assert "run/request" in str(one.status.error)
        one.watch(Path("secret"), recorder, on_mark=recorder.mark)
        one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: recorder.marks)
        assert one.status.ready
        error = one.status.error
        assert isinstance(error, NotAuthorizedError)
        assert error.topic == f"{ROOT.topic}/secret/#"
        await peer.say("home/a", 1, time=10)
        await until(lambda: recorder.values == [("home/a", 1)])
        assert set(one.statistics.denied) == {
            f"{ROOT.topic}/secret/#",
            f"{ROOT.topic}/run/request/+",
        }
    assert len(caplog.records) == 2


async def test_denied_to_write(caplog: pytest.LogCaptureFixture) -> None:
    """A denied write is an error with its topic; a denied record harms nobody."""
    allowed = (
        f"topic read #\ntopic write {ROOT.topic}/home/#\ntopic write {ROOT.topic}/run/ping/#\n"
    )
    with Mosquitto(acl=allowed) as broker:
        async with link(broker, host="there") as one:
            assert one.status.ready
            error = one.status.error
            assert isinstance(error, NotAuthorizedError)
            assert error.topic == f"{ROOT.topic}/run/id/{one.id}"
            with pytest.raises(NotAuthorizedError, match="test/other"):
                await one.set(Path("other"), 1)
            await one.set(HOME, 1)
            one.serve(Path("oven"), {})
            await until(lambda: "run.host.there.oven could not be announced" in caplog.text)


async def test_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in the status, retried slowly, and never shown."""
    monkeypatch.setattr(f"{CLIENT}.REFUSED_PATIENCE", 0.2)
    with Mosquitto(users={"ha": "right"}) as broker:
        settings = BrokerConfig(
            host="127.0.0.1", port=broker.port, username="ha", password="wrong-secret"
        )
        one = Link(config(broker, broker=settings))
        async with running(one.run()):
            with pytest.raises(AuthenticationError):
                await one.wait_ready(5)
            assert isinstance(one.status.error, AuthenticationError)
            assert "wrong-secret" not in f"{one.config!r}{one.status!r}{one.status.error!r}"
            broker.set_users({"ha": "wrong-secret"})
            broker.reload()
            await until(lambda: one.status.ready)
            assert one.status.error is None
            broker.set_users({"ha": "changed"})
            broker.reload()
            await until(lambda: isinstance(one.status.error, AuthenticationError))
            assert not one.status.connected


async def test_empty_broker(broker: Mosquitto) -> None:
    """A broker that has lost everything does not wipe what we know; silence in the end does."""
    recorder = Recorder()
    async with link(broker, grace=0.7) as one:
        async with other(broker) as peer:
            for name in "abc":
                await peer.say(f"home/{name}", name, time=10)
            await peer.say("home/event", "unretained", time=10, retain=False)
        watch = one.watch(HOME, recorder, on_mark=recorder.mark)
        async with other(broker) as peer:
            await until(lambda: len(watch.messages) == 3)
            await peer.say("home/event", "unretained", time=10, retain=False)
            await until(lambda: len(watch.messages) == 4)
        broker.kill()
        await until(lambda: not one.status.connected)
        broker.start()
        await until(lambda: len(recorder.marks) == 2)
        assert len(watch.messages) == 4
        async with other(broker) as peer:
            await peer.say("home/a", "a", time=10)
            await peer.say("home/b", "new", time=11)
            await until(lambda: "home/c" not in watch.messages)
        assert set(watch.messages) == {"home/a", "home/b", "home/event"}
        assert recorder.values[4:] == [("home/b", "new"), ("home/c", ABSENT)]


async def test_empty_broker_and_everything_comes_back(broker: Mosquitto) -> None:
    """Nothing is deleted when all owners say it again, though we were not told in time."""
    recorder = Recorder()
    async with link(broker, grace=0.4) as one:
        async with other(broker) as peer:
            await peer.say("home/a", "a", time=10)
        watch = one.watch(HOME, recorder, on_mark=recorder.mark)
        await until(lambda: watch.messages)
        broker.kill()
        await until(lambda: not one.status.connected)
        broker.start()
        await until(lambda: len(recorder.marks) == 2)
        async with other(broker) as peer:
            await peer.say("home/a", "a", time=10)
            await until(lambda: not watch.doomed)
        await asyncio.sleep(0.6)
        assert recorder.values == [("home/a", "a")]
        watch.close()


async def test_end_with_a_dead_broker(broker: Mosquitto) -> None:
    """Taking leave of somebody who does not listen takes about two seconds."""
    async with link(broker) as one:
        one.serve(Path("s"), {})
        broker.pause()
        start = time.monotonic()
    assert time.monotonic() - start < 3
    broker.resume()


async def test_lost_during_an_announcement(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be announced is announced by the next session; that is no news."""
    caplog.set_level(logging.INFO)
    async with link(broker) as one:
        broker.pause()
        one.serve(Path("s"), {})
        await asyncio.sleep(0)
        broker.kill()
        await until(lambda: not one.status.connected)
        broker.start()
        async with other(broker) as peer:
            await until(lambda: peer.state("run/host"), 10)
    assert len(caplog.records) == 2


async def test_lost_during_the_snapshot(broker: Mosquitto, peer: Peer) -> None:
    """The next session completes what this one could not."""
    gate = asyncio.Event()
    recorder = Recorder()

    async def hang(request: Request) -> Answer:
        await gate.wait()
        return None

    await peer.say("home/a", 1, time=10)
    async with backbone(broker) as base:
        base.server.commands["d", "walk"] = hang
        await base.announce()
        async with link(broker) as one:
            one.watch(HOME, recorder, on_mark=recorder.mark)
            await until(lambda: any(path == ("d", "walk") for path, _, _ in base.server.calls))
            assert one.status.connected
            broker.kill()
            await until(lambda: not one.status.connected)
            broker.start()
            await until(lambda: recorder.marks, 10)
            assert one.status.ready


async def test_session_ends_at_the_worst_moments() -> None:
    """Wherever in its start a session breaks, the next one follows."""
    with Mosquitto() as broker:
        async with link(broker, ready=False) as one:
            one.watch(HOME, print)
            one.serve(Path("s"), {})
            for pause in (0.0, 0.001, 0.002, 0.004, 0.008):
                await until(lambda: one.status.connected, 10)
                await asyncio.sleep(pause)
                broker.kill()
                await until(lambda: not one.status.connected)
                broker.start()
            await until(lambda: one.status.ready, 10)


async def test_lost_right_after_connecting(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that breaks before it has said hello is one more attempt."""
    hello = Presence.hello
    attempts: list[str] = []

    async def fail_twice(self: Presence, former: Iterable[str]) -> None:
        attempts.append(self.id)
        if len(attempts) < 3:
            raise [NoAnswerError("too slow"), ConnectionLostError("lost")][len(attempts) - 1]
        await hello(self, former)

    monkeypatch.setattr(Presence, "hello", fail_twice)
    async with link(broker, ready=False) as one:
        await until(lambda: one.status.ready, 10)
        assert len(set(attempts)) == 3


async def test_slow_line(broker: Mosquitto) -> None:
    """Every write ends in time; what is said to be done is, and little more than that."""
    async with throttled("127.0.0.1", broker.port, 1500) as line:
        settings = BrokerConfig(host=line.host, port=line.port)
        async with link(broker, broker=settings) as one:
            start = time.monotonic()
            results = await asyncio.gather(
                *(one.set(HOME / number, "x" * 200) for number in range(60)),
                return_exceptions=True,
            )
            assert time.monotonic() - start < 6
            assert all(
                not isinstance(each, BaseException) or isinstance(each, LinkError)
                for each in results
            )
            done = {
                f"home/:{number}"
                for number, each in enumerate(results)
                if not isinstance(each, BaseException)
            }
            assert 0 < len(done) < 60
    async with other(broker) as peer:
        assert set(peer.state("home")) >= done
        assert len(peer.state("home")) < len(done) + 20  # what was on the line already


async def test_publishing_into_a_hole(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings that the broker does not take fail; they do not fill the memory, nor end the pings."""
    monkeypatch.setattr("firmware_bridge.link.presence.PING_INTERVAL", 0.05)
    async with link(broker) as one:
        topic = f"run/ping/id/{one.id}"
        broker.pause()
        with pytest.raises(ConnectionLostError):
            for number in range(100_000):
                one.publish(HOME / number, "x" * 2000)
        await asyncio.sleep(0.1)
        broker.resume()
        async with other(broker) as peer:
            await until(lambda: len(peer.heard(topic)) > 2)
            assert one.status.connected


async def test_flood(broker: Mosquitto) -> None:
    """All retained messages of a big installation arrive, and the loop keeps turning."""
    count = 20_000
    async with other(broker) as peer:
        for number in range(count):
            payload, text = encode_payload({"value": number})
            topic = f"{ROOT.topic}/home/device-{number % 500}/{number}"
            packet = Publish(topic, payload, text=text, retain=True, meta="peer\\8f8=Q00")
            peer.session.publish_nowait(packet)
            if number % 1000 == 0:
                await peer.session.barrier()
        await peer.session.barrier()
        await peer.session.unsubscribe(f"{ROOT.topic}/#")
        longest = 0.0

        async def measure() -> None:
            nonlocal longest
            while True:
                start = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - start)

        recorder = Recorder()
        async with link(broker) as one, running(measure()):
            watch = one.watch(HOME, recorder, on_mark=recorder.mark)
            await until(lambda: recorder.marks, 30)
            assert recorder.marks == [count]
            assert len(watch.messages) == count
    assert longest < 0.5  # of our own time; the bar is 0.1, see benchmarks


async def test_request_that_was_late_indeed(broker: Mosquitto, peer: Peer) -> None:
    """An owner whose clock agrees and still says late is believed; garbage is an error."""
    await peer.say("run/host/there/oven", {"id": "_owner", "path": ["k"], "request": True}, time=9)
    await peer.session.subscribe(f"{ROOT.topic}/run/request/_owner")
    async with link(broker) as caller:

        async def answer(payload: bytes) -> None:
            topic = f"{ROOT.topic}/run/request/_owner"
            before = sum(packet.topic == topic for packet in peer.packets)
            await until(lambda: sum(packet.topic == topic for packet in peer.packets) > before)
            packet = [each for each in peer.packets if each.topic == topic][-1]
            reply = Publish(f"{ROOT.topic}/run/reply/{caller.id}", payload)
            reply.correlation = packet.correlation
            await peer.session.publish(reply)

        def late(moment: float) -> bytes:
            meta = RemoteObject("_MM", ("_owner", moment))
            refused: Value = [False, RemoteObject("_EMLClDt", (meta,))]
            return encode_payload(refused)[0]

        for payload, error in (
            (late(time.time() + 1), OutOfDateError),
            (b"\xff", LinkError),
        ):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(answer(payload))
                with pytest.raises(error):
                    await caller.call(SERVICE, ["x"])


async def test_too_many_requests(
    broker: Mosquitto, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests than can be handled are refused, not queued."""
    monkeypatch.setattr("firmware_bridge.link.requests.RUNNING", 3)
    gate = asyncio.Event()

    async def wait() -> Value:
        await gate.wait()
        return "done"

    async with link(broker) as caller, link(broker, host="there") as owner:
        owner.serve(Path("oven"), {"wait": wait})
        await until(lambda: peer.state("run/host"))
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(_outcome(caller.call(SERVICE, ["wait"]))) for _ in range(6)]
            await until(lambda: sum(call.done() for call in calls) == 3)
            gate.set()
        outcomes = sorted(call.result() for call in calls)
        assert outcomes == ["done"] * 3 + ["too many requests at once"] * 3


async def _outcome(call: Any) -> str:
    try:
        return str((await call).value)
    except RefusedError as err:
        return str(err)


async def test_owner_vanishes_during_a_call(broker: Mosquitto, peer: Peer) -> None:
    """The caller is told nothing, and says so in time; nothing is sent again."""
    started: list[int] = []

    async def work() -> Value:
        started.append(1)
        await asyncio.Event().wait()

    async with link(broker) as caller, link(broker, host="there") as owner:
        owner.serve(Path("oven"), {"work": work})
        await until(lambda: peer.state("run/host"))
        call = asyncio.ensure_future(caller.call(SERVICE, ["work"], timeout=1.5))
        await until(lambda: started)
        broker.kill()
        broker.start()
        with pytest.raises((NoAnswerError, ConnectionLostError)):
            await call
        await until(lambda: caller.status.ready and owner.status.ready)
        assert started == [1]


async def test_work_at_the_last_moment(broker: Mosquitto) -> None:
    """Services that come and go while the connection dies leave nothing behind."""
    async with link(broker) as one:
        broker.kill()
        number = 0
        while one.status.connected:
            service = one.serve(Path("s", number), {})
            await asyncio.sleep(0)
            service.close()
            number += 1
        broker.start()
        await until(lambda: one.status.ready, 10)
        async with other(broker) as peer:
            assert not peer.state("run/host")


async def test_slow_broker(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription that is not answered is asked for again."""
    monkeypatch.setattr("firmware_bridge.link.snapshot.PATIENCE", 0.05)
    recorder = Recorder()
    asked: list[str] = []
    subscribe = Session.subscribe

    async def fail_twice(self: Session, *filters: str, **options: Any) -> None:
        asked.extend(filters)
        if sum("home" in each for each in asked) < 3 and "home" in filters[0]:
            raise NoAnswerError("no answer")
        await subscribe(self, *filters, **options)

    async with link(broker) as one:
        monkeypatch.setattr(Session, "subscribe", fail_twice)
        one.watch(HOME, recorder, on_mark=recorder.mark)
        one.watch(HOME / "closed", print).close()
        await until(lambda: recorder.marks)
        assert sum("home" in each for each in asked) == 3
        gone = one.watch(Path("home2"), print)
        asked.clear()
        await until(lambda: asked)
        gone.close()
        await one.set(HOME, 1)


async def test_answer_into_the_void(broker: Mosquitto, peer: Peer) -> None:
    """An answer that cannot be delivered any more is nobody's problem."""
    allowed = (
        f"topic read #\ntopic write {ROOT.topic}/run/host/#\ntopic write {ROOT.topic}/run/ping/#\n"
    )
    with Mosquitto(
        acl=f"user owner\n{allowed}\nuser other\ntopic #\n", users={"owner": "x", "other": "y"}
    ) as strict:
        settings = BrokerConfig(host="127.0.0.1", port=strict.port, username="owner", password="x")
        others = BrokerConfig(host="127.0.0.1", port=strict.port, username="other", password="y")
        async with (
            link(strict, host="there", broker=settings) as owner,
            link(strict, broker=others) as caller,
        ):
            owner.serve(Path("oven"), {})
            await until_known(caller)
            with pytest.raises(NoAnswerError):
                await caller.call(SERVICE, ["i", "ping"], timeout=0.5)
            assert owner.status.connected


async def until_known(one: Link) -> None:
    """Wait until the service is announced."""
    async with asyncio.timeout(5):
        while True:
            try:
                await one.get(SERVICE)
            except NotFoundError:
                await asyncio.sleep(0.01)
            else:
                return


async def test_log_of_an_outage_without_end(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many attempts fail: one line."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(f"{CLIENT}.Backoff.wait", lambda _: 0.01)
    async with link(broker) as one:
        broker.kill()
        await until(lambda: not one.status.connected)
        await asyncio.sleep(0.3)
        assert len(caplog.records) == 1
