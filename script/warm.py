"""Compile what the environment of this interpreter will import, so that first starts are quick.

Of Home Assistant's 1500 integrations only those that every start loads, and what they need.
"""

import compileall
import re
import sysconfig
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from .hass_requirements import closure, started

MORE = {"config", "energy", "frontend", "history", "logbook", "mqtt", "my", "sun", "zeroconf"}
SKIPPED = re.compile(r"/site-packages/(homeassistant/components|playwright)/|/tests?/|/idlelib/")


def folders() -> list[Path]:
    """Return what is worth compiling, piece by piece."""
    site = Path(sysconfig.get_path("purelib"))
    library = Path(sysconfig.get_path("stdlib"))
    found = [library] if library.is_relative_to(Path.home()) else []
    found += [path for path in site.iterdir() if path.is_dir() and path.name != "playwright"]
    package = site / "homeassistant"
    if package.exists():
        integrations = sorted(closure(package, started(package) | MORE))
        found += [package / "components" / name for name in integrations]
    return [path for path in found if path.is_dir()]


def main() -> None:
    """Compile on all processors; what is compiled already is left alone."""
    with ProcessPoolExecutor() as pool:
        within = partial(compileall.compile_dir, quiet=2)
        for path in folders():
            skipped = None if path.parent.name == "components" else SKIPPED
            pool.submit(within, path, rx=skipped)


if __name__ == "__main__":
    main()
