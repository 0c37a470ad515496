"""The repository around the integration: what HACS and the Marketplace look for."""

import json
import re
from collections.abc import Iterator

from .repository import Repository

HACS: dict[str, tuple[type, ...]] = {
    "content_in_root": (bool,),
    "country": (str, list),
    "filename": (str,),
    "hacs": (str,),
    "hide_default_branch": (bool,),
    "homeassistant": (str,),
    "name": (str,),
    "persistent_directory": (str,),
    "zip_release": (bool,),
}


def check(repository: Repository) -> Iterator[str]:
    """What is missing or wrong around the integration."""
    found = list(repository.path.glob("custom_components/*/manifest.json"))
    if len(found) != 1:
        yield f"{len(found)} integrations below custom_components/, it must be one"
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "hacs.json"):
        if not (repository.path / name).exists():
            yield f"no {name}"
    if repository.address and repository.address not in repository.documentation:
        yield "README.md does not name the address in pyproject.toml"
    yield from _hacs(repository)
    yield from _changelog(repository)
    for path in sorted(repository.path.glob("requirements/*")):
        if "://" in path.read_text():
            yield f"{path.name} names an address"


def _hacs(repository: Repository) -> Iterator[str]:
    path = repository.path / "hacs.json"
    content = json.loads(path.read_text()) if path.exists() else {"name": ""}
    if "name" not in content:
        yield "hacs.json: no name"
    if content.get("zip_release") and not str(content.get("filename", "")).endswith(".zip"):
        yield "hacs.json: zip_release needs the filename of a .zip"
    for key, value in content.items():
        if key not in HACS:
            yield f"hacs.json: unknown key {key}"
        elif not isinstance(value, HACS[key]):
            yield f"hacs.json: {key} has the wrong type"


def _changelog(repository: Repository) -> Iterator[str]:
    path = repository.path / "CHANGELOG.md"
    headings = (
        re.findall(r"^## \[?([^\]\n ]+)", path.read_text(), re.MULTILINE) if path.exists() else []
    )
    released = [one for one in headings if one != "Unreleased"]
    version = repository.manifest.get("version")
    if not headings:
        yield "CHANGELOG.md has no entry"
    elif "Unreleased" not in headings and released[0] != version:
        yield f"CHANGELOG.md: the newest entry is not that of version {version}"
