"""Which jobs may use a model server: up to its limit at the same time. After failures in a row, one after a pause.

A circuit breaker: while a server does not answer, its jobs wait instead of failing. After the pause one job tries it.
If that succeeds, all go on; if not, the next pause is twice as long. All of it is in the rows of the database, and so
holds for the workers of all hosts. A worker that dies gives its place back with its lease.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from uploads.runtime.database_connections import write
from uploads.text.times import human_time

from ..errors import EndpointBusy, EndpointDown, LeaseLost
from ..models import OPENS_AFTER, Job, ModelEndpoint

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=10)
# Where another worker was faster to take the last place. A claim has looked for one, so this is rare.
_TAKEN = timedelta(seconds=2)
# The job that tried a server in vain is not the next to try it: the server may fail because of its content.
_AFTER_OTHERS = timedelta(seconds=5)


def closed() -> QuerySet[Any, Any]:
    """Servers whose jobs must wait. scheduling.py has the same condition as SQL."""
    of_server = Job.objects.filter(endpoint=OuterRef("pk"), status=Job.Status.RUNNING).order_by().values("endpoint")
    running = Coalesce(Subquery(of_server.annotate(number=Count("pk")).values("number")), 0)
    full = Q(running__gte=F("concurrency")) | Q(failures__gte=OPENS_AFTER, running__gte=1)
    found = ModelEndpoint.objects.annotate(running=running)
    return found.filter(Q(active=False) | Q(next_try__gt=Now()) | full).values("pk")


def take_place(job: Job) -> None:
    """Raises EndpointBusy if the server takes no further job. To be called when the job was claimed.

    Two workers may claim at the same time, and both see the same free place: the lock decides.
    """
    with write():
        endpoint = ModelEndpoint.objects.select_for_update().filter(pk=job.endpoint_id or 0).first()
        if endpoint is None:
            return  # deleted a moment ago: the job fails when it needs the server
        taken = Job.objects.filter(endpoint=endpoint, status=Job.Status.RUNNING, at_endpoint=True).exclude(pk=job.pk)
        is_waiting = ModelEndpoint.objects.filter(pk=endpoint.pk, next_try__gt=Now())
        if not endpoint.active or is_waiting.exists() or taken.count() >= endpoint.places:
            raise EndpointBusy(f"The model server “{endpoint.name}” had no free place.", _TAKEN)
        held = Job.objects.filter(pk=job.pk, token=job.token, status=Job.Status.RUNNING)
        if not held.update(at_endpoint=True):
            raise LeaseLost


def note_success(endpoint_id: int) -> None:
    failed = ModelEndpoint.objects.filter(pk=endpoint_id).exclude(failures=0, next_try=None)
    failed.update(failures=0, reason="", next_try=None)


def note_failure(endpoint_id: int, failure: EndpointDown) -> EndpointBusy | None:
    """Count a failure. If the job is to wait instead of failing, returns how it ends."""
    with write():
        endpoint = ModelEndpoint.objects.select_for_update().filter(pk=endpoint_id).first()
        if endpoint is None:
            return None
        number = endpoint.failures + 1
        pause = failure.wait or timedelta(0)
        if number >= OPENS_AFTER:
            pause = max(pause, min(_FIRST_PAUSE * 2 ** min(number - OPENS_AFTER, 10), _LONGEST_PAUSE))
        next_try = Now() + pause if pause else None
        ModelEndpoint.objects.filter(pk=endpoint.pk).update(
            failures=number, reason=failure.reason[:100], next_try=next_try
        )
    if number < OPENS_AFTER or failure.has_answered:
        return None  # an error that it answers may be due to the content of this job: it counts as an attempt
    return EndpointBusy(failure.detail, pause + _AFTER_OTHERS)


def reasons(endpoint_ids: Iterable[int]) -> Mapping[int, str]:
    """Why the jobs of these servers wait, as noun phrases. Servers that take jobs are left out."""
    found = ModelEndpoint.objects.filter(pk__in=set(endpoint_ids)).filter(pk__in=closed())
    return {endpoint.pk: _reason(endpoint) for endpoint in found}


def trouble(endpoint: ModelEndpoint) -> str:
    """ "does not accept connections; next try in 12 s" """
    left = _seconds_left(endpoint)
    return f"{endpoint.reason}; next try in {human_time(left)}" if left else endpoint.reason


def _seconds_left(endpoint: ModelEndpoint) -> float:
    left = (endpoint.next_try - timezone.now()).total_seconds() if endpoint.next_try is not None else 0.0
    return max(1.0, left) if left > 0 else 0.0


def _reason(endpoint: ModelEndpoint) -> str:
    server = f"The model server “{endpoint.name}”"
    if not endpoint.active:
        return f"{server}, which an administrator has switched off."
    if _seconds_left(endpoint):
        return f"{server}, which {trouble(endpoint)}."
    if endpoint.is_tried:
        return f"{server}, which {endpoint.reason}. Another job tries it now."
    jobs = "1 job" if endpoint.concurrency == 1 else f"{endpoint.concurrency} jobs"
    return f"{server}, which takes {jobs} at a time."
