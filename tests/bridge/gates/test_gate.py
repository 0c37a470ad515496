"""A gate between a real broker's two sides."""

import asyncio
import random

import pytest

from firmware_bridge.gates.translation import Translation
from firmware_bridge.link.codec import RemoteObject, Value
from firmware_bridge.link.meta import Meta, decode_meta, encode_meta, meta_object
from firmware_bridge.link.mqtt_packets import Publish
from firmware_bridge.link.path import Path
from tests.support.certificates import Authority
from tests.support.gates import Insider, address, driven, entry, insider, outsider, runs
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until


async def test_json_both_ways(broker, inside, outside):
    """What there is comes over, then what changes, with its metadata; echoes go nowhere."""
    before = await inside.set("home.temp", 23.5)
    await outside.say("ext/js/pre", '{"k": [1, null, true]}')
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside)
        await until(lambda: outside.payloads("ext/js/temp") == [b"23.5"])
        meta = decode_meta(outside.last("ext/js/temp").meta)
        assert meta == Meta("GATE.js", before.time)
        await until(lambda: inside.value("home.pre") == {"k": [1, None, True]})
        await outside.say("ext/js/temp", "19")
        await until(lambda: inside.value("home.temp") == 19)
        message = inside.message("home.temp")
        assert message.meta.origin == "GATE.js"
        gw = message.meta.keywords["gw"]
        assert isinstance(gw, RemoteObject)
        assert gw.name == "_MM"
        assert gw.arguments[0].startswith("via:gate_")
        await outside.say("ext/js/live", '"nr"', retain=False)
        await until(lambda: inside.value("home.live") == "nr")
        assert inside.message("home.live").retained
        await outside.say("ext/js/with", "5", meta=encode_meta(Meta("other", 1.7e9)))
        await until(lambda: inside.value("home.with") == 5)
        assert inside.message("home.with").meta.keywords["gw"].arguments == ("other", 1.7e9)
        await inside.set("home.x", {"a": [1, 2]})
        await until(lambda: outside.payloads("ext/js/x") == [b'{"a": [1, 2]}'])
        await inside.link.delete(inside.message("home.x").path)
        await until(lambda: outside.payloads("ext/js/x")[1:] == [b""])
        await outside.say("ext/js/temp", b"")
        await until(lambda: inside.message("home.temp") is None)
        await outside.session.barrier()
        assert outside.payloads("ext/js/temp") == [b"23.5", b"19", b""]
        assert inside.values("home.temp")[:2] == [23.5, 19]
        assert inside.message("error.link") is None
    await until(lambda: inside.message("run.host.gate.js") is None)


async def table(inside: Insider, rows: dict[tuple, Value], codecs: dict[str, Value]) -> None:
    """Write the table `tas`."""
    for path, codec in codecs.items():
        await inside.set(f"codec.{path}", codec)
    for pattern, row in rows.items():
        await inside.link.set(Path("conv", "tas", *pattern), row)


async def test_a_json_device(broker, inside, outside):
    """A switch as Tasmota has them: state, commands and readings, each with its codec."""
    onoff = {"kind": "bool", "true": "ON", "false": "OFF"}
    rows = {
        ("stat", "+", "POWER"): {"codec": Path("onoff")},
        ("cmnd", "+", "POWER"): {"codec": Path("onoff"), "retain": False},
        ("tele", "#"): {"codec": "json"},
        ("tele", "+", "LWT"): {"codec": "text"},
    }
    await table(inside, rows, {"onoff": onoff})
    await inside.set("tas.cmnd.plug.POWER", True)  # an old wish
    await outside.say("ext/tas/stat/plug/POWER", "OFF")
    await outside.say("ext/tas/tele/plug/LWT", "Online")
    await inside.set("gate.tas", entry("tas", "ext.tas", codec=Path("tas")))
    async with driven(broker):
        await runs(inside, "tas")
        await until(lambda: inside.value("tas.stat.plug.POWER") is False)
        await until(lambda: inside.value("tas.tele.plug.LWT") == "Online")
        await inside.set("tas.cmnd.plug.POWER", True)
        await until(lambda: outside.payloads("ext/tas/cmnd/plug/POWER") == [b"ON"])
        assert not outside.last("ext/tas/cmnd/plug/POWER").retain
        await outside.say("ext/tas/stat/plug/POWER", "ON")
        await until(lambda: inside.value("tas.stat.plug.POWER") is True)
        await outside.say("ext/tas/tele/plug/SENSOR", '{"ENERGY": {"Power": 42}}', retain=False)
        await until(lambda: inside.value("tas.tele.plug.SENSOR") == {"ENERGY": {"Power": 42}})


