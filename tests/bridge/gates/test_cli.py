"""Gates from the command line: driven, listed, added, removed."""

import asyncio
import contextlib
import io
import json
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path as File

import pytest

from firmware_bridge.__main__ import main
from firmware_bridge.link.path import Path
from tests.support.certificates import Authority
from tests.support.gates import ROOT, entry, runs
from tests.support.mosquitto import Mosquitto
from tests.support.server import FakeServer
from tests.support.wait import until


@contextlib.asynccontextmanager
async def bridge(broker: Mosquitto, command: str, *words: str) -> AsyncIterator[Process]:
    """Run a command of the bridge; kill it at the end if it still runs."""
    fixed = ["--port", str(broker.port), "--root", str(ROOT)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware_bridge", command, *fixed, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def gates(broker: Mosquitto, *words: str) -> tuple[object, str, str]:
    """Run `moat-bridge gates …` to its end, in a thread."""
    command = ["gates", "--port", str(broker.port), "--root", str(ROOT), *words]

    def run() -> object:
        try:
            return main(command)
        except SystemExit as err:  # of argparse
            return err.code

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await asyncio.to_thread(run)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("command", [["gates"], ["server", "--listen", "127.0.0.1:0"]])
async def test_driven_by_a_process(broker, inside, outside, command):
    """Alone, or beside a server; it ends in order."""
    await inside.set("gate.js", entry())
    await inside.set("home.a", 1)
    async with bridge(broker, *command) as process:
        await runs(inside, timeout=20)
        await until(lambda: outside.payloads("ext/js/a") == [b"1"])
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
        assert process.returncode == 0, log
    await until(lambda: inside.message("run.host.gate.js") is None)


@pytest.mark.parametrize("command", [["gates"], ["server", "--listen", "127.0.0.1:0"]])
async def test_the_owner_says_what_they_may_touch(broker, inside, command):
    await inside.set("gate.js", entry())
    await inside.set("gate.far", entry(backend={"host": "127.0.0.1", "port": 1}))
    words = ["--allow", "plugs", "--allow", "tasmota.+", "--allow-broker", "127.0.0.1:1"]
    async with bridge(broker, *command, *words):
        await until(lambda: inside.message("error.gate.js"), 20)
        assert "dst: ext.js is not among the topics" in inside.value("error.gate.js")["msg"]
        await until(lambda: inside.message("error.gate.far"))
        assert "refused" in inside.value("error.gate.far")["msg"].lower()


@pytest.mark.parametrize("listen", ["--unix", "--listen-tls"])
async def test_the_server_is_reached_wherever_it_listens(broker, inside, outside, tmp_path, listen):
    """Whoever has been let in: what was deleted meanwhile does not come back."""
    server = ["--save", str(tmp_path / "data"), "--no-anonymous", "--no-announced-token"]
    if listen == "--listen-tls":
        identity = Authority().issue()
        (tmp_path / "tls").write_text(identity.certificate + identity.key)
        (tmp_path / "tokens").touch(0o600)
        server += ["--certificate", str(tmp_path / "tls"), listen, "127.0.0.1:0"]
        server += ["--token-file", str(tmp_path / "tokens")]
    else:
        server += [listen, str(tmp_path / "socket")]

    @contextlib.asynccontextmanager
    async def serving(*words: str) -> AsyncIterator[None]:
        async with bridge(broker, "server", *server, *words) as process:
            await until(lambda: inside.message("run.service.main.conn"), 20)
            yield
            process.send_signal(signal.SIGTERM)
            _, log = await process.communicate()
            assert process.returncode == 0, log
        await until(lambda: inside.message("run.service.main.conn") is None)

    await inside.set("gate.js", entry())
    await inside.set("home.x", 5)
    async with serving():
        await runs(inside, timeout=20)
        await until(lambda: outside.payloads("ext/js/x") == [b"5"])
    async with serving("--no-gates"):
        await inside.delete("home.x")
    async with serving():
        await runs(inside, timeout=20)
        await until(lambda: outside.payloads("ext/js/x") == [b"5", b""])
        assert inside.message("home.x") is None


async def test_a_server_may_leave_them_to_others(broker, inside):
    await inside.set("gate.js", entry())
    async with bridge(broker, "server", "--listen", "127.0.0.1:0", "--no-gates"):
        await until(lambda: inside.message("run.service.main.conn"), 20)
        assert inside.message("run.host.gate.js") is None


async def test_added_listed_removed(broker, inside, outside):
    """What is added is an entry as everybody writes it."""
    async with bridge(broker, "gates"):
        codec = json.dumps({"kind": "bool", "true": "AN", "false": "AUS"})
        words = ("add", "lamps", "home", "ext.lamps", "--codec", codec)
        assert await gates(broker, *words) == (
            0,
            "lamps added: home <-> ext.lamps\nIt runs.\n",
            "",
        )
        await runs(inside, "lamps", 20)
        await inside.set("home.a", True)
        await until(lambda: outside.payloads("ext/lamps/a") == [b"AN"])
        await until(lambda: (inside.value("run.gate.lamps") or {}).get("out") == 1, 15)
        code, out, _ = await gates(broker, "list")
        assert code == 0
        assert out.startswith("lamps: home <-> ext.lamps, {'kind': 'bool'")
        assert out.endswith(": running, in 0, out 1, errors 0\n")
        changed = await gates(broker, *words, "--speed", "0")
        assert changed == (0, "lamps changed: home <-> ext.lamps\nIt runs.\n", "")
        assert await gates(broker, "remove", "lamps") == (0, "lamps removed\n", "")
        await until(lambda: inside.message("run.host.gate.lamps") is None)
    assert await gates(broker, "remove", "lamps") == (1, "", "there is no gate lamps\n")
    assert await gates(broker, "list") == (0, "No gates.\n", "")


async def test_what_others_write_controls_no_terminal(broker, inside):
    """Whatever the entries hold, and those who drive them say."""
    escape = "\x1b]0;owned\x07\x9b2J"
    await inside.set("gate.js", entry(codec=escape))
    await inside.set("run.host.gate.js", {"value": "up\x9b"})
    await inside.set("run.gate.js", {"in": "\x9b", "out": 1, "errors": 0})
    code, out, _ = await gates(broker, "list")
    assert code == 0
    assert "owned" in out
    assert out.removesuffix("\n").isprintable()


async def test_another_broker_is_added(broker, inside, tmp_path):
    (tmp_path / "password").write_text("secret\n")
    words = ["--broker", "far:8884", "--broker-tls", "--broker-username", "u"]
    words += ["--broker-password-file", str(tmp_path / "password"), "--speed", "2", "--no-retain"]
    command = ["add", "far", "home", "x", "--table", "tas", *words]
    missing = "there is no table at conv.tas: write its patterns there first\n"
    assert await gates(broker, *command) == (1, "", missing)
    await inside.set("conv.tas.x", {"codec": "json"})
    code, _, err = await gates(broker, *command)
    assert (code, err) == (0, "")
    backend = {"host": "far", "port": 8884, "ssl": True, "username": "u", "password": "secret"}
    await until(lambda: inside.message("gate.far"))
    assert inside.value("gate.far") == {
        "driver": "mqtt",
        "src": Path("home"),
        "dst": Path("x"),
        "codec": Path("tas"),
        "speed": 2.0,
        "retain": False,
        "backend": backend,
    }


@pytest.mark.parametrize(
    ("place", "backend"),
    [
        ("[::1]:1884", {"host": "::1", "port": 1884}),
        ("[::1]", {"host": "::1"}),
        ("far", {"host": "far"}),
    ],
)
async def test_where_the_other_broker_is(broker, inside, place, backend):
    """As everywhere else, an IPv6 address stands in brackets."""
    words = ("add", "js", "home", "ext.js", "--codec", "json", "--broker", place)
    code, _, err = await gates(broker, *words)
    assert (code, err) == (0, "")
    await until(lambda: inside.message("gate.js"))
    assert inside.value("gate.js")["backend"] == backend


async def test_says_what_becomes_of_it(broker, inside):
    """Why it does not run, or that nothing drives it; removed, it leaves no error."""
    words = ("add", "js", "home", "ext.js", "--codec", "json")
    code, out, _ = await gates(broker, *words)
    assert code == 0
    assert out.startswith("js added: home <-> ext.js\nNothing drives it now: `moat-bridge gates`")
    listed = "js: home <-> ext.js, json: not running: "
    assert await gates(broker, "list") == (0, f"{listed}nothing drives it\n", "")
    async with bridge(broker, "gates", "--allow", "plugs"):
        await until(lambda: inside.message("error.gate.js"), 20)
        code, out, _ = await gates(broker, *words)
        assert code == 0
        assert "It does not run: dst: ext.js is not among the topics" in out
        code, out, _ = await gates(broker, "list")
        assert out.startswith(f"{listed}dst: ext.js is not among the topics")
        assert await gates(broker, "remove", "js") == (0, "js removed\n", "")
        await until(lambda: inside.message("error.gate.js") is None)


async def test_no_second_gate_of_the_same(broker, inside):
    """Both would write; another place or another broker is another matter."""
    await inside.set("gate.js", entry())
    same = ("home", "ext.js", "--codec", "json")
    told = "src home and dst ext.js overlap those of gate js: that would loop\n"
    assert await gates(broker, "add", "again", *same) == (1, "", told)
    inner = await gates(broker, "add", "again", "home.x", "ext", "--codec", "json")
    assert inner == (1, "", told.replace("home", "home.x").replace("ext.js", "ext"))
    assert (await gates(broker, "add", "again", *same, "--broker", "far"))[0] == 0
    assert (await gates(broker, "add", "other", "home", "ext.other", "--codec", "json"))[0] == 0
    assert (await gates(broker, "add", "js", *same))[0] == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["add", "a", "gate", "ext", "--codec", "json"], "src: gate is nothing that may be shown"),
        (["add", "a", "home", "ext", "--codec", "yaml"], "codec: codec 'yaml' is not one of"),
        (["add", "a", "home", "test", "--codec", "json"], "overlap"),
        (["add", "a", "home", "ext", "--codec", "{"], "not JSON"),
        (["add", "a", ":", "ext", "--codec", "json"], "must not be empty"),
        (["add", "a", "home", "ext/js", "--codec", "json"], "write ext.js; what is below counts"),
        (["add", "a", "home/x", "ext", "--codec", "json"], "write home.x; what is below counts"),
        (["add", "a", "home", "ext.+", "--codec", "json"], "write what is before +"),
        (["remove", "a..b"], "write an empty name as"),
        (["remove", ":"], "must not be empty"),
        (["add", "a", "home", "ext"], "one of the arguments --codec --table is required"),
        (
            ["add", "a", "home", "x", "--codec", "json", "--broker", "h:x"],
            "write HOST or HOST:PORT",
        ),
    ],
)
async def test_refused(broker, inside, words, problem):
    """Nothing is written that would not work."""
    code, _, err = await gates(broker, *words)
    assert code in {1, 2}
    assert problem in err
    assert not [topic for topic in inside.topics if topic.startswith("gate")]


