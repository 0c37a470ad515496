"""A program that uses MoaT's own client; run by its Python, not by ours.

    talk.py CONFIGURATION

Two clients of one server: one offers a service, the other does everything that a client can. Each
result is printed as one line of JSON, without what is different every time.
"""

import json
import sys
from collections.abc import Awaitable

import anyio
from moat.lib.config import CFG, CfgStore
from moat.lib.path import P
from moat.lib.rpc import Msg, MsgHandler
from moat.link.announce import announcing
from moat.link.client import Link
from moat.util.exc import exc_iter

HOME = P("talk")


def say(*what: object) -> None:
    """Print a line."""
    print(json.dumps(what, default=str), flush=True)


async def tried(title: str, work: Awaitable[object]) -> None:
    """Print what came of it: the result, or the kinds of the errors."""
    try:
        result = await work
        say(title, [*result.args, dict(result.kw)] if isinstance(result, Msg) else result)
    except Exception as err:  # noqa: BLE001  (its kind is what is of interest)
        say(title, "failed", sorted({type(one).__name__ for one in exc_iter(err)}))


class Echo(MsgHandler):
    """The commands of the first client."""

    async def cmd_add(self, *numbers: float, **keywords: object) -> dict[str, object]:
        """Add numbers."""
        return {"sum": sum(numbers), "also": keywords}

    async def cmd_fail(self) -> None:
        """Fail."""
        raise ValueError("not today", 5)

    async def stream_count(self, msg: Msg) -> None:
        """Send numbers."""
        async with msg.stream_out("begin") as stream:
            for number in range(msg[0]):
                await stream.send(number)
            await msg.result("end")

    async def stream_sum(self, msg: Msg) -> None:
        """Add what comes until there is no more."""
        total = 0
        async with msg.stream_in() as stream:
            async for item in stream:
                total += item[0]
        say("sum", total)


async def data(link: Link) -> None:
    """Write and read, with conditions."""
    await tried("set", link.d_set(HOME / "a", {"x": 1}))
    await link.i_sync()
    value, meta = await link.d_get(HOME / "a", meta=True)
    say("get", value, meta.origin == link.name)
    await tried("older", link.d_set(HOME / "a", 2, t=meta.timestamp - 1))
    await tried("same", link.d_set(HOME / "a", 2, t=meta.timestamp))
    await tried("must be new", link.d_set(HOME / "a", 3, t=False))
    await tried("must be there", link.d_set(HOME / "b", 3, t=True))
    await tried("is new", link.d_set(HOME / "b", 3, t=False))
    previous, _ = await link.d_set(HOME / "b", 4, with_prev=True)
    say("previous", previous)
    await tried("nothing", link.d_get(HOME / "none"))
    await link.d_set(HOME / "b" / "c", [1, None, "x"])
    await link.i_sync()
    say("list", sorted([name async for name in link.d_list(HOME)]))
    async with link.d_walk(HOME) as walker:
        say("walk", [item async for item in walker])


async def changes(link: Link, other: Link) -> None:
    """Follow a subtree: what there is, a mark, what another one changes."""
    async with link.d_watch(HOME, subtree=True, mark=True) as watch:
        seen = []
        async for item in watch:
            if item is None:
                say("snapshot", sorted(seen, key=str))
                await other.d_set(HOME / "a", 7)
                await other.d_set(HOME / "b" / "c")
                continue
            seen.append(item)
            say("seen", item)
            if len(seen) == 5:
                break


async def errors(link: Link) -> None:
    """Report, acknowledge, settle; and an application that is watched."""
    place = P("error.talk")
    await link.e_info(P("talk"), "dry", level=2)
    record = await link.d_get(place)
    say("info", {key: value for key, value in record.items() if key != "first"})
    await link.e_info(P("talk"), "dry", level=2)
    say("again", (await link.d_get(place)).get("n"))
    await link.e_exc(P("talk.exc"), ValueError("x"))
    record = await link.d_get(P("error.talk.exc"))
    say("exception", sorted(record), type(record.get("exc")).__name__)
    await link.e_ack(P("talk"))
    say("acknowledged", (await link.d_get(place)).get("ack"))
    await link.e_ok(P("talk"))
    await tried("settled", link.d_get(place))
    async with link.e.mon(P("talk.app"), level=1).stream_out() as log:
        await log.send("one")
        await log.send("two")
    await tried("ended well", link.d_get(P("error.talk.app")))


async def calls(link: Link, other: Link, host: str) -> None:
    """Call the other client: by its service, by its name; streams in both directions."""
    service = await link.get_service(P(host) / "echo", wait=True)
    await tried("add", service.add(1, 2.5, unit="l"))
    await tried("fail", service.fail())
    await tried("no command", service.nothing())
    async with service.count(30).stream_in() as stream:
        say("count", list(stream.args), sum([item[0] async for item in stream]))
    async with service.sum().stream_out() as stream:
        for number in range(30):
            await stream.send(number)
    say("sum sent")
    await tried("ping", link.cmd(P("cl") / other.name / "i" / "ping", 1))
    await tried("alive", link.i_checkid(other.id))
    await tried("nobody", link.i_checkid("_nobody"))
    await tried("ping nobody", link.cmd(P("cl._nobody.i.ping")))


async def main(configuration: str) -> None:
    """Do it all once."""
    CFG.set_real_cfg(CfgStore("moat"))
    CFG.add(configuration)
    CFG.with_("moat.link")
    config = CFG.result.moat.link
    async with Link(config) as one, Link(config) as two:
        async with announcing(one, P("echo"), host="talker", service=Echo()) as ready:
            ready.set()
            await data(two)
            await changes(two, one)
            await errors(two)
            await calls(two, one, "talker")
    say("over")


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
