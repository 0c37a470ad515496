"""System health: one line for each question that comes first when something does not work."""

from collections.abc import Callable
from typing import Any, Final

from homeassistant.components.system_health import SystemHealthRegistration
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .hub import Hub, MoatConfigEntry

type Figure = str | int

BROKER: Final = "broker"
UNKNOWN: Final = "unknown"


@callback
def async_register(hass: HomeAssistant, register: SystemHealthRegistration) -> None:
    """Offer the information."""
    register.async_register_info(async_info)


async def async_info(hass: HomeAssistant) -> dict[str, Any]:
    """Return the figures of every installation; of several, each with its name."""
    entries: list[MoatConfigEntry] = hass.config_entries.async_entries(
        DOMAIN, include_ignore=False, include_disabled=False
    )
    if len(entries) == 1:
        return _figures(entries[0])
    tables = {entry.title: _figures(entry) for entry in entries}
    return {
        key: "; ".join(f"{title}: {figures[key]}" for title, figures in tables.items())
        for key in FIGURES
        if tables
    }


def _figures(entry: MoatConfigEntry) -> dict[str, Figure]:
    if entry.state is not ConfigEntryState.LOADED:
        reason = entry.reason or entry.state.value
        return {key: reason if key == BROKER else UNKNOWN for key in FIGURES}
    return {key: figure(entry.runtime_data) for key, figure in FIGURES.items()}


def _broker(hub: Hub) -> str:
    status = hub.link.status
    return "ok" if status.connected else f"not connected: {status.error}"


def _server(hub: Hub) -> str:
    status = hub.link.status
    return status.server or f"none: {status.server_error or 'not used'}"


def _devices(hub: Hub) -> str:
    devices = hub.site.devices.values()
    return f"{sum(device.available for device in devices)} of {len(devices)} available"


def _errors(hub: Hub) -> Figure:
    return len(hub.problems.open)


def _skew(hub: Hub) -> str:
    skew = hub.link.status.skew
    return UNKNOWN if skew is None else f"{skew:+z.3f} s"


FIGURES: Final[dict[str, Callable[[Hub], Figure]]] = {
    BROKER: _broker,
    "server": _server,
    "devices": _devices,
    "errors": _errors,
    "skew": _skew,
}
