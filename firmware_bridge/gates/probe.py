"""Whether another broker is the installation's own one, under an address that does not tell."""

import asyncio
import contextlib
from typing import Final

from ..link.client import Link
from ..link.codec import encode
from ..link.errors import RefusedError
from ..link.identity import fresh_name
from ..link.path import Path
from ..link.session import BrokerConfig, Publish, Session

_PLACE: Final = Path("run", "probe")
_ROUNDS: Final = 3
_PAUSE: Final = 0.2


async def is_same(link: Link, broker: BrokerConfig) -> bool:
    """Whether what is said at the one broker, below the installation's root, is heard at the other.

    Nothing of it stays. An account that may neither read nor write there is none to fear. LinkError.
    """
    inside, outside = (_PLACE / fresh_name() for _ in range(2))
    heard = asyncio.Event()
    session = await Session.open(
        broker,
        client_id=f"gate_{fresh_name()}",
        on_publish=lambda _: heard.set(),
        on_closed=lambda _: None,
    )
    watch = link.watch(outside, lambda _: heard.set(), snapshot=False)
    try:
        with contextlib.suppress(RefusedError):
            await session.subscribe((link.config.root / inside).topic)
        for _ in range(_ROUNDS):
            await link.set(inside, True, retain=False)
            with contextlib.suppress(RefusedError):
                await session.publish(
                    Publish((link.config.root / outside).topic, encode(True), retain=False)
                )
            await session.barrier()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await heard.wait()
                    return True
        return False
    finally:
        watch.close()
        await session.close()
