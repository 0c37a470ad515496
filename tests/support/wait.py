"""Waiting for a condition instead of for a time."""

import asyncio
from collections.abc import Callable

INTERVAL = 0.01
PATIENCE = 20.0
"""Seconds for what takes much less: nobody waits that long unless something is wrong."""


async def until(predicate: Callable[[], object], timeout: float = PATIENCE, what: str = "") -> None:
    """Return as soon as the predicate holds; fail with `what` after `timeout` seconds."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not predicate():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or predicate}")
        await asyncio.sleep(INTERVAL)
