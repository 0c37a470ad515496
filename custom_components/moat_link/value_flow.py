"""Subentry "value from a path": browse the installation, pick a value, say what it is."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import CONF_NAME, CONF_PLATFORM, Platform
from homeassistant.helpers.selector import SelectOptionDict

from .const import CONF_ROOT
from .hub import Hub
from .link.codec import ABSENT, Value
from .link.errors import DecodeError, LinkError, NotFoundError
from .link.path import Path
from .plain import to_markdown
from .value_forms import (
    CONF_CHILD,
    CONF_ITEM,
    CONF_WRITE_PATH,
    UP,
    USE,
    browse_form,
    details_form,
    item_form,
    platform_form,
    shown,
)
from .value_guess import Hints, guess_platform, hints_from, leaves, point_row
from .values import SUBENTRY_VALUE, value_description

__all__ = ["SUBENTRY_VALUE", "ValueSubentryFlow"]

CHILDREN: Final = 500  # offered at once; beyond that the path can be typed


class ValueSubentryFlow(ConfigSubentryFlow):
    """Pick a path child by child, an item of its value, a platform, and the details."""

    def __init__(self) -> None:
        """Begin at the root."""
        self._path = Path()
        self._value: Value = ABSENT
        self._item: tuple[str | int, ...] = ()
        self._platform = Platform.SENSOR
        self._name = ""
        self._hints = Hints()

    @property
    def _hub(self) -> Hub | None:
        """The running hub of the entry, if it runs."""
        entry = self._get_entry()
        return entry.runtime_data if entry.state is ConfigEntryState.LOADED else None

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Show the children of a path with their values, until one is taken."""
        hub = self._hub
        if hub is None or not hub.link.status.connected:
            return self.async_abort(reason="not_connected")
        errors: dict[str, str] = {}
        before = Path()
        if user_input is not None:
            choice, before = user_input[CONF_CHILD].strip(), self._path
            if choice == USE:
                return await self.async_step_item()
            try:
                self._path = self._path.parent if choice == UP else Path.parse(choice)
            except DecodeError:
                errors[CONF_CHILD] = "invalid_path"
        try:
            children = await self._async_look(hub)
            if not children and self._value is ABSENT and len(self._path):
                errors[CONF_CHILD], self._path = "nothing_there", before
                children = await self._async_look(hub)
        except LinkError:
            return self.async_abort(reason="not_connected")
        if not children and self._value is not ABSENT and not errors:
            return await self.async_step_item()
        return self.async_show_form(
            step_id="user",
            data_schema=browse_form(self._path, self._value, children),
            errors=errors,
            description_placeholders={
                "path": to_markdown(str(self._path or self._get_entry().data[CONF_ROOT])),
                "value": to_markdown(shown(self._value)),
            },
        )

    async def _async_look(self, hub: Hub) -> list[SelectOptionDict]:
        """Read the current path: its value, and its children with theirs."""
        values: dict[str, Value] = {}
        self._value = ABSENT
        async for message in hub.link.walk(self._path, max_depth=1):
            if message.path == self._path:
                self._value = message.value
            else:
                values[message.topic] = message.value
        children = [self._path / child for child in await hub.link.list(self._path)]
        return [
            SelectOptionDict(
                value=str(child),
                label=f"{Path(child[-1])} = {shown(values[child.topic])}"
                if child.topic in values
                else f"{Path(child[-1])} …",
            )
            for child in sorted(children, key=lambda each: each.topic)[:CHILDREN]
        ]

    async def async_step_item(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Let the user pick one item of a map or list."""
        found = leaves(self._value)
        if user_input is None and isinstance(self._value, (dict, list)) and found:
            return self.async_show_form(
                step_id="item",
                data_schema=item_form(found),
                description_placeholders={"path": to_markdown(str(self._path))},
            )
        if user_input is not None:
            self._item, self._value = found[user_input[CONF_ITEM]]
        return await self.async_step_platform()

    async def async_step_platform(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask for a name and a platform."""
        if user_input is not None:
            self._platform = Platform(user_input[CONF_PLATFORM])
            self._name = user_input[CONF_NAME].strip() or str(self._path)
            return await self.async_step_details()
        if (hub := self._hub) is None:
            return self.async_abort(reason="not_connected")
        self._hints = await self._async_hints(hub)
        last = self._item[-1] if self._item else self._path[-1] if len(self._path) else ""
        return self.async_show_form(
            step_id="platform",
            data_schema=platform_form(
                self._hints.title or str(last), guess_platform(self._value, self._hints)
            ),
            description_placeholders=self._placeholders,
        )

    async def async_step_details(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask what the value measures and, where it can be set, how."""
        errors: dict[str, str] = {}
        problem = ""
        if user_input is not None:
            row = point_row(self._path, self._item, self._platform, user_input)
            problem = self._problem(row, user_input, errors)
            if not errors:
                return self.async_create_entry(title=self._name, data=row)
        suggested = user_input or self._hints.suggested(self._path, self._platform, self._value)
        return self.async_show_form(
            step_id="details",
            data_schema=self.add_suggested_values_to_schema(
                details_form(self._platform), suggested
            ),
            errors=errors,
            description_placeholders=self._placeholders | {"error": problem},
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Change the details of a value that was picked earlier."""
        subentry = self._get_reconfigure_subentry()
        self._path = Path.parse(subentry.data["path"])
        self._item = tuple(subentry.data.get("item", ()))
        self._platform = Platform(subentry.data[CONF_PLATFORM])
        self._name = subentry.title
        errors: dict[str, str] = {}
        problem = ""
        if user_input is not None:
            row = point_row(self._path, self._item, self._platform, user_input)
            problem = self._problem(row, user_input, errors)
            if not errors:
                return self.async_update_and_abort(self._get_entry(), subentry, data=row)
        suggested = user_input or subentry.data | {
            CONF_WRITE_PATH: subentry.data.get("write", {}).get("path", "")
        }
        return self.async_show_form(
            step_id="reconfigure",
            data_schema=self.add_suggested_values_to_schema(
                details_form(self._platform), suggested
            ),
            errors=errors,
            description_placeholders=self._placeholders | {"error": problem},
        )

    def _problem(
        self, row: Mapping[str, Any], user_input: Mapping[str, Any], errors: dict[str, str]
    ) -> str:
        """Describe the device as it would be; note and return what is wrong with it."""
        try:
            if CONF_WRITE_PATH in user_input:
                Path.parse(user_input[CONF_WRITE_PATH].strip())
            _, issues = value_description(self._name, "new", row)
        except LinkError as err:
            errors["base"] = "invalid_value"
            return str(err)
        if issues:
            errors["base"] = "invalid_value"
            return f"{issues[0].key.rpartition('.')[2]}: {issues[0].problem}"
        return ""

    async def _async_hints(self, hub: Hub) -> Hints:
        """Read what the installation's documentation and schemas say about the path."""
        found: dict[str, Value] = {}
        for name in ("schema", "doc"):
            try:
                message = await hub.link.get(Path(name) / self._path)
            except NotFoundError:
                continue
            except LinkError:
                break
            found[name] = message.value
        return hints_from(found.get("schema"), found.get("doc"), self._item)

    @property
    def _placeholders(self) -> dict[str, str]:
        item = "".join(f"[{step}]" for step in self._item)
        found = {"path": f"{self._path}{item}", "value": shown(self._value), "doc": self._hints.doc}
        return {name: to_markdown(text) for name, text in found.items()}
