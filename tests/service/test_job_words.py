"""What is said of jobs that wait, and how much is asked of the database for a list of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from rest_framework.test import APIClient

from media_jobs.models import Job, Lane
from media_jobs.wording import Lanes, message_of, waiting_for
from tests.service.test_leases import a_file, a_job, a_user, a_worker, expire, now, started

pytestmark = pytest.mark.django_db


def awaits(job: Job) -> str | None:
    found = now(job)
    return waiting_for(found, Lanes.now([found]))


def several(owner: User, number: int, first: int = 20, **more: Any) -> list[Job]:
    return [a_job(a_file(owner), params={"width": first + n}, **more) for n in range(number)]


def test_a_job_without_a_worker_waits_for_one() -> None:
    assert awaits(a_job()) == "A worker: none of the lane quick is running."


def test_a_job_of_a_paused_lane_waits_for_that() -> None:
    a_worker()
    Lane.objects.update_or_create(name="quick", defaults={"paused": True})
    assert awaits(a_job()) == "The lane quick, which is paused."


def test_the_jobs_of_one_owner_wait_for_those_before_them() -> None:
    a_worker()
    first, second, third = several(a_user(), 3)
    assert awaits(first) == "A free worker of the lane quick."
    assert awaits(second) == "Its turn: 1 job is ahead of it."
    assert awaits(third) == "Its turn: 2 jobs are ahead of it."


def test_a_better_priority_is_ahead_and_of_another_owner_one_for_each_of_ones_own() -> None:
    a_worker()
    several(a_user(), 9)
    [modest] = several(a_user(), 1)
    assert awaits(modest) == "Its turn: 1 job is ahead of it."
    several(a_user(), 2, first=40, priority=5)
    assert awaits(modest) == "Its turn: 3 jobs are ahead of it."


def test_a_job_that_failed_for_now_waits_for_its_next_attempt() -> None:
    worker = a_worker()
    job = a_job()
    started(worker, job)
    expire(job)
    Job.objects.filter(pk=job.pk).update(
        status="queued", token=None, lease_until=None, not_before=Now() + timedelta(seconds=4)
    )
    said = awaits(job)
    assert said is not None
    assert said.startswith("Another attempt, in ")


def test_a_running_job_waits_for_nothing_and_one_to_be_cancelled_says_so() -> None:
    job = a_job()
    started(a_worker(), job)
    assert awaits(job) is None
    assert message_of(now(job)) == "Starting"
    Job.objects.filter(pk=job.pk).update(cancel_asked=True)
    assert message_of(now(job)) == "Stopping"


def test_a_list_of_many_jobs_asks_no_more_than_one_of_few(django_assert_max_num_queries: Callable[..., Any]) -> None:
    a_worker()
    owner = a_user()
    several(owner, 40)
    client = APIClient()
    client.force_authenticate(owner)
    with django_assert_max_num_queries(8):
        answer = client.get("/api/v1/jobs/")
    assert len(answer.json()["results"]) == 40
