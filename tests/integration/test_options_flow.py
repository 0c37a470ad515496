"""Options: they are checked, stored, and take effect at once."""

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from tests.support.wait import until


async def test_options(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """A path that is none is named; what is right is stored, tidied, and reloads the entry."""
    hub = loaded.runtime_data
    result = await hass.config_entries.options.async_init(loaded.entry_id)
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "init")
    given = {"use_server": False, "read_only": True, "allow_write": ["home.kitchen", ":i0x"]}
    result = await hass.config_entries.options.async_configure(result["flow_id"], given)
    assert result["errors"] == {"allow_write": "invalid_path"}
    given["allow_write"] = [" home.kitchen ", "", "ems"]
    result = await hass.config_entries.options.async_configure(result["flow_id"], given)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert loaded.options == {
        "use_server": False,
        "read_only": True,
        "allow_write": ["home.kitchen", "ems"],
    }
    await until(
        lambda: loaded.state is ConfigEntryState.LOADED and loaded.runtime_data is not hub,
        what="the reload",
    )
    assert loaded.runtime_data.link.config.use_server is False
