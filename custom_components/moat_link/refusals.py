"""What actions say to the user when they cannot be done."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError

from .const import DOMAIN
from .entity import command_failed
from .hub import MoatConfigEntry
from .link.errors import (
    CommandError,
    CommandFailure,
    ConnectionLostError,
    LinkError,
    NoHistoryError,
    NotFoundError,
    OutOfDateError,
    ServerNeededError,
)
from .link.path import Path

READ_WITHIN: Final = 15.0  # seconds


@contextmanager
def remembering(entry: MoatConfigEntry, path: Path) -> Iterator[None]:
    """Say for the user why there is no history."""
    try:
        yield
    except NoHistoryError as err:
        about = {"path": str(path)}
        if err.server is None:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key=entry.runtime_data.issues.refusal or "history_no_server",
                translation_placeholders=about,
            ) from err
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="history_not_kept",
            translation_placeholders={**about, "server": err.server, "reason": str(err)},
        ) from err


@asynccontextmanager
async def reading(path: Path, within: float | None = None) -> AsyncIterator[None]:
    """Say for the user why something cannot be read."""
    about = {"path": str(path)}
    try:
        async with asyncio.timeout(READ_WITHIN if within is None else within):
            yield
    except NotFoundError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="nothing_there",
            translation_placeholders=about,
        ) from err
    except ConnectionLostError as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="read_offline",
            translation_placeholders=about,
        ) from err
    except (LinkError, TimeoutError) as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="read_failed",
            translation_placeholders={**about, "reason": str(err) or "no answer"},
        ) from err


@contextmanager
def sending(entry: MoatConfigEntry, path: Path) -> Iterator[None]:
    """Say for the user why something was not done."""
    try:
        yield
    except CommandError as err:
        about = {"name": entry.title, "path": str(path)}
        if err.reason is CommandFailure.NOT_ALLOWED:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="not_allowed",
                translation_placeholders=about,
            ) from err
        if isinstance(err.__cause__, OutOfDateError):
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="out_of_date",
                translation_placeholders=about,
            ) from err
        refusal = entry.runtime_data.issues.refusal
        if isinstance(err.__cause__, ServerNeededError) and refusal is not None:
            raise HomeAssistantError(
                translation_domain=DOMAIN, translation_key=refusal, translation_placeholders=about
            ) from err
        raise command_failed(err, str(path)) from err
