"""Work that runs beside something else: neither goes on without the other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def alongside(
    work: Coroutine[None, None, object], end: Callable[[], object] | None = None
) -> AsyncIterator[None]:
    """Have something work for as long as the context lasts; `end` ends it, else it is cancelled.

    If it fails the context is cancelled, and its error raised.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(work)
            try:
                yield
            finally:
                (end or task.cancel)()
                await asyncio.wait([task])
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
