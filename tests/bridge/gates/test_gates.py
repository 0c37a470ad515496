"""All gates of an installation: who drives them, what becomes of their entries, how they are shown."""

import asyncio
import socket

import pytest

from firmware_bridge.gates.show import COUNTS, LANGUAGES, description, device_id
from firmware_bridge.link.codec import ABSENT
from firmware_bridge.link.describe import parse_device
from firmware_bridge.link.path import Path
from firmware_bridge.link.session import BrokerConfig
from firmware_bridge.server.config import Listener, ServerConfig
from firmware_bridge.server.server import Server, serving
from tests.support.gates import ROOT, driven, entry, insider, outsider, runs
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.wait import until


async def test_other_drivers_are_left_alone(broker, inside):
    """What is no gate of ours is neither announced nor complained about."""
    await inside.set("gate.kv", {"driver": "kv", "src": Path("home"), "dst": Path("x")})
    await inside.set("gate.odd", "mqtt")
    await inside.set("gate", entry())
    await inside.set("gate.js", entry())
    async with driven(broker) as gates:
        await runs(inside)
        assert list(gates.jobs) == [Path("js")]
    assert not [each for each in inside.topics if each.startswith(("run/host/gate/", "error"))]


async def test_a_wrong_entry(broker, inside):
    """It is one error, and nobody is kept from driving it; corrected, it runs."""
    await inside.set("gate.js", entry(dst="test.home.home"))
    async with driven(broker):
        await until(lambda: inside.message("error.gate.js"))
        said = inside.value("error.gate.js")
        assert "dst: test.home.home and src (test.home.home at the broker) overlap" in said["msg"]
        assert inside.message("run.host.gate.js") is None
        await until(lambda: (inside.value("run.gate.js") or {}).get("state") == "invalid")
        assert "overlap" in inside.value("run.gate.js")["last_error"]
        await inside.set("gate.js", entry())
        await runs(inside)
        await until(lambda: inside.value("run.gate.js")["state"] == "running")


async def test_too_many_entries(broker, inside, monkeypatch, caplog):
    """Only the oldest are looked at; when there is room again, those left out."""
    monkeypatch.setattr("firmware_bridge.gates.gates.MOST_ENTRIES", 3)
    monkeypatch.setattr("firmware_bridge.gates.gates._LOOK", 1.0)
    monkeypatch.setattr("firmware_bridge.gates.gates._GLANCE", 2)
    for number in (8, 7, 6, 4, 0, 3, 1, 2):
        path = Path("gate", f"n{number}")
        inside.link.publish(path, {"driver": "mqtt"}, time=1e9 + number)
    async with driven(broker) as gates:
        await until(lambda: {str(name) for name in gates.jobs} == {"n0", "n1", "n2"})
        await inside.set("gate.n5", {"driver": "mqtt"})
        await inside.delete("gate.n0")
        await until(lambda: {str(name) for name in gates.jobs} == {"n1", "n2", "n3"})
        await inside.delete("gate.n1")
        await until(lambda: {str(name) for name in gates.jobs} == {"n2", "n3", "n4"})
        assert caplog.text.count("more than 3 entries") == 3


async def test_not_a_way_out(broker, inside, outside):
    """What the owner has not listed is neither read nor written, and one clear error."""
    await outside.say("ext/lock/state", '"secret"')
    await inside.set("gate.loot", entry("loot", "ext.lock"))
    await inside.set("gate.far", entry("far", backend={"host": "127.0.0.2", "port": broker.port}))
    await inside.set("gate.js", entry(dst="ext.a.js"))
    async with driven(broker, allow=("ext.+.js",)):
        await runs(inside)
        await until(lambda: inside.message("error.gate.loot") and inside.message("error.gate.far"))
        said = "dst: ext.lock is not among the topics that gates may touch here"
        assert inside.value("error.gate.loot")["msg"] == said
        said = (
            f"backend: 127.0.0.2:{broker.port} is not among the brokers that gates may touch here"
        )
        assert inside.value("error.gate.far")["msg"] == said
        await inside.set("loot.set", "OPEN")
        await inside.set("home.x", 1)
        await until(lambda: outside.payloads("ext/a/js/x") == [b"1"])
        assert {each.topic for each in outside.heard} == {"ext/lock/state", "ext/a/js/x"}
        assert inside.message("loot.state") is None


