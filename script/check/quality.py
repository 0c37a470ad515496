"""quality_scale.yaml: complete, and what it calls done leaves traces that can be found.

hassfest does not read this file for custom integrations, so nobody else checks it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from .repository import Repository

TIERS = {
    "bronze": (
        *("action-setup", "appropriate-polling", "brands", "common-modules", "config-flow"),
        *("config-flow-test-coverage", "dependency-transparency", "docs-actions"),
        *("docs-conditions", "docs-high-level-description", "docs-installation-instructions"),
        *("docs-removal-instructions", "docs-triggers", "entity-event-setup", "entity-unique-id"),
        *("has-entity-name", "runtime-data", "test-before-configure", "test-before-setup"),
        "unique-config-entry",
    ),
    "silver": (
        *("action-exceptions", "config-entry-unloading", "docs-configuration-parameters"),
        *("docs-installation-parameters", "entity-unavailable", "integration-owner"),
        *("log-when-unavailable", "parallel-updates", "reauthentication-flow", "test-coverage"),
    ),
    "gold": (
        *("devices", "diagnostics", "discovery", "discovery-update-info", "docs-data-update"),
        *("docs-examples", "docs-known-limitations", "docs-supported-devices"),
        *("docs-supported-functions", "docs-troubleshooting", "docs-use-cases"),
        *("dynamic-devices", "entity-category", "entity-device-class"),
        *("entity-disabled-by-default", "entity-translations", "exception-translations"),
        *("icon-translations", "reconfiguration-flow", "repair-issues", "stale-devices"),
    ),
    "platinum": ("async-dependency", "inject-websession", "strict-typing"),
}


def _file(*names: str) -> Callable[[Repository], bool]:
    return lambda repository: all((repository.integration / name).exists() for name in names)


def _code(*patterns: str) -> Callable[[Repository], bool]:
    return lambda repository: all(re.search(one, repository.sources) for one in patterns)


def _heading(pattern: str) -> Callable[[Repository], bool]:
    heading = re.compile(rf"^#+ .*({pattern})", re.IGNORECASE | re.MULTILINE)
    return lambda repository: heading.search(repository.documentation) is not None


# What must be found where a rule claims to be done; the other rules only a reader can judge.
TRACES: dict[str, Callable[[Repository], bool]] = {
    "action-exceptions": _code(r"\bServiceValidationError\(", r"\bHomeAssistantError\("),
    "action-setup": _code(r"async def async_setup\(", r"async_register(_admin_service)?\("),
    "brands": _file("brand/icon.png"),
    "common-modules": _file("entity.py"),
    "config-entry-unloading": _code(r"async def async_unload_entry\("),
    "config-flow": _file("config_flow.py"),
    "diagnostics": _code(
        r"async_get_config_entry_diagnostics\(", r"async_get_device_diagnostics\("
    ),
    "discovery": lambda repository: (
        bool(repository.manifest.get("zeroconf")) and "async_step_zeroconf(" in repository.sources
    ),
    "docs-actions": _heading("action|aktion"),
    "docs-configuration-parameters": _heading("option|configur"),
    "docs-data-update": _heading("update|arrive|live"),
    "docs-examples": _heading("example"),
    "docs-installation-instructions": _heading("install"),
    "docs-installation-parameters": _heading("parameter|configur|set.?up"),
    "docs-known-limitations": _heading("limit"),
    "docs-removal-instructions": _heading("remov"),
    "docs-supported-devices": _heading("devices"),
    "docs-supported-functions": _heading("function|entit|platform"),
    "docs-troubleshooting": _heading("troubleshoot|trouble"),
    "docs-use-cases": _heading("use case|good for|what for"),
    "dynamic-devices": _code(r"on_(point|device)_added"),
    "entity-category": _code(r"\bEntityCategory\b"),
    "entity-device-class": _code(r"device_class"),
    "entity-disabled-by-default": _code(r"entity_registry_enabled_default"),
    "entity-event-setup": _code(r"async def async_added_to_hass\("),
    "entity-translations": lambda repository: "entity" in repository.english,
    "entity-unavailable": _code(r"def available\("),
    "entity-unique-id": _code(r"_attr_unique_id"),
    "exception-translations": lambda repository: "exceptions" in repository.english,
    "has-entity-name": _code(r"_attr_has_entity_name = True"),
    "icon-translations": lambda repository: "entity" in repository.icons,
    "parallel-updates": _code(r"\nPARALLEL_UPDATES = "),
    "reauthentication-flow": _code(r"async_step_reauth\("),
    "reconfiguration-flow": _code(r"async_step_reconfigure\("),
    "repair-issues": _code(r"async_create_issue\("),
    "runtime-data": _code(r"\.runtime_data = ", r"type \w+ConfigEntry = ConfigEntry\["),
    "stale-devices": _code(r"async_remove_config_entry_device\("),
    "strict-typing": _file("py.typed"),
    "test-before-setup": _code(r"\bConfigEntryNotReady\b|\bConfigEntryAuthFailed\b"),
    "unique-config-entry": _code(r"_abort_if_unique_id_configured\("),
}


def check(repository: Repository) -> Iterator[str]:
    """What is missing, unknown or claimed in vain."""
    rules: dict[str, Any] = repository.yaml("quality_scale.yaml").get("rules", {})
    if not rules:
        yield "no quality_scale.yaml"
        return
    known = [rule for tier in TIERS.values() for rule in tier]
    yield from (f"unknown rule {rule}" for rule in rules if rule not in known)
    for tier, names in TIERS.items():
        for rule in names:
            yield from _rule(repository, rule, rules.get(rule), _claimed(repository, tier))


def _claimed(repository: Repository, tier: str) -> bool:
    """Whether the tier in the manifest includes this one."""
    order = list(TIERS)
    claim = repository.manifest.get("quality_scale")
    return claim in order and order.index(tier) <= order.index(claim)


def _rule(repository: Repository, rule: str, entry: Any, claimed: bool) -> Iterator[str]:
    status = entry.get("status") if isinstance(entry, dict) else entry
    if entry is None:
        yield f"{rule} is missing"
    elif status not in ("done", "exempt", "todo"):
        yield f"{rule}: unknown status {status}"
    elif status == "exempt" and not (isinstance(entry, dict) and entry.get("comment")):
        yield f"{rule} is exempt without a comment"
    elif status == "todo" and claimed:
        yield f"{rule} is to do, but {repository.manifest['quality_scale']} is claimed"
    elif status == "done" and rule in TRACES and not TRACES[rule](repository):
        yield f"{rule} is called done, but no trace of it can be found"
