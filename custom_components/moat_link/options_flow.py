"""Options: what may be written, and whether a server is used."""

from typing import Any

import probatio
from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.helpers.selector import BooleanSelector, TextSelector, TextSelectorConfig

from .const import CONF_ALLOW_WRITE, CONF_READ_ONLY, CONF_USE_SERVER
from .link.errors import DecodeError
from .link.path import Path

SCHEMA = probatio.Schema(
    {
        probatio.Required(CONF_USE_SERVER, default=True): BooleanSelector(),
        probatio.Required(CONF_READ_ONLY, default=False): BooleanSelector(),
        probatio.Optional(CONF_ALLOW_WRITE, default=list): TextSelector(
            TextSelectorConfig(multiple=True)
        ),
    }
)


class MoatOptionsFlow(OptionsFlow):
    """Change the options; a change reloads the entry."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the options and check the paths among them."""
        errors: dict[str, str] = {}
        wrong = ""
        if user_input is not None:
            paths = [text.strip() for text in user_input[CONF_ALLOW_WRITE] if text.strip()]
            try:
                user_input[CONF_ALLOW_WRITE] = [str(Path.parse(text)) for text in paths]
            except DecodeError as err:
                errors[CONF_ALLOW_WRITE] = "invalid_path"
                wrong = str(err)
            else:
                return self.async_create_entry(data=user_input)
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(
                SCHEMA, user_input or self.config_entry.options
            ),
            errors=errors,
            description_placeholders={"error": wrong},
        )
