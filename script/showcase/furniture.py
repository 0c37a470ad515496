"""What makes a bare Home Assistant a home: a dashboard, the energy dashboard, a past."""

import asyncio
import time
from typing import Any

from firmware_bridge.drivers.simulator.weather import Place

from .dashboard import dashboard
from .past import MEANS, TOTALS, hours, statistics
from .world import World, eventually

URL_PATH = "moat-home"
PAST_HOURS = 60


async def furnish(world: World) -> None:
    """Add what is not there yet, and show our dashboard first."""
    (boards,) = await world.lab.ws({"type": "lovelace/dashboards/list"})
    if any(board["url_path"] == URL_PATH for board in boards):
        return
    await _remember(world)
    await world.lab.ws({"type": "energy/save_prefs", **_energy(world)})
    create = {
        "type": "lovelace/dashboards/create",
        "url_path": URL_PATH,
        "title": "MoaT",
        "icon": "mdi:home-lightning-bolt",
        "show_in_sidebar": True,
    }
    await world.lab.ws(
        create,
        {"type": "frontend/set_system_data", "key": "core", "value": {"default_panel": URL_PATH}},
    )
    await draw(world, world.language)


async def draw(world: World, language: str) -> None:
    """Draw our dashboard in a language."""
    config = dashboard(world.entity, world.picked, language, hours=world.hours)
    await world.lab.ws({"type": "lovelace/config/save", "url_path": URL_PATH, "config": config})


async def _remember(world: World) -> None:
    """Give the recorder the days before."""
    entities = {key: world.entity(*key) for key in TOTALS + MEANS}

    async def look() -> dict[str, Any] | None:
        (listed,) = await world.lab.ws({"type": "recorder/list_statistic_ids"})
        known = {each["statistic_id"]: each for each in listed}
        return known if known.keys() >= set(entities.values()) else None

    known = await eventually(look, "statistics are kept of every power and energy")
    place = Place(latitude=world.site.latitude, longitude=world.site.longitude)
    past = await asyncio.to_thread(hours, place, PAST_HOURS, now=time.time())
    await world.lab.ws(*statistics(past, entities, known))


def _energy(world: World) -> dict[str, Any]:
    """Return the preferences of the energy dashboard."""
    entity = world.entity
    return {
        "energy_sources": [
            {
                "type": "grid",
                "stat_energy_from": entity("meter", "import_energy"),
                "stat_energy_to": entity("meter", "export_energy"),
                "number_energy_price": 0.32,
                "number_energy_price_export": 0.08,
                "stat_rate": entity("meter", "power"),
                "cost_adjustment_day": 0.0,
            },
            {
                "type": "solar",
                "stat_energy_from": entity("solar", "energy"),
                "stat_rate": entity("solar", "power"),
                "config_entry_solar_forecast": None,
            },
            {
                "type": "battery",
                "stat_energy_from": entity("battery", "discharge_energy"),
                "stat_energy_to": entity("battery", "charge_energy"),
                # positive while discharging here, positive while charging on the link
                "power_config": {"stat_rate_inverted": entity("battery", "power")},
                "stat_soc": entity("battery", "state_of_charge"),
            },
        ],
        "device_consumption": [],
    }
