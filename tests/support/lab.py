"""A real Home Assistant in a directory of its own, for script/develop, script/demo and tests/system.

It starts with an owner who can log in, a long-lived token, and the given custom components.
Everything it needs is installed beforehand, so that a start downloads nothing.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import secrets
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import aiohttp
import bcrypt
import jwt

from .mosquitto import free_port

USERNAME = "moat"
PASSWORD = "moat"

CONFIGURATION = """\
homeassistant:
  name: {name}
  latitude: 49.45
  longitude: 11.08
  elevation: 310
  unit_system: metric
  currency: EUR
  country: DE
  language: {language}
  time_zone: Europe/Berlin
frontend:
config:
history:
logbook:
energy:
sun:
my:
logger:
  default: warning
  logs:
    custom_components: {level}
    homeassistant.bootstrap: info
    homeassistant.core: info
"""

# What a start without ffmpeg, libturbojpeg and the internet complains about.
HARMLESS = re.compile(
    r"not been tested by Home Assistant"
    r"|Skipping pip installation"
    r"|libturbojpeg|turbojpeg|isal|ffmpeg"
    r"|homeassistant\.components\.(brands|analytics|go2rtc)",
    re.IGNORECASE,
)
LOG_LINE = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) ")
TOKEN_YEARS = 10
START_SECONDS = 180.0
STOP_SECONDS = 60.0


class LabError(Exception):
    """Home Assistant did not start, or refused what was asked of it."""


@dataclass(eq=False)
class Lab:
    """One Home Assistant: `async with Lab(directory) as lab`, or start() and stop().

    `components` are folders to link into custom_components, `configuration` is more YAML for its
    configuration, `level` is how much our own code logs.
    """

    directory: Path
    port: int | None = None
    components: Iterable[Path] = ()
    name: str = "MoaT"
    language: str = "en"
    level: str = "info"
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where the frontend and the API answer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything it has written so far, all starts in this directory."""
        path = self.directory / "hass.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def warnings(self) -> list[str]:
        """Its warnings and errors, without those every machine like this one produces."""
        return [
            line
            for line in self.log.splitlines()
            if LOG_LINE.match(line) and not HARMLESS.search(line)
        ]

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Start it and return when it is running; a directory used before keeps its state."""
        self.port = self.port or free_port()
        await asyncio.to_thread(self._prepare)
        hass = Path(sys.executable).parent / "hass"
        environment = dict(os.environ) | {
            "PATH": f"{hass.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "VIRTUAL_ENV": str(hass.parent.parent),
            **self.environment,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self.directory / "hass.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                str(hass),
                *("--config", str(self.directory), "--log-no-color", "--skip-pip"),
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        try:
            await self._wait_running()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop it in good order, by force if that takes too long."""
        process, self.process = self.process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def api(self, method: str, path: str, data: object = None) -> Any:
        """Ask the REST API; what it answers, decoded from JSON where it is JSON."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.token}"}) as session,
            session.request(method, self.url + path, json=data) as response,
        ):
            body = await response.text()
            if response.status >= 400:
                raise LabError(f"{method} {path}: {response.status} {body}")
            return json.loads(body) if response.content_type == "application/json" else body

    async def ws(self, *commands: Mapping[str, object]) -> list[Any]:
        """Send commands over one websocket, one after the other; their results in order."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/api/websocket", max_msg_size=0) as socket_,
        ):
            await socket_.receive_json()
            await socket_.send_json({"type": "auth", "access_token": self.token})
            if (answer := await socket_.receive_json())["type"] != "auth_ok":
                raise LabError(f"websocket: {answer}")
            return [await _ask(socket_, number, one) for number, one in enumerate(commands, 1)]

    async def flow(self, handler: str, *steps: Mapping[str, object]) -> Any:
        """Walk through a config flow, one mapping of user input a step; the flow's last result."""
        where = "/api/config/config_entries/flow"
        result = await self.api("POST", where, {"handler": handler})
        for step in steps:
            if "flow_id" not in result or result.get("type") == "abort":
                raise LabError(f"the flow of {handler} ended early: {result}")
            result = await self.api("POST", f"{where}/{result['flow_id']}", step)
        return result

    async def states(self) -> dict[str, dict[str, Any]]:
        """Return all states by entity id."""
        return {state["entity_id"]: state for state in await self.api("GET", "/api/states")}

    async def call(self, domain: str, action: str, **data: object) -> Any:
        """Perform an action."""
        return await self.api("POST", f"/api/services/{domain}/{action}", data)

    def _prepare(self) -> None:
        """Write what a first start needs; keep what is there."""
        self.directory.mkdir(parents=True, exist_ok=True)
        text = CONFIGURATION.format(name=self.name, language=self.language, level=self.level)
        (self.directory / "configuration.yaml").write_text(text + self.configuration)
        write_http(self.directory, self.port or 0)
        token = self.directory / "token"
        if not token.exists():
            token.write_text(write_owner(self.directory))
        self.token = token.read_text()
        folder = self.directory / "custom_components"
        folder.mkdir(exist_ok=True)
        for component in self.components:
            target = folder / component.name
            target.unlink(missing_ok=True)
            target.symlink_to(component.resolve())

    async def _wait_running(self) -> None:
        """Return when Home Assistant says that it is running."""
        assert self.process is not None
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if self.process.returncode is not None:
                raise LabError(f"hass ended with {self.process.returncode}:\n{self.log[-3000:]}")
            with contextlib.suppress(aiohttp.ClientError, LabError):
                if (await self.api("GET", "/api/config"))["state"] == "RUNNING":
                    return
            await asyncio.sleep(0.1)
        raise LabError(f"hass is not running after {START_SECONDS} s:\n{self.log[-3000:]}")


