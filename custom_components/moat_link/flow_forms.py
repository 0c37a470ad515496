"""The forms of the config flow, and what their fields mean."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import probatio
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_TOKEN, CONF_USERNAME
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)

from .connection import Tls, fixed_endpoint
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
    DEFAULT_PORT,
)
from .link.direct import ENCRYPTED, Endpoint
from .link.discover import FoundRoot
from .link.errors import DecodeError

CONF_ANYWAY: Final = "anyway"  # accept a root without any trace of MoaT-Link
CONF_SERVER: Final = "server"  # "host:port", "tls://host:port", or a socket's path
EXAMPLE: Final = f"{ENCRYPTED}host:port"

SECTION_CERTIFICATES: Final = "certificates"

SHOWN_DEVICES: Final = 3  # of a root that is offered

_CERTIFICATES: Final = (CONF_CA, CONF_CLIENT_CERT, CONF_CLIENT_KEY)
_PASSWORD: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))
_PEM: Final = TextSelector(TextSelectorConfig(multiline=True))
_PORT: Final = probatio.All(
    NumberSelector(NumberSelectorConfig(min=1, max=65535, mode=NumberSelectorMode.BOX)),
    probatio.Coerce(int),
)
_TLS: Final = SelectSelector(
    SelectSelectorConfig(
        options=[mode.value for mode in Tls],
        translation_key="tls",
        mode=SelectSelectorMode.DROPDOWN,
    )
)

_SERVER_FIELDS: Final = {
    probatio.Optional(CONF_SERVER): TextSelector(),
    probatio.Optional(CONF_TOKEN): _PASSWORD,
    probatio.Optional(CONF_SERVER_CA): _PEM,
}


def broker_form(*, server: bool, anyway: bool) -> probatio.Schema:
    """Return the form of a broker; with a server's end point when reconfiguring."""
    fields: dict[Any, Any] = {
        probatio.Required(CONF_HOST): TextSelector(),
        probatio.Required(CONF_PORT, default=DEFAULT_PORT): _PORT,
        probatio.Optional(CONF_USERNAME): TextSelector(),
        probatio.Optional(CONF_PASSWORD): _PASSWORD,
        probatio.Required(CONF_TLS, default=Tls.OFF.value): _TLS,
        probatio.Required(SECTION_CERTIFICATES, default=dict): section(
            probatio.Schema({probatio.Optional(name): _PEM for name in _CERTIFICATES}),
            {"collapsed": True},
        ),
    }
    if server:
        fields |= _SERVER_FIELDS
    if anyway:
        fields[probatio.Optional(CONF_ANYWAY, default=False)] = BooleanSelector()
    return probatio.Schema(fields)


def flat(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a broker form says, without its sections."""
    data = dict(user_input)
    data.update(data.pop(SECTION_CERTIFICATES, {}))
    return data


def in_sections(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a broker form wants its suggestions."""
    inside = {name: data[name] for name in _CERTIFICATES if name in data}
    return {**data, SECTION_CERTIFICATES: inside}


def root_form(found: Sequence[FoundRoot], *, anyway: bool) -> probatio.Schema:
    """Return the form of a root: what was found to choose from, or free text."""
    selector: TextSelector | SelectSelector = TextSelector()
    default: Any = probatio.UNDEFINED
    if found:
        default = str(found[0].root)
        selector = SelectSelector(
            SelectSelectorConfig(
                options=[
                    SelectOptionDict(value=str(each.root), label=_label(each)) for each in found
                ],
                custom_value=True,
                mode=SelectSelectorMode.DROPDOWN,
            )
        )
    fields: dict[Any, Any] = {probatio.Required(CONF_ROOT, default=default): selector}
    fields |= _SERVER_FIELDS
    if anyway:
        fields[probatio.Optional(CONF_ANYWAY, default=False)] = BooleanSelector()
    return probatio.Schema(fields)


def credentials_form(*, required: bool) -> probatio.Schema:
    """Return the form of user name and password."""
    marker = probatio.Required if required else probatio.Optional
    return probatio.Schema(
        {marker(CONF_USERNAME): TextSelector(), marker(CONF_PASSWORD): _PASSWORD}
    )


def server_data(user_input: Mapping[str, Any], data: dict[str, Any]) -> dict[str, str]:
    """Put what a form says of a server into the entry's data; return what is wrong with it."""
    for key in (CONF_TOKEN, CONF_SERVER_CA):
        if value := user_input.get(key):
            data[key] = value
    text = user_input.get(CONF_SERVER, "").strip()
    if not text:
        return {}
    try:
        endpoint = Endpoint.parse(text)
    except DecodeError:
        return {CONF_SERVER: "invalid_server"}
    if endpoint.path is not None:
        data[CONF_SERVER_PATH] = endpoint.path
        return {}
    data |= {CONF_SERVER_HOST: endpoint.host, CONF_SERVER_PORT: endpoint.port}
    if endpoint.tls:
        data[CONF_SERVER_TLS] = True
    return {}


def server_text(data: Mapping[str, Any]) -> str:
    """Return a server's end point as a form shows it."""
    endpoint = fixed_endpoint(data)
    return "" if endpoint is None else str(endpoint)


def _label(found: FoundRoot) -> str:
    """Name a root and what was seen of it, in signs that need no translation."""
    seen = sorted(found.devices)
    marks = [*(["⚙"] if found.server else []), *seen[:SHOWN_DEVICES]]
    if len(seen) > SHOWN_DEVICES:
        marks.append(f"+{len(seen) - SHOWN_DEVICES}")
    return f"{found.root} ({', '.join(marks)})"