async def test_the_page_about_gates(broker, inside, outside):
    """The commands of docs/gates.md do what it says."""
    page = (File(__file__).parents[3] / "docs" / "gates.md").read_text()
    [commands] = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    ours = f'{sys.executable} -m firmware_bridge "$1" --port {broker.port} "${{@:2}}"'
    script = f"set -e\nmoat-bridge() {{ {ours}; }}\n{commands}".replace("root moat", f"root {ROOT}")
    async with bridge(broker, "gates"):
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out
        assert b"\nplugs: home.plugs <-> plugs, table plugs: " in out
        await runs(inside, "plugs", 20)
        await outside.session.subscribe("plugs/#")
        await outside.say("plugs/desk/state", "ON")
        await until(lambda: inside.value("home.plugs.desk.state") is True)
        await inside.set("home.plugs.desk.set", False)
        await until(lambda: outside.payloads("plugs/desk/set") == [b"OFF"])


async def test_wrong_root(broker):
    """It is named before anything is tried."""
    code, _, err = await gates(broker, "--root", ":", "list")
    assert (code, err) == (2, "--root must not be empty\n")
    code, _, err = await gates(broker, "--password-file", "/nowhere", "list")
    assert code == 2
    assert "/nowhere" in err


async def test_wrong_limits(broker):
    code, _, err = await gates(broker, "--allow-broker", "far")
    assert code == 2
    assert "'far' is not HOST:PORT" in err


