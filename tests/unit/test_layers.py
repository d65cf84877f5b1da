"""Which code may import which: config → media_jobs → uploads, and inside an app one list of packages."""

import ast
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "uploads": {"uploads"},
    "media_jobs": {"media_jobs", "uploads"},
    "config": {"config", "media_jobs", "uploads"},
}

# Packages and single modules of each app. One may import those before it, and nothing after it.
LAYERS = {
    "uploads": [
        "scopes",
        "errors",
        "text",
        "sinks",
        "content",
        "conf",
        "models",
        "hooks",
        "audit_log",
        "runtime",
        "subscriptions",
        "monitoring",
        "text_index",
        "storage",
        "transfers",
        "maintenance",
        "access",
        "http",
        "list_search",
        "text_search",
        "templatetags",
        "api",
        "admin",
        "system_checks",
        "apps",
        "management",
    ],
    "media_jobs": [
        "errors",
        "entry_points",
        "hls",
        "ffmpeg",
        "understanding",
        "prediction",
        "detection",
        "operations",
        "conf",
        "models",
        "subscriptions",
        "permissions",
        "list_search",
        "queue",
        "worker",
        "tasks",
        "api",
        "housekeeping",
        "admin",
        "system_checks",
        "apps",
        "management",
    ],
    "config": [
        "addresses",
        "wsgi_environ",
        "env",
        "setting_parsers",
        "storages",
        "processes",
        "secret_key",
        "backends",
        "celery",
        "snapshots",
        "admin_site",
        "monitoring",
        "http",
        "login",
        "settings",
        "urls",
        "wsgi",
        "web_server",
        "file_modes",
        "shared_key",
        "first_start",
        "apps",
        "management",
    ],
}
# Code that works without Django and Celery.
WITHOUT_DJANGO = {
    "uploads.scopes",
    "uploads.errors",
    "uploads.sinks",
    "uploads.content",
    "uploads.http.body",
    "uploads.http.byte_ranges",
    "uploads.http.read_buffers",
    "uploads.http.tus_headers",
    "uploads.text.file_names",
    "uploads.text.sizes",
    "uploads.text.spreadsheet_cells",
    "uploads.text.terminal_safety",
    "uploads.text.client_metadata",
    "uploads.text.text_query",
    "uploads.text.words",
    "media_jobs.errors",
    "media_jobs.entry_points",
    "media_jobs.hls",
    "media_jobs.ffmpeg",
    "media_jobs.understanding",
    "media_jobs.prediction",
    "media_jobs.detection",
    "media_jobs.operations",
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@dataclass(frozen=True)
class Module:
    name: str  # dotted, with its app
    path: Path

    @property
    def app(self) -> str:
        return self.name.partition(".")[0]

    @property
    def layer(self) -> str:
        """The package of the app, or the single module, that it belongs to; "" for the app's own __init__."""
        return ".".join(self.name.split(".")[1:2])

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def says(self, line: int, what: str) -> str:
        return f"{self.path}:{line}: {what}"

    def imports(self) -> Iterator[tuple[int, str]]:
        """The line and the full name of everything imported, wherever in the module."""
        for node in ast.walk(parsed(self.path)):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = ".".join(filter(None, [self._up(node.level), node.module]))
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)

    def _up(self, level: int) -> str:
        parts = self.package.split(".")
        return ".".join(parts[: len(parts) + 1 - level]) if level else ""

    def strings(self) -> Iterator[tuple[int, str]]:
        for node in ast.walk(parsed(self.path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.lineno, node.value


def modules(root: Path = ROOT) -> list[Module]:
    return [
        Module(".".join(part for part in path.relative_to(root).with_suffix("").parts if part != "__init__"), path)
        for app in MAY_IMPORT
        for path in sorted((root / app).rglob("*.py"))
        if path.parent.name != "migrations"
    ]


def imported_modules(module: Module, known: Container[str]) -> Iterator[tuple[int, str]]:
    """The line and name of each module of ours that is imported: `uploads.errors` for `uploads.errors.Refusal`."""
    for line, name in module.imports():
        if (target := name if name in known else name.rpartition(".")[0]) in known:
            yield line, target


def breaches_between_apps(root: Path = ROOT) -> list[str]:
    return [
        module.says(line, f"{module.app} may not import {name}")
        for module in modules(root)
        for line, name in module.imports()
        if name.partition(".")[0] in MAY_IMPORT.keys() - MAY_IMPORT[module.app]
    ]


def breaches_in_strings(root: Path = ROOT) -> list[str]:
    """A dotted name in a string depends on other code as an import does."""
    return [
        module.says(line, f"{module.app} may not name {text!r}")
        for module in modules(root)
        for line, text in module.strings()
        if any(re.match(rf"{app}(\.\w+)*$", text) for app in MAY_IMPORT.keys() - MAY_IMPORT[module.app])
    ]


def breaches_of_the_layers(root: Path = ROOT) -> list[str]:
    found = modules(root)
    known = {module.name: module for module in found}
    return [
        module.says(line, f"{module.name} may not import {target}: {known[target].layer} comes after {module.layer}")
        for module in found
        if module.layer in (layers := LAYERS.get(module.app, []))
        for line, target in imported_modules(module, known)
        if known[target].app == module.app and known[target].layer in layers
        if layers.index(known[target].layer) > layers.index(module.layer)
    ]


def modules_in_no_layer(root: Path = ROOT) -> list[str]:
    return [
        module.says(1, f"{module.layer} is not in the layers of {module.app} in tests/unit/test_layers.py")
        for module in modules(root)
        if module.layer and module.layer not in LAYERS.get(module.app, [module.layer])
    ]


def cycles(root: Path = ROOT) -> list[str]:
    """Modules that import each other, directly or through others, wherever in the module the import stands."""
    found = modules(root)
    known = {module.name for module in found}
    imports = {module.name: {name for _, name in imported_modules(module, known)} - {module.name} for module in found}
    without_cycles: set[str] = set()
    while removable := {name for name in imports.keys() - without_cycles if imports[name] <= without_cycles}:
        without_cycles |= removable
    return [
        module.says(1, f"{module.name} is in a cycle of imports")
        for module in found
        if module.name not in without_cycles
        if any(module.name in imports[other] for other in known - without_cycles)
    ]


def imports_of_django(root: Path = ROOT) -> list[str]:
    return [
        module.says(line, f"{module.name} may know nothing of Django or Celery, and imports {name}")
        for module in modules(root)
        if any(f"{module.name}.".startswith(f"{free}.") for free in WITHOUT_DJANGO)
        for line, name in module.imports()
        if name.partition(".")[0] in {"django", "rest_framework", "celery"}
        if not name.startswith("django.core.exceptions.")
    ]


def test_config_may_import_media_jobs_which_may_import_uploads_and_never_the_other_way() -> None:
    assert breaches_between_apps() == []


def test_no_string_names_what_an_import_may_not() -> None:
    assert breaches_in_strings() == []


def test_a_package_imports_only_those_before_it() -> None:
    assert breaches_of_the_layers() == []


def test_every_package_has_its_place_in_the_list() -> None:
    assert modules_in_no_layer() == []


@pytest.mark.parametrize("app", LAYERS)
def test_every_place_in_the_list_has_its_package(app: str) -> None:
    assert sorted(LAYERS[app]) == sorted({module.layer for module in modules() if module.app == app} - {""})


def test_no_modules_import_each_other() -> None:
    assert cycles() == []


def test_what_receives_stores_and_runs_ffmpeg_works_without_django() -> None:
    assert imports_of_django() == []


@pytest.mark.parametrize(
    ("file", "source", "check", "complaint"),
    [
        (
            "uploads/conf.py",
            "import media_jobs.models",
            breaches_between_apps,
            "1: uploads may not import media_jobs.",
        ),
        (
            "uploads/conf.py",
            "\nfrom config import env",
            breaches_between_apps,
            "2: uploads may not import config.env",
        ),
        (
            "media_jobs/apps.py",
            "from config.env import x",
            breaches_between_apps,
            "1: media_jobs may not import conf",
        ),
        ("uploads/conf.py", "x = 'media_jobs.Job'", breaches_in_strings, "1: uploads may not name 'media_jobs.Job'"),
        (
            "uploads/conf.py",
            "def f():\n from . import http",
            breaches_of_the_layers,
            "2: uploads.conf may not import",
        ),
        ("uploads/sinks/base.py", "from ..http.body import B", breaches_of_the_layers, "http comes after sinks"),
        ("uploads/errors.py", "import uploads.http.body", breaches_of_the_layers, "uploads.errors may not import"),
        ("uploads/novel.py", "", modules_in_no_layer, "1: novel is not in the layers of uploads"),
        ("uploads/http/body.py", "from django.http import Http404", imports_of_django, "imports django.http.Http404"),
        ("media_jobs/queue/leases.py", "from ..worker import attempt", breaches_of_the_layers, "worker comes after"),
        ("media_jobs/operations/base.py", "import celery", imports_of_django, "imports celery"),
    ],
)
def test_a_breach_is_reported_with_its_file_line_and_import(
    file: str, source: str, check: object, complaint: str, tmp_path: Path
) -> None:
    write_modules(tmp_path, {file: source})
    [said] = check(tmp_path)  # type: ignore[operator]
    assert said.startswith(f"{tmp_path / file}:")
    assert complaint in said


def test_a_cycle_is_reported_at_each_of_its_modules(tmp_path: Path) -> None:
    write_modules(
        tmp_path,
        {
            "uploads/storage/blobs.py": "from .marker import x",
            "uploads/storage/marker.py": "def f():\n from . import blobs",
            "uploads/storage/sweep.py": "from . import blobs",
        },
    )
    assert [line.rpartition("/")[2] for line in cycles(tmp_path)] == [
        "blobs.py:1: uploads.storage.blobs is in a cycle of imports",
        "marker.py:1: uploads.storage.marker is in a cycle of imports",
    ]


def write_modules(root: Path, sources: dict[str, str]) -> None:
    for place in ("uploads/http/__init__.py", "uploads/http/body.py", "media_jobs/worker/attempt.py", *sources):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(sources.get(place, ""))