@pytest.mark.parametrize("acl", [None, "read", "write"])
async def test_the_own_broker_under_another_address(acl):
    """It is recognised by what is said there; nothing below the root is read or written."""
    port = free_port()
    rules = f"topic readwrite #\nuser u\ntopic {acl} #\n" if acl else None
    listener = f"listener {port} 127.0.0.2\nallow_anonymous true\n"
    with Mosquitto(
        users={"u": "p"}, acl=rules, extra="allow_anonymous true", listeners=(listener,)
    ) as broker:
        backend = {"host": "127.0.0.2", "port": port, "username": "u", "password": "p"}
        async with insider(broker) as inside:
            await inside.set("secret", 1)
            await inside.set("loot.device.fake", 1)
            await inside.set("gate.loot", entry("loot", str(ROOT), backend=backend))
            async with driven(broker, backends=(f"127.0.0.2:{port}",)) as gates:
                await until(lambda: inside.message("error.gate.loot"))
                assert inside.value("error.gate.loot")["msg"] == (
                    f"backend: 127.0.0.2:{port} is the installation's own broker under another "
                    f"address: write localhost:{broker.port}"
                )
                assert gates.jobs[Path("loot")].state == "backoff"
                assert inside.message("loot.secret") is None
                assert inside.message("device.fake") is None


async def test_a_bomb(broker, inside, outside):
    """Gates that would feed each other more and more: the later ones are refused, by name."""
    await inside.set("gate.b", entry("a", "ext"))
    await inside.set("gate.a", entry("a.b", "ext"))
    await inside.set("gate.c", entry("a.c", "ext"))
    async with driven(broker):
        await runs(inside, "b")
        await until(lambda: inside.message("error.gate.a") and inside.message("error.gate.c"))
        said = "src a.b and dst ext overlap those of gate b: that would loop"
        assert inside.value("error.gate.a")["msg"] == said
        await inside.set("a.x", 1)
        await until(lambda: outside.payloads("ext/x") == [b"1"])
        await outside.say("ext/y", "2")
        await until(lambda: inside.value("a.y") == 2)
        assert {each for each in inside.topics if each.startswith("a/")} == {"a/x", "a/y"}
        assert {each.topic for each in outside.heard} == {"ext/x", "ext/y"}
        await inside.delete("gate.b")
        await runs(inside, "a")
        await until(lambda: inside.value("a.b.y") == inside.value("a.c.y") == 2)


async def test_a_good_run_clears_the_error(broker, inside, monkeypatch):
    monkeypatch.setattr("firmware_bridge.gates.job.PROVEN", 0.2)
    await inside.set("error.gate.js", {"msg": "was wrong", "driver": "mqtt"})
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside)
        await until(lambda: inside.message("error.gate.js") is None)


async def test_entries_come_change_and_go(broker, inside, outside):
    """A gate follows its entry; deleted, it is withdrawn, and shown no more."""
    async with driven(broker):
        await inside.set("gate.a.b", entry())
        await runs(inside, "a.b")
        await until(lambda: inside.message("device.gate_a-b-c14cddc033f6"))
        plug = {"v": 1, "alive": Path("run", "host", "gate", "a", "b")}
        await inside.set("device.plug", plug)  # lives by the gate
        await inside.set("home.x", 1)
        await until(lambda: outside.payloads("ext/js/x") == [b"1"])
        await inside.set("gate.a.b", entry(dst="ext.other"))
        await until(lambda: outside.payloads("ext/other/x") == [b"1"])
        await inside.set("home.x", 2)
        await until(lambda: outside.payloads("ext/other/x") == [b"1", b"2"])
        assert outside.payloads("ext/js/x") == [b"1"]
        await inside.delete("gate.a.b")
        await until(lambda: inside.message("run.host.gate.a.b") is None)
        await until(lambda: inside.message("device.gate_a-b-c14cddc033f6") is None)
        await until(lambda: inside.message("run.gate.a.b") is None)
        assert inside.message("device.plug")


