"""A real Home Assistant with the integration, kept in .develop/ from one start to the next."""

import argparse
import asyncio
import shutil
import signal
from pathlib import Path

from tests.support.lab import PASSWORD, USERNAME, Lab

DIRECTORY = Path(".develop").absolute()
INTEGRATION = Path("custom_components/moat_link")


async def run(port: int | None) -> int:
    """Start, say where, and stop when asked to; the exit status of Home Assistant."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    async with Lab(DIRECTORY, port=port, components=[INTEGRATION], level="debug") as lab:
        assert lab.process is not None
        print(f"Home Assistant: {lab.url}   login: {USERNAME} / {PASSWORD}")
        print(f"log: {DIRECTORY / 'hass.log'}   Ctrl-C stops it", flush=True)
        ended, asking = asyncio.create_task(lab.process.wait()), asyncio.create_task(asked.wait())
        await asyncio.wait((ended, asking), return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        if ended.done():
            print(*lab.log.splitlines()[-20:], sep="\n")
            return ended.result()
        ended.cancel()
        return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="script/develop", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="start from nothing")
    parser.add_argument("--port", type=int, help="where the frontend listens")
    arguments = parser.parse_args()
    if arguments.fresh:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
    return asyncio.run(run(arguments.port))


if __name__ == "__main__":
    raise SystemExit(main())
