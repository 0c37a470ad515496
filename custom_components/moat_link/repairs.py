"""What the user can do about an issue right where it is shown."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

import probatio
from homeassistant.components.repairs import RepairsFlow, RepairsFlowResult
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .hub import Hub
from .issues import DATA_ENTRY, DATA_PATH, STOPPED
from .link.errors import CommandError
from .link.path import Path
from .plain import to_markdown

type Data = dict[str, str | int | float | None]

ACKNOWLEDGE: Final = "acknowledge"
CLEAR: Final = "clear"


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: Data | None
) -> RepairsFlow:
    """Return the flow for an issue."""
    assert data is not None
    return ReloadFlow(data) if issue_id.startswith(STOPPED) else ErrorFlow(data)


class MoatRepairsFlow(RepairsFlow):
    """A flow about an issue of one entry."""

    def __init__(self, data: Data) -> None:
        """Take what the issue remembers."""
        self._entry_id = str(data[DATA_ENTRY])
        self._path = data.get(DATA_PATH)

    @property
    def placeholders(self) -> dict[str, str] | None:
        """What the issue says."""
        issue = ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id)
        return None if issue is None else issue.translation_placeholders


class ReloadFlow(MoatRepairsFlow):
    """Take part again."""

    async def async_step_init(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask at once."""
        return await self.async_step_confirm()

    async def async_step_confirm(
        self, user_input: dict[str, str] | None = None
    ) -> RepairsFlowResult:
        """Reload the entry when the user wants it."""
        if user_input is None:
            return self.async_show_form(
                step_id="confirm",
                data_schema=probatio.Schema({}),
                description_placeholders=self.placeholders,
            )
        self.hass.config_entries.async_schedule_reload(self._entry_id)
        return self.async_create_entry(data={})


class ErrorFlow(MoatRepairsFlow):
    """Settle an error of the link."""

    async def async_step_init(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Let the user choose."""
        return self.async_show_menu(
            step_id="init",
            menu_options=[ACKNOWLEDGE, CLEAR],
            description_placeholders=self.placeholders,
        )

    async def async_step_acknowledge(
        self, user_input: dict[str, str] | None = None
    ) -> RepairsFlowResult:
        """Note that somebody takes care of it."""
        return await self._settle(Hub.acknowledge_error)

    async def async_step_clear(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Note that it is over."""
        return await self._settle(Hub.clear_error)

    async def _settle(
        self, way: Callable[[Hub, Path], Coroutine[Any, Any, None]]
    ) -> RepairsFlowResult:
        entry = self.hass.config_entries.async_get_entry(self._entry_id)
        if entry is None or entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_loaded")
        hub: Hub = entry.runtime_data
        try:
            await way(hub, Path.parse(str(self._path)))
        except CommandError as err:
            about = {"reason": to_markdown(str(err))}
            return self.async_abort(reason="failed", description_placeholders=about)
        return self.async_create_entry(data={})
