"""Sessions with a real mosquitto, and aiomqtt as an independent client beside them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from firmware_bridge.link.errors import (
    AuthenticationError,
    ConnectionLostError,
    EncodeError,
    NotAuthorizedError,
)
from firmware_bridge.link.mqtt_packets import Publish
from tests.support.mosquitto import Mosquitto
from tests.support.sessions import connect, opened
from tests.support.wait import until

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    """One broker for all tests that do it no harm; each uses topics of its own."""
    with Mosquitto() as mosquitto:
        yield mosquitto


@pytest.fixture
async def other(broker: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    """An independent client on the same broker."""
    version = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client(broker.host, broker.port, protocol=version) as client:
        yield client


async def received(client: aiomqtt.Client, count: int) -> list[aiomqtt.Message]:
    """Return the next messages of the independent client."""
    messages = []
    async for message in client.messages:
        messages.append(message)
        if len(messages) == count:
            break
    return messages


async def test_everything_about_a_message_arrives(broker: Mosquitto) -> None:
    """All that a message can have goes through the broker and back."""
    sent = Publish(
        "all/a",
        b"\xf6",
        text=False,
        retain=True,
        meta="me",
        response_topic="all/r",
        correlation=b"\x00\x01",
    )
    text = Publish("all/b", "käse".encode(), text=True, meta="vec\\`$5@M{6G)@00")
    plain = Publish("all/c", b"")
    async with opened(broker) as it:
        await it.session.subscribe("all/#")
        for message in (sent, text, plain):
            it.session.publish_nowait(message)
        await it.session.barrier()
        assert it.messages == [sent, text, plain]


async def test_others_understand_us(broker: Mosquitto, other: aiomqtt.Client) -> None:
    """An independent client sees our properties as they are meant."""
    await other.subscribe("out/#", qos=1)
    async with opened(broker) as it:
        message = Publish("out/a", b"hello", text=True, meta="me", correlation=b"c")
        assert await it.session.publish(message, expiry=30)
    [seen] = await received(other, 1)
    properties: Any = seen.properties
    assert (str(seen.topic), seen.payload, seen.qos, seen.retain) == ("out/a", b"hello", 1, False)
    assert properties.UserProperty == [("MoaT", "me")]
    assert properties.PayloadFormatIndicator == 1
    assert properties.CorrelationData == b"c"
    assert 0 < properties.MessageExpiryInterval <= 30


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_order_of_a_thousand(broker: Mosquitto, other: aiomqtt.Client, qos: int) -> None:
    """What another client sends arrives once each and in order, at every QoS."""
    async with opened(broker) as it:
        await it.session.subscribe("in/#", qos=qos)
        for number in range(1000):
            await other.publish("in/a", b"%d" % number, qos=qos)
        await until(lambda: len(it.messages) >= 1000, 20, "all messages")
        await it.session.barrier()
        assert it.payloads == [b"%d" % number for number in range(1000)]
        assert {message.qos for message in it.messages} == {qos}


async def test_ten_thousand_confirmed_in_order(broker: Mosquitto, other: aiomqtt.Client) -> None:
    """What we send at QoS 1, many at once, is confirmed each and arrives in order."""
    await other.subscribe("many/#", qos=0)
    async with opened(broker) as it:
        count = 10_000
        await asyncio.gather(
            *(it.session.publish(Publish("many/a", b"%d" % n), timeout=60) for n in range(count))
        )
    seen = await received(other, count)
    assert [message.payload for message in seen] == [b"%d" % n for n in range(count)]


async def test_somebody_listens_or_not(broker: Mosquitto) -> None:
    """The broker tells whether anybody is subscribed."""
    async with opened(broker) as it:
        assert not await it.session.publish(Publish("nobody/here", b"x"))
        await it.session.subscribe("nobody/+")
        assert await it.session.publish(Publish("nobody/here", b"x"))


async def test_retained_as_published(broker: Mosquitto) -> None:
    """The retain flag of a live message is the publisher's; retain handling 2 skips old ones."""
    async with opened(broker) as it:
        await it.session.publish(Publish("kept/a", b"1", retain=True))
        await it.session.subscribe("kept/#", retain_handling=2)
        await it.session.publish(Publish("kept/a", b"2", retain=True))
        await it.session.publish(Publish("kept/a", b"3"))
        await it.session.barrier()
        assert [(m.payload, m.retain) for m in it.messages] == [(b"2", True), (b"3", False)]
    async with opened(broker) as it:
        await it.session.subscribe("kept/#")
        await it.session.barrier()
        assert [(m.payload, m.retain) for m in it.messages] == [(b"2", True)]


