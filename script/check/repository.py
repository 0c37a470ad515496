"""The files under examination, and what the installed Home Assistant knows."""

import ast
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Repository:
    """A checkout with one integration; files are read when they are asked for."""

    path: Path

    @cached_property
    def integration(self) -> Path:
        """The folder of the integration."""
        found = sorted(self.path.glob("custom_components/*/manifest.json"))
        return found[0].parent if found else self.path / "custom_components" / "missing"

    @cached_property
    def domain(self) -> str:
        """The integration's domain, by its folder."""
        return self.integration.name

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest."""
        return self.json("manifest.json")

    @cached_property
    def icons(self) -> dict[str, Any]:
        """The icons of entities and actions."""
        return self.json("icons.json")

    @cached_property
    def texts(self) -> dict[str, dict[str, Any]]:
        """The texts by language."""
        found = sorted((self.integration / "translations").glob("*.json"))
        return {path.stem: json.loads(path.read_text()) for path in found}

    @cached_property
    def english(self) -> dict[str, Any]:
        """The texts that all languages follow."""
        return self.texts.get("en", {})

    @cached_property
    def project(self) -> dict[str, Any]:
        """The project's metadata."""
        path = self.path / "pyproject.toml"
        return tomllib.loads(path.read_text()) if path.exists() else {}

    @cached_property
    def address(self) -> str:
        """The public address."""
        urls = self.project.get("project", {}).get("urls", {})
        return str(urls.get("Homepage", ""))

    @cached_property
    def modules(self) -> dict[Path, ast.Module]:
        """The integration's Python files, parsed."""
        return {
            path: ast.parse(path.read_text()) for path in sorted(self.integration.rglob("*.py"))
        }

    @cached_property
    def sources(self) -> str:
        """The integration's Python files as one text."""
        return "\n".join(path.read_text() for path in self.modules)

    @cached_property
    def documentation(self) -> str:
        """The README and everything below docs/ as one text."""
        paths = [*self.path.glob("README*.md"), *sorted(self.path.glob("docs/**/*.md"))]
        return "\n".join(path.read_text() for path in paths)

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the integration; empty where it is missing."""
        path = self.integration / name
        return json.loads(path.read_text()) if path.exists() else {}

    def yaml(self, name: str) -> dict[str, Any]:
        """Read a YAML file of the integration; empty where it is missing."""
        path = self.integration / name
        return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}

    def calls(self) -> Iterator[tuple[Path, ast.Call]]:
        """Every call in the integration."""
        for path, tree in self.modules.items():
            yield from ((path, node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def leaves(tree: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Every value at the ends of nested mappings, with its path written a/b/c."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, *above, str(key))
    else:
        yield "/".join(above), tree


def called(call: ast.Call) -> str:
    """The last part of the name that is called."""
    target = call.func
    if isinstance(target, ast.Subscript):
        target = target.value
    return getattr(target, "attr", getattr(target, "id", ""))


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument, if there is one."""
    return next((word.value for word in call.keywords if word.arg == name), None)


def constant(node: ast.expr | None) -> str | None:
    """The text that an expression is, if it is just a text."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


class HomeAssistant:
    """The installed Home Assistant."""

    @cached_property
    def path(self) -> Path:
        """The folder of the package."""
        spec = importlib.util.find_spec("homeassistant")
        assert spec is not None
        assert spec.origin is not None
        return Path(spec.origin).parent

    @cached_property
    def integrations(self) -> set[str]:
        """The domains of its integrations."""
        return {path.parent.name for path in self.path.glob("components/*/manifest.json")}

    @cached_property
    def platforms(self) -> set[str]:
        """The domains that hold entities."""
        text = (self.path / "generated" / "entity_platforms.py").read_text()
        return set(re.findall(r'= "(\w+)"', text))

    @cached_property
    def constraints(self) -> dict[str, Requirement]:
        """What it demands of packages, by canonical name."""
        lines = (self.path / "package_constraints.txt").read_text().splitlines()
        found = [Requirement(line) for line in lines if line and not line.startswith("#")]
        return {canonicalize_name(one.name): one for one in found}

    @cached_property
    def icons(self) -> set[str]:
        """The names of the icons that its frontend brings."""
        spec = importlib.util.find_spec("hass_frontend")
        assert spec is not None
        assert spec.origin is not None
        found: set[str] = set()
        for path in Path(spec.origin).parent.glob("static/mdi/*.json"):
            content = json.loads(path.read_text())
            if isinstance(content, dict):
                found |= {f"mdi:{name}" for name in content}
        return found


HASS = HomeAssistant()
