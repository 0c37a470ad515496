"""Print what Home Assistant would install at its start: hass_requirements.py PACKAGE INTEGRATION...

PACKAGE is the folder of the homeassistant package. To the integrations named come those that
every start brings along, the entity platforms, and the dependencies of all of them.
"""

import json
import re
import sys
from pathlib import Path

ALWAYS = ("DEFAULT_INTEGRATIONS", "FRONTEND_INTEGRATIONS", "LOGGING_AND_HTTP_DEPS_INTEGRATIONS")


def started(package: Path) -> set[str]:
    """Return the integrations that Home Assistant sets up without being asked."""
    bootstrap = (package / "bootstrap.py").read_text()
    platforms = (package / "generated" / "entity_platforms.py").read_text()
    names = set(re.findall(r'= "(\w+)"', platforms))
    for variable in ALWAYS:
        block = re.search(rf"^{variable}\b[^=]*= {{(.*?)^}}", bootstrap, re.DOTALL | re.MULTILINE)
        if block is None:
            raise SystemExit(f"{variable} is no longer in Home Assistant's bootstrap.py")
        names |= set(re.findall(r'^\s*"(\w+)"', block[1], re.MULTILINE))
    return names


def closure(package: Path, integrations: set[str]) -> set[str]:
    """Return the integrations and all that they depend on."""
    seen: set[str] = set()
    while integrations := integrations - seen:
        seen |= integrations
        found = [manifest(package, name).get("dependencies", []) for name in integrations]
        integrations = {name for names in found for name in names}
    return seen


def manifest(package: Path, integration: str) -> dict[str, list[str]]:
    """Return the manifest of an integration; those of the core without one have none."""
    path = package / "components" / integration / "manifest.json"
    return json.loads(path.read_text()) if path.exists() else {}


def main() -> None:
    """Print one requirement a line."""
    package = Path(sys.argv[1])
    names = closure(package, started(package) | set(sys.argv[2:]))
    found = {text for name in names for text in manifest(package, name).get("requirements", [])}
    print(*sorted(found), sep="\n")


if __name__ == "__main__":
    main()
