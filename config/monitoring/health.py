"""/healthz: this process answers. /readyz: and everything it needs is there."""

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
from uploads.conf import sink
from uploads.runtime.ballast_file import RELEASED, ballast
from uploads.sinks.base import SinkError
from uploads.storage.marker import is_ours
from uploads.transfers.disk_space import floor, reserved_bytes

# What machines ask: answered by whatever address, and left out of the log.
PROBES = {"/healthz", "/readyz", "/metrics"}


def _database() -> bool:
    """Whether every migration is applied: by their names, in one query."""
    applied = set(MigrationRecorder(connection).migration_qs.values_list("app", "name"))
    if _migrations() <= applied:
        return True
    # Only what could be missing is worth the graph, which knows of migrations that replace others.
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    """Those of this code, which does not change while the process runs."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations or ())


def _storage() -> bool:
    return is_ours(sink())


def _writable() -> bool:
    try:
        return not sink().is_read_only()
    except SinkError:
        return True  # it is not there at all, which the check of the storage says


def _room() -> bool:
    free = sink().free()
    return free is None or free > floor()


def _room_words() -> str:
    words = "The disk has less room left than MILLRACE_MIN_FREE: no upload and no job is begun."
    return f"{words} {RELEASED}" if ballast().is_released else words


_WRONG_STORE = "The storage marker is missing or belongs to another installation. Is the disk mounted?"
_READ_ONLY = "The store is read-only. After an error of its disk, the kernel mounts it so: look at its log."
CHECKS: dict[str, tuple[Callable[[], bool], Callable[[], str]]] = {
    "database": (_database, lambda: "The database does not answer, or lacks migrations: manage.py migrate"),
    "storage": (_storage, lambda: _WRONG_STORE),
    "writable": (_writable, lambda: _READ_ONLY),
    "room": (_room, _room_words),
}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    failed = {name: words() for name, (check, words) in CHECKS.items() if not _passes(check)}
    checks = {name: failed.get(name, "ok") for name in CHECKS}
    said = {
        "status": "not ready" if failed else "ok",
        "checks": checks,
        "workers": _workers(),
        "warnings": _warnings(),
        "space": _space(),
    }
    return JsonResponse(said, status=503 if failed else 200)


def _space() -> dict[str, int | None] | None:
    """Bytes of the store's disk: free, of these left alone, and promised to uploads that have not come yet."""
    try:
        return {"free": sink().free(), "floor": floor(), "promised": reserved_bytes(sink())}
    except (DatabaseFailure, SinkError):
        return None  # the checks say so


def _warnings() -> list[str]:
    """No reason to turn people away either."""
    try:
        return [warning.words for warning in hooks.current_warnings()]
    except DatabaseFailure:
        return []  # the check of the database says so


def _workers() -> str:
    """Said, and no reason to turn people away: what needs no work goes on without workers."""
    try:
        return " ".join(troubles()) or "ok"
    except DatabaseFailure:
        return "Unknown: the database does not answer."


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (DatabaseFailure, SinkError):
        return False
