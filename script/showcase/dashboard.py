"""The dashboard of the simulated home, as Home Assistant stores it."""

from collections.abc import Callable
from typing import Any

type Card = dict[str, Any]
type Name = str | Card
type Find = Callable[[str, str], str]
"""From a device and a key to the entity."""

CELLS = 16
OWN_NAME: Card = {"type": "entity"}
"""The entity's name without its device's, where the section says which device it is."""
GERMAN = {
    "Home": "Haus",
    "Now": "Jetzt",
    "Battery": "Batterie",
    "Cells": "Zellen",
    "Energy today": "Energie heute",
    "Controls": "Bedienung",
    "Inverter": "Wechselrichter",
    "Cellar": "Keller",
    "Living room": "Wohnzimmer",
    "Garden": "Garten",
    "Simulation": "Simulation",
    "History": "Verlauf",
    "Power": "Leistung",
    "State of charge": "Ladezustand",
    "Cell voltages": "Zellspannungen",
    "The last days": "Die letzten Tage",
    "Solar": "Solar",
    "House": "Haus",
    "Grid": "Netz",
    "Cell {}": "Zelle {}",
}


def dashboard(find: Find, picked: str, language: str, *, hours: float) -> Card:
    """Return the whole dashboard; the graphs of single values show that many hours."""

    def text(english: str) -> str:
        return GERMAN[english] if language == "de" else english

    return {
        "views": [
            _view(text("Home"), "home", "mdi:home-lightning-bolt", _home(find, text)),
            _view(text("Controls"), "controls", "mdi:tune", _controls(find, picked, text)),
            _view(text("History"), "history", "mdi:chart-line", _history(find, text, hours)),
        ]
    }


def _home(find: Find, text: Callable[[str], str]) -> list[Card]:
    battery = [
        {
            "type": "gauge",
            "entity": find("battery", "state_of_charge"),
            "name": OWN_NAME,
            "needle": False,
            "min": 0,
            "max": 100,
            "severity": {"green": 30, "yellow": 15, "red": 0},
            "grid_options": {"columns": 6, "rows": 4},
        },
        *(
            _tile(find("battery", key), OWN_NAME, color)
            for key, color in (
                ("power", "teal"),
                ("voltage", "teal"),
                ("energy_stored", "teal"),
                ("temperature_max", "orange"),
                ("state", "green"),
                ("cell_spread", "deep-orange"),
            )
        ),
    ]
    cells: list[Card] = [
        {
            "type": "tile",
            "entity": find("battery", f"cell_{number}_voltage"),
            "name": text("Cell {}").format(number),
            "vertical": True,
            "hide_state": False,
            "icon": "mdi:battery-medium",
            "color": "teal",
            "grid_options": {"columns": 3, "rows": 2},
        }
        for number in range(1, CELLS + 1)
    ]
    return [
        _section(
            text("Now"),
            "mdi:transmission-tower",
            _tile(find("solar", "power"), text("Solar"), "amber"),
            _tile(find("house", "power"), text("House"), "blue"),
            _tile(find("meter", "power"), text("Grid"), "purple"),
            _tile(find("battery", "power"), text("Battery"), "teal"),
            {
                "type": "energy-distribution",
                "link_dashboard": True,
                "grid_options": {"columns": 12},
            },
        ),
        _section(
            text("Battery"),
            "mdi:battery-heart-variant",
            *battery,
            _heading(text("Energy today"), "mdi:chart-bar"),
            {"type": "energy-usage-graph", "grid_options": {"columns": 12, "rows": 5}},
        ),
        _section(text("Cells"), "mdi:battery-outline", *cells),
    ]