async def test_nobody_there():
    """Without a broker, it says so."""
    with Mosquitto() as gone:
        pass
    code, _, err = await gates(gone, "list")
    assert code == 1
    told = f"cannot reach the broker at {gone.host}:{gone.port}: Connection refused"
    assert err.replace("localhost", gone.host) == f"{told}\nSee --host and --port.\n"


@pytest.mark.parametrize(
    ("place", "token", "hint"),
    [
        ("127.0.0.1", "another-token-of-ours", "See --token-file"),
        ("127.0.0.2", "a-token-of-ours", "name it with --server"),
    ],
)
async def test_refused_by_the_server(broker, inside, tmp_path, place, token, hint):
    """Whoever has a token wants the server: nothing is done without it."""
    (tmp_path / "tokens").write_text("tablet a-token-of-ours\n")
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "mine").write_text(token)
    server = ["--listen", f"{place}:0", "--no-anonymous", "--no-announced-token", "--no-gates"]
    async with bridge(broker, "server", *server, "--token-file", str(tmp_path / "tokens")):
        await until(lambda: inside.message("run.service.main.conn"), 20)
        words = ("add", "js", "home", "ext.js", "--codec", "json")
        code, _, err = await gates(
            broker, "--host", "127.0.0.1", "--token-file", str(tmp_path / "mine"), *words
        )
        assert code == 1
        assert hint in err
        assert inside.message("gate.js") is None


async def test_a_token_that_is_not_told(broker, inside, tmp_path):
    """A server that may be a stranger's is told none; another token would not help."""
    (tmp_path / "mine").write_text("a-token-of-ours")
    mine = ("--host", broker.host, "--token-file", str(tmp_path / "mine"))
    async with FakeServer(host="127.0.0.2", tokens=["t"], anonymous=False) as server:
        said = {"link": server.announcement["link"]}
        inside.link.publish(Path.parse("run.service.main.conn"), said, origin=server.name)
        code, _, err = await gates(broker, *mine, "list")
    assert code == 1
    assert err.startswith("The server was not told the token: ")
    assert f"{server.host}:{server.port}" in err
    assert err.endswith("\nIf the address is right, name it with --server.\n")


async def test_the_connection_after_the_command(broker, inside):
    """It may stand on either side, and is shown on one."""
    words = ["gates", "list", "--port", str(broker.port), "--root", str(ROOT)]
    assert await asyncio.to_thread(main, words) == 0