async def test_a_table_that_is_too_long(broker, inside, outside, monkeypatch):
    """Some of its rows count, and that is an error until there are fewer."""
    monkeypatch.setattr("firmware_bridge.gates.translation.MOST_ROWS", 2)
    await table(inside, {(name,): {"codec": "json"} for name in "abc"}, {})
    await inside.set("gate.tas", entry("tas", "ext.tas", codec=Path("tas")))
    async with driven(broker):
        await runs(inside, "tas")
        await until(lambda: inside.message("error.conv.tas"))
        assert "more than 2 rows" in inside.value("error.conv.tas")["msg"]
        for name in "abc":
            await outside.say(f"ext/tas/{name}", "1")
        await until(lambda: len([name for name in "abc" if inside.message(f"tas.{name}")]) == 2)
        await inside.delete("conv.tas.a")
        await until(lambda: inside.message("error.conv.tas") is None)
        await until(lambda: inside.message("tas.b") and inside.message("tas.c"))


async def test_a_table_that_never_rests(broker, inside, outside, monkeypatch):
    """It is not read anew with every change."""
    monkeypatch.setattr("firmware_bridge.gates.gate._TABLE_REST", 3600.0)
    reads = []
    read = Translation.table
    monkeypatch.setattr(Translation, "table", lambda self: reads.append(1) or read(self))
    await table(inside, {("a",): {"codec": "json"}}, {})
    await inside.set("gate.tas", entry("tas", "ext.tas", codec=Path("tas")))
    async with driven(broker):
        await runs(inside, "tas")
        for number in range(20):
            await inside.set("conv.tas.b", {"codec": "json", "speed": number})
            await outside.say("ext/tas/a", f"{number}")
            await until(lambda number=number: inside.value("tas.a") == number)
        assert len(reads) < 5


async def test_a_table_is_followed(broker, inside, outside):
    """What is wrong with it is one error, until it is right; then what is there is translated."""
    await table(inside, {("+",): {"codec": Path("x")}}, {"x": {"decode": "return 1"}})
    await outside.say("ext/tas/a", "ON")
    await inside.set("gate.tas", entry("tas", "ext.tas", codec=Path("tas")))
    async with driven(broker):
        await runs(inside, "tas")
        await until(lambda: inside.message("error.conv.tas.+"))
        said = inside.value("error.conv.tas.+")
        assert said["msg"].startswith("conv.tas.+: codec.x has no kind")
        await inside.set("tas.b", True)
        await inside.set("codec.x", {"decode": "return 1", "kind": "bool"})
        await until(lambda: inside.value("tas.a") is True)
        await until(lambda: outside.payloads("ext/tas/b") == [b"ON"])
        await until(lambda: inside.message("error.conv.tas.+") is None)
        await inside.link.set(Path("conv", "tas", "a"), {"codec": "text"})
        await until(lambda: inside.value("tas.a") == "ON")
        await inside.link.set(Path("conv", "tas", "a"), {"codec": "null"})
        await inside.set("tas.b", False)
        await until(lambda: outside.payloads("ext/tas/b")[-1] == b"OFF")
        await outside.say("ext/tas/a", "gone")
        await outside.say("ext/tas/c", "ON")
        await until(lambda: inside.value("tas.c") is True)
        assert inside.value("tas.a") == "ON"


