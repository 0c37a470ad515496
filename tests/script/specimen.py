"""A small integration that satisfies every check, to be broken in one place."""

import json
import struct
from pathlib import Path

import yaml

from script.check import quality

ADDRESS = "https://github.com/somebody/specimen"

MANIFEST = {
    "domain": "specimen",
    "name": "Specimen",
    "codeowners": ["@somebody"],
    "config_flow": True,
    "documentation": ADDRESS,
    "integration_type": "hub",
    "iot_class": "local_push",
    "issue_tracker": f"{ADDRESS}/issues",
    "quality_scale": "bronze",
    "requirements": ["cbor2>=5"],
    "version": "1.0.0",
}

TEXTS = {
    "config": {
        "abort": {"already_configured": "Known already"},
        "error": {"cannot_connect": "No answer: {error}"},
        "step": {"user": {"data": {"host": "Host"}, "data_description": {"host": "Its name"}}},
    },
    "entity": {"sensor": {"mode": {"name": "Mode", "state": {"on": "On"}}}},
    "exceptions": {"refused": {"message": "Refused: {reason}"}},
    "issues": {"skewed": {"title": "Clock", "description": "It is wrong"}},
    "services": {
        "get": {
            "name": "Get",
            "description": "Read",
            "fields": {"path": {"name": "Path", "description": "Where"}},
        }
    },
}

ICONS = {
    "entity": {"sensor": {"mode": {"default": "mdi:home", "state": {"on": "mdi:power"}}}},
    "services": {"get": {"service": "mdi:download"}},
}

SERVICES = {"get": {"fields": {"path": {"selector": {"text": {}}}}}}

CODE = """
from homeassistant.exceptions import ConfigEntryNotReady, HomeAssistantError
from homeassistant.helpers import issue_registry as ir

CONFIG_SCHEMA = None

type SpecimenConfigEntry = ConfigEntry[int]

async def async_setup(hass, config):
    hass.services.async_register("specimen", "get", None)

async def async_setup_entry(hass, entry):
    entry.runtime_data = 1
    ir.async_create_issue(hass, "specimen", "x", translation_key="skewed")
    if hass is None:
        raise ConfigEntryNotReady(translation_domain="specimen", **entry.keywords)
    raise HomeAssistantError(
        translation_domain="specimen",
        translation_key="refused",
        translation_placeholders={"reason": "none"},
    )
"""

FLOW = """
async def async_step_user(self, user_input):
    self._abort_if_unique_id_configured()
    errors = {"base": "cannot_connect"}
    return self.async_show_form(step_id="user", errors=errors)
"""

SENSOR = """
PARALLEL_UPDATES = 0

class Mode:
    _attr_has_entity_name = True
    _attr_unique_id = "1"
    _attr_translation_key = "mode"

    async def async_added_to_hass(self):
        pass
"""

FOREIGN = {"docs-actions", "docs-conditions", "docs-triggers"}
NONE = {"status": "exempt", "comment": "There are none."}


def build(root: Path) -> Path:
    """Write the specimen and return the folder of the repository."""
    integration = root / "custom_components" / "specimen"
    for language in ("en", "de"):
        write_json(integration / "translations" / f"{language}.json", TEXTS)
    write_json(integration / "manifest.json", MANIFEST)
    write_json(integration / "icons.json", ICONS)
    write_json(root / "hacs.json", {"name": "Specimen"})
    write(integration / "__init__.py", CODE)
    write(integration / "config_flow.py", FLOW)
    write(integration / "entity.py", "")
    write(integration / "sensor.py", SENSOR)
    write(integration / "services.yaml", yaml.safe_dump(SERVICES))
    write(integration / "quality_scale.yaml", yaml.safe_dump({"rules": rules()}))
    write_picture(integration / "brand" / "icon.png", 256, 256)
    write_picture(integration / "brand" / "icon@2x.png", 512, 512)
    write(root / "README.md", f"# Specimen\n\n{ADDRESS}\n\n## Install\n\n## Remove\n")
    write(root / "LICENSE", "Free")
    write(root / "CHANGELOG.md", "# Changelog\n\n## [1.0.0]\n")
    urls = f'Homepage = "{ADDRESS}"\nIssues = "{ADDRESS}/issues"\n'
    write(root / "pyproject.toml", f'[project]\nversion = "1.0.0"\n[project.urls]\n{urls}')
    write(root / "requirements" / "dev.lock", "cbor2==6.2.1\n")
    return root


def rules() -> dict[str, object]:
    """Bronze is done, except what the specimen has not; the rest is to do."""
    found: dict[str, object] = {
        rule: "done" if tier == "bronze" else "todo"
        for tier, names in quality.TIERS.items()
        for rule in names
    }
    return found | dict.fromkeys(FOREIGN, NONE)


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_json(path: Path, content: object) -> None:
    """Write a JSON file."""
    write(path, json.dumps(content))


def write_picture(path: Path, width: int, height: int) -> None:
    """Write as much of a PNG as tells its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
    path.write_bytes(head + struct.pack(">II", width, height))
