"""icons.json: names that exist, for entities and actions that exist."""

from collections.abc import Iterator

from .repository import HASS, Repository, leaves

TOP = {"conditions", "entity", "entity_component", "services", "triggers"}


def check(repository: Repository) -> Iterator[str]:
    """What is wrong with the icons."""
    icons, texts = repository.icons, repository.english.get("entity", {})
    yield from (f"unknown key {key}" for key in icons.keys() - TOP)
    for where, icon in leaves(icons):
        if icon not in HASS.icons:
            yield f"{where}: there is no icon {icon}"
    for platform, entities in icons.get("entity", {}).items():
        for key, entity in entities.items():
            text = texts.get(platform, {}).get(key)
            if text is None:
                yield f"entity/{platform}/{key}: no such entity in the texts"
            elif "default" not in entity:
                yield f"entity/{platform}/{key}: no default"
            elif "state" in text and entity.get("state", {}).keys() - text["state"].keys():
                yield f"entity/{platform}/{key}: icons for states that have no text"
