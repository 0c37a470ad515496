"""A broker, somebody on MoaT-Link, and somebody with plain MQTT."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.gates import Insider, Outsider, insider, outsider
from tests.support.mosquitto import Mosquitto


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """Run a broker."""
    with Mosquitto() as running:
        yield running


@pytest.fixture
async def inside(broker: Mosquitto) -> AsyncIterator[Insider]:
    """Join the installation."""
    async with insider(broker) as joined:
        yield joined


@pytest.fixture
async def outside(broker: Mosquitto) -> AsyncIterator[Outsider]:
    """Join the broker without MoaT-Link."""
    async with outsider(broker) as joined:
        yield joined
