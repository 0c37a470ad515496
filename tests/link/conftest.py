"""A broker and another client of it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.installation import Peer, other
from tests.support.mosquitto import Mosquitto


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """Run a broker."""
    with Mosquitto() as broker:
        yield broker


@pytest.fixture
async def peer(broker: Mosquitto) -> AsyncIterator[Peer]:
    """Join the broker as somebody else."""
    async with other(broker) as peer:
        yield peer
