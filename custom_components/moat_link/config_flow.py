"""Set up: which broker, which root; proven with a real session before anything is stored."""

from collections.abc import Mapping
from typing import Any, Final, override

from homeassistant.config_entries import (
    SOURCE_ZEROCONF,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    OptionsFlow,
)
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_TOKEN, CONF_USERNAME
from homeassistant.core import callback
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

from .connection import Tls, async_broker_config, async_link_config
from .const import (
    CONF_CA,
    CONF_CLIENT_CERT,
    CONF_CLIENT_KEY,
    CONF_ROOT,
    CONF_SERVER_CA,
    CONF_TLS,
    DEFAULT_PORT,
    DOMAIN,
)
from .core_mqtt import async_core_broker
from .flow_forms import (
    CONF_ANYWAY,
    CONF_SERVER,
    EXAMPLE,
    broker_form,
    credentials_form,
    flat,
    in_sections,
    root_form,
    server_data,
    server_text,
)
from .link.direct import Endpoint
from .link.discover import FoundRoot, find_roots, is_root
from .link.errors import (
    AuthenticationError,
    DecodeError,
    LinkError,
    NoServerError,
    NotAuthorizedError,
    NotMqtt5Error,
    NotTrustedError,
    TlsError,
)
from .link.path import Path
from .link.proof import prove_server
from .link.transport import BrokerConfig, speaks_tls
from .options_flow import MoatOptionsFlow
from .plain import to_markdown
from .value_flow import SUBENTRY_VALUE, ValueSubentryFlow

ERRORS: Final[tuple[tuple[type[LinkError], str], ...]] = (
    (TlsError, "tls"),
    (NotMqtt5Error, "not_mqtt5"),
    (AuthenticationError, "invalid_auth"),
    (NotAuthorizedError, "not_authorized"),
    (LinkError, "cannot_connect"),
)


INSIST: Final = frozenset({"no_moat_link", "no_server", "server_tls", "server_unreachable"})
"""Errors that the user may know better about: what is meant is not there yet, or not now."""

SECRETS: Final[Mapping[str, str | None]] = {
    CONF_PASSWORD: CONF_USERNAME,
    CONF_CLIENT_KEY: CONF_CLIENT_CERT,
    CONF_TOKEN: None,
}


