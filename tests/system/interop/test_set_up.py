"""Set up by hand: the real installation is found on its broker, and joined."""

from homeassistant.config_entries import SOURCE_USER
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType

from custom_components.moat_link.const import CONF_ROOT, CONF_TLS, DOMAIN
from tests.support.moat import ROOT, MoatServer
from tests.support.mosquitto import Mosquitto
from tests.support.wait import until

from .user import shows


async def test_found_and_joined(
    hass: HomeAssistant, alone: Mosquitto, kind: type[MoatServer]
) -> None:
    """A new installation, with nothing in it but its server: name the broker, take the root."""
    with kind(alone) as server:
        flow = hass.config_entries.flow
        result = await flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        where = {CONF_HOST: alone.host, CONF_PORT: alone.port, CONF_TLS: "off"}
        result = await flow.async_configure(result["flow_id"], where)
        assert result["step_id"] == "root"
        schema = result["data_schema"]
        assert schema is not None
        [selector] = [value for key, value in schema.schema.items() if key == CONF_ROOT]
        assert [each["value"] for each in selector.config["options"]] == [ROOT]
        result = await flow.async_configure(result["flow_id"], {CONF_ROOT: ROOT})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        await hass.async_block_till_done()
        title = ROOT.replace(".", "_")
        await until(shows(hass, f"sensor.{title}_server", server.name))
        assert await hass.config_entries.async_unload(result["result"].entry_id)
