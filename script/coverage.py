"""Compare coverage with what pyproject.toml demands: coverage json -o - | python -m script.coverage."""

import json
import sys
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


def demanded(path: str, demands: Mapping[str, float]) -> float:
    """Return the per cent that the first matching pattern demands; nothing where none does."""
    return next((share for pattern, share in demands.items() if fnmatch(path, pattern)), 0)


def shortfalls(report: Mapping[str, Any], demands: Mapping[str, float]) -> list[str]:
    """Return a line for each file that is covered less than demanded."""
    lines = []
    for path, data in sorted(report["files"].items()):
        share = data["summary"]["percent_covered"]
        if share < demanded(path, demands):
            missing = ", ".join(map(str, data["missing_lines"][:8]))
            lines.append(
                f"{path}: {share:.1f} % of {demanded(path, demands)} %, first missing lines: {missing}"
            )
    return lines


def main() -> int:
    """Print what is missing; 1 when that is an error."""
    settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["moat"]
    report = json.load(sys.stdin)
    lines = shortfalls(report, settings["coverage"])
    print(*lines, sep="\n")
    print(
        f"coverage {report['totals']['percent_covered']:.1f} % of {len(report['files'])} files,"
        f" {len(lines)} below what is demanded"
        f" ({'enforced' if settings['enforce-coverage'] else 'not enforced yet'})"
    )
    return int(bool(lines) and settings["enforce-coverage"])


if __name__ == "__main__":
    sys.exit(main())
