"""services.yaml: every action has texts and an icon, and selectors that Home Assistant knows."""

from collections.abc import Iterator
from typing import Any

from homeassistant.helpers.selector import selector

from .repository import Repository

ACTION = {"fields", "target"}
FIELD = {"advanced", "default", "example", "filter", "required", "selector"}


def check(repository: Repository) -> Iterator[str]:
    """What is wrong with the actions."""
    actions = repository.yaml("services.yaml")
    texts = repository.english.get("services", {})
    icons = repository.icons.get("services", {})
    for name in sorted(texts.keys() - actions.keys()):
        yield f"{name} has texts, but is not in services.yaml"
    for name in sorted(icons.keys() - actions.keys()):
        yield f"{name} has an icon, but is not in services.yaml"
    for name, action in actions.items():
        for key in sorted((action or {}).keys() - ACTION):
            yield f"{name}: unknown key {key}"
        if f'"{name}"' not in repository.sources:
            yield f"{name} is nowhere in the code"
        if name not in icons:
            yield f"{name} has no icon"
        yield from _texts(name, texts.get(name, {}), _fields(action))
        yield from _selectors(name, _fields(action), repository.english.get("selector", {}))


def _fields(action: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The fields of an action, those in sections as well."""
    found: dict[str, dict[str, Any]] = {}
    for name, field in ((action or {}).get("fields") or {}).items():
        content = field or {}
        found |= content.get("fields", {name: content})
    return found


def _texts(name: str, texts: dict[str, Any], fields: dict[str, dict[str, Any]]) -> Iterator[str]:
    for key in ("name", "description"):
        if key not in texts:
            yield f"{name} has no {key}"
        for field in fields:
            if key not in texts.get("fields", {}).get(field, {}):
                yield f"{name}: the field {field} has no {key}"
    for field in sorted(texts.get("fields", {}).keys() - fields.keys()):
        yield f"{name}: texts for a field {field} that is not there"


def _selectors(
    name: str, fields: dict[str, dict[str, Any]], texts: dict[str, Any]
) -> Iterator[str]:
    for field, content in fields.items():
        for extra in sorted(content.keys() - FIELD):
            yield f"{name}: the field {field} has an unknown key {extra}"
        if "selector" not in content:
            yield f"{name}: the field {field} has no selector"
            continue
        try:
            selector(content["selector"])
        except Exception as err:  # noqa: BLE001 # whichever validator it is today
            yield f"{name}: the selector of {field}: {err}"
            continue
        for options in content["selector"].values():
            key = (options or {}).get("translation_key")
            if key is not None and key not in texts:
                yield f"{name}: no texts selector/{key}"
