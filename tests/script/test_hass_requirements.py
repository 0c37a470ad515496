"""What a start of Home Assistant needs is found in its files."""

import json
from pathlib import Path

from script.hass_requirements import closure, manifest, started

BOOTSTRAP = """
DEFAULT_INTEGRATIONS = {
    # a comment
    "backup",
}
FRONTEND_INTEGRATIONS: set[str] = {
    "frontend",
}
LOGGING_AND_HTTP_DEPS_INTEGRATIONS = {
    "logger",
}
"""


def test_started(tmp_path: Path) -> None:
    (tmp_path / "bootstrap.py").write_text(BOOTSTRAP)
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "entity_platforms.py").write_text('class P:\n    SENSOR = "sensor"\n')
    assert started(tmp_path) == {"backup", "frontend", "logger", "sensor"}


def test_closure(tmp_path: Path) -> None:
    for name, needs in {"a": ["b"], "b": ["c", "a"], "c": []}.items():
        path = tmp_path / "components" / name / "manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"dependencies": needs, "requirements": [f"lib-{name}==1"]}))
    assert closure(tmp_path, {"a", "core"}) == {"a", "b", "c", "core"}
    assert manifest(tmp_path, "b")["requirements"] == ["lib-b==1"]
