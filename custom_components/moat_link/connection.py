"""From an entry's data to what the link needs to connect."""

import ssl
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from homeassistant.const import (
    CONF_HOST,
    CONF_PASSWORD,
    CONF_PORT,
    CONF_TOKEN,
    CONF_USERNAME,
)
from homeassistant.core import HomeAssistant
from homeassistant.util.ssl import get_default_context

from .const import (
    CONF_CA,
    CONF_CLIENT_CERT,
    CONF_CLIENT_KEY,
    CONF_ROOT,
    CONF_SERVER_CA,
    CONF_SERVER_HOST,
    CONF_SERVER_PATH,
    CONF_SERVER_PORT,
    CONF_SERVER_TLS,
    CONF_TLS,
    CONF_USE_SERVER,
)
from .link.client import LinkConfig
from .link.direct import DEFAULT_PORT as DEFAULT_SERVER_PORT, Endpoint
from .link.path import Path
from .link.transport import BrokerConfig, tls_context

NAME: Final = "homeassistant"


class Tls(StrEnum):
    """How the connection to the broker is protected."""

    OFF = "off"
    ON = "on"
    INSECURE_HOST = "insecure_host"


async def async_link_config(
    hass: HomeAssistant, data: Mapping[str, Any], options: Mapping[str, Any]
) -> LinkConfig:
    """Return the link's configuration; TlsError when the certificates are no good."""
    broker = await async_broker_config(hass, data)
    server_tls = broker.tls or get_default_context()
    if ca := data.get(CONF_SERVER_CA):
        server_tls = await hass.async_add_executor_job(tls_context, ca)
    return LinkConfig(
        broker=broker,
        root=Path.parse(data[CONF_ROOT]),
        name=NAME,
        endpoint=fixed_endpoint(data),
        token=data.get(CONF_TOKEN),
        server_tls=server_tls,
        use_server=options.get(CONF_USE_SERVER, True),
    )


async def async_broker_config(hass: HomeAssistant, data: Mapping[str, Any]) -> BrokerConfig:
    """Return where the broker is; TlsError when the certificates are no good."""
    return BrokerConfig(
        host=data[CONF_HOST],
        port=data[CONF_PORT],
        username=data.get(CONF_USERNAME),
        password=data.get(CONF_PASSWORD),
        tls=await hass.async_add_executor_job(_tls_context, data),
    )


def fixed_endpoint(data: Mapping[str, Any]) -> Endpoint | None:
    """Return the server's fixed end point, if the user gave one."""
    if path := data.get(CONF_SERVER_PATH):
        return Endpoint(path=path)
    if host := data.get(CONF_SERVER_HOST):
        return Endpoint(
            host=host,
            port=data.get(CONF_SERVER_PORT, DEFAULT_SERVER_PORT),
            tls=data.get(CONF_SERVER_TLS, False),
        )
    return None


def _tls_context(data: Mapping[str, Any]) -> ssl.SSLContext | None:
    """Load the certificates (blocking)."""
    mode = Tls(data.get(CONF_TLS, Tls.OFF))
    if mode is Tls.OFF:
        return None
    context = tls_context(
        data.get(CONF_CA) or None, data.get(CONF_CLIENT_CERT) or None, data.get(CONF_CLIENT_KEY)
    )
    context.check_hostname = mode is Tls.ON
    return context
