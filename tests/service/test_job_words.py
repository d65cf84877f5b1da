"""What is said of jobs that wait, and how much is asked of the database for a list of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User

from media_jobs.admin import job_cells
from media_jobs.errors import NoRoom
from media_jobs.models import Job, Lane
from media_jobs.queue import outcomes
from media_jobs.queue.status_text import Lanes, message_of, waiting_for
from tests.support.api_client import api_client
from tests.support.job_rows import a_file, a_job, a_user, a_worker, now, started
from uploads.models import SinkMark
from uploads.storage.marker import adopt
from uploads.storage.stores import sink

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def disk() -> None:
    """It can be seen: without, no job is begun."""
    adopt(sink())


def awaits(job: Job) -> str | None:
    found = now(job)
    return waiting_for(found, Lanes.now([found]))


def several(owner: User, number: int, first: int = 20, **more: Any) -> list[Job]:
    return [a_job(a_file(owner), params={"width": first + n}, **more) for n in range(number)]


def test_a_job_without_a_worker_waits_for_one() -> None:
    assert awaits(a_job()) == "A worker: the lane quick has no running worker."


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
    job = a_job()
    outcomes.end_failed(started(a_worker(), job), NoRoom("The server's disk is full."), {})
    said = awaits(job)
    assert said is not None
    assert said.startswith("Another attempt, in ")
    assert said.endswith(". The server's disk is full.")


def test_where_the_disk_has_no_room_or_cannot_be_seen_jobs_wait_for_that(settings: Any) -> None:
    a_worker()
    job = a_job()
    settings.UPLOADS = replace(settings.UPLOADS, min_free=10**18)
    assert awaits(job) == "Free space on the server's disk."
    SinkMark.objects.all().delete()
    assert awaits(job) == "The server's disk, which is not available."


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
    client = api_client(owner)
    with django_assert_max_num_queries(8):
        answer = client.get("/api/v1/jobs/")
    assert len(answer.json()["results"]) == 40


def test_all_who_watch_the_same_queue_share_one_look_at_it(
    django_assert_num_queries: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_cells, "_CACHE_SECONDS", 60.0)  # of a second, a busy machine may leave nothing
    a_worker()
    queue = [now(job) for job in several(a_user(), 3)]
    said = job_cells.waiting_reasons(queue)
    with django_assert_num_queries(0):
        assert job_cells.waiting_reasons(queue) == said
    assert job_cells.status_message(queue[1], said[queue[1].pk]) == "Waiting for its turn: 1 job is ahead of it."


def test_who_comes_into_a_queue_that_others_watch_is_told_their_own_place() -> None:
    a_worker()
    owner = a_user()
    first, second = several(owner, 2)
    job_cells.waiting_reasons([now(first), now(second)])
    [third] = several(owner, 1, first=40)
    assert job_cells.waiting_reasons([now(third)]) == {third.pk: "Its turn: 2 jobs are ahead of it."}