async def _ask(
    connection: aiohttp.ClientWebSocketResponse, number: int, command: Mapping[str, object]
) -> Any:
    """One command on an open websocket."""
    await connection.send_json({"id": number, **command})
    while True:
        answer = await connection.receive_json()
        if answer.get("id") == number and answer["type"] == "result":
            break
    if not answer["success"]:
        raise LabError(f"{command['type']}: {answer['error']}")
    return answer["result"]


def write_store(directory: Path, key: str, data: object, version: int = 1, minor: int = 1) -> None:
    """Write one of Home Assistant's storage files; only while it does not run."""
    path = directory / ".storage" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"version": version, "minor_version": minor, "key": key, "data": data})
    )


def write_http(directory: Path, port: int) -> None:
    """Bind the web server to a loopback port (as YAML it would fall back to the default port)."""
    settings = {
        "server_host": ["127.0.0.1"],
        "server_port": port,
        "cors_allowed_origins": [],
        "login_attempts_threshold": -1,
        "ip_ban_enabled": False,
        "ssl_profile": "modern",
        "use_x_frame_options": True,
        "created_at": datetime.now(UTC).isoformat(),
        "error": None,
        "error_message": None,
    }
    data = {"stable": settings, "pending": None, "yaml_migration_done": True}
    write_store(directory, "http", data, 2, 2)


def write_owner(directory: Path) -> str:
    """Write an owner who is done with onboarding; a long-lived token of theirs."""
    done = ["user", "core_config", "analytics", "integration"]
    write_store(directory, "onboarding", {"done": done}, 4)
    write_store(directory, "core.analytics", {"onboarded": True, "preferences": {}, "uuid": None})
    hashed = base64.b64encode(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))).decode()
    users = [{"username": USERNAME, "password": hashed}]
    write_store(directory, "auth_provider.homeassistant", {"users": users})
    user, refresh, key = uuid.uuid4().hex, uuid.uuid4().hex, secrets.token_hex(64)
    write_store(directory, "auth", _auth(user, refresh, key))
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": refresh, "iat": now, "exp": now + TOKEN_YEARS * 365 * 86400}
    return jwt.encode(claims, key, algorithm="HS256")


def _auth(user: str, refresh: str, key: str) -> dict[str, object]:
    """Return the content of the auth store: one owner, one password, one long-lived token."""
    groups = {
        "system-admin": "Administrators",
        "system-users": "Users",
        "system-read-only": "Read Only",
    }
    return {
        "users": [
            {
                "id": user,
                "group_ids": ["system-admin"],
                "is_owner": True,
                "is_active": True,
                "name": USERNAME,
                "system_generated": False,
                "local_only": False,
            }
        ],
        "groups": [{"id": key_, "name": name} for key_, name in groups.items()],
        "credentials": [
            {
                "id": uuid.uuid4().hex,
                "user_id": user,
                "auth_provider_type": "homeassistant",
                "auth_provider_id": None,
                "data": {"username": USERNAME},
            }
        ],
        "refresh_tokens": [
            {
                "id": refresh,
                "user_id": user,
                "client_id": None,
                "client_name": "lab",
                "client_icon": None,
                "token_type": "long_lived_access_token",
                "created_at": datetime.now(UTC).isoformat(),
                "access_token_expiration": TOKEN_YEARS * 365 * 86400.0,
                "token": secrets.token_hex(64),
                "jwt_key": key,
                "last_used_at": None,
                "last_used_ip": None,
                "expire_at": None,
                "credential_id": None,
                "version": None,
            }
        ],
    }