class MoatConfigFlow(ConfigFlow, domain=DOMAIN):
    """Ask for a broker, look for installations on it, and let the user pick one."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        """Begin with nothing."""
        self._broker: dict[str, Any] = {}
        self._root: str | None = None
        self._found: list[FoundRoot] = []
        self._detail = ""

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """Change the options."""
        return MoatOptionsFlow()

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Offer to turn any path into an entity."""
        return {SUBENTRY_VALUE: ValueSubentryFlow}

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Offer the broker that Home Assistant already uses, if there is one."""
        if async_core_broker(self.hass) is not None:
            return self.async_show_menu(step_id="user", menu_options=["core_mqtt", "broker"])
        return await self.async_step_broker()

    async def async_step_core_mqtt(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Take the broker of Home Assistant's own MQTT integration."""
        data = async_core_broker(self.hass)
        if data is None:
            return self.async_abort(reason="core_mqtt_gone")
        errors = await self._async_find_roots(data)
        if errors:
            return self._show_broker("broker", data, errors)
        return await self.async_step_root()

    async def async_step_broker(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the broker, and connect to it."""
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._async_find_roots(flat(user_input))
            if not errors:
                return await self.async_step_root()
        return self._show_broker("broker", self._broker, errors)

    async def async_step_root(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the root: one that was found, or any other."""
        errors: dict[str, str] = {}
        if user_input is not None:
            data = self._broker | {CONF_ROOT: user_input[CONF_ROOT].strip()}
            errors = await self._async_check(user_input, data)
            if not errors:
                return await self._async_finish(data)
        return self.async_show_form(
            step_id="root",
            data_schema=self.add_suggested_values_to_schema(
                root_form(self._found, anyway=not INSIST.isdisjoint(errors.values())),
                user_input or {},
            ),
            errors=errors,
            description_placeholders={
                "found": str(len(self._found)),
                "error": self._detail,
                "encrypted": EXAMPLE,
            },
        )

    @override
    async def async_step_zeroconf(self, discovery_info: ZeroconfServiceInfo) -> ConfigFlowResult:
        """A bridge announced itself: it tells its broker and its root."""
        properties = discovery_info.properties
        try:
            root = Path.parse(properties["root"])
            port = int(properties.get("port") or DEFAULT_PORT)
        except KeyError, ValueError, DecodeError:
            return self.async_abort(reason="invalid_discovery_info")
        if not root.elements or not 0 < port < 65536:
            return self.async_abort(reason="invalid_discovery_info")
        host = properties.get("host") or discovery_info.host
        self._broker = {CONF_HOST: host, CONF_PORT: port}
        if properties.get("tls") == "1":
            self._broker[CONF_TLS] = Tls.ON.value
        self._root = str(root)
        await self.async_set_unique_id(_unique_id(self._broker | {CONF_ROOT: self._root}))
        if self._async_is_known():
            return self.async_abort(reason="already_configured")
        self.context["title_placeholders"] = {"name": f"{root} ({host})"}
        return await self.async_step_zeroconf_confirm()

    @callback
    def _async_is_known(self) -> bool:
        """Whether an entry has this root; one that cannot be reached moves to the new address.

        It stays where it is if that would show its password to whoever announced the address:
        anybody can have a certificate for an address of their own, except from our own authority.
        """
        for entry in self._async_current_entries(include_ignore=False):
            if entry.data[CONF_ROOT] != self._root:
                continue
            proven = entry.data.get(CONF_TLS) == Tls.ON and CONF_CA in entry.data
            safe = proven or CONF_PASSWORD not in entry.data
            if entry.state is ConfigEntryState.SETUP_RETRY and safe:
                self.hass.config_entries.async_update_entry(
                    entry, data={**entry.data, **self._broker}, unique_id=self.unique_id
                )
                self.hass.config_entries.async_schedule_reload(entry.entry_id)
            return True
        return False

    async def async_step_zeroconf_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Let the user agree, and add credentials where the broker wants them."""
        errors: dict[str, str] = {}
        if user_input is not None:
            data = self._broker | user_input | {CONF_ROOT: self._root}
            errors = await self._async_check_root(data, anyway=False)
            if not errors:
                return await self._async_finish(data)
        return self.async_show_form(
            step_id="zeroconf_confirm",
            data_schema=self.add_suggested_values_to_schema(
                credentials_form(required=False), _without_secrets(user_input or {})
            ),
            errors=errors,
            description_placeholders={
                "root": to_markdown(str(self._root)),
                "host": to_markdown(self._broker[CONF_HOST]),
                "error": self._detail,
            },
        )

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """The broker refuses the stored credentials."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for new credentials, and try them."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._async_check_root({**entry.data, **user_input}, anyway=True)
            if not errors:
                return self._async_store(entry, dict(entry.data) | user_input)
        return self.async_show_form(
            step_id="reauth_confirm",
            data_schema=self.add_suggested_values_to_schema(
                credentials_form(required=True),
                {CONF_USERNAME: (user_input or entry.data).get(CONF_USERNAME, "")},
            ),
            errors=errors,
            description_placeholders={"error": self._detail},
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change how the same installation is reached."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            user_input = flat(user_input)
            data = self._keep_secrets(entry.data, user_input)
            data |= {CONF_ROOT: entry.data[CONF_ROOT]}
            errors = await self._async_check(user_input, data)
            if not errors:
                return await self._async_update(entry, data)
        return self._show_broker(
            "reconfigure",
            user_input or {**entry.data, CONF_SERVER: server_text(entry.data)},
            errors,
        )

    async def _async_update(self, entry: ConfigEntry, data: dict[str, Any]) -> ConfigFlowResult:
        """Store a changed address, unless another entry has it."""
        unique_id = _unique_id(data)
        other = await self.async_set_unique_id(unique_id)
        if other is not None and other.entry_id != entry.entry_id:
            return self.async_abort(reason="already_configured")
        return self._async_store(entry, data, unique_id)

    def _async_store(
        self, entry: ConfigEntry, data: dict[str, Any], unique_id: str | None = None
    ) -> ConfigFlowResult:
        """Store new data; a running entry's listener reloads it, one that failed is reloaded here."""
        store = (
            self.async_update_and_abort
            if entry.update_listeners
            else self.async_update_reload_and_abort
        )
        return store(entry, data=data, unique_id=unique_id or entry.unique_id)

    @staticmethod
    def _keep_secrets(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        """A form never shows secrets: left empty they stay, if what they belong to does, too."""
        data = {key: value for key, value in new.items() if key not in (CONF_ANYWAY, CONF_SERVER)}
        for secret, owner in SECRETS.items():
            same = owner is None or data.get(owner) == old.get(owner)
            if same and secret not in data and secret in old:
                data[secret] = old[secret]
        return data

    def _show_broker(
        self, step_id: str, values: Mapping[str, Any], errors: dict[str, str]
    ) -> ConfigFlowResult:
        """Show the form of a broker; stored secrets stay out of it."""
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(
                broker_form(
                    server=step_id == "reconfigure",
                    anyway=not INSIST.isdisjoint(errors.values()),
                ),
                in_sections(_without_secrets(values)),
            ),
            errors=errors,
            description_placeholders={"error": self._detail, "encrypted": EXAMPLE},
        )

    async def _async_find_roots(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Connect and look for roots; return what went wrong."""
        errors: dict[str, str] = {}
        self._broker = dict(data)
        try:
            self._found = await find_roots(await async_broker_config(self.hass, data))
        except LinkError as err:
            errors["base"] = self._error_key(err)
        return errors

    async def _async_check_root(self, data: Mapping[str, Any], *, anyway: bool) -> dict[str, str]:
        """Connect and look below the root; return what went wrong."""
        try:
            root = Path.parse(data[CONF_ROOT])
        except DecodeError as err:
            self._detail = str(err)
            return {CONF_ROOT: "invalid_root"}
        if not root.elements:
            return {CONF_ROOT: "invalid_root"}
        try:
            found = await is_root(await async_broker_config(self.hass, data), root)
        except LinkError as err:
            return {"base": self._error_key(err)}
        return {} if found or anyway else {"base": "no_moat_link"}

    async def _async_check(
        self, user_input: Mapping[str, Any], data: dict[str, Any]
    ) -> dict[str, str]:
        """Take a server from the form, try root and server; return what went wrong."""
        anyway = user_input.get(CONF_ANYWAY, False)
        return (
            server_data(user_input, data)
            or await self._async_check_root(data, anyway=anyway)
            or await self._async_check_server(
                data, new_token=bool(user_input.get(CONF_TOKEN)), anyway=anyway
            )
        )

    async def _async_check_server(
        self, data: Mapping[str, Any], *, new_token: bool, anyway: bool
    ) -> dict[str, str]:
        """Log in at the server that has a token or a fixed end point; return what went wrong."""
        try:
            config = await async_link_config(self.hass, data, {})
        except TlsError:
            return {CONF_SERVER_CA: "invalid_ca"}
        if config.token is None and config.endpoint is None:
            return {}
        try:
            await prove_server(config, by_token=new_token)
        except NotTrustedError as err:
            self._detail = str(err)
            return {CONF_SERVER: "server_not_trusted"}
        except AuthenticationError as err:
            self._detail = str(err)
            return {CONF_TOKEN: "token_needed" if config.token is None else "wrong_token"}
        except LinkError as err:
            if anyway:
                return {}
            self._detail = str(err)
            return await _server_trouble(err, config.endpoint)
        return {}

    def _error_key(self, err: LinkError) -> str:
        """Return the translation key of an error, and keep its words for the form."""
        self._detail = str(err)
        return next(key for kind, key in ERRORS if isinstance(err, kind))

    async def _async_finish(self, data: dict[str, Any]) -> ConfigFlowResult:
        """Create the entry, one per root and broker."""
        data[CONF_ROOT] = str(Path.parse(data[CONF_ROOT]))
        await self.async_set_unique_id(
            _unique_id(data), raise_on_progress=self.source != SOURCE_ZEROCONF
        )
        self._abort_if_unique_id_configured()
        return self.async_create_entry(title=data[CONF_ROOT], data=data)


async def _server_trouble(err: LinkError, fixed: Endpoint | None) -> dict[str, str]:
    """Return what to tell of a server that cannot be talked to, and at which field."""
    if isinstance(err, TlsError):
        return {CONF_SERVER_CA: "server_tls"}
    if fixed is None:
        return {CONF_TOKEN: "no_server" if isinstance(err, NoServerError) else "server_unreachable"}
    plain = fixed.host and not fixed.tls
    if plain and await speaks_tls(BrokerConfig(host=fixed.host, port=fixed.port)):
        return {CONF_SERVER: "server_encrypts"}
    return {CONF_SERVER: "server_unreachable"}


def _unique_id(data: Mapping[str, Any]) -> str:
    """Return what tells one installation from another: its broker and its root."""
    return f"{str(data[CONF_HOST]).lower()}:{data[CONF_PORT]}/{Path.parse(data[CONF_ROOT]).topic}"


def _without_secrets(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that may be shown again."""
    return {key: value for key, value in data.items() if key not in SECRETS}
