"""The command line of script/demo."""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.support.lab import PASSWORD, USERNAME, LabError

from .checks import check
from .furniture import URL_PATH, furnish
from .place import Site
from .world import ROOT, MissingError, World

CHECKED_SPEED = 10.0
SCREENSHOTS = Path("screenshots")


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="script/demo", description="A whole installation to see.")
    add = parser.add_argument
    add("--check", action="store_true", help="prove that it works, and take pictures")
    add("--speed", type=float, help="times faster than real time (1)")
    add("--language", choices=("en", "de"), default="en", help="of Home Assistant (%(default)s)")
    add("--port", type=int, help="where Home Assistant listens (a free one)")
    add("--keep", type=Path, metavar="DIR", help="keep everything in this folder")
    options = parser.parse_args()
    with _directory(options.keep) as directory:
        try:
            return asyncio.run(
                _until_signalled((_check if options.check else _show)(options, directory))
            )
        except (LabError, MissingError) as err:
            sys.stderr.write(f"script/demo: {err}\n")
            return 1


async def _show(options: argparse.Namespace, directory: Path) -> int:
    """Start, say where to look, and run for as long as Home Assistant does."""
    async with World(
        directory,
        speed=options.speed or 1.0,
        language=options.language,
        port=options.port,
        say=_say,
    ) as world:
        await furnish(world)
        _say(
            f"\n  Home Assistant  {world.lab.url}/{URL_PATH}   login: {USERNAME} / {PASSWORD}"
            f"\n  broker          {world.broker.host}:{world.broker.port}, root {ROOT}"
            f"\n  logs            {directory}"
            "\n\nCtrl-C stops everything."
        )
        assert world.lab.process is not None
        await world.lab.process.wait()
        sys.stderr.write("Home Assistant has ended:\n" + world.lab.log[-2000:])
    return 1


async def _check(options: argparse.Namespace, directory: Path) -> int:
    """Start where the sun shines, and see whether everything works."""
    world = World(
        directory,
        site=Site.sunny(datetime.now(UTC)),
        speed=options.speed or CHECKED_SPEED,
        port=options.port,
        hours=0.05,
        say=_say,
    )
    return await check(world, SCREENSHOTS, _say)


async def _until_signalled(work: Coroutine[None, None, int]) -> int:
    """Run until done or until the first signal; the clean-up is not disturbed by another one."""
    task = asyncio.ensure_future(work)
    signals: list[int] = []

    def stop(number: int) -> None:
        if not signals:
            _say("\nStopping …")
            task.cancel()
        signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    await asyncio.wait((task,))
    return 0 if signals and task.cancelled() else task.result()


@contextlib.contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    """Give the folder to keep, or one that is removed in the end."""
    if keep is not None:
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="moat-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
