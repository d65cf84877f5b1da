"""/healthz: the process responds. /readyz: the database and the storage are usable, too."""

from collections.abc import Callable
from functools import cache

from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from media_jobs.queue.lanes import troubles
from uploads import hooks
from uploads.maintenance.store_health import trouble_of
from uploads.runtime.ballast_file import RELEASED, ballast
from uploads.sinks.base import SinkError
from uploads.storage.stores import sink
from uploads.transfers.disk_space import floor, reserved_bytes

# Addresses for machines: available under any IP address, and left out of the request log.
PROBES = {"/healthz", "/readyz", "/metrics"}


def _database() -> bool:
    """Whether every migration is applied. One query compares their names."""
    applied = set(MigrationRecorder(connection).migration_qs.values_list("app", "name"))
    if _migrations() <= applied:
        return True
    # Names differ. Build the graph, which knows of squashed migrations; that takes longer.
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    """The migrations of this code, which does not change while the process runs."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations or ())


def _storage_text() -> str:
    try:
        return trouble_of(sink())
    except DatabaseFailure:
        return _UNKNOWN


def _writable() -> bool:
    try:
        return not sink().is_read_only()
    except SinkError:
        return True  # the storage is missing, which the check "storage" reports


def _has_space() -> bool:
    free = sink().free()
    return free is None or free > floor()


def _space_text() -> str:
    text = "Less disk space is free than MILLRACE_MIN_FREE: new uploads and jobs are refused."
    return f"{text} {RELEASED}" if ballast().is_released else text


_UNKNOWN = "Unknown: the database does not respond."
_NO_TABLES = "The database does not respond, or migrations are missing: run manage.py migrate."
_READ_ONLY = "The storage is read-only. Linux makes a disk read-only after an error: see the kernel log (dmesg)."
# Each returns what is wrong, or "".
CHECKS: dict[str, Callable[[], str]] = {
    "database": lambda: "" if _passes(_database) else _NO_TABLES,
    "storage": _storage_text,
    "writable": lambda: "" if _passes(_writable) else _READ_ONLY,
    "room": lambda: "" if _passes(_has_space) else _space_text(),
}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    found = {name: check() for name, check in CHECKS.items()}
    failed = any(found.values())
    body = {
        "status": "not ready" if failed else "ok",
        "checks": {name: wrong or "ok" for name, wrong in found.items()},
        "workers": _workers(),
        "warnings": _warnings(),
        "space": _space(),
    }
    return JsonResponse(body, status=503 if failed else 200)


def _space() -> dict[str, int | None] | None:
    """Bytes of the storage's disk: free, kept free (MILLRACE_MIN_FREE), and promised to uploads in progress."""
    try:
        return {"free": sink().free(), "floor": floor(), "promised": reserved_bytes(sink())}
    except (DatabaseFailure, SinkError):
        return None  # the checks report it


def _warnings() -> list[str]:
    """Warnings do not make the service unready."""
    try:
        return [warning.words for warning in hooks.current_warnings()]
    except DatabaseFailure:
        return []  # the check "database" reports it


def _workers() -> str:
    """Lanes without workers do not make the service unready: uploads and downloads need none."""
    try:
        return " ".join(troubles()) or "ok"
    except DatabaseFailure:
        return _UNKNOWN


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (DatabaseFailure, SinkError):
        return False
