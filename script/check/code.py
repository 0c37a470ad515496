"""The integration's Python files: what they use is declared, what a platform needs is there."""

import ast
from collections.abc import Iterator

from .repository import HASS, Repository, called, keyword

# Always set up, or imported for their words only.
UNDECLARED = {
    *("automation", "device_automation", "diagnostics", "group", "homeassistant", "logbook"),
    *("persistent_notification", "repairs", "scene", "script", "system_health", "tag", "zone"),
}
TRANSLATED = {
    *("ConfigEntryAuthFailed", "ConfigEntryError", "ConfigEntryNotReady", "HomeAssistantError"),
    *("ServiceValidationError", "UpdateFailed"),
}


def check(repository: Repository) -> Iterator[str]:
    """What is wrong with the code."""
    yield from _imports(repository)
    setup = repository.integration / "__init__.py"
    text = setup.read_text() if setup.exists() else ""
    if "async def async_setup(" in text and "\nCONFIG_SCHEMA = " not in text:
        yield "__init__.py has async_setup, so it must define CONFIG_SCHEMA"
    for platform in sorted(HASS.platforms):
        path = repository.integration / f"{platform}.py"
        if path.exists() and "\nPARALLEL_UPDATES = " not in path.read_text():
            yield f"{path.name} does not set PARALLEL_UPDATES"
    for path, call in repository.calls():
        if called(call) in TRANSLATED and not _translated(call):
            yield f"{path.name}:{call.lineno}: {called(call)} without a translation_key"


def _imports(repository: Repository) -> Iterator[str]:
    manifest = repository.manifest
    declared = {*manifest.get("dependencies", []), *manifest.get("after_dependencies", [])}
    declared |= HASS.platforms | UNDECLARED
    for path, tree in repository.modules.items():
        for node in ast.walk(tree):
            for module in _modules(node):
                parts = module.split(".")
                if parts[0] == "voluptuous":
                    yield f"{path.name}: voluptuous is an alias of probatio now"
                core = parts[:2] == ["homeassistant", "components"] and len(parts) > 2
                if core and parts[2] not in declared:
                    yield f"{path.name} uses {parts[2]}: declare it in the manifest"


def _modules(node: ast.AST) -> list[str]:
    """The full names of the modules that a statement imports, names taken from them included."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        if node.module == "homeassistant.components":
            return [f"{node.module}.{one.name}" for one in node.names]
        return [node.module]
    return []


def _translated(call: ast.Call) -> bool:
    """A call that hands on keywords is taken on trust."""
    return keyword(call, "translation_key") is not None or any(not one.arg for one in call.keywords)