async def test_broken_payloads(broker, inside, outside):
    """One error a topic, however many messages; cleared by a good one, or after a restart."""
    await inside.set("gate.js", entry())
    place = "error.link.mqtt.codec.ext.js"
    async with driven(broker) as gates:
        await runs(inside)
        for _ in range(5):
            await outside.say("ext/js/a", "{broken")
        await outside.say("ext/js/b", b"\xff")
        await until(lambda: inside.message(f"{place}.b"))
        said = inside.value(f"{place}.a")
        assert said["msg"].startswith("not JSON")
        assert said["val"] == b"{broken"
        assert said["topic"] == Path("ext", "js", "a")
        assert len(inside.values(f"{place}.a")) == 1
        assert gates.jobs[Path("js")].counters.errors == 6
        await outside.say("ext/js/a", "5")
        await until(lambda: inside.message(f"{place}.a") is None)
        assert inside.value("home.a") == 5
        await inside.set("home.c", b"bytes")
        await until(lambda: inside.message(f"{place}.c"))
        assert "cannot be sent: b'bytes' has no equivalent" in inside.value(f"{place}.c")["msg"]
    await outside.say("ext/js/b", "6")
    async with driven(broker):
        await runs(inside)
        await until(lambda: inside.message(f"{place}.b") is None)
        assert inside.message(f"{place}.c")


async def test_nothing_is_said_again_at_a_restart(broker, inside, outside):
    """Neither side hears anything if both are as they were left."""
    await inside.set("home.a", {"b": [1, 2.5, None]})
    await inside.set("home.text", "text")
    await outside.say("ext/js/c", '{"d": "e"}')
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside)
        await until(lambda: inside.message("home.c") and outside.last("ext/js/text"))
    inner = [each for each in inside.heard if each.topic.startswith("home")]
    outer = list(outside.heard)
    await until(lambda: inside.message("run.host.gate.js") is None)
    async with driven(broker):
        await runs(inside)
        await inside.set("home.end", 1)
        await until(lambda: outside.last("ext/js/end"))
    assert [each for each in inside.heard if each.topic.startswith("home")][:-1] == inner
    assert outside.heard[:-1] == outer


async def test_odd_topics(broker, inside, outside):
    """Names with escapes, empty levels and dollars pass; what is no path is one error."""
    await inside.set("gate.js", entry())
    async with driven(broker) as gates:
        await runs(inside)
        topics = {"", "/a//b", "/$c/d", "/e/:p/:h", "/f/:5", "/g h/ä", "/i/"}
        for topic in sorted(topics):
            await outside.say(f"ext/js{topic}", "1")
        await until(lambda: {f"home{topic}" for topic in topics} <= inside.topics)
        await outside.say("ext/js/:nonsense", "1")
        await outside.say("ext/js/x/:x10", "1")
        await until(lambda: gates.jobs[Path("js")].counters.errors == 2)
        await until(lambda: inside.message("error.link.mqtt.topic"))
        await inside.link.set(Path("home", "+", 7), 5)
        await until(lambda: outside.payloads("ext/js/:p/:7") == [b"5"])


async def test_hostile_payloads(broker, inside, outside):
    """Nothing of this stops the gate, nor arrives."""
    await inside.set("gate.js", entry())
    bad = [
        b"NaN",
        b"1e400",
        b"[" * 100_000,
        b"9" * 10_000,
        b'"\\ud800"',
        b"\xff\xfe",
        b"x" * 300_000,
        b'"' + b"a" * 70_000 + b'"',
    ]
    async with driven(broker) as gates:
        await runs(inside)
        for number, payload in enumerate(bad):
            await outside.session.publish(Publish(f"ext/js/n{number}", payload), timeout=20)
        huge = Publish("ext/js/huge", b"x" * 16_000_000)  # more than we let the broker deliver
        await outside.session.publish(huge, timeout=20)
        await outside.say("ext/js/control", '"a\\u0007b\\nc"')
        await until(lambda: inside.value("home.control") == "a\ab\nc", 20)
        assert gates.jobs[Path("js")].counters.errors == len(bad)
        assert not [topic for topic in inside.topics if topic.startswith("home/n")]