async def test_two_processes_take_turns(broker, inside, outside):
    """The second one waits for the first; nothing is done twice."""
    await inside.set("gate.js", entry())
    async with driven(broker) as first:
        await runs(inside)
        async with driven(broker, name="more") as second:
            await until(lambda: [each.state for each in second.jobs.values()] == ["waiting"])
            await inside.set("home.x", 1)
            await until(lambda: outside.payloads("ext/js/x") == [b"1"])
            await until(lambda: (inside.value("run.gate.js") or {}).get("state") == "running")
            await inside.set("run.stop.gate.js", {"reason": "test"}, retain=False)
            await until(lambda: [each.state for each in second.jobs.values()] == ["running"], 10)
            assert [each.state for each in first.jobs.values()] == ["stopped"]
            await until(lambda: inside.value("run.gate.js")["state"] == "running")
            service = Path("run", "host", "here", "more")
            await until(lambda: inside.value("device.gate-js")["alive"] == service)
            await inside.set("home.x", 2)
            await until(lambda: outside.payloads("ext/js/x") == [b"1", b"2"])


async def test_a_dead_announcement(broker, inside):
    """Somebody who has left, and left an announcement, is not waited for."""
    await inside.set("run.host.gate.js", {"id": "_dead", "up": True, "value": "running"})
    await inside.set("gate.js", entry())
    async with driven(broker) as gates:
        await until(lambda: [each.state for each in gates.jobs.values()] == ["waiting"])
        await inside.set("run.ping.id._dead", {"up": False, "state": "will"}, retain=False)
        await runs(inside)


async def test_shown_as_a_device(broker, inside, outside):
    """A gate describes itself, and tells what it counts."""
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside)
        await until(lambda: inside.message("device.gate-js"))
        found, issues = parse_device("gate-js", inside.value("device.gate-js"))
        assert not issues
        assert found.name == "Gate js"
        assert found.alive == Path("run", "host", "here", "gates")
        assert inside.value("run.host.here.gates")["up"] is True
        assert {point.path for point in found.points} == {COUNTS / Path("js")}
        await outside.say("ext/js/a", "1")
        await inside.set("home.b", 2)
        await outside.say("ext/js/c", "{")
        await until(lambda: inside.value("run.gate.js") == counted(state="running"), 15)
    await until(lambda: inside.message("run.host.gate.js") is None)
    await until(lambda: inside.message("run.host.here.gates") is None)
    await inside.delete("gate.js")
    async with driven(broker):
        await until(lambda: inside.message("device.gate-js") is None)


def counted(**more):
    """Return what is told after one value in, one out, and one that is broken."""
    problem = (
        "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )
    known = {"in": 1, "out": 1, "errors": 1, "dropped": 0, "nodes": 3}
    return known | {"last_error": f"ext.js.c: {problem}"} | more


async def test_counters_are_told_slowly(broker, inside, outside):
    """Every value from outside is not another one about it."""
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside)
        for number in range(50):
            await outside.say("ext/js/a", str(number))
        await until(lambda: inside.value("home.a") == 49)
        assert len(inside.values("run.gate.js")) < 5


def test_descriptions_are_right():
    for language in LANGUAGES:
        for name in (Path("js"), Path("ä", 5, ""), Path("x" * 100), Path("a-b"), Path("a", "b")):
            about = description(name, Path("run", "host", "h", "gates"), language)
            _, issues = parse_device(device_id(name), about)
            assert not issues


def test_every_gate_has_a_device_of_its_own():
    """Whatever it is called."""
    names = [
        *(Path("a-b"), Path("a", "b"), Path("a.b"), Path("a_b"), Path("a", "5"), Path("a", 5)),
        *(Path("a b"), Path("x" * 59), Path("x" * 60), Path("x" * 70), Path("x" * 71)),
    ]
    names += [Path(device_id(each).removeprefix("gate-")) for each in names[1:]]
    names = list(dict.fromkeys(names))
    assert len({device_id(each) for each in names}) == len(names)
    assert device_id(Path("a-b")) == "gate-a-b"


