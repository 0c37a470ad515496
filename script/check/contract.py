"""A contract for import-linter that lists what packages may import, so that all else is refused."""

import sys
from typing import Any, override

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class MayImport(Contract):
    """Nothing but the standard library, the package itself and what is `allowed`.

    A name in `packages` ending in `.*` means each child by itself. Allowing a package allows what
    is inside it, except what is `refused`; packages that do not exist (yet) are passed over.
    """

    type_name = "may_import"

    packages = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField(), required=False, default=())
    refused = fields.ListField(subfield=fields.StringField(), required=False, default=())

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every direct import of every module concerned."""
        found = [
            f"{importer}:{line} imports {imported}"
            for package in _expand(graph, self.packages)
            for importer, imported in _imports(graph, package)
            if not self._permits(package, imported)
            for line in _lines(graph, importer, imported)
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import that is not allowed."""
        for line in check.metadata["found"]:
            output.print_error(line)

    def _permits(self, package: str, imported: str) -> bool:
        if imported.partition(".")[0] in sys.stdlib_module_names or _within(imported, package):
            return True
        if any(_within(imported, name) for name in _strings(self.refused)):
            return False
        return any(_within(imported, name) for name in _strings(self.allowed))


def _strings(field: Any) -> list[str]:
    return list(field)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _expand(graph: ImportGraph, packages: Any) -> list[str]:
    """Return the packages that exist, wild cards replaced by the children they stand for."""
    names: list[str] = []
    for package in _strings(packages):
        parent = package.removesuffix(".*")
        if parent in graph.modules:
            names += sorted(graph.find_children(parent)) if parent != package else [package]
    return names


def _imports(graph: ImportGraph, package: str) -> list[tuple[str, str]]:
    """Return importer and imported of every direct import in a package."""
    importers = sorted({package, *graph.find_descendants(package)})
    return [
        (importer, imported)
        for importer in importers
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
    ]


def _lines(graph: ImportGraph, importer: str, imported: str) -> list[int]:
    details = graph.get_import_details(importer=importer, imported=imported)
    return [detail["line_number"] for detail in details]
