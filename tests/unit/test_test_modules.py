"""Rules for the modules of the tests themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import ROOT

TESTS = ROOT / "tests"


def imported(path: Path, tree: ast.Module) -> Iterator[str]:
    """The dotted name of each module that is imported, and of each name that might be a module."""
    package = path.relative_to(path.parents[len(path.relative_to(TESTS).parts)]).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_test_module(name: str) -> bool:
    last = name.rpartition(".")[2]
    return name.startswith("tests.") and (last.startswith("test_") or last == "conftest")


def breaches(path: Path, content: str) -> list[str]:
    return [name for name in imported(path, ast.parse(content)) if is_test_module(name)]


def test_no_module_imports_a_test_module_or_a_conftest() -> None:
    """Shared functions live in tests/support, where a newcomer finds them and pytest does not collect them."""
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in sorted(TESTS.rglob("*.py"))
        if (wrong := breaches(path, path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "content",
    [
        "from tests.service.test_leases import a_job",
        "import tests.service.test_leases",
        "from tests.service import test_leases",
        "from .test_leases import a_job",
        "from . import test_leases",
        "from ..conftest import running",
        "def late():\n    from tests.conftest import running",
    ],
)
def test_each_kind_of_import_is_seen(content: str) -> None:
    assert breaches(TESTS / "service/test_sample.py", content)


def test_imports_of_helpers_are_allowed() -> None:
    assert breaches(TESTS / "service/test_sample.py", "from tests.support.server import Server") == []