async def test_a_gate_that_ends_leaves_nothing_behind(broker, inside, monkeypatch):
    """Not even while it takes back its error."""
    clearing = asyncio.Event()

    async def clear_error(*_):
        clearing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("firmware_bridge.gates.job.PROVEN", 0.0)
    monkeypatch.setattr("firmware_bridge.link.client.Link.clear_error", clear_error)
    await inside.set("gate.js", entry())
    before = asyncio.all_tasks()
    async with driven(broker):
        await asyncio.wait_for(clearing.wait(), 10)
    assert asyncio.all_tasks() <= before


class TestWithOurServer:
    """Our server remembers deletions, and what the broker has forgotten."""

    @staticmethod
    def serving(broker):
        address = BrokerConfig(host=broker.host, port=broker.port)
        listeners = (Listener(port=0),)
        return serving(
            Server(ServerConfig(broker=address, root=ROOT, name="ours", listeners=listeners))
        )

    async def test_deletions_while_down(self, broker):
        """What was deleted inside while the gate was down is deleted outside."""
        async with self.serving(broker) as server, insider(broker, use_server=True) as inside:
            await until(lambda: server.election.main, 15)
            await until(lambda: inside.link.status.server == "ours", 15)
            async with outsider(broker) as outside:
                await inside.set("home.a", 1)
                await inside.set("home.b", 2)
                await inside.set("gate.js", entry())
                async with driven(broker):
                    await runs(inside)
                    await until(lambda: outside.payloads("ext/js/b") == [b"2"])
                await until(lambda: inside.message("run.host.gate.js") is None)
                await inside.delete("home.a")
                deletions = await inside.link.deletions(Path("home"))
                assert [(each.topic, each.value) for each in deletions] == [("home/a", ABSENT)]
                async with driven(broker) as gates:
                    await until(lambda: gates._link.status.server == "ours", 15)
                    await runs(inside, timeout=20)
                    await until(lambda: outside.payloads("ext/js/a") == [b"1", b""])
                    assert outside.payloads("ext/js/b") == [b"2"]
                    assert inside.message("home.a") is None

    async def test_what_we_were_is_not_waited_for(self, broker, caplog):
        """Our own announcement, which the broker gets back after a crash, is nobody else's."""
        async with self.serving(broker) as server:
            await until(lambda: server.election.main, 15)
            async with insider(broker) as inside:
                await inside.set("gate.js", entry())
                async with driven(broker) as gates:
                    await until(lambda: gates._link.status.server == "ours", 15)
                    await runs(inside)
                    before = inside.value("run.host.gate.js")["id"]
                    broker.kill()
                    broker.start()

                    def again():
                        said = inside.value("run.host.gate.js")
                        return said["id"] != before and said.get("value") == "running"

                    await until(again, 20)
        assert not [each for each in caplog.messages if each.startswith("Gate js: the broker")]


async def test_ends_at_once(broker, inside):
    """Ending while a gate is on its way to a broker that does not answer takes no time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        await inside.set("gate.js", entry(backend={"host": "127.0.0.1", "port": port}))
        async with asyncio.timeout(10), driven(broker, backends=(f"127.0.0.1:{port}",)) as gates:
            await until(lambda: inside.message("run.host.gate.js"))
            assert [each.state for each in gates.jobs.values()] == ["starting"]


async def test_odd_names(broker, inside):
    """Whatever somebody calls a gate, the others run."""
    for number, name in enumerate(
        (Path("gate", 5), Path("gate", "a/b"), Path("gate", "ä", ""), Path("gate", *"x" * 80))
    ):
        await inside.link.set(name, entry("home", f"ext.{number}"))
    await inside.set("gate.js", entry())
    async with driven(broker) as gates:
        await runs(inside)
        await until(lambda: "run/host/gate/:5" in inside.topics)
        await until(lambda: "run/gate/a:|b" in inside.topics)
        assert inside.value("error.gate.a/b")["msg"] == "name: a/b must have neither / nor \\ in it"
        assert len(gates.jobs) == 4