def _controls(find: Find, picked: str, text: Callable[[str], str]) -> list[Card]:
    return [
        _section(
            text("Inverter"),
            "mdi:solar-power",
            _tile(find("inverter", "mode"), OWN_NAME, features=["select-options"], columns=12),
            _tile(find("inverter", "set_power"), OWN_NAME, features=["numeric-input"], columns=12),
            _tile(find("inverter", "reserve"), OWN_NAME, features=["numeric-input"], columns=12),
            _tile(find("inverter", "state"), OWN_NAME),
            _tile(find("inverter", "release"), OWN_NAME),
        ),
        _section(
            text("Cellar"),
            "mdi:stairs-down",
            _tile(find("board", "relay_1"), OWN_NAME, features=["toggle"]),
            _tile(find("board", "relay_2"), OWN_NAME, features=["toggle"]),
            _tile(find("board", "door"), OWN_NAME),
            _tile(find("board", "button"), OWN_NAME),
            _tile(find("board", "temperature"), OWN_NAME, color="orange"),
            _tile(find("board", "humidity"), OWN_NAME, color="blue"),
            _tile(picked, color="light-blue", columns=12),
        ),
        _section(
            text("Living room"),
            "mdi:sofa",
            _tile(find("light", "light"), features=["light-brightness"], columns=12),
            _tile(
                find("blind", "cover"), features=["cover-open-close", "cover-position"], columns=12
            ),
            _tile(find("plug", "relay"), features=["toggle"]),
            _tile(find("plug", "power"), color="amber"),
        ),
        _section(
            text("Garden"),
            "mdi:flower",
            _tile(find("valve", "valve"), features=["valve-open-close"], columns=12),
            _tile(find("weather", "temperature"), OWN_NAME, color="orange"),
            _tile(find("weather", "irradiance"), OWN_NAME, color="amber"),
        ),
        _section(
            text("Simulation"),
            "mdi:test-tube",
            _tile(find("simulation", "weather"), OWN_NAME, features=["select-options"], columns=12),
            _tile(find("simulation", "door"), OWN_NAME, features=["select-options"], columns=12),
            _tile(find("simulation", "press"), OWN_NAME),
        ),
    ]


def _history(find: Find, text: Callable[[str], str], hours: float) -> list[Card]:
    powers = [
        {"entity": find("solar", "power"), "name": text("Solar")},
        {"entity": find("house", "power"), "name": text("House")},
        {"entity": find("meter", "power"), "name": text("Grid")},
        {"entity": find("battery", "power"), "name": text("Battery")},
    ]
    cells = [
        {
            "entity": find("battery", f"cell_{number}_voltage"),
            "name": text("Cell {}").format(number),
        }
        for number in range(1, CELLS + 1)
    ]
    charge = [{"entity": find("battery", "state_of_charge"), "name": text("State of charge")}]
    return [
        _section(text("Power"), "mdi:flash", _graph(powers, hours)),
        _section(text("Cell voltages"), "mdi:battery-outline", _graph(cells, hours)),
        _section(
            text("The last days"),
            "mdi:calendar-clock",
            _long_graph(powers),
            _long_graph(charge),
        ),
    ]


def _graph(entities: list[Card], hours: float) -> Card:
    return {
        "type": "history-graph",
        "entities": entities,
        "hours_to_show": hours,
        "grid_options": {"columns": 12, "rows": 7},
    }


def _long_graph(entities: list[Card]) -> Card:
    return {
        "type": "statistics-graph",
        "entities": entities,
        "period": "hour",
        "days_to_show": 3,
        "stat_types": ["mean"],
        "grid_options": {"columns": 12, "rows": 5},
    }


def _view(title: str, path: str, icon: str, sections: list[Card]) -> Card:
    return {
        "title": title,
        "path": path,
        "icon": icon,
        "type": "sections",
        "max_columns": 3,
        "dense_section_placement": True,
        "sections": sections,
    }


def _section(title: str, icon: str, *cards: Card) -> Card:
    return {"type": "grid", "cards": [_heading(title, icon), *cards]}


def _heading(title: str, icon: str) -> Card:
    return {"type": "heading", "heading": title, "icon": icon, "heading_style": "title"}


def _tile(
    entity: str,
    name: Name | None = None,
    color: str | None = None,
    *,
    features: list[str] | None = None,
    columns: int = 6,
) -> Card:
    card: Card = {"type": "tile", "entity": entity, "grid_options": {"columns": columns}}
    if name is not None:
        card["name"] = name
    if color is not None:
        card["color"] = color
    if features:
        card["features"] = [{"type": feature} for feature in features]
    return card
