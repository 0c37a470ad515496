"""For people at a terminal: `moat-bridge link get|set|delete|list|walk|monitor|history|errors|call`."""

import argparse
import asyncio
import os
import sys

from ..access import UsageError
from ..config import ConfigError
from ..link.errors import LinkError
from .connect import connected, settings
from .options import add_arguments
from .show import Screen
from .trouble import explained

__all__ = ["add_arguments", "execute"]

DONE, FAILED, USAGE = 0, 1, 2


def execute(options: argparse.Namespace) -> int:
    """Do it; return the exit code: 0 done, 1 failed, 2 wrong usage, with the reason told."""
    screen = Screen(json=options.json, colour=options.colour, environ=os.environ)
    try:
        config = settings(options, os.environ)
    except (UsageError, ConfigError, OSError) as err:
        screen.complain(str(err))
        return USAGE

    async def act() -> None:
        async with connected(config, options, screen) as link:
            try:
                await options.action(link, screen, options)
            except LinkError as err:
                raise await explained(err, link, options) from err

    try:
        asyncio.run(act())
        sys.stdout.flush()
    except KeyboardInterrupt:
        return DONE if options.endless else FAILED
    except UsageError as err:
        screen.complain(str(err))
        return USAGE
    except LinkError as err:
        screen.complain(str(err))
        return FAILED
    except BrokenPipeError:
        # whoever reads has seen enough; what is left in the buffer must not complain at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as err:
        screen.complain(str(err))
        return FAILED
    return DONE