async def test_a_flood_is_bounded(broker, inside, outside):
    """The latest of each topic arrives; the rest is counted, and nobody drowns."""
    await inside.set("gate.js", entry())
    async with driven(broker) as gates:
        await runs(inside)
        for number in range(10_000):
            outside.session.publish_nowait(Publish(f"ext/js/n{number % 50}", b"%d" % number))
        await outside.session.barrier()
        for number in range(50):
            await until(lambda: inside.value(f"home.n{number}") == 9_950 + number, 20)  # noqa: B023
        counters = gates.jobs[Path("js")].counters
        assert counters.received + counters.dropped == 10_000
        assert counters.received < 4_000


async def test_speed(broker, inside, outside):
    """At most one value in so many seconds, the latest of them."""
    await inside.set("gate.js", entry(speed=0.5))
    async with driven(broker):
        await runs(inside)
        for number in range(1, 20):
            await outside.say("ext/js/a", str(number))
        await until(lambda: inside.value("home.a") == 19)
        assert len(inside.values("home.a")) < 8


async def test_many_retained(broker, inside, outside):
    """A burst of more than the broker keeps for a slow reader is complete."""
    for number in range(3_000):
        outside.session.publish_nowait(Publish(f"ext/js/n{number}", b"1", retain=True))
    await outside.session.barrier()
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside, timeout=30)
        await until(lambda: sum(each.startswith("home/") for each in inside.topics) == 3_000, 30)


class TestAnotherBroker:
    """The outer side is somewhere else."""

    @pytest.fixture
    def far(self):
        with Mosquitto(users={"u": "secret"}, persistence=True) as running:
            yield running

    @pytest.fixture
    async def plain(self, far):
        async with outsider(far, "u", "secret") as joined:
            yield joined

    @staticmethod
    def backend(far, password="secret"):
        return {"host": far.host, "port": far.port, "username": "u", "password": password}

    async def test_both_ways(self, broker, inside, far, plain):
        await plain.say("ext/js/a", "1")
        await inside.set("home.b", 2)
        await inside.set("gate.js", entry(backend=self.backend(far)))
        async with driven(broker, backends=(address(far),)):
            await runs(inside)
            await until(lambda: inside.value("home.a") == 1)
            await until(lambda: plain.payloads("ext/js/b") == [b"2"])

    async def test_refused(self, broker, inside, far):
        """Wrong credentials: an error, and another attempt later; no secret is told."""
        await inside.set("gate.js", entry(backend=self.backend(far, "wrong-word")))
        async with driven(broker, backends=(address(far),)) as gates:
            await until(lambda: inside.message("error.gate.js"))
            said = inside.value("error.gate.js")
            assert said["driver"] == "mqtt"
            assert "not authorized" in said["msg"]
            announced = inside.value("run.host.gate.js")
            assert announced["up"] is False
            assert announced["value"].startswith("backoff 5: ")
            assert gates.jobs[Path("js")].state == "backoff"
            await inside.set("gate.js", entry(backend=self.backend(far)))
            await runs(inside)
        others = [each for each in inside.heard if each.topic != "gate/js"]
        assert "wrong-word" not in str(others)

    async def test_lost_and_back(self, broker, inside, far, plain, monkeypatch):
        """Changes on both sides during an outage come together; the newer one wins."""
        monkeypatch.setattr("firmware_bridge.gates.job.FIRST", 0.3)
        await plain.say("ext/js/a", "1")
        await plain.say("ext/js/b", "1")
        await inside.set("gate.js", entry(backend=self.backend(far)))
        async with driven(broker, backends=(address(far),)) as gates:
            await runs(inside)
            await until(lambda: inside.value("home.b") == 1)
            far.stop()
            await until(lambda: gates.jobs[Path("js")].state == "backoff")
            await inside.set("home.a", 5)
            await inside.set("home.c", 6)
            far.start()
            async with outsider(far, "u", "secret") as again:
                await again.say("ext/js/b", "7")
                await runs(inside, timeout=20)
                await until(lambda: again.payloads("ext/js/a")[-1:] == [b"5"])
                await until(lambda: again.payloads("ext/js/c") == [b"6"])
                await until(lambda: inside.value("home.b") == 7)

    async def test_forgetful_broker_is_supplied(self, broker, inside, monkeypatch):
        """A broker that has lost everything gets it back; nothing is deleted inside."""
        monkeypatch.setattr("firmware_bridge.gates.job.FIRST", 0.3)
        with Mosquitto() as far:
            await inside.set("home.a", 5)
            await inside.set("gate.js", entry(backend={"host": far.host, "port": far.port}))
            async with driven(broker, backends=(address(far),)):
                await runs(inside)
                far.restart()
                async with outsider(far) as plain:
                    await until(lambda: plain.payloads("ext/js/a") == [b"5"], 20)
                    assert inside.value("home.a") == 5

    async def test_the_installation_lost_and_back(self, broker, inside, far, plain):
        """Without its broker a gate waits; what has changed outside comes afterwards."""
        await inside.set("gate.js", entry(backend=self.backend(far)))
        await plain.say("ext/js/a", "1")
        async with driven(broker, backends=(address(far),)) as gates:
            await runs(inside)
            await until(lambda: inside.value("home.a") == 1)
            broker.stop()
            await until(lambda: not gates.jobs[Path("js")].announced)
            await plain.say("ext/js/a", "2")
            broker.start()
            await until(lambda: gates.jobs[Path("js")].announced, 20)
            await until(lambda: inside.link.status.ready, 30)
            await until(lambda: inside.value("home.a") == 2, 20)


