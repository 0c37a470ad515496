"""A real Home Assistant in this process: no user interface, no recorder, nothing installed."""

import logging
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import bootstrap, loader
from homeassistant.config_entries import ConfigEntries, ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.setup import async_setup_component

CHECKOUT = Path(__file__).parents[2]
COMPONENTS = ("homeassistant", "persistent_notification")
WHERE = {
    "latitude": 49.45,
    "longitude": 11.08,
    "elevation": 300,
    "time_zone": "Europe/Berlin",
    "country": "DE",
}


async def boot(directory: Path, http_port: int) -> HomeAssistant:
    """Start Home Assistant with an empty configuration and this checkout's integration."""
    logging.getLogger().setLevel(logging.ERROR)
    directory.mkdir(parents=True)
    (directory / "custom_components").symlink_to(CHECKOUT / "custom_components")
    (directory / "configuration.yaml").touch()
    hass = HomeAssistant(str(directory))
    hass.config.skip_pip = True
    hass.config_entries = ConfigEntries(hass, {})
    loader.async_setup(hass)
    if not await bootstrap.async_load_base_functionality(hass):
        raise RuntimeError("Home Assistant does not start")
    await async_process_ha_core_config(hass, WHERE)
    http = {"server_port": http_port, "server_host": ["127.0.0.1"]}
    for component, config in [*((name, {}) for name in COMPONENTS), ("http", http)]:
        if not await async_setup_component(hass, component, {component: config}):
            raise RuntimeError(f"{component} cannot be set up")
    await hass.async_start()
    await hass.async_block_till_done()
    return hass


def config_entry(domain: str, details: Mapping[str, Any]) -> ConfigEntry:
    """Return an entry as if a user had made it."""
    defaults: dict[str, Any] = {
        "domain": domain,
        "title": "bench",
        "source": "user",
        "entry_id": "01JBENCH000000000000000000",
        "unique_id": None,
        "data": {},
        "options": {},
        "version": 1,
        "minor_version": 1,
        "discovery_keys": MappingProxyType({}),
        "subentries_data": None,
    }
    known = signature(ConfigEntry).parameters
    return ConfigEntry(
        **{key: value for key, value in {**defaults, **details}.items() if key in known}
    )
