"""Every command of the real command line says the same about our server as about the real one."""

import asyncio
import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.moat import MoatError, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.ours import OurServer

SIMPLE: Final = ("-f", "-s", ":")
LOAD: Final = """\
- !P a.b
- 5
- [me, 1700000000.5]
---
- !P a.c
- text
- [me, 1700000001.5]
"""
IMPORT: Final = """\
- !P lamp
- on: true
---
- !P temp
- 20
"""

type Words = tuple[str, ...]

WALK: Final[tuple[tuple[Words, str], ...]] = (
    (("data", ":", "set", *SIMPLE, "~test"), ""),
    (("data", "home.temp", "set", *SIMPLE, "=21.5"), ""),
    (("data", "home.lamp", "set", "-s", "on", "=True", "-s", "name", "~Küche"), ""),
    (("data", "home.lamp", "set", "-s", "level", "=5"), ""),
    (("data", "home.odd", "set", "-f", "-y"), "{1: one, list: [1, 2.5, null], at: !P a.b:1}"),
    (("data", "home:1", "set", *SIMPLE, "~one"), ""),
    (("data", "home.odd", "get"), ""),
    (("data", "home.none", "get"), ""),
    (("data", "home", "get"), ""),
    (("data", "home", "list"), ""),
    (("data", "home", "get", "-r"), ""),
    (("data", "home", "dump"), ""),
    (("data", "home", "monitor", "-s", "-m", "c"), ""),
    (("data", "load", "load"), LOAD),
    (("data", "taken", "import"), IMPORT),
    (("data", "load", "get", "-r"), ""),
    (("data", "taken", "get", "-r"), ""),
    (("data", "load", "delete"), ""),
    (("data", "load.a.b", "delete"), ""),
    (("data", "load.a.b", "get"), ""),
    (("data", "home.temp", "delete"), ""),
    (("data", "home.temp", "set", *SIMPLE, "=22"), ""),
    (("error", "plant.fan", "set", "-s", "msg", "~dusty", "-s", "level", "=2"), ""),
    (("error", "plant.fan", "get"), ""),
    (("error", ":", "list"), ""),
    (("error", "plant.fan", "delete"), ""),
    (("error", ":", "list"), ""),
    (("raw", "test"), ""),
    (("raw", "pub", "-r", "-c", "std-cbor", "-t", ":R.home.raw", "-M", "7"), ""),
    (("data", "home.raw", "get"), ""),
    (("gate", "garden", "set", "-d", "mqtt", "-S", "garden", "-D", "plain"), ""),
    (("gate", "garden", "list"), ""),
    (("gate", ":", "list"), ""),
    (("codec", "list"), ""),
    (("conv", "shed", "add", "plus"), ""),
    (("conv", "shed", "get"), ""),
    (("conv", "shed", "list"), ""),
    (("flow", "check", "home"), ""),
    (("cmd", "i.ping", "=1", "~two", "-s", "three", "=3.5"), ""),
    (("cmd", "i.nothing"), ""),
    (("cmd", "d.get", ".home.temp"), ""),
    (("cmd", "d.set", ".home.temp", "=5", "-s", "t", "=1.5"), ""),
    (("cmd", "-S", "d.list", ".home"), ""),
    (("cmd", "-S", "d.walk", ".home"), ""),
    (("cmd", "dir_"), ""),
    (("cmd", "d.dir_"), ""),
    (("cmd", "cl._nobody.i.ping"), ""),
    (("cmd", "srv.nobody.i.ping"), ""),
    (("cmd", "e.info", ".plant.x", "~x", "-s", "msg", "~dry"), ""),
    (("cmd", "e.ack", ".plant.x"), ""),
    (("cmd", "e.ok", ".plant.x"), ""),
    (("-L", "data", "home.temp", "get"), ""),
    (("stop", "-t", "1", "nobody.here"), ""),
)
CHANGING: Final = (
    (re.compile(r"(?s).*Traceback.*\n(?=.)"), "failed: "),
    (re.compile(r"one-\w+_\w+|mon_\w+"), "CLIENT"),
    (re.compile(r"\b1[789]\d{8}(\.\d+)?\b"), "TIME"),
    (re.compile(r"(?m)^(\d+ min )?\d+(\.\d+)? m?sec +"), "AGE "),  # padded to a column
    (re.compile(r"/tmp/moat-server-\w+"), "DIRECTORY"),
    (re.compile(r"port: \d+|token: \w+"), "PLACE"),
    (re.compile(r"(?s)(Root dataset:.*?---\n)(Server .*?---\n)"), r"\2\1"),  # asked for at once
    (re.compile(r"(?m)^- (hist|passing)\n"), ""),  # the commands that only ours has
)


@pytest.fixture
def both() -> Iterator[tuple[MoatServer, MoatServer]]:
    """The real server and ours, of the same name, each with a broker of its own."""
    with Mosquitto() as one, Mosquitto() as two, MoatServer(one) as real, OurServer(two) as ours:
        yield real, ours


@pytest.mark.timeout(900)
async def test_same_output(both: tuple[MoatServer, MoatServer]) -> None:
    """What is printed is the same, and so is what is an error."""
    differing = []
    for words, feed in WALK:
        real, ours = await asyncio.gather(*(_said(each, words, feed) for each in both))
        if real != ours:
            differing.append((" ".join(words), real, ours))
    assert differing == []


async def _said(server: MoatServer, words: Words, feed: str) -> str:
    try:
        text = await server.link(*words, feed=feed)
    except MoatError as err:
        text = f"failed: {err}"
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return text
