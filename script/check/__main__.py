"""Check the integration: python -m script.check [REPOSITORY]."""

import sys
from collections.abc import Iterator
from pathlib import Path

from . import actions, brand, code, files, icons, manifest, quality, texts
from .repository import Repository

CHECKS = (manifest, code, texts, icons, actions, quality, brand, files)


def findings(path: Path) -> Iterator[str]:
    """Everything that is wrong, each led by the name of the check."""
    repository = Repository(path)
    for module in CHECKS:
        for what in module.check(repository):
            yield f"{module.__name__.rpartition('.')[2]}: {what}"


def main() -> int:
    """Print what is wrong; 1 if something is."""
    found = list(findings(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    print(*found, sep="\n")
    print(f"{len(found)} findings")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
