"""Who runs which job, when, and what becomes of those who wait: on the real database, without any work."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from media_jobs.errors import (
    BadMedia,
    Cancelled,
    ContentLost,
    Failure,
    Internal,
    LeaseLost,
    NoRoom,
)
from media_jobs.ffmpeg.progress import Report
from media_jobs.models import Artifact, Job, Lane, Worker
from media_jobs.queue import cancel_and_retry, leases, lost_leases, outcomes
from media_jobs.queue.scheduling import charge
from tests.support.job_rows import (
    a_file,
    a_job,
    a_user,
    a_worker,
    claimed,
    end,
    expire,
    meanwhile,
    now,
    past,
    reap,
    started,
)
from tests.support.many_jobs import pile

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker() -> Worker:
    return a_worker()


def test_a_job_is_claimed_once(worker: Worker) -> None:
    job = a_job()
    lease = started(worker, job)
    assert leases.claim(a_worker()) is None
    assert (now(job).status, now(job).token, now(job).worker) == ("running", lease.token, worker)
    assert past(job) == ["queued", "running"]


def test_a_claim_asks_little_of_the_database(worker: Worker) -> None:
    job = a_job()
    with CaptureQueriesContext(connection) as asked:
        started(worker, job)
    statements = [query["sql"] for query in asked if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= (1 if connection.vendor == "postgresql" else 4), statements


def test_a_worker_claims_jobs_of_its_own_lane_only() -> None:
    a_job()
    assert leases.claim(a_worker("heavy")) is None


def test_the_better_priority_comes_first_and_then_the_older(worker: Worker) -> None:
    owner = a_user()
    late, early, urgent = (
        a_job(a_file(owner), params={"width": width}, priority=priority)
        for width, priority in ((20, 0), (21, 0), (22, 5))
    )
    Job.objects.filter(pk=early.pk).update(queued_at=F("queued_at") - timedelta(seconds=9))
    for job in (urgent, early, late):
        started(worker, job)


def test_an_owner_with_many_jobs_delays_the_first_of_another_by_one_at_most(worker: Worker) -> None:
    greedy, modest = a_user(), a_user()
    for width in range(20, 40):
        a_job(a_file(greedy), params={"width": width})
    for _ in range(3):
        assert claimed(worker).job.owner == greedy
    first, second = (a_job(a_file(modest), params={"width": width}) for width in (20, 21))
    started(worker, first)
    assert claimed(worker).job.owner == greedy  # and then they take turns
    started(worker, second)


def test_a_thousand_jobs_of_one_delay_the_first_of_another_by_those_that_run_at_most() -> None:
    """Each slot ends the one that it is at; whichever is free first takes the other owner's."""
    slots, greedy, modest = [a_worker(), a_worker()], a_user(), a_user()
    pile(1000, [a_file(greedy)], "thumbnail")
    for turn in range(6):
        running = [(slot, claimed(slot)) for slot in slots]
        assert [lease.job.owner for _, lease in running] == [greedy] * 2
        first = a_job(a_file(modest), params={"width": 20 + turn})
        (free, ended), (_, other) = random.sample(running, 2)
        end(ended)
        end(started(free, first))
        assert claimed(free).job.owner == greedy  # and then they go on
        end(other)


def test_owners_of_long_jobs_and_of_short_ones_get_the_same_time(worker: Worker) -> None:
    taken = {pile_of(30): 300.0, pile_of(30): 30.0}
    spent = dict.fromkeys(taken, 0.0)
    for _ in range(22):
        owner = claimed(worker).job.owner
        charge(worker.lane, owner.pk, taken[owner])
        spent[owner] += taken[owner]
    assert [spent[owner] for owner in taken] == [600, 600]


def test_who_comes_back_has_saved_no_time_up(worker: Worker) -> None:
    modest = pile_of(1)
    claimed(worker)
    greedy = pile_of(30)
    for _ in range(20):
        assert claimed(worker).job.owner == greedy
    for width in range(100, 103):
        a_job(a_file(modest), params={"width": width})
    order = [claimed(worker).job.owner for _ in range(4)]
    assert order == [modest, greedy, modest, greedy]


def pile_of(count: int) -> Any:
    """A new owner with this number of jobs."""
    owner = a_user()
    for width in range(20, 20 + count):
        a_job(a_file(owner), params={"width": width})
    return owner


