"""Everything that runs: a broker, the bridge with its simulated home, a neighbour, Home Assistant."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from firmware_bridge.link.client import Link
from tests.support.lab import Lab
from tests.support.mosquitto import Mosquitto, free_port

from .neighbour import neighbour
from .place import Site
from .plug import GATE, introduce, plug

DOMAIN = "moat_link"
ROOT = "moat.demo"
INTEGRATION = Path("custom_components/moat_link")
BRIDGE_PYTHON = Path(".venv-link/bin/python")
PICKED = "garage.freezer"
GATE_DEVICE = f"gate-{GATE}"
PATIENCE = 60.0
ROUND = 0.1  # s between two looks

HASS = """\
system_health:
recorder:
  commit_interval: 1
"""
BRIDGE = """\
[broker]
host = "127.0.0.1"
port = {port}

[link]
root = "{root}"

[bridge]
discovery = false

[server]
listen = ["127.0.0.1:{server_port}"]
save = "server"
history = {{ ems = 2 }}

[gates]
language = "{language}"

[driver.home]
type = "simulator"
speed = {speed}
latitude = {latitude}
longitude = {longitude}
language = "{language}"
"""


class MissingError(Exception):
    """Something that should be there is not."""


async def eventually[T](
    look: Callable[[], Awaitable[T | None]], what: str, timeout: float = PATIENCE
) -> T:
    """Look again and again until there is something; MissingError says `what` there is not."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        if found := await look():
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise MissingError(f"not within {timeout:g} s: {what}")
        await asyncio.sleep(ROUND)