async def test_no_local(broker: Mosquitto) -> None:
    """We can do without our own messages."""
    async with opened(broker) as it, opened(broker) as another:
        await it.session.subscribe("own/#", no_local=True)
        await it.session.publish(Publish("own/a", b"mine"))
        await another.session.publish(Publish("own/a", b"theirs"))
        await it.session.barrier()
        assert it.payloads == [b"theirs"]


async def test_unsubscribe(broker: Mosquitto) -> None:
    """After unsubscribing nothing comes any more; doing it twice does not matter."""
    async with opened(broker) as it:
        await it.session.subscribe("gone/#", "stays/#")
        await it.session.unsubscribe("gone/#")
        await it.session.unsubscribe("gone/#", "never/#")
        await it.session.publish(Publish("gone/a", b"1"))
        await it.session.publish(Publish("stays/a", b"2"))
        await it.session.barrier()
        assert it.payloads == [b"2"]


async def test_barrier_after_twenty_thousand_retained() -> None:
    """When the barrier is passed, every retained message has been delivered."""
    count = 20_000
    with Mosquitto() as broker:
        async with opened(broker) as it:
            for number in range(count):
                it.session.publish_nowait(Publish(f"r/{number}", bytes(60), retain=True))
            await it.session.barrier()
        async with opened(broker) as it:
            await it.session.subscribe("r/#")
            await it.session.barrier()
            assert {message.topic for message in it.messages} == {f"r/{n}" for n in range(count)}


async def test_unix_socket(tmp_path: Path) -> None:
    """A broker on the same machine may listen on a Unix socket."""
    path = str(tmp_path / "mqtt.sock")
    with Mosquitto(listeners=[f"listener 0 {path}"]) as broker:
        it = await connect(broker, unix_path=path)
        await it.session.subscribe("u/#")
        await it.session.publish(Publish("u/a", b"x"))
        await it.session.barrier()
        await it.session.close()
        assert (it.payloads, it.ends) == ([b"x"], [None])


async def test_large_messages() -> None:
    """The broker's limit is ours to keep; it keeps ours: what is too large does not come."""
    with Mosquitto(extra="max_packet_size 2000000") as broker:
        async with opened(broker) as it, opened(broker) as another:
            assert it.session.max_packet_size == 2_000_000
            await it.session.subscribe("big/#")
            with pytest.raises(EncodeError):
                it.session.publish_nowait(Publish("big/a", bytes(2_000_000)))
            with pytest.raises(EncodeError):
                await it.session.publish(Publish("big/a", bytes(2_000_000)))
            await another.session.publish(Publish("big/a", bytes(1_500_000)))
            await another.session.publish(Publish("big/a", bytes(1_000_000)))
            await it.session.barrier()
            assert [len(message.payload) for message in it.messages] == [1_000_000]
            assert (it.ends, another.ends) == ([], [])


async def test_access_denied_to_publish() -> None:
    """A publish that the broker's ACL forbids fails and names its topic; others pass."""
    with Mosquitto(acl="topic read #\ntopic write yes/#\n") as broker:
        async with opened(broker) as it:
            with pytest.raises(NotAuthorizedError) as caught:
                await it.session.publish(Publish("no/way", b"x"))
            assert caught.value.topic == "no/way"
            assert "no/way" in str(caught.value)
            await it.session.publish(Publish("yes/please", b"x"))


DYNAMIC_SECURITY = """{"defaultACLAccess": {"publishClientSend": true,
"publishClientReceive": true, "subscribe": false, "unsubscribe": true}, "clients": [],
"groups": [{"groupname": "all", "roles": [{"rolename": "some"}], "clients": []}],
"roles": [{"rolename": "some", "acls": [{"acltype": "subscribePattern", "topic": "yes/#",
"allow": true}]}], "anonymousGroup": "all"}"""


async def test_access_denied_to_subscribe(tmp_path: Path) -> None:
    """A subscription that the broker forbids fails and names its filter; the others hold."""
    settings = tmp_path / "security.json"
    settings.write_text(DYNAMIC_SECURITY)
    [plugin] = Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")
    extra = f"plugin {plugin}\nplugin_opt_config_file {settings}\n"
    with Mosquitto(extra=extra) as broker:
        async with opened(broker) as it:
            with pytest.raises(NotAuthorizedError) as caught:
                await it.session.subscribe("yes/a", "no/#", "yes/b")
            assert caught.value.topic == "no/#"
            for topic in ("yes/a", "yes/b", "no/c"):
                await it.session.publish(Publish(topic, b"x"))
            await it.session.barrier()
            assert [message.topic for message in it.messages] == ["yes/a", "yes/b"]


