"""From an entry's data to what the link needs to connect."""

import ssl
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path as File
from tempfile import TemporaryDirectory
from typing import Any, Final

from homeassistant.const import (
    CONF_HOST,
    CONF_PASSWORD,
    CONF_PORT,
    CONF_TOKEN,
    CONF_USERNAME,
)
from homeassistant.core import HomeAssistant

from .const import (
    CONF_CA,
    CONF_CLIENT_CERT,
    CONF_CLIENT_KEY,
    CONF_ROOT,
    CONF_SERVER_HOST,
    CONF_SERVER_PATH,
    CONF_SERVER_PORT,
    CONF_TLS,
    CONF_USE_SERVER,
)
from .link.client import LinkConfig
from .link.direct import DEFAULT_PORT as DEFAULT_SERVER_PORT, Endpoint
from .link.errors import TlsError
from .link.path import Path
from .link.transport import BrokerConfig

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
    return LinkConfig(
        broker=await async_broker_config(hass, data),
        root=Path.parse(data[CONF_ROOT]),
        name=NAME,
        endpoint=_endpoint(data),
        token=data.get(CONF_TOKEN),
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


def _endpoint(data: Mapping[str, Any]) -> Endpoint | None:
    """Return the server's fixed end point, if the user gave one."""
    if path := data.get(CONF_SERVER_PATH):
        return Endpoint(path=path)
    if host := data.get(CONF_SERVER_HOST):
        return Endpoint(host=host, port=data.get(CONF_SERVER_PORT, DEFAULT_SERVER_PORT))
    return None


def _tls_context(data: Mapping[str, Any]) -> ssl.SSLContext | None:
    """Load the certificates (blocking)."""
    mode = Tls(data.get(CONF_TLS, Tls.OFF))
    if mode is Tls.OFF:
        return None
    try:
        context = ssl.create_default_context(cadata=data.get(CONF_CA) or None)
        if certificate := data.get(CONF_CLIENT_CERT):
            _load_client_certificate(context, certificate, data[CONF_CLIENT_KEY])
    except (ssl.SSLError, ValueError) as err:
        raise TlsError(str(err)) from err
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode is Tls.ON
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Hand PEM texts to OpenSSL, which takes them from files only."""
    with TemporaryDirectory(prefix="moat_link") as name:
        file = File(name, "client.pem")
        file.touch(0o600)
        file.write_text(f"{certificate}\n{key}\n", encoding="ascii")
        context.load_cert_chain(file)
