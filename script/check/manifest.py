"""manifest.json: hassfest's schema for custom integrations, HACS' and our own demands."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from awesomeversion import AwesomeVersion, AwesomeVersionException, AwesomeVersionStrategy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from .repository import HASS, Repository

KEYS: dict[str, type] = {
    "after_dependencies": list,
    "bluetooth": list,
    "codeowners": list,
    "config_flow": bool,
    "dependencies": list,
    "dhcp": list,
    "disabled": str,
    "documentation": str,
    "domain": str,
    "homekit": dict,
    "import_executor": bool,
    "integration_type": str,
    "iot_class": str,
    "issue_tracker": str,
    "loggers": list,
    "mqtt": list,
    "name": str,
    "preview_features": dict,
    "quality_scale": str,
    "requirements": list,
    "single_config_entry": bool,
    "ssdp": list,
    "usb": list,
    "version": str,
    "zeroconf": list,
}
REQUIRED = (
    *("domain", "name", "codeowners", "documentation", "integration_type", "iot_class"),
    *("issue_tracker", "version"),
)
CHOICES = {
    "integration_type": {"device", "entity", "hardware", "helper", "hub", "service", "system"},
    "iot_class": {
        *("assumed_state", "calculated", "cloud_polling", "cloud_push"),
        *("local_polling", "local_push"),
    },
    "quality_scale": {"bronze", "silver", "gold", "platinum"},
}
VERSIONS = [
    AwesomeVersionStrategy.CALVER,
    AwesomeVersionStrategy.SEMVER,
    AwesomeVersionStrategy.SIMPLEVER,
    AwesomeVersionStrategy.BUILDVER,
    AwesomeVersionStrategy.PEP440,
]


def check(repository: Repository) -> Iterator[str]:
    """What is wrong with the manifest."""
    yield from _keys(repository)
    yield from _values(repository)
    yield from _address(repository)
    for text in repository.manifest.get("requirements", []):
        yield from _requirement(text)


def _keys(repository: Repository) -> Iterator[str]:
    manifest = repository.manifest
    yield from (f"no {key}" for key in REQUIRED if key not in manifest)
    for key, value in manifest.items():
        if key not in KEYS:
            yield f"unknown key {key}"
        elif not isinstance(value, KEYS[key]):
            yield f"{key} is not a {KEYS[key].__name__}"
    first = [key for key in ("domain", "name") if key in manifest]
    if list(manifest) != [*first, *sorted(key for key in manifest if key not in first)]:
        yield "keys must be sorted: domain, name, then alphabetically"


def _values(repository: Repository) -> Iterator[str]:
    manifest = repository.manifest
    for key, choices in CHOICES.items():
        if manifest.get(key, next(iter(choices))) not in choices:
            yield f"{key} {manifest[key]!r} is unknown"
    if manifest.get("domain") != repository.domain:
        yield "domain differs from the folder"
    if not re.fullmatch(r"[a-z0-9_]+", str(manifest.get("domain", ""))):
        yield "domain may consist of a-z, 0-9 and _ only"
    if manifest.get("domain") in HASS.integrations:
        yield f"domain {manifest['domain']} would replace an integration of Home Assistant's own"
    if bool(manifest.get("config_flow")) != (repository.integration / "config_flow.py").exists():
        yield "config_flow and config_flow.py disagree"
    if not manifest.get("codeowners") or not all(
        re.fullmatch(r"@[\w-]+(/[\w-]+)?", str(owner)) for owner in manifest["codeowners"]
    ):
        yield "codeowners must name somebody as @name"
    for one in manifest.get("zeroconf", []):
        name = one.get("type", "") if isinstance(one, dict) else one
        if not re.fullmatch(r"_[a-z0-9-]{1,15}\._(tcp|udp)\.local\.", name):
            yield f"zeroconf {name!r} is not a service type"
    for key in ("dependencies", "after_dependencies"):
        unknown = set(manifest.get(key, [])) - HASS.integrations
        yield from (f"{key}: there is no integration {name}" for name in sorted(unknown))


def _address(repository: Repository) -> Iterator[str]:
    """Version and addresses have their one place in pyproject.toml."""
    manifest, project = repository.manifest, repository.project.get("project", {})
    try:
        AwesomeVersion(str(manifest.get("version", "")), ensure_strategy=VERSIONS)
    except AwesomeVersionException as err:
        yield f"version: {err}"
    if manifest.get("version") != project.get("version"):
        yield f"version differs from pyproject.toml ({project.get('version')})"
    for key, name in (("documentation", "Homepage"), ("issue_tracker", "Issues")):
        if manifest.get(key) != project.get("urls", {}).get(name):
            yield f"{key} differs from {name} in pyproject.toml"
        if not str(manifest.get(key, "")).startswith("https://"):
            yield f"{key} must be an https address"


def _requirement(text: str) -> Iterator[str]:
    """A requirement must be a range that fits Home Assistant's constraints and what is tested."""
    try:
        wanted = Requirement(text)
    except InvalidRequirement as err:
        yield f"requirement {text!r}: {err}"
        return
    if " " in text or wanted.url:
        yield f"requirement {text!r} must be a name and versions, without blanks"
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        yield f"requirement {text}: not installed, so not tested"
        return
    if not wanted.specifier.contains(installed):
        yield f"requirement {text}: {installed} is what is tested"
    constraint = HASS.constraints.get(canonicalize_name(wanted.name))
    if constraint is None:
        return
    if any(one.operator == "==" for one in wanted.specifier):
        yield f"requirement {text}: Home Assistant decides ({constraint}), a pin breaks later"
    pins = [one.version for one in constraint.specifier if one.operator == "=="]
    if not all(wanted.specifier.contains(pin) for pin in pins):
        yield f"requirement {text} conflicts with Home Assistant's {constraint}"
