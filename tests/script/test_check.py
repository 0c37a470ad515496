"""The checker passes what is good and finds what is broken."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from script.check.__main__ import findings

from . import specimen

type Damage = Callable[[Path], None]


def integration(root: Path) -> Path:
    return root / "custom_components" / "specimen"


def manifest(**changes: object) -> Damage:
    """Change keys of the manifest; None takes them away."""

    def damage(root: Path) -> None:
        content = {**specimen.MANIFEST, **changes}
        left = {key: value for key, value in content.items() if value is not None}
        specimen.write_json(integration(root) / "manifest.json", left)

    return damage


def in_json(name: str, where: str, value: object) -> Damage:
    """Set what stands at a path a/b/c of a JSON file; None takes it away."""

    def damage(root: Path) -> None:
        path = integration(root) / name
        content = json.loads(path.read_text())
        *above, last = where.split("/")
        part = content
        for key in above:
            part = part.setdefault(key, {})
        part[last] = value
        if value is None:
            del part[last]
        specimen.write_json(path, content)

    return damage


def replace(name: str, old: str, new: str) -> Damage:
    """Replace text in a file of the repository."""

    def damage(root: Path) -> None:
        path = root / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return damage


def remove(name: str) -> Damage:
    """Take a file away."""
    return lambda root: (root / name).unlink()


def rule(name: str, value: object) -> Damage:
    """Set a rule of the quality scale; None takes it away."""

    def damage(root: Path) -> None:
        rules = specimen.rules() | {name: value}
        left = {key: value for key, value in rules.items() if value is not None}
        text = yaml.safe_dump({"rules": left})
        specimen.write(integration(root) / "quality_scale.yaml", text)

    return damage


def picture(name: str, width: int, height: int) -> Damage:
    """Write a picture of another size."""
    return lambda root: specimen.write_picture(integration(root) / "brand" / name, width, height)


BASE = "custom_components/specimen"
EN, DE = "translations/en.json", "translations/de.json"

BROKEN: list[tuple[Damage, str]] = [
    (manifest(version=None), "manifest: no version"),
    (manifest(version="0.9.0"), "manifest: version differs from pyproject.toml (1.0.0)"),
    (manifest(version="new"), "manifest: version: "),
    (manifest(colour="red"), "manifest: unknown key colour"),
    (manifest(config_flow="yes"), "manifest: config_flow is not a bool"),
    (manifest(after_dependencies=["mqtt"]), "manifest: keys must be sorted"),
    (manifest(domain="moat"), "manifest: domain moat would replace an integration"),
    (manifest(domain="other"), "manifest: domain differs from the folder"),
    (manifest(iot_class="push"), "manifest: iot_class 'push' is unknown"),
    (manifest(quality_scale="gold"), "is to do, but gold is claimed"),
    (manifest(codeowners=["somebody"]), "manifest: codeowners must name somebody"),
    (manifest(codeowners=[]), "manifest: codeowners must name somebody"),
    (manifest(zeroconf=["moat.local"]), "manifest: zeroconf 'moat.local' is not a service type"),
    (manifest(dependencies=["nowhere"]), "manifest: dependencies: there is no integration nowhere"),
    (manifest(documentation="http://x"), "manifest: documentation must be an https address"),
    (manifest(issue_tracker="https://x"), "manifest: issue_tracker differs from Issues"),
    (manifest(requirements=["cbor2 >=5"]), "must be a name and versions, without blanks"),
    (manifest(requirements=["cbor2>>5"]), "manifest: requirement 'cbor2>>5'"),
    (manifest(requirements=["cbor2<5"]), "is what is tested"),
    (manifest(requirements=["no-such-thing>1"]), "not installed, so not tested"),
    (manifest(requirements=["aiohttp<1"]), "conflicts with Home Assistant's aiohttp=="),
    (manifest(requirements=["aiohttp==3.14.5"]), "a pin breaks later"),
    (remove(f"{BASE}/config_flow.py"), "manifest: config_flow and config_flow.py disagree"),
    (
        replace(f"{BASE}/entity.py", "", "from homeassistant.components import mqtt\n"),
        "code: entity.py uses mqtt: declare it",
    ),
    (
        replace(f"{BASE}/entity.py", "", "import homeassistant.components.recorder.util\n"),
        "code: entity.py uses recorder: declare it",
    ),
    (replace(f"{BASE}/entity.py", "", "import voluptuous\n"), "code: entity.py: voluptuous"),
    (
        replace(f"{BASE}/entity.py", "", 'raise HomeAssistantError("no")\n'),
        "code: entity.py:1: HomeAssistantError without a translation_key",
    ),
    (
        replace(f"{BASE}/sensor.py", "PARALLEL_UPDATES = 0", ""),
        "code: sensor.py does not set PARALLEL_UPDATES",
    ),
    (replace(f"{BASE}/__init__.py", "CONFIG_SCHEMA", "X"), "so it must define CONFIG_SCHEMA"),
    (remove(f"{BASE}/{EN}"), "texts: no translations/en.json"),
    (remove(f"{BASE}/{DE}"), "texts: no translations/de.json"),
    (in_json(DE, "config/abort/more", "Mehr"), "texts: de: config/abort/more: not in English"),
    (in_json(DE, "issues", None), "texts: de: issues/skewed/title: missing"),
    (
        in_json(DE, "exceptions/refused/message", "{grund}"),
        "texts: de: exceptions/refused/message: other placeholders than in English",
    ),
    (in_json(EN, "colours", {}), "texts: en: unknown key colours"),
    (in_json(EN, "config/error/cannot_connect", " {error}"), "blanks at the ends"),
    (in_json(EN, "config/error/cannot_connect", ""), "config/error/cannot_connect: no text"),
    (in_json(EN, "config/error/cannot_connect", "'{error}'"), "quotes around a placeholder"),
    (in_json(EN, "config/error/cannot_connect", "<b>{error}</b>"), "HTML"),
    (in_json(EN, "config/error/cannot_connect", "http://{error}"), "an address belongs"),
    (in_json(EN, "config/error/cannot_connect", "[%key:x%]"), "references are resolved"),
    (in_json(EN, "config/step/user/data/port", "Port"), "port needs both data and"),
    (in_json(EN, "config/step/user/help", "Port"), "config/step/user: unknown key help"),
    (in_json(EN, "config_subentries/x/step", {}), "config_subentries/x: no entry_type"),
    (in_json(EN, "issues/skewed/title", None), "issues/skewed: needs a title"),
    (in_json(EN, "config/step/user", None), "no text for the step user"),
    (in_json(EN, "exceptions/refused", None), "no text exceptions/refused"),
    (in_json(EN, "issues/skewed", None), "no text issues/skewed"),
    (in_json(EN, "exceptions/refused/message", "{who}"), "exceptions/refused wants who"),
    (in_json(EN, "exceptions/forgotten/message", "x"), "exceptions/forgotten: nothing in the code"),
    (in_json(EN, "config/abort/forgotten", "x"), "config/abort/forgotten: nothing in the code"),
    (in_json(EN, "entity/sensor/gone/name", "x"), "entity/sensor/gone: nothing in the code"),
    (
        in_json(EN, "exceptions/Bad__key/message", "x"),
        "exceptions/Bad__key/message: a key consists",
    ),
    (in_json("icons.json", "colours", {}), "icons: unknown key colours"),
    (
        in_json("icons.json", "entity/sensor/mode/default", "mdi:no-such-icon"),
        "icons: entity/sensor/mode/default: there is no icon mdi:no-such-icon",
    ),
    (
        in_json("icons.json", "entity/sensor/gone/default", "mdi:home"),
        "icons: entity/sensor/gone: no such entity",
    ),
    (in_json("icons.json", "entity/sensor/mode/default", None), "mode: no default"),
    (in_json("icons.json", "entity/sensor/mode/state/off", "mdi:home"), "that have no text"),
    (in_json("icons.json", "services/get", None), "actions: get has no icon"),
    (in_json("icons.json", "services/set/service", "mdi:home"), "actions: set has an icon, but"),
    (in_json(EN, "services/set/name", "Set"), "actions: set has texts, but"),
    (in_json(EN, "services/get/description", None), "actions: get has no description"),
    (in_json(EN, "services/get/fields/path/name", None), "the field path has no name"),
    (in_json(EN, "services/get/fields/x/name", "X"), "texts for a field x that is not there"),
    (replace(f"{BASE}/__init__.py", '"get"', '"got"'), "actions: get is nowhere in the code"),
    (replace(f"{BASE}/services.yaml", "text: {}", "txt: {}"), "the selector of path"),
    (
        replace(f"{BASE}/services.yaml", "text: {}", "select: {options: [a], translation_key: k}"),
        "actions: get: no texts selector/k",
    ),
    (replace(f"{BASE}/services.yaml", "selector:", "required:"), "path has no selector"),
    (replace(f"{BASE}/services.yaml", "selector:", "name: x\n      selector:"), "unknown key name"),
    (replace(f"{BASE}/services.yaml", "get:", "get:\n  colour: 1"), "get: unknown key colour"),
    (remove(f"{BASE}/quality_scale.yaml"), "quality: no quality_scale.yaml"),
    (rule("brands", None), "quality: brands is missing"),
    (rule("brands", "perhaps"), "quality: brands: unknown status perhaps"),
    (rule("brands", "todo"), "quality: brands is to do, but bronze is claimed"),
    (rule("brands", "exempt"), "quality: brands is exempt without a comment"),
    (rule("beauty", "done"), "quality: unknown rule beauty"),
    (rule("diagnostics", "done"), "quality: diagnostics is called done, but no trace"),
    (replace("README.md", "## Remove", ""), "quality: docs-removal-instructions is called done"),
    (remove(f"{BASE}/brand/icon.png"), "brand: no icon.png"),
    (picture("icon.png", 128, 128), "brand: icon.png is 128x128 instead of 256x256"),
    (picture("logo.png", 900, 100), "brand: logo.png: its shorter side must be 128 to 256"),
    (picture("photo.png", 256, 256), "brand: photo.png is not served"),
    (lambda root: specimen.write(root / BASE / "brand/logo.png", "x"), "logo.png is not a PNG"),
    (remove("LICENSE"), "files: no LICENSE"),
    (remove("hacs.json"), "files: no hacs.json"),
    (replace("hacs.json", '"name"', '"nome"'), "files: hacs.json: no name"),
    (replace("hacs.json", "{", '{"zip_release": true, '), "zip_release needs the filename"),
    (replace("hacs.json", '"Specimen"', "1"), "files: hacs.json: name has the wrong type"),
    (replace("CHANGELOG.md", "1.0.0", "0.1.0"), "the newest entry is not that of version 1.0.0"),
    (replace("CHANGELOG.md", "## [1.0.0]", ""), "files: CHANGELOG.md has no entry"),
    (replace("README.md", specimen.ADDRESS, ""), "files: README.md does not name the address"),
    (replace("requirements/dev.lock", "cbor2", "--index https://x\ncbor2"), "names an address"),
    (
        lambda root: specimen.write_json(root / "custom_components/two/manifest.json", {}),
        "files: 2 integrations below custom_components/",
    ),
]


def test_good_passes(tmp_path: Path) -> None:
    assert list(findings(specimen.build(tmp_path))) == []


@pytest.mark.parametrize(("damage", "expected"), BROKEN, ids=[text for _, text in BROKEN])
def test_broken_is_found(tmp_path: Path, damage: Damage, expected: str) -> None:
    damage(specimen.build(tmp_path))
    found = "\n".join(findings(tmp_path))
    assert expected in found
