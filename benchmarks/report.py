"""What every benchmark ends with: a table with bars, and all figures as JSON."""

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

type Figures = dict[str, Any]
type Results = Mapping[str, list[Figures]]
"""Figures by part, one set for each round; a part that nobody measured is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the table: a figure, what it may be at most, what it stands beside."""

    part: str
    what: str
    value: float
    limit: float | None = None
    unit: str = ""
    beside: str = ""

    @property
    def verdict(self) -> str:
        """PASS, MISS, or nothing where there is no bar."""
        if self.limit is None:
            return ""
        return "PASS" if self.value <= self.limit else "MISS"


def middle(rounds: list[Figures], *keys: str) -> float:
    """Return the median of a figure over all rounds; `keys` lead to it."""
    return median(_at(one, keys) for one in rounds)


def worst(rounds: list[Figures], *keys: str) -> float:
    """Return the largest of a figure over all rounds; `keys` lead to it."""
    return max(_at(one, keys) for one in rounds)


def show(table: Iterable[Line]) -> None:
    """Print the table."""
    table = list(table)
    width = max((len(line.what) for line in table), default=0)
    for line in table:
        limit = "" if line.limit is None else f"≤ {line.limit:.3g}"
        row = f"{line.verdict:4} {line.what:{width}} {line.value:9.2f} {line.unit:2} {limit:7}"
        print(f"{row} {line.beside}".rstrip())


def save(path: Path, packages: Iterable[str], results: Results, table: Iterable[Line]) -> None:
    """Write figures and table, and where they were measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": _machine(packages),
        "table": [
            {
                "part": line.part,
                "what": line.what,
                "value": line.value,
                "limit": line.limit,
                "unit": line.unit,
                "verdict": line.verdict,
            }
            for line in table
        ],
        "results": results,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def missed(table: Iterable[Line]) -> bool:
    """Tell whether a bar was missed."""
    return any(line.verdict == "MISS" for line in table)


def _at(figures: Figures, keys: tuple[str, ...]) -> float:
    value: Any = figures
    for key in keys:
        value = value[key]
    return float(value)


def _machine(packages: Iterable[str]) -> Figures:
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
