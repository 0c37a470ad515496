"""The broker that Home Assistant's own MQTT integration uses, as a default for ours."""

from typing import Any, Final

from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_USERNAME
from homeassistant.core import HomeAssistant, callback

from .connection import Tls
from .const import (
    CONF_CA,
    CONF_CLIENT_CERT,
    CONF_CLIENT_KEY,
    CONF_TLS,
    DEFAULT_PORT,
)

# Names of the MQTT integration's entry data.
_DOMAIN: Final = "mqtt"
_BROKER: Final = "broker"
_CERTIFICATE: Final = "certificate"
_AUTO: Final = "auto"
_CLIENT_CERT: Final = "client_cert"
_CLIENT_KEY: Final = "client_key"
_TLS_INSECURE: Final = "tls_insecure"
_TRANSPORT: Final = "transport"


@callback
def async_core_broker(hass: HomeAssistant) -> dict[str, Any] | None:
    """Return broker, credentials and certificates of the MQTT entry in our words, if we can use it."""
    for entry in hass.config_entries.async_entries(_DOMAIN, include_ignore=False):
        data = entry.data
        if not data.get(_BROKER) or data.get(_TRANSPORT, "tcp") != "tcp":
            continue
        found: dict[str, Any] = {
            CONF_HOST: data[_BROKER],
            CONF_PORT: int(data.get(CONF_PORT, DEFAULT_PORT)),
            CONF_TLS: Tls.OFF.value,
        }
        for name in (CONF_USERNAME, CONF_PASSWORD):
            if data.get(name):
                found[name] = data[name]
        if certificate := data.get(_CERTIFICATE):
            found[CONF_TLS] = (Tls.INSECURE_HOST if data.get(_TLS_INSECURE) else Tls.ON).value
            if certificate != _AUTO:
                found[CONF_CA] = certificate
            if data.get(_CLIENT_CERT) and data.get(_CLIENT_KEY):
                found[CONF_CLIENT_CERT] = data[_CLIENT_CERT]
                found[CONF_CLIENT_KEY] = data[_CLIENT_KEY]
        return found
    return None
