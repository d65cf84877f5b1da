"""Rules for the modules of the tests themselves."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.server import ROOT

TESTS = ROOT / "tests"
# Their strings are modules that a check of imports is tried with.
SAMPLES = {"tests/unit/test_layers.py", "tests/unit/test_test_modules.py"}


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


def is_code(text: str) -> bool:
    """Whether a string of several lines is Python that imports something."""
    try:
        tree = ast.parse(text) if "\n" in text and "import" in text else ast.Module([], [])
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)


def code_in_strings(content: str) -> list[int]:
    """The lines at which a string is code. Formatted strings count by their parts, before and after a value."""
    strings = (node for node in ast.walk(ast.parse(content)) if isinstance(node, ast.Constant))
    return [node.lineno for node in strings if isinstance(node.value, str) and is_code(node.value)]


@cache
def files() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(TESTS.rglob("*.py"))}


def test_no_module_imports_a_test_module_or_a_conftest() -> None:
    """Shared functions live in tests/support, where a newcomer finds them and pytest does not collect them."""
    found = {name: wrong for name, text in files().items() if (wrong := breaches(ROOT / name, text))}
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


def test_no_string_is_code_that_another_process_runs() -> None:
    """mypy and ruff see functions only: Server.call and tests.support.run run them in another process."""
    found = {
        name: lines for name, text in files().items() if name not in SAMPLES and (lines := code_in_strings(text))
    }
    assert found == {}


def test_code_in_a_string_is_seen() -> None:
    assert code_in_strings('CODE = """\nimport os\nos.stat("/")\n"""\n') == [1]
    assert code_in_strings('"""A text\nimport of goods\n"""\n') == []
