"""Who may know whom: config -> media_jobs -> uploads, and within each of the two apps one row."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "uploads": {"uploads"},
    "media_jobs": {"media_jobs", "uploads"},
    "config": {"config", "media_jobs", "uploads"},
}

# In the order of reading: a module knows only those before it. The lowest know nothing of Django.
UPLOADS_LOWEST = [
    "scopes",
    "errors",
    "ranges",
    "hashing",
    "names",
    "sizes",
    "steps",
    "sniffing.numbers",
    "sniffing.types",
    "sniffing.checks",
    "sniffing.tags",
    "sniffing.disguises",
    "sniffing.frames",
    "sniffing.streams",
    "sniffing.subtitles",
    "sniffing.boxes",
    "sniffing.containers",
    "sniffing.pictures",
    "sniffing.sound",
    "sniffing.video",
    "sniffing.table",
    "sniffing",
    "sniffing.accept",
    "sinks",
    "sinks.base",
    "sinks.memory",
    "sinks.writeback",
    "sinks.local_access",
    "sinks.disk",
    "sinks.local_sidecars",
    "sinks.local_quarantine",
    "sinks.local_writer",
    "sinks.local",
    "intake",
    "buffers",
    "body",
    "tus",
    "searching",
    "terminal",
]
UPLOADS = [
    *UPLOADS_LOWEST,
    "conf",
    "request_context",
    "ballast",
    "connections",
    "monitoring",
    "monitoring.models",
    "models",
    "audit",
    "registry",
    "monitoring.counters",
    "monitoring.chores",
    "transitions",
    "storage",
    "storage.marker",
    "storage.keys",
    "storage.tombstones",
    "storage.sidecars",
    "storage.blobs",
    "account_limits",
    "reserving",
    "promises",
    "depositing",
    "metrics",
    "threads",
    "upload_log",
    "progress",
    "ending",
    "admitting",
    "receiving",
    "holding",
    "noting",
    "resuming",
    "settling",
    "forms",
    "form_turns",
    "sources",
    "ingesting",
    "storage.fsck",
    "storage.sweep",
    "storage.rebuild",
    "storage.backup",
    "storage.restore",
    "housekeeping",
    "steady_clock",
    "policy",
    "attempts",
    "authentication",
    "permissions",
    "tokens",
    "handlers",
    "links",
    "wording",
    "storage.condition",
    "finding",
    "moments",
    "filters",
    "pagination",
    "serializers",
    "schema",
    "checks",
    "templatetags",
    "templatetags.local_times",
    "admin.local_times",
    "admin.cells",
    "admin.filters",
    "admin.requests",
    "admin.lists",
    "admin.selection",
    "admin.base",
    "admin.exporting",
    "admin.account_limits",
    "admin.accounts",
    "admin.tokens",
    "admin.deleting",
    "admin.linking",
    "admin.sending",
    "admin.files",
    "admin.uploads",
    "admin",
    "views",
    "views.entrances",
    "views.files",
    "views.raw",
    "views.tus",
    "views.download",
    "views.tokens",
    "views.me",
    "urls",
    "apps",
    "management",
    "management.terminal_command",
    "management.commands",
    "management.commands.token",
    "management.commands.ingest",
    "management.commands.fsck",
    "management.commands.quarantine",
    "management.commands.adopt_storage",
    "management.commands.rebuild",
]
MEDIA_JOBS_LOWEST = [
    "errors",
    "ffmpeg",
    "ffmpeg.facts",
    "ffmpeg.progress",
    "ffmpeg.binary",
    "ffmpeg.landlock",
    "ffmpeg.sandbox",
    "ffmpeg.demuxers",
    "ffmpeg.command",
    "ffmpeg.log",
    "ffmpeg.process",
    "ffmpeg.causes",
    "ffmpeg.pictures",
    "ffmpeg.child",
    "ffmpeg.probing",
    "ffmpeg.verifying",
    "ffmpeg.workfolder",
    "ffmpeg.toolbox",
    "operations.base",
    "operations.parsing",
    "operations.values",
    "operations.cutting",
    "operations.filters",
    "operations.codecs",
    "operations.pictures",
    "operations.inspect",
    "operations.thumbnail",
    "operations.transcode",
    "operations.audio",
    "operations.registry",
    "operations",
]
MEDIA_JOBS = [
    *MEDIA_JOBS_LOWEST,
    "conf",
    "equipment",
    "models",
    "metrics",
    "results",
    "claiming",
    "following",
    "moving",
    "leases",
    "waking",
    "asking",
    "deleting",
    "lanes",
    "supervision",
    "slots",
    "pulse",
    "running",
    "tasks",
    "submitting",
    "watching",
    "policy",
    "ordering",
    "wording",
    "finding",
    "filters",
    "serializers",
    "checks",
    "views",
    "views.artifacts",
    "views.jobs",
    "views.operations",
    "urls",
    "housekeeping",
    "admin.saying",
    "admin.steering",
    "admin.advice",
    "admin.removal",
    "admin.job_page",
    "admin.filters",
    "admin.jobs",
    "admin.workers",
    "admin.lanes",
    "admin.frontpage",
    "admin.facts",
    "admin.schema_forms",
    "admin.panels",
    "admin.running",
    "admin",
    "apps",
    "management",
    "management.commands",
    "management.commands.lane",
    "management.commands.submit",
]
ROWS = {"uploads": UPLOADS, "media_jobs": MEDIA_JOBS}
LOWEST = {"uploads": UPLOADS_LOWEST, "media_jobs": MEDIA_JOBS_LOWEST}


@dataclass(frozen=True)
class Module:
    name: str  # dotted, from its app on
    path: Path

    @property
    def app(self) -> str:
        return self.name.partition(".")[0]

    @property
    def short(self) -> str:
        return self.name.partition(".")[2]

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def says(self, line: int, what: str) -> str:
        return f"{self.path}:{line}: {what}"

    def imports(self) -> Iterator[tuple[int, str]]:
        """The line and the full name of everything imported, wherever in the module."""
        for node in ast.walk(ast.parse(self.path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = ".".join(filter(None, [self._up(node.level), node.module]))
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)

    def _up(self, level: int) -> str:
        parts = self.package.split(".")
        return ".".join(parts[: len(parts) + 1 - level]) if level else ""

    def strings(self) -> Iterator[tuple[int, str]]:
        for node in ast.walk(ast.parse(self.path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.lineno, node.value


def modules(root: Path = ROOT) -> list[Module]:
    return [
        Module(".".join(part for part in path.relative_to(root).with_suffix("").parts if part != "__init__"), path)
        for app in MAY_IMPORT
        for path in sorted((root / app).rglob("*.py"))
        if path.parent.name != "migrations"
    ]


def breaches_between_apps(root: Path = ROOT) -> list[str]:
    return [
        module.says(line, f"{module.app} may not import {name}")
        for module in modules(root)
        for line, name in module.imports()
        if name.partition(".")[0] in MAY_IMPORT.keys() - MAY_IMPORT[module.app]
    ]


def breaches_in_strings(root: Path = ROOT) -> list[str]:
    """A dotted name in a string reaches upwards as well as an import does."""
    return [
        module.says(line, f"{module.app} may not name {text!r}")
        for module in modules(root)
        for line, text in module.strings()
        if any(re.match(rf"{app}(\.\w+)*$", text) for app in MAY_IMPORT.keys() - MAY_IMPORT[module.app])
    ]


def breaches_of_the_row(root: Path = ROOT) -> list[str]:
    found = modules(root)
    known = {module.name for module in found}
    return [
        module.says(line, f"{module.name} stands before {module.app}.{target} and may not import it")
        for module in found
        if module.short in (row := ROWS.get(module.app, []))
        for line, name in module.imports()
        if (target := _within(module.app, name, known)) and target in row
        if row.index(target) >= row.index(module.short)
    ]


def _within(app: str, name: str, known: set[str]) -> str | None:
    """The module of the app that `name` lies in: uploads.errors.Refusal lies in errors."""
    if not name.startswith(f"{app}."):
        return None
    return (name if name in known else name.rpartition(".")[0]).removeprefix(app).removeprefix(".") or None


def modules_in_no_row(root: Path = ROOT) -> list[str]:
    return [
        module.says(1, f"{module.name} is in no row of tests/unit/test_layers.py")
        for module in modules(root)
        if module.short and module.short not in ROWS.get(module.app, [module.short])
    ]


def breaches_of_the_lowest(root: Path = ROOT) -> list[str]:
    return [
        module.says(line, f"{module.name} may know nothing of Django or Celery, and imports {name}")
        for module in modules(root)
        if module.short in LOWEST.get(module.app, [])
        for line, name in module.imports()
        if name.partition(".")[0] in {"django", "rest_framework", "celery"}
        if not name.startswith("django.core.exceptions.")
    ]


def test_config_knows_media_jobs_and_media_jobs_knows_uploads_and_never_the_other_way() -> None:
    assert breaches_between_apps() == []


def test_no_string_names_what_an_import_may_not() -> None:
    assert breaches_in_strings() == []


def test_within_an_app_a_module_knows_only_those_before_it_in_the_row() -> None:
    assert breaches_of_the_row() == []


def test_every_module_has_its_place_in_the_row() -> None:
    assert modules_in_no_row() == []


@pytest.mark.parametrize("app", ROWS)
def test_every_place_in_the_row_has_its_module(app: str) -> None:
    assert set(ROWS[app]) == {module.short for module in modules() if module.app == app and module.short}


def test_the_lowest_modules_know_nothing_of_django_but_its_exceptions() -> None:
    assert breaches_of_the_lowest() == []


@pytest.mark.parametrize(
    ("file", "source", "check", "complaint"),
    [
        ("uploads/names.py", "import media_jobs.models", breaches_between_apps, "1: uploads may not import media_jobs."),  # noqa: E501
        ("uploads/names.py", "\nfrom config import env", breaches_between_apps, "2: uploads may not import config.env"),  # noqa: E501
        ("media_jobs/apps.py", "from config.env import read", breaches_between_apps, "1: media_jobs may not import config"),  # noqa: E501
        ("uploads/names.py", "x = 'media_jobs.Job'", breaches_in_strings, "1: uploads may not name 'media_jobs.Job'"),
        ("uploads/names.py", "def f():\n from . import intake", breaches_of_the_row, "2: uploads.names stands before"),  # noqa: E501
        ("uploads/sinks/base.py", "from ..intake import Intake", breaches_of_the_row, "uploads.intake and may not"),
        ("uploads/errors.py", "import uploads.body", breaches_of_the_row, "uploads.errors stands before uploads.body"),  # noqa: E501
        ("uploads/novel.py", "", modules_in_no_row, "1: uploads.novel is in no row"),
        ("uploads/body.py", "from django.http import Http404", breaches_of_the_lowest, "imports django.http.Http404"),
        ("media_jobs/leases.py", "from . import running", breaches_of_the_row, "1: media_jobs.leases stands before"),
        ("media_jobs/operations/base.py", "import celery", breaches_of_the_lowest, "imports celery"),
    ],
)  # fmt: skip
def test_a_breach_is_reported_with_its_file_line_and_import(
    file: str, source: str, check: object, complaint: str, tmp_path: Path
) -> None:
    for place in ("uploads/intake.py", "uploads/body.py", "media_jobs/running.py", file):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("")
    (tmp_path / file).write_text(source)
    [said] = check(tmp_path)  # type: ignore[operator]
    assert said.startswith(f"{tmp_path / file}:")
    assert complaint in said