def test_a_paused_lane_starts_nothing(worker: Worker) -> None:
    job = a_job()
    Lane.objects.update_or_create(name="quick", defaults={"paused": True})
    assert leases.claim(worker) is None
    Lane.objects.update(paused=False)
    started(worker, job)


def test_a_job_that_is_to_wait_for_another_attempt_waits(worker: Worker) -> None:
    job = a_job()
    Job.objects.filter(pk=job.pk).update(not_before=Now() + timedelta(seconds=60))
    assert leases.claim(worker) is None
    Job.objects.filter(pk=job.pk).update(not_before=Now() - timedelta(seconds=1))
    started(worker, job)


def test_renewing_carries_progress_and_brings_word_of_a_cancel(worker: Worker) -> None:
    job = a_job()
    lease = started(worker, job)
    until = now(job).lease_until
    assert until is not None
    assert leases.renew(lease, Job.Phase.WORKING, Report("Half", 0.5, 2.0, 61.4)) is False
    found = now(job)
    assert (found.phase, found.message, found.progress, found.speed, found.eta_seconds) == (
        "working",
        "Half",
        0.5,
        2,
        61,
    )
    cancel_and_retry.cancel(job)
    assert now(job).status == "running"
    assert leases.renew(lease, Job.Phase.WORKING, Report("Half", 1.0)) is True
    assert now(job).progress < 1
    outcomes.end_cancelled(lease)
    assert (now(job).status, past(job)[-1]) == ("cancelled", "cancelled")


@pytest.mark.parametrize("absurd", [2.0**31, 2.0**63, 1e308, float("inf"), float("nan"), -1.0])
def test_a_lease_is_renewed_whatever_numbers_are_reported(absurd: float, worker: Worker) -> None:
    job = a_job()
    lease = started(worker, job)
    expire(job)
    assert leases.renew(lease, Job.Phase.WORKING, Report("Half", absurd, absurd, absurd)) is False
    found = now(job)
    assert found.lease_until is not None
    assert found.lease_until > timezone.now()
    assert found.eta_seconds is None
    assert 0 <= found.progress < 1


def test_a_cancel_that_comes_at_the_last_moment_is_kept(worker: Worker) -> None:
    job = a_job()
    lease = started(worker, job)
    cancel_and_retry.cancel(job)
    with pytest.raises(Cancelled):
        end(lease, "poster.jpg")
    outcomes.end_cancelled(lease)
    assert (now(job).status, Artifact.objects.count()) == ("cancelled", 0)


@pytest.mark.parametrize("end", ["stopped", "failed for now", "failed for good", "lost", "lost for good"])
def test_a_job_that_is_to_be_cancelled_is_whatever_ends_its_attempt(end: str, worker: Worker, settings: Any) -> None:
    file = a_file()
    job, follower = a_job(file), a_job(file)
    if end == "lost for good":
        Job.objects.filter(pk=job.pk).update(attempts=settings.JOBS.attempts - 1)
    lease = started(worker, job)
    cancel_and_retry.cancel(job)
    expire(job)
    if end == "stopped":
        outcomes.end_released(lease)
    elif end == "failed for now":
        outcomes.end_failed(lease, NoRoom("The disk is full."), {})
    elif end == "failed for good":
        outcomes.end_failed(lease, BadMedia("It is cut off."), {})
    else:
        assert reap() == 1
    assert (now(job).status, past(job)[-1]) == ("cancelled", "cancelled")
    assert (now(follower).status, now(follower).leader) == ("queued", None)


def test_of_a_job_that_was_not_taken_back_the_followers_stay(worker: Worker, settings: Any) -> None:
    file = a_file()
    job, follower = a_job(file), a_job(file)
    Job.objects.filter(pk=job.pk).update(attempts=settings.JOBS.attempts - 1)
    lease = started(worker, job)
    expire(job)

    with meanwhile("UPDATE", lambda: Job.objects.filter(pk=job.pk).update(lease_until=Now() + timedelta(seconds=9))):
        assert reap() == 0
    assert (now(job).status, now(follower).leader) == ("running", job)
    end(lease)


def test_a_job_that_goes_between_renewing_and_looking_is_lost(worker: Worker) -> None:
    job = a_job()
    lease = started(worker, job)
    with meanwhile("SELECT", lambda: Job.objects.all().delete()), pytest.raises(LeaseLost):
        leases.renew(lease, Job.Phase.WORKING, Report("Half"))


