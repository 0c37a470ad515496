"""A program that uses MoaT's own client; run by its Python, not by ours.

    pump.py CONFIGURATION HOST

It owns a pump at `garden.pump`, announces how to call it, and prints each call as one line of JSON.
"""

import json
import sys

import anyio
from moat.lib.config import CFG, CfgStore
from moat.lib.path import P
from moat.lib.rpc import MsgHandler
from moat.link.announce import announcing
from moat.link.client import Link


class Pump(MsgHandler):
    """The commands that others may call."""

    def __init__(self, link: object) -> None:
        """Write through this link."""
        self.link = link

    async def cmd_set(self, name: str, value: object, **keywords: object) -> None:
        """Switch, and say so; refuse anything but booleans, and to run dry."""
        print(json.dumps(["set", name, value, keywords]), flush=True)
        if name == "dry" and value is True:
            raise ValueError("the tank is empty")
        await self.link.d_set(P("garden") / name, value)

    async def cmd_sum(self, *numbers: float, **keywords: object) -> dict[str, object]:
        """Add numbers."""
        return {"sum": sum(numbers), "also": keywords}


async def main(configuration: str, host: str) -> None:
    """Serve until killed, or asked to stop."""
    CFG.set_real_cfg(CfgStore("moat"))
    CFG.add(configuration)
    CFG.with_("moat.link")
    async with Link(CFG.result.moat.link) as link:
        async with announcing(link, P("pump"), host=host, service=Pump(link)) as ready:
            ready.set()
            print(json.dumps(["up", link.id]), flush=True)
            await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
