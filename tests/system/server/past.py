"""A program that reads the history with MoaT's own client; run by its Python, not by ours.

    past.py CONFIGURATION PATH

It prints each value, and each sample of an hour, as one line of JSON.
"""

import json
import sys

import anyio
from moat.lib.config import CFG, CfgStore
from moat.lib.path import P
from moat.link.client import Link


async def main(configuration: str, path: str) -> None:
    """Ask twice."""
    CFG.set_real_cfg(CfgStore("moat"))
    CFG.add(configuration)
    CFG.with_("moat.link")
    async with Link(CFG.result.moat.link) as link:
        for arguments in ((), (None, None, None, 3600)):
            async with link.cmd(P("d.hist"), P(path), *arguments).stream_in() as items:
                async for item in items:
                    print(json.dumps([repr(each) for each in item.args]), flush=True)
            print(json.dumps("---"), flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
