"""The contract lists what may be imported; all else breaks it."""

import pytest
from grimp import ImportGraph

from script.check.contract import MayImport

MODULES = ("ours", "ours.pure", "ours.pure.a", "ours.pure.b", "ours.other", "ours.other.deep")


def contract(**options: object) -> MayImport:
    return MayImport("name", {}, {"packages": ["ours.pure"], **options})


@pytest.fixture
def graph() -> ImportGraph:
    graph = ImportGraph()
    for module in MODULES:
        graph.add_module(module)
    return graph


def imports(graph: ImportGraph, importer: str, imported: str) -> None:
    graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="")


def test_inside_and_standard_library(graph: ImportGraph) -> None:
    imports(graph, "ours.pure.a", "ours.pure.b")
    imports(graph, "ours.pure.a", "asyncio")
    assert contract().check(graph, verbose=False).kept


@pytest.mark.parametrize("imported", ["ours", "ours.other.deep", "ours.purely", "numpy"])
def test_everything_else_is_refused(graph: ImportGraph, imported: str) -> None:
    imports(graph, "ours.pure.a", imported)
    result = contract().check(graph, verbose=False)
    assert result.metadata["found"] == [f"ours.pure.a:1 imports {imported}"]
    assert not result.kept


def test_allowed_with_exceptions(graph: ImportGraph) -> None:
    imports(graph, "ours.pure.a", "ours.other")
    imports(graph, "ours.pure.a", "ours.other.deep")
    options = {"allowed": ["ours.other"], "refused": ["ours.other.deep"]}
    result = contract(**options).check(graph, verbose=False)
    assert result.metadata["found"] == ["ours.pure.a:1 imports ours.other.deep"]


def test_children_are_strangers_to_each_other(graph: ImportGraph) -> None:
    imports(graph, "ours.pure.a", "ours.pure.b")
    result = contract(packages=["ours.pure.*"]).check(graph, verbose=False)
    assert result.metadata["found"] == ["ours.pure.a:1 imports ours.pure.b"]


def test_package_to_come(graph: ImportGraph) -> None:
    assert contract(packages=["ours.later", "ours.later.*"]).check(graph, verbose=False).kept