def test_nobody_who_lost_the_lease_can_write_anything(worker: Worker) -> None:
    job = a_job()
    lease = started(worker, job)
    expire(job)
    assert reap() == 1
    Job.objects.filter(pk=job.pk).update(not_before=None)
    mine = started(a_worker(), job)
    for attempt in (
        lambda: leases.renew(lease, Job.Phase.WORKING, Report("I am alive")),
        lambda: leases.reserve_keys(lease, 1),
        lambda: end(lease, "poster.jpg"),
        lambda: outcomes.end_failed(lease, BadMedia("no"), {}),
        lambda: outcomes.end_failed(lease, NoRoom("no"), {}),
        lambda: outcomes.end_released(lease),
        lambda: outcomes.end_cancelled(lease),
    ):
        with pytest.raises(LeaseLost), transaction.atomic():
            attempt()
    assert not Artifact.objects.exists()
    end(mine, "poster.jpg")
    assert now(job).status == "succeeded"
    assert past(job) == ["queued", "running", "queued", "running", "succeeded"]


def test_a_worker_that_stops_gives_its_job_back_without_counting_an_attempt(worker: Worker) -> None:
    job = a_job()
    outcomes.end_released(started(worker, job))
    assert (now(job).status, now(job).attempts, now(job).not_before) == ("queued", 0, None)
    started(worker, job)


def test_a_lost_worker_costs_an_attempt_and_too_many_fail_the_job(worker: Worker, settings: Any) -> None:
    job = a_job()
    for attempt in range(1, settings.JOBS.attempts):
        started(worker, job)
        expire(job)
        assert reap() == 1
        assert (now(job).status, now(job).attempts) == ("queued", attempt)
        Job.objects.filter(pk=job.pk).update(not_before=None)
    started(worker, job)
    expire(job)
    assert reap() == 1
    assert (now(job).status, now(job).error_code) == ("failed", "worker_lost")


def test_a_lease_renewed_at_the_second_look_is_not_taken(worker: Worker) -> None:
    job = a_job()
    lease = started(worker, job)
    expire(job)
    assert lost_leases.reap(lambda: void(leases.renew(lease, Job.Phase.WORKING, Report("here")))) == 0
    assert now(job).status == "running"


def void(_: object) -> None:
    """For callables whose answer does not matter."""


def test_a_lease_in_a_future_that_no_clock_gave_is_taken_back(worker: Worker) -> None:
    job = a_job()
    started(worker, job)
    Job.objects.filter(pk=job.pk).update(lease_until=Now() + timedelta(hours=9))
    assert reap() == 1


def test_a_failure_that_may_pass_is_tried_again_and_a_permanent_one_is_not(worker: Worker) -> None:
    job = a_job()
    outcomes.end_failed(started(worker, job), NoRoom("The disk is full."), {})
    assert (now(job).status, now(job).attempts) == ("queued", 1)
    assert leases.claim(worker) is None  # not at once
    Job.objects.filter(pk=job.pk).update(not_before=None)
    outcomes.end_failed(started(worker, job), BadMedia("It is cut off."), {"log": "moov atom not found"})
    found = now(job)
    assert (found.status, found.error_code, found.error_detail) == ("failed", "bad_media", "It is cut off.")
    assert found.log == "moov atom not found"


@pytest.mark.parametrize(
    ("failure", "soon"),
    [(Internal("Our mistake."), 1), (ContentLost("It is away."), 15), (NoRoom("It is full."), 60)],
)
def test_the_next_attempt_waits_longer_each_time_and_for_a_disk_that_is_full_from_the_first(
    failure: Failure, soon: int, worker: Worker, settings: Any
) -> None:
    settings.JOBS = replace(settings.JOBS, attempts=9)
    job, waits = a_job(), []
    for _ in range(8):
        outcomes.end_failed(started(worker, job), failure, {})
        found = now(job)
        assert (found.status, found.message) == ("queued", failure.detail)
        assert found.not_before is not None
        waits.append((found.not_before - timezone.now()).total_seconds())
        Job.objects.filter(pk=job.pk).update(not_before=None)
    assert waits == pytest.approx([min(soon * 4**attempt, 600) for attempt in range(8)], abs=5)
