"""MoaT-Link: every described device of an installation, live, with working controls."""

from typing import Final

from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import ConfigEntryAuthFailed, ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.typing import ConfigType

from .connection import async_link_config
from .const import DOMAIN, PLATFORMS
from .hub import Hub, MoatConfigEntry
from .link.errors import (
    AuthenticationError,
    CannotConnectError,
    LinkError,
    NotAuthorizedError,
    NotMqtt5Error,
    TlsError,
)
from .services import async_register_actions

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)

FAILURES: Final[tuple[tuple[type[LinkError], str], ...]] = (
    (AuthenticationError, "setup_invalid_auth"),
    (NotAuthorizedError, "setup_not_authorized"),
    (TlsError, "setup_tls"),
    (NotMqtt5Error, "setup_not_mqtt5"),
    (CannotConnectError, "setup_cannot_connect"),
    (LinkError, "setup_not_ready"),
)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Offer the actions, whether an entry is loaded or not."""
    async_register_actions(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: MoatConfigEntry) -> bool:
    """Connect to an installation and show what is there."""
    try:
        config = await async_link_config(hass, entry.data, entry.options)
    except LinkError as err:
        raise _not_ready(entry, err) from err
    hub = entry.runtime_data = Hub(hass, entry, config)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    try:
        await hub.start()
    except BaseException as err:
        # whatever it was, nothing of ours may go on running without an entry
        await hub.stop()
        await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
        if isinstance(err, LinkError):
            raise _not_ready(entry, err) from err
        raise

    async def leave(_event: Event) -> None:
        await hub.stop()

    entry.async_on_unload(hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, leave))
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    return True


async def async_unload_entry(hass: HomeAssistant, entry: MoatConfigEntry) -> bool:
    """Take leave of an installation."""
    unloaded = await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
    if unloaded:
        await entry.runtime_data.stop()
        entry.runtime_data.issues.clear()
    return unloaded


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: MoatConfigEntry, device_entry: dr.AnyDeviceEntry
) -> bool:
    """Let the user delete a device, or a part of one, that nobody describes any more."""
    return entry.runtime_data.devices.async_delete(device_entry)


async def _async_updated(hass: HomeAssistant, entry: MoatConfigEntry) -> None:
    """Take over picked values at once; start over with whatever else the user has changed."""
    if entry.runtime_data.has_settings_of(entry):
        entry.runtime_data.sync_picked_values()
    else:
        hass.config_entries.async_schedule_reload(entry.entry_id)


def _not_ready(
    entry: MoatConfigEntry, err: LinkError
) -> ConfigEntryAuthFailed | ConfigEntryNotReady:
    """Return what to raise when an installation cannot be reached."""
    kind = ConfigEntryAuthFailed if isinstance(err, AuthenticationError) else ConfigEntryNotReady
    return kind(
        translation_domain=DOMAIN,
        translation_key=next(key for error, key in FAILURES if isinstance(err, error)),
        translation_placeholders={"name": entry.title, "reason": str(err)},
    )