async def test_everybody_writes_at_once(broker, inside, outside):
    """Whoever writes what on which side: in the end both agree, and it is quiet."""
    await inside.set("gate.js", entry())
    chance = random.Random(7)
    topics = [f"n{number}" for number in range(5)]
    async with driven(broker) as gates:
        await runs(inside)
        for number in range(600):
            topic = chance.choice(topics)
            if chance.random() < 0.5:
                outside.session.publish_nowait(
                    Publish(f"ext/js/{topic}", b"%d" % number, retain=True)
                )
            else:
                inside.link.publish(Path("home", topic), number)
            if chance.random() < 0.2:
                await asyncio.sleep(0.002)

        def agreed() -> bool:
            values = [
                (inside.value(f"home.{each}"), outside.last(f"ext/js/{each}")) for each in topics
            ]
            return all(outer and str(inner).encode() == outer.payload for inner, outer in values)

        async def mark(number: int) -> tuple[int, int]:
            """Let something go through both ways, after all that is under way."""
            await inside.set("home.in", number)
            await outside.say("ext/js/out", str(number))
            await until(lambda: outside.payloads("ext/js/in")[-1:] == [b"%d" % number])
            await until(lambda: inside.value("home.out") == number)
            return counters.received, counters.sent

        counters = gates.jobs[Path("js")].counters
        for number in range(3):
            await mark(number)
        await until(agreed, 10)
        received, sent = await mark(4)
        assert await mark(5) == (received + 1, sent + 1)
        assert agreed()
        assert counters.received + counters.sent < 1_500


