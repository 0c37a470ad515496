"""Names that more than one file of the integration needs."""

from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "moat_link"

CONF_ROOT: Final = "root"
CONF_TLS: Final = "tls"
CONF_CA: Final = "ca"
CONF_CLIENT_CERT: Final = "client_cert"
CONF_CLIENT_KEY: Final = "client_key"
CONF_SERVER_HOST: Final = "server_host"
CONF_SERVER_PORT: Final = "server_port"
CONF_SERVER_PATH: Final = "server_path"
CONF_SERVER_TLS: Final = "server_tls"
CONF_SERVER_CA: Final = "server_ca"

CONF_ALLOW_WRITE: Final = "allow_write"
CONF_READ_ONLY: Final = "read_only"
CONF_USE_SERVER: Final = "use_server"
CONF_ACTIONS: Final = "actions"

DEFAULT_PORT: Final = 1883
DEFAULT_TLS_PORT: Final = 8883

PLATFORMS: Final = (
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.COVER,
    Platform.EVENT,
    Platform.LIGHT,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.TEXT,
    Platform.VALVE,
)
