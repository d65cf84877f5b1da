"""The number of a job's latest attempt: the same in the API, on its page in the admin and in its events."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from media_jobs.errors import BadMedia, NoRoom
from media_jobs.models import Job, Worker
from media_jobs.queue import cancel_and_retry, outcomes
from media_jobs.queue.leases import Lease
from tests.support.job_rows import a_job, a_worker, end, expire, now, reap, started
from uploads.models import Transition
from uploads.storage.marker import adopt
from uploads.storage.stores import sink

pytestmark = pytest.mark.django_db
Step = Callable[[Worker, Job], object]


def begin(worker: Worker, job: Job) -> Lease:
    Job.objects.filter(pk=job.pk).update(not_before=None)
    return started(worker, job)


def run(worker: Worker, job: Job) -> None:
    begin(worker, job)


def succeed(worker: Worker, job: Job) -> None:
    end(begin(worker, job), "poster.jpg")


def fail_for_now(worker: Worker, job: Job) -> None:
    outcomes.end_failed(begin(worker, job), NoRoom("The disk is full."), {})


def fail_for_good(worker: Worker, job: Job) -> None:
    outcomes.end_failed(begin(worker, job), BadMedia("It is cut off."), {})


def lose(worker: Worker, job: Job) -> None:
    begin(worker, job)
    expire(job)
    assert reap() == 1


def give_back(worker: Worker, job: Job) -> None:
    outcomes.end_released(begin(worker, job))


def cancel(worker: Worker, job: Job) -> None:
    cancel_and_retry.cancel(job)


def run_and_cancel(worker: Worker, job: Job) -> None:
    lease = begin(worker, job)
    cancel_and_retry.cancel(job)
    outcomes.end_cancelled(lease)


def retry(worker: Worker, job: Job) -> None:
    cancel_and_retry.retry(job)


@pytest.mark.parametrize(
    ("steps", "status", "attempt"),
    [
        ([], "queued", 0),
        ([cancel], "cancelled", 0),
        ([run], "running", 1),
        ([give_back], "queued", 0),
        ([give_back, run], "running", 1),
        ([succeed], "succeeded", 1),
        ([fail_for_now], "queued", 1),
        ([fail_for_now, run], "running", 2),
        ([fail_for_now, succeed], "succeeded", 2),
        ([lose, succeed], "succeeded", 2),
        ([fail_for_good], "failed", 1),
        ([fail_for_now, fail_for_good], "failed", 2),
        ([fail_for_now, lose, fail_for_now], "failed", 3),
        ([fail_for_now, cancel], "cancelled", 1),
        ([run_and_cancel], "cancelled", 1),
        ([fail_for_now, run_and_cancel], "cancelled", 2),
        ([fail_for_good, retry], "queued", 0),
        ([fail_for_good, retry, succeed], "succeeded", 1),
    ],
    ids=lambda value: ", ".join(step.__name__ for step in value) or "new" if isinstance(value, list) else str(value),
)
def test_the_attempt_has_one_number_everywhere(steps: list[Step], status: str, attempt: int) -> None:
    adopt(sink())
    worker, job = a_worker(), a_job()
    for step in steps:
        step(worker, job)
    said = told(job)
    assert (said["status"], said["attempt"]) == (status, attempt)
    assert on_page(job) == (str(attempt) if attempt else "–")
    begun = Transition.objects.filter(subject="job", subject_id=job.pk, state="running").order_by("number").last()
    if attempt:
        assert begun is not None
        assert begun.detail == f"attempt {attempt}"


def test_the_timeline_goes_by_the_database_and_not_by_the_clock_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(sink())
    real_now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real_now() - timedelta(minutes=10))
    job = a_job()
    succeed(a_worker(), job)
    times = [change.created_at for change in Transition.history("job", job.pk)]
    assert len(times) == 3
    assert times == sorted(times)
    assert real_now() - times[0] < timedelta(minutes=9)


def test_a_result_from_the_cache_took_no_attempt() -> None:
    worker, first = a_worker(), a_job()
    succeed(worker, first)
    job = a_job(first.file)
    assert now(job).cached
    assert told(job)["attempt"] == 0


def told(job: Job) -> Any:
    client = Client()
    client.force_login(job.owner)
    return client.get(f"/api/v1/jobs/{job.pk}/").json()


def on_page(job: Job) -> str:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    page = client.get(reverse("admin:media_jobs_job_change", args=[job.pk])).content.decode()
    [shown] = re.findall(r"<dt>Attempt</dt><dd>(.*?)</dd>", page)
    return str(shown)