async def test_two_gates_in_a_circle(broker, inside, outside, monkeypatch):
    """Should somebody else drive the one, two gates on the same two sides do not chase each other."""
    monkeypatch.setattr("firmware_bridge.gates.circles._circle", lambda _: [])
    await inside.set("gate.a", entry())
    await inside.set("gate.b", entry())
    async with driven(broker):
        await runs(inside, "a")
        await runs(inside, "b")
        await inside.set("home.x", 1)
        await outside.say("ext/js/y", "2")
        await until(lambda: inside.value("home.y") == 2)
        await until(lambda: outside.payloads("ext/js/x"))
        for number in range(5):  # these go through after all that is under way
            await inside.set("home.in", number)
            await outside.say("ext/js/out", str(number))
            await until(lambda: outside.payloads("ext/js/in")[-1:] == [b"%d" % number])  # noqa: B023
            await until(lambda: inside.value("home.out") == number)  # noqa: B023
        assert len(inside.values("home.x")) <= 3
        assert len(inside.values("home.y")) <= 3
        assert len(outside.payloads("ext/js/x")) <= 3
        assert len(outside.payloads("ext/js/y")) <= 3


async def test_very_deep_and_very_long_topics(broker, inside, outside):
    """They are errors, however they come."""
    await inside.set("gate.js", entry())
    async with driven(broker) as gates:
        await runs(inside)
        counters = gates.jobs[Path("js")].counters
        await outside.say("ext/js/" + "/".join("a" * 150), "1")
        await outside.say("ext/js/" + "a" * 20_000, "1")
        await outside.say("test/home/home/:nonsense", "1")
        await outside.say("test/home/home/" + "/".join("a" * 150), "1")
        await until(lambda: counters.errors >= 4)
        await outside.say("ext/js/" + "/".join("a" * 100), "{")
        await until(lambda: inside.message("error.link.mqtt.codec.ext.js." + ".".join("a" * 100)))


async def test_metadata_from_outside_are_bounded(broker, inside, outside):
    """What others pass on does not grow from gate to gate."""
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside)
        inner = meta_object(Meta("x", 1.0))
        meta = Meta("GATE.other", 1.7e9, ("more",), {"gw": inner, "note": "n"})
        await outside.say("ext/js/a", "1", meta=encode_meta(meta))
        huge = Meta("other", 1.7e9, (), {"note": "n" * 40_000})
        await outside.say("ext/js/b", "1", meta=encode_meta(huge))
        await outside.say("ext/js/c", "1", meta=encode_meta(Meta("o" * 2_000, 1.7e9)))
        await until(lambda: inside.value("home.c") == 1)
        passed = inside.message("home.a").meta.keywords["gw"]
        assert passed.arguments == ("GATE.other", 1.7e9, "more")
        assert passed.keywords == {"note": "n"}
        assert inside.message("home.b").meta.keywords["gw"].keywords == {}
        assert inside.message("home.c").meta.keywords["gw"].arguments[0].startswith("via:")


async def test_what_is_thrown_away_is_an_error(monkeypatch):
    """A broker that does not let us write says nothing; the gate does, until it may."""
    monkeypatch.setattr("firmware_bridge.gates.gate.ECHO", 0.2)
    allowed = "topic readwrite test/home/#\n"
    with Mosquitto(acl=allowed) as broker:
        async with insider(broker) as inside:
            await inside.set("gate.js", entry())
            await inside.set("home.a", 1)
            async with driven(broker):
                await until(lambda: inside.message("error.link.mqtt.denied.ext.js"))
                broker.set_acl(f"{allowed}topic readwrite ext/#\n")
                broker.reload()
                await inside.set("home.a", 2)
                await until(lambda: inside.message("error.link.mqtt.denied.ext.js") is None, 10)


async def test_another_broker_with_tls(broker, inside, monkeypatch, tmp_path):
    """Encrypted, if the system knows its authority; else it is an error."""
    authority = Authority()
    with Mosquitto(tls=authority.issue("localhost")) as far:
        backend = {"host": "localhost", "port": far.port, "ssl": True}
        await inside.set("gate.js", entry(backend=backend))
        async with driven(broker, backends=(f"localhost:{far.port}",)):
            await until(lambda: inside.message("error.gate.js"))
            assert "certificate" in inside.value("error.gate.js")["msg"].lower()
        (tmp_path / "ca.pem").write_text(authority.certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with driven(broker, backends=(f"localhost:{far.port}",)):
            await runs(inside)