@dataclass(eq=False)
class World:
    """A whole installation in a directory: `async with World(directory) as world`."""

    directory: Path
    site: Site = field(default_factory=Site)
    speed: float = 1.0
    language: str = "en"
    port: int | None = None
    hours: float = 1.0
    """What the dashboard's graphs show."""
    say: Callable[[str], None] = print
    forms: dict[str, Any] = field(default_factory=dict)
    """What the flows asked on the way, by step."""

    def __post_init__(self) -> None:
        """Describe what will run."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(own_group=True)
        self.lab = Lab(
            self.directory / "homeassistant",
            port=self.port,
            components=[INTEGRATION],
            language=self.language,
            configuration=HASS,
        )
        (self.directory / "bridge.log").write_bytes(b"")
        self.bridge: asyncio.subprocess.Process | None = None
        self.entry_id = ""
        self._neighbour: Link
        self._stack = contextlib.AsyncExitStack()
        self._entities: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        """Start everything, and have it set up."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.broker.close)
            await asyncio.to_thread(self.broker.start)
            stack.push_async_callback(self._stop_bridge)
            await self._start_bridge()
            self._neighbour = await stack.enter_async_context(
                neighbour(self.broker.port, ROOT, PICKED)
            )
            introduce(self._neighbour, self.language)
            await stack.enter_async_context(plug(self.broker.port))
            self.say("Starting Home Assistant …")
            await stack.enter_async_context(self.lab)
            await self._set_up()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything, the last first."""
        await self._stack.aclose()

    async def speak(self, language: str) -> None:
        """Have everything, running, in another language: the home, and Home Assistant."""
        self.language = language
        await self._stop_bridge()
        await self._start_bridge()
        introduce(self._neighbour, language)
        await self.lab.ws({"type": "config/core/update", "language": language})
        await self.lab.api("POST", f"/api/config/config_entries/entry/{self.entry_id}/reload")
        await self.learn()
        await self.reaches(self.entity("board", "online"), "on")

    @property
    def bridge_log(self) -> str:
        """What the bridge has logged."""
        return (self.directory / "bridge.log").read_text()

    def keep_logs(self, folder: Path) -> None:
        """Put the logs where they outlive us."""
        folder.mkdir(exist_ok=True)
        (folder / "home-assistant.log").write_text(self.lab.log)
        (folder / "bridge.log").write_text(self.bridge_log)
        (folder / "broker.log").write_text(self.broker.log)

    def entity(self, device: str, key: str) -> str:
        """Return the entity of a described point."""
        suffix = f"_{device}:{key}"
        for unique_id, entry in self._entities.items():
            if unique_id.endswith(suffix):
                return str(entry["entity_id"])
        raise MissingError(f"no entity for {device}.{key}")

    @property
    def server(self) -> str:
        """The entity that names the server."""
        return str(self._entities[f"{self.entry_id}_server"]["entity_id"])

    @property
    def picked(self) -> str:
        """The entity of the value that was picked from a path."""
        for entry in self._entities.values():
            if entry["config_subentry_id"] is not None:
                return str(entry["entity_id"])
        raise MissingError("no entity for the picked value")

    async def learn(self) -> dict[str, dict[str, Any]]:
        """Read our entities from the registry, by unique id."""
        (entries,) = await self.lab.ws({"type": "config/entity_registry/list"})
        self._entities = {
            entry["unique_id"]: entry
            for entry in entries
            if entry["config_entry_id"] == self.entry_id
        }
        return self._entities

    async def devices(self) -> dict[str, dict[str, Any]]:
        """Return our devices as the registry has them, by what is behind the entry's id.

        The installation's own device has nothing there.
        """
        (entries,) = await self.lab.ws({"type": "config/device_registry/list"})
        return {
            name.removeprefix(self.entry_id).removeprefix("_"): entry
            for entry in entries
            for domain, name in entry["identifiers"]
            if domain == DOMAIN and name.startswith(self.entry_id)
        }

    async def state(self, entity_id: str) -> dict[str, Any]:
        """Return one state."""
        found: dict[str, Any] = await self.lab.api("GET", f"/api/states/{entity_id}")
        return found

    async def reaches(self, entity_id: str, *wanted: str, timeout: float = PATIENCE) -> None:
        """Return when the entity has one of the states."""

        async def look() -> bool:
            return (await self.state(entity_id))["state"] in wanted

        await eventually(look, f"{entity_id} is {' or '.join(wanted)}", timeout)

    async def _start_bridge(self) -> None:
        """Run the bridge as its users do, from a configuration file."""
        config = self.directory / "bridge.toml"
        config.write_text(
            BRIDGE.format(
                port=self.broker.port,
                server_port=free_port(),
                root=ROOT,
                speed=float(self.speed),
                latitude=float(self.site.latitude),
                longitude=float(self.site.longitude),
                language=self.language,
            )
        )
        with (self.directory / "bridge.log").open("ab") as log:
            self.bridge = await asyncio.create_subprocess_exec(
                *(str(BRIDGE_PYTHON.absolute()), "-m", "firmware_bridge", "run", str(config)),
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    async def _stop_bridge(self) -> None:
        if self.bridge is not None:
            await _end(self.bridge)

    async def _set_up(self) -> None:
        """Configure the integration like a user, unless that has been done here before."""
        await eventually(self._bridge_is_ready, "the bridge is ready")
        where = f"/api/config/config_entries/entry?domain={DOMAIN}"
        entries = await self.lab.api("GET", where)
        if entries:
            await self._move(entries[0]["entry_id"])
        else:
            self.entry_id = await self._add_entry()
            await self._pick_value()
        await eventually(self._has_everything, "the entities of all devices")

    async def _bridge_is_ready(self) -> bool:
        if self.bridge is not None and self.bridge.returncode is not None:
            raise MissingError(f"the bridge ended:\n{self.bridge_log}")
        return "Ready: " in self.bridge_log

    async def _add_entry(self) -> str:
        """Walk through the config flow: user, broker, the root that was found."""
        flow = "/api/config/config_entries/flow"
        form = await self.lab.api("POST", flow, {"handler": DOMAIN})
        self.forms["broker"] = form
        where = f"{flow}/{form['flow_id']}"
        broker = {"host": self.broker.host, "port": self.broker.port, "tls": "off"}
        form = self.forms["root"] = await self.lab.api("POST", where, broker)
        if form.get("step_id") != "root":
            raise MissingError(f"the broker was not accepted: {form}")
        result = await self.lab.api("POST", where, {"root": ROOT})
        if result.get("type") != "create_entry":
            raise MissingError(f"the root was not accepted: {result}")
        return str(result["result"]["entry_id"])

    async def _move(self, entry_id: str) -> None:
        """Tell an entry from an earlier time where the broker is now."""
        self.entry_id = entry_id
        flow = "/api/config/config_entries/flow"
        start = {"handler": DOMAIN, "entry_id": entry_id}
        form = await self.lab.api("POST", flow, start)
        broker = {"host": self.broker.host, "port": self.broker.port, "tls": "off"}
        result = await self.lab.api("POST", f"{flow}/{form['flow_id']}", broker)
        if result.get("reason") != "reconfigure_successful":
            raise MissingError(f"the broker's new address was not accepted: {result}")

    async def _pick_value(self) -> None:
        """Turn the neighbour's value into an entity, by the subentry's flow."""
        flow = "/api/config/config_entries/subentries/flow"
        form = await self.lab.api("POST", flow, {"handler": [self.entry_id, "value"]})
        name = "Gefrierschrank" if self.language == "de" else "Freezer"
        steps: list[dict[str, Any]] = [
            {"child": PICKED},
            {"item": "temperature"},
            {"name": name, "platform": "sensor"},
            {"quantity": "temperature", "unit": "°C", "precision": 1, "max_age": 60},
        ]
        for step in steps:
            self.forms[f"value {form['step_id']}"] = form
            form = await self.lab.api("POST", f"{flow}/{form['flow_id']}", step)
        if form.get("type") != "create_entry":
            raise MissingError(f"the value was not accepted: {form}")

    async def _has_everything(self) -> bool:
        """Tell whether the installation's devices and the picked value are there."""
        await self.learn()
        with contextlib.suppress(MissingError):
            known = [("weather", "temperature"), ("plug", "relay"), (GATE_DEVICE, "state")]
            return bool(self.picked and [self.entity(*each) for each in known])
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process in good order, by force if that takes too long."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    if process.returncode:
        sys.stderr.write(f"the bridge ended with {process.returncode}\n")
