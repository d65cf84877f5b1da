"""Jobs whose inputs must be fetched: which of them a worker claims, and what the others wait for."""

from datetime import timedelta

import pytest
from django.utils import timezone

from media_jobs.models import Job, Worker
from media_jobs.queue import lanes, leases, outcomes
from media_jobs.queue.cancel_and_retry import cancel
from media_jobs.queue.scheduling import Room, claimable, rooms
from media_jobs.queue.status_text import Lanes, waiting_for
from tests.support.job_rows import a_file, a_job, a_worker
from uploads.models import MediaFile, Transition
from uploads.storage.marker import adopt
from uploads.storage.stores import sink

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def disk() -> None:
    """It can be seen: without, no job is begun."""
    adopt(sink())


GB = 10**9


def a_large_file(size: int) -> MediaFile:
    file = a_file()
    MediaFile.objects.filter(pk=file.pk).update(size=size)
    file.refresh_from_db()
    return file


def a_worker_with(room: int | None, lane: str = "quick") -> Worker:
    worker = a_worker(lane)
    worker.room = room
    worker.save()
    return worker


def why(job: Job) -> str | None:
    job.refresh_from_db()
    return waiting_for(job, Lanes.now([job]))


def test_a_job_knows_the_size_of_its_inputs() -> None:
    job = a_job(a_large_file(3 * GB))
    job.refresh_from_db()
    assert job.input_bytes == 3 * GB


def test_a_worker_claims_what_fits_even_behind_something_larger() -> None:
    worker = a_worker()
    large, small = a_job(a_large_file(3 * GB)), a_job(a_large_file(GB))
    Job.objects.filter(pk=large.pk).update(priority=5)
    lease = leases.claim(worker, Room(2 * GB))
    assert lease is not None
    assert lease.job.pk == small.pk
    assert leases.claim(worker, Room(2 * GB)) is None
    lease = leases.claim(worker, Room(3 * GB))
    assert lease is not None
    assert lease.job.pk == large.pk


def test_a_worker_claims_a_larger_input_that_its_host_has_already() -> None:
    worker, file = a_worker(), a_large_file(3 * GB)
    job = a_job(file)
    assert leases.claim(worker, Room(GB, ["0" * 64])) is None
    assert claimable("quick", Room(GB, ["0" * 64])).count() == 0
    assert claimable("quick", Room(GB, ["0" * 64, file.blob.sha256])).count() == 1
    lease = leases.claim(worker, Room(GB, ["0" * 64, file.blob.sha256]))
    assert lease is not None
    assert lease.job.pk == job.pk


def test_a_worker_that_fetches_nothing_claims_everything() -> None:
    a_job(a_large_file(3 * GB))
    assert leases.claim(a_worker()) is not None


def test_a_job_says_how_much_space_it_waits_for() -> None:
    job = a_job(a_large_file(3 * GB))
    a_worker_with(GB)
    small = a_worker_with(2 * GB)
    assert why(job) == "Scratch space for its inputs: 3.0 GB. The workers of the lane quick have 2.0 GB."
    Worker.objects.filter(pk=small.pk).update(room=3 * GB)
    assert why(job) == "A free worker of the lane quick."
    Worker.objects.filter(pk=small.pk).update(room=None)
    assert why(job) == "A free worker of the lane quick."


def test_the_room_of_a_lane_is_that_of_its_best_worker() -> None:
    a_worker_with(1)
    a_worker_with(2)
    a_worker_with(3, "heavy")
    a_worker_with(None, "heavy")
    assert rooms(Worker.live()) == {"quick": Room(2), "heavy": None}


def test_who_does_not_take_a_job_that_does_not_fit_is_not_deaf() -> None:
    worker = a_worker_with(GB)
    job = a_job(a_large_file(3 * GB))
    long_ago = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(queued_at=long_ago)
    Worker.objects.filter(pk=worker.pk).update(heard_at=long_ago)
    assert not [text for text in lanes.troubles() if "do not take" in text or "does not take" in text]
    Worker.objects.filter(pk=worker.pk).update(room=3 * GB)
    assert [text for text in lanes.troubles() if "does not take" in text]


def test_a_job_that_did_not_fit_after_all_goes_back_without_an_attempt() -> None:
    job = a_job(a_large_file(GB))
    lease = leases.claim(a_worker(), Room(GB))
    assert lease is not None
    outcomes.end_without_scratch(lease, 3 * GB)
    job.refresh_from_db()
    assert (job.status, job.attempts, job.input_bytes) == ("queued", 0, 3 * GB)
    assert job.not_before is not None
    assert Transition.objects.filter(subject_id=job.pk).order_by("-number").first().detail == "no scratch space"  # type: ignore[union-attr]
    assert leases.claim(a_worker(), Room(3 * GB)) is None  # not at once
    assert "no scratch space for 3.0 GB" in str(why(job))


def test_a_job_that_did_not_fit_can_be_cancelled_meanwhile() -> None:
    job = a_job(a_large_file(GB))
    lease = leases.claim(a_worker(), Room(GB))
    assert lease is not None
    cancel(job)
    outcomes.end_without_scratch(lease, GB)
    job.refresh_from_db()
    assert job.status == "cancelled"


def test_jobs_from_before_an_upgrade_are_claimed_and_learn_their_size() -> None:
    job = a_job(a_large_file(3 * GB))
    Job.objects.filter(pk=job.pk).update(input_bytes=None)
    lease = leases.claim(a_worker(), Room(GB))
    assert lease is not None
    outcomes.end_without_scratch(lease, 3 * GB)
    Job.objects.filter(pk=job.pk).update(not_before=None)
    assert leases.claim(a_worker(), Room(GB)) is None
