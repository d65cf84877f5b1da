"""/healthz: this process answers. /readyz: and everything it needs is there. /metrics: for Prometheus."""

from collections.abc import Callable

from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from uploads.conf import limits, sink
from uploads.marking import is_ours
from uploads.sinks.base import SinkError


def _database() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def _storage() -> bool:
    return is_ours(sink())


def _room() -> bool:
    free = sink().free()
    return free is None or free > limits().min_free


CHECKS: dict[str, tuple[Callable[[], bool], str]] = {
    "database": (_database, "The database does not answer, or lacks migrations: manage.py migrate"),
    "storage": (_storage, "The storage has not our mark: is its disk mounted?"),
    "room": (_room, "The disk has less room left than MILLRACE_MIN_FREE: new uploads are refused."),
}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    failed = {name: words for name, (check, words) in CHECKS.items() if not _passes(check)}
    checks = {name: failed.get(name, "ok") for name in CHECKS}
    return JsonResponse({"status": "not ready" if failed else "ok", "checks": checks}, status=503 if failed else 200)


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (DatabaseFailure, SinkError):
        return False


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