async def test_credentials() -> None:
    """Wrong or missing credentials are an AuthenticationError; right ones open the door."""
    with Mosquitto(users={"ha": "geheim"}) as broker:
        for username, password in ((None, None), ("ha", "falsch"), ("who", "geheim"), ("ha", None)):
            with pytest.raises(AuthenticationError):
                await connect(broker, username=username, password=password)
        it = await connect(broker, username="ha", password="geheim")
        await it.session.publish(Publish("a", b""))
        await it.session.close()


async def test_credentials_revoked() -> None:
    """When the broker throws us out the session ends; the next attempt says why."""
    with Mosquitto(users={"ha": "geheim"}) as broker:
        it = await connect(broker, username="ha", password="geheim")
        broker.set_users({"ha": "neu"})
        broker.reload()
        await until(lambda: it.ends, what="the broker hangs up")
        assert isinstance(it.end, ConnectionLostError | AuthenticationError)
        with pytest.raises(AuthenticationError):
            await connect(broker, username="ha", password="geheim")


async def test_taken_over(broker: Mosquitto) -> None:
    """Another client of the same name ends the session; whatever is asked of it then fails."""
    async with opened(broker, client_id="twin") as first:
        async with opened(broker, client_id="twin"):
            await until(lambda: first.ends)
        assert isinstance(first.end, ConnectionLostError)
        assert first.session.error is first.end
        with pytest.raises(ConnectionLostError):
            first.session.publish_nowait(Publish("a", b""))
    assert len(first.ends) == 1


VICTIM = """
import asyncio, sys
from firmware_bridge.link.session import BrokerConfig, Publish, Session

async def main():
    will = Publish("will/victim", b"\\xf4", text=True, qos=1, retain=True, meta="me")
    session = await Session.open(
        BrokerConfig(host=sys.argv[1], port=int(sys.argv[2])),
        client_id="victim", will=will, on_publish=print, on_closed=print,
    )
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_will_of_a_killed_process(broker: Mosquitto) -> None:
    """The broker publishes the will of whoever dies, with all its properties."""
    async with opened(broker) as it:
        await it.session.subscribe("will/#")
        arguments = [sys.executable, "-c", VICTIM, broker.host, str(broker.port)]
        with subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"up\n"
            victim.kill()
        await until(lambda: it.messages, what="the will")
        assert it.messages == [Publish("will/victim", b"\xf4", text=True, retain=True, meta="me")]
        await it.session.publish(Publish("will/victim", b"", retain=True))


async def test_no_will_after_an_orderly_close(broker: Mosquitto) -> None:
    """Who leaves orderly leaves no will, and what it has said before arrives."""
    async with opened(broker) as it:
        await it.session.subscribe("bye/#")
        async with opened(broker, will=Publish("bye/will", b"x")) as leaving:
            for number in range(100):
                leaving.session.publish_nowait(Publish("bye/now", b"%d" % number))
        assert leaving.ends == [None]
        assert leaving.session.error is None
        await until(lambda: len(it.messages) >= 100)
        await it.session.barrier()
        assert it.payloads == [b"%d" % number for number in range(100)]


async def test_fifty_thousand_retained_without_a_stall() -> None:
    """A flood on connect from an unconfigured mosquitto is complete, and the loop goes on."""
    count = 50_000
    with Mosquitto() as broker:
        async with opened(broker) as it:
            for number in range(count):
                it.session.publish_nowait(
                    Publish(f"moat/link/{number}", bytes(30), retain=True, meta="vec\\8f8=Q2>")
                )
                if number % 1000 == 0:
                    await it.session.barrier()
            await it.session.barrier()
        topics = set[str]()
        async with opened(broker, on_publish=lambda message: topics.add(message.topic)) as it:
            watch = asyncio.create_task(longest_stall())
            await it.session.subscribe("moat/link/#", timeout=30)
            await it.session.barrier()
            watch.cancel()
            stall = await watch
    assert len(topics) == count
    assert stall < 0.5


async def longest_stall() -> float:
    """Return, when cancelled, the longest time that the loop did not come round."""
    loop = asyncio.get_running_loop()
    longest, last = 0.0, loop.time()
    try:
        while True:
            await asyncio.sleep(0.001)
            longest, last = max(longest, loop.time() - last), loop.time()
    except asyncio.CancelledError:
        return longest
