"""Real servers come and go: values stay, commands go on, and another server is found."""

import asyncio
from contextlib import closing

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.integration.wire import Peer, point
from tests.support.moat import MoatServer
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.proxy import Proxy
from tests.support.wait import until

from .user import integration, shows

CELLAR = "sensor.cellar_temperature"
SERVER = "sensor.home_server"


async def describe_cellar(hass: HomeAssistant, peer: Peer) -> list[str]:
    """Have a value; return the list of what its state is from now on."""
    await peer.put("cellar", 18.5)
    await peer.describe("cellar", point("temperature", "temperature", "cellar", unit="°C"))
    await until(shows(hass, CELLAR, "18.5"))
    return follow(hass)


def follow(hass: HomeAssistant) -> list[str]:
    """Return the list of what the state of the cellar is from now on."""
    states: list[str] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        states.append("" if new is None else new.state)

    async_track_state_change_event(hass, [CELLAR], note)
    return states


def connected(entry: MockConfigEntry) -> str | None:
    """Return the name of the server the link is connected to."""
    name: str | None = entry.runtime_data.link.status.server
    return name


async def test_server_restarts(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """Without the server values go on; when it is back, so are we, and it knows everything."""
    with kind(alone) as server:
        async with integration(hass, alone) as entry:
            await until(shows(hass, SERVER, "one"))
            states = await describe_cellar(hass, other)
            await asyncio.to_thread(server.stop)
            await until(lambda: connected(entry) is None)
            await other.put("cellar", 19.0)
            await until(shows(hass, CELLAR, "19.0"), 1)
            await asyncio.to_thread(server.start)
            await until(shows(hass, SERVER, "one"), 5)
            await server.link("data", "cellar", "set", "-f", "-s", ":", "=19.5")
            await until(shows(hass, CELLAR, "19.5"), 1)
            assert states == ["19.0", "19.5"]
            ours = f"{entry.runtime_data.link.config.host}.homeassistant"
            assert (await server.ask("cmd", "-C", ours, "entities"))[CELLAR] == "19.5"


async def test_frozen_server(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """A server that hangs keeps no value from coming, and is used again when it goes on."""
    with kind(alone) as server:
        async with integration(hass, alone) as entry:
            await until(lambda: connected(entry) == "one")
            states = await describe_cellar(hass, other)
            server.pause()
            await other.put("cellar", 19.0)
            await until(shows(hass, CELLAR, "19.0"), 1)
            server.resume()
            await until(lambda: connected(entry) == "one", 15)
            await server.link("data", "cellar", "set", "-f", "-s", ":", "=19.5")
            await until(shows(hass, CELLAR, "19.5"), 1)
            assert states == ["19.0", "19.5"]


async def test_another_server_takes_over(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """A server is killed: within seconds we use the other one, which is announced already."""
    with kind(alone) as one:
        second = kind(alone, name="two")
        try:
            async with integration(hass, alone) as entry:
                await until(lambda: connected(entry) == "one")
                states = await describe_cellar(hass, other)
                await asyncio.to_thread(second.start)
                assert connected(entry) == "one"
                one.kill()
                await until(lambda: connected(entry) == "two", 5)
                await second.link("data", "cellar", "set", "-f", "-s", ":", "=19.5")
                await until(shows(hass, CELLAR, "19.5"), 1)
                assert states == ["19.5"]
                ours = f"{entry.runtime_data.link.config.host}.homeassistant"
                await second.link("cmd", "-C", ours, "i.ping")
        finally:
            second.close()


async def test_server_appears_later(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """Everything works without a server; the first one is used as soon as it is there."""
    await other.put("cellar", 18.0)
    await other.describe("cellar", point("temperature", "temperature", "cellar", unit="°C"))
    async with integration(hass, alone) as entry:
        assert shows(hass, CELLAR, "18.0")()
        states = follow(hass)
        assert entry.runtime_data.link.status.degraded
        server = kind(alone)
        try:
            await asyncio.to_thread(server.start, first=True)
            await until(lambda: connected(entry) == "one", 5)
            await server.link("data", "cellar", "set", "-f", "-s", ":", "=19.5")
            await until(shows(hass, CELLAR, "19.5"), 1)
            assert states == ["19.5"]
        finally:
            server.close()


async def test_stale_announcement(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """The elected server's announcement names one that is dead: the living one is found."""
    with kind(alone) as server:
        ghost = {"node": "ghost", "link": [{"host": "127.0.0.1", "port": free_port()}]}
        await other.put("run.service.main.conn", ghost, origin="ghost")
        async with integration(hass, alone) as entry:
            await until(lambda: connected(entry) == "one", 2)
            await describe_cellar(hass, other)
            await server.link("data", "cellar", "set", "-f", "-s", ":", "=19.5")
            await until(shows(hass, CELLAR, "19.5"), 1)


async def test_fixed_socket(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """The server's Unix socket is used first, whatever is announced, and without a token."""
    with kind(alone) as server, closing(kind(alone, name="two")) as second:
        await asyncio.to_thread(second.start)
        async with integration(hass, alone, server_path=str(second.socket)) as entry:
            await until(lambda: connected(entry) == "two", 2)
            await describe_cellar(hass, other)
            await server.link("data", "cellar", "set", "-f", "-s", ":", "=19.5")
            await until(shows(hass, CELLAR, "19.5"), 1)
            second.kill()
            await until(lambda: connected(entry) == "one", 5)


async def test_silent_server(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """What accepts connections and says nothing does not keep us: values at once, server later."""
    silent = await asyncio.start_server(_ignore, "127.0.0.1", 0)
    async with silent:
        with kind(alone):
            where = {"host": "127.0.0.1", "port": silent.sockets[0].getsockname()[1]}
            await other.put("cellar", 18.0)
            await other.describe("cellar", point("temperature", "temperature", "cellar"))
            ghost = {"node": "ghost", "link": [where]}
            await other.put("run.service.main.conn", ghost, origin="ghost")
            async with integration(hass, alone) as entry:
                assert shows(hass, CELLAR, "18.0")()
                await until(lambda: connected(entry) == "one", 15)
                assert shows(hass, CELLAR, "18.0")()


async def test_deleted_while_away(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """We are cut off; meanwhile one value is deleted and another changed; the server tells us."""
    with kind(alone) as server:
        async with Proxy(alone.port) as line, integration(hass, alone, port=line.port) as entry:
            await until(lambda: connected(entry) == "one")
            await other.put("attic", 25.0)
            await other.describe("attic", point("temperature", "temperature", "attic", unit="°C"))
            states = await describe_cellar(hass, other)
            await until(shows(hass, "sensor.attic_temperature", "25.0"))
            await line.close()
            await until(lambda: states[-1:] == [STATE_UNAVAILABLE], 2)
            await server.link("data", "attic", "delete")
            await server.link("data", "cellar", "set", "-f", "-s", ":", "=19.5")
            await line.open()
            await until(lambda: connected(entry) == "one", 10)
            await until(shows(hass, CELLAR, "19.5"), 2)
            await until(shows(hass, "sensor.attic_temperature", STATE_UNAVAILABLE), 5)
            assert states == [STATE_UNAVAILABLE, "19.5"]


async def test_broker_forgets_everything(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer], other: Peer
) -> None:
    """The broker is restarted empty, and with it the server: it still knows what there was."""
    with kind(alone) as server:
        async with integration(hass, alone) as entry:
            await until(lambda: connected(entry) == "one")
            states = await describe_cellar(hass, other)
            await asyncio.to_thread(server.stop)
            alone.kill()
            alone.start()
            await asyncio.to_thread(server.start)
            await until(lambda: connected(entry) == "one", 10)
            await until(shows(hass, CELLAR, "18.5"), 2)
            assert states == [STATE_UNAVAILABLE, "18.5"]


async def _ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side gives up."""
    await reader.read()
    writer.close()
