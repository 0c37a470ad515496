"""Diagnostics: everything that helps to understand an entry or a device, and no secret."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.const import CONF_PASSWORD, CONF_TOKEN, CONF_USERNAME
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .const import CONF_CA, CONF_CLIENT_CERT, CONF_CLIENT_KEY, CONF_SERVER_CA
from .hub import Hub, MoatConfigEntry
from .link.describe import describe
from .link.description import DescriptionIssue
from .model import Device, Point
from .plain import to_json

SECRETS: Final = frozenset(
    {
        CONF_CA,
        CONF_CLIENT_CERT,
        CONF_CLIENT_KEY,
        CONF_PASSWORD,
        CONF_SERVER_CA,
        CONF_TOKEN,
        CONF_USERNAME,
    }
)
MOST: Final = 100
"""Topics, errors and descriptions that are listed."""


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: MoatConfigEntry
) -> dict[str, Any]:
    """Return how the link is, and what is there."""
    hub = entry.runtime_data
    found = {
        "entry": _entry(entry),
        "link": _link(hub),
        "errors": [problem.as_dict() for problem in hub.problems.worst(MOST)],
        "descriptions": [
            {"id": device_id, "issues": _issues(issues)}
            for device_id, issues in islice(hub.site.issues.items(), MOST)
        ],
        "devices": [_summary(device, hub) for device in hub.site.devices.values()],
    }
    return _without_secrets(entry, found)


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: MoatConfigEntry, device: dr.AnyDeviceEntry
) -> dict[str, Any]:
    """Return what a device says about itself, and its readings."""
    hub = entry.runtime_data
    found: dict[str, Any] = {"link": _link(hub)}
    if (known := hub.devices.device_of(device)) is not None:
        found |= _summary(known, hub)
        found["description"] = to_json(describe(known.description))
        found["issues"] = _issues(hub.site.issues.get(known.id, ()))
        found["points"] = {key: _point(point) for key, point in known.points.items()}
    return _without_secrets(entry, found)


def _entry(entry: MoatConfigEntry) -> dict[str, Any]:
    return {
        "title": entry.title,
        "version": f"{entry.version}.{entry.minor_version}",
        "data": dict(entry.data),
        "options": dict(entry.options),
        "values": [
            {"title": subentry.title, "data": dict(subentry.data)}
            for subentry in entry.subentries.values()
        ],
    }


def _link(hub: Hub) -> dict[str, Any]:
    status, statistics = hub.link.status, hub.link.statistics
    return {
        "id": hub.link.id,
        "connected": status.connected,
        "ready": status.ready,
        "server": status.server,
        "degraded": status.degraded,
        "skew": status.skew,
        "error": _reason(status.error),
        "server_error": _reason(status.server_error),
        "received": statistics.received,
        "sent": statistics.sent,
        "dropped_old": statistics.dropped_old,
        "reconnects": statistics.reconnects,
        "undecodable": statistics.undecodable,
        "undecodable_topics": [
            {"topic": topic, "problem": problem}
            for topic, problem in islice(statistics.broken.items(), MOST)
        ],
    }


def _reason(error: Exception | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"


def _issues(issues: Iterable[DescriptionIssue]) -> list[dict[str, str]]:
    return [{"key": issue.key, "problem": issue.problem} for issue in issues]


def _summary(device: Device, hub: Hub) -> dict[str, Any]:
    points = device.points.values()
    return {
        "id": device.id,
        "name": device.description.name,
        "alive": device.alive,
        "available": device.available,
        "in_doubt": hub.feed.doubts(device.id),
        "points_available": sum(point.available for point in points),
        "points_count": len(points),
        "mistakes": sum(point.mistakes for point in points),
        "last_time": max((point.reading.time for point in points if point.reading), default=None),
    }


def _point(point: Point) -> dict[str, Any]:
    reading = point.reading
    return {
        "available": point.available,
        "mistakes": point.mistakes,
        "value": to_json(point.value),
        "time": None if reading is None else reading.time,
    }


def _without_secrets(entry: MoatConfigEntry, found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is secret by its name, and the same words wherever else they turn up."""
    known = (entry.data.get(key) for key in SECRETS)
    secrets = sorted((re.escape(each) for each in known if each), key=len, reverse=True)
    cleaned: dict[str, Any] = async_redact_data(found, SECRETS)
    if not secrets:
        return cleaned
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(secrets)})(?!\w)")
    return {key: _scrub(value, pattern) for key, value in cleaned.items()}


def _scrub(value: Any, secret: re.Pattern[str]) -> Any:
    match value:
        case str():
            return secret.sub(REDACTED, value)
        case Mapping():
            return {key: _scrub(item, secret) for key, item in value.items()}
        case list() | tuple():
            return [_scrub(item, secret) for item in value]
    return value
