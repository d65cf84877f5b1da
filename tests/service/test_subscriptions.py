"""Python code that subscribes to stored files and finished jobs: it is called after the commit."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from media_jobs.errors import BadMedia
from media_jobs.models import Job
from media_jobs.queue import cancel_and_retry, outcomes, states
from media_jobs.subscriptions import job_finished
from tests.support.job_rows import a_file, a_job, a_worker, end, started
from uploads.models import MediaFile
from uploads.runtime.database_connections import write
from uploads.subscriptions import Event

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    """The operation and status of jobs, as a subscriber has got them; after another one that fails."""
    told: list[tuple[str, str]] = []

    def fail(job: Job) -> None:
        raise RuntimeError(f"cannot count {job.pk}")

    def note(job: Job) -> None:
        with write():  # as one that submits a job
            told.append((job.operation, job.status))

    job_finished.subscribe(fail)
    job_finished.subscribe(note)
    job_finished.subscribe(note)  # once is enough
    yield told
    job_finished.unsubscribe(fail)
    job_finished.unsubscribe(note)


def test_a_subscriber_is_told_how_each_job_ended_whatever_another_subscriber_does(told: list[Any]) -> None:
    worker = a_worker()
    made, failing, unwanted = (a_job() for _ in range(3))
    end(started(worker, made), "one.jpg")
    outcomes.end_failed(started(worker, failing), BadMedia("It is damaged."), {})
    cancel_and_retry.cancel(unwanted)
    assert told == [("thumbnail", "succeeded"), ("thumbnail", "failed"), ("thumbnail", "cancelled")]
    made.refresh_from_db()
    assert (made.status, made.artifacts.count()) == ("succeeded", 1)


def test_an_answer_from_the_cache_is_an_end_too(told: list[Any]) -> None:
    file = a_file()
    end(started(a_worker(), a_job(file)), "one.jpg")
    told.clear()
    assert a_job(file).cached
    assert told == [("thumbnail", "succeeded")]


def test_jobs_of_a_batch_that_are_cancelled_together_are_ends_too(told: list[Any]) -> None:
    with write():
        assert states.mark_cancelled_together([a_job(), a_job()]) == []
    assert told == [("thumbnail", "cancelled")] * 2


def test_nobody_is_told_of_what_was_rolled_back_or_is_gone(told: list[Any]) -> None:
    job = a_job()
    with transaction.atomic():
        cancel_and_retry.cancel(job)
        transaction.set_rollback(True)
    assert told == []
    stored: Event[MediaFile] = Event("stored")
    names: list[str] = []
    stored.subscribe(lambda file: names.append(file.name))
    find: Callable[[], MediaFile | None] = lambda: None  # noqa: E731
    stored.announce(find)
    stored.announce(a_file)
    assert names == ["a.mp4"]
