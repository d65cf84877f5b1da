"""Child jobs as rows: how a parent is split, waits, goes on and ends, and what is left of its children."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from media_jobs.errors import BadMedia, Cancelled, LeaseLost, NoRoom
from media_jobs.ffmpeg.progress import Report
from media_jobs.housekeeping import forget_scratch
from media_jobs.models import Job, ScratchBlob, Worker
from media_jobs.operations.divisible import Part
from media_jobs.queue import cancel_and_retry, children, leases, outcomes
from media_jobs.queue.artifacts import StoredOutput, keys_in_use
from media_jobs.queue.deletion import delete_job
from media_jobs.queue.leases import Lease
from media_jobs.queue.scheduling import claimable
from media_jobs.queue.status_text import Lanes, waiting_for
from tests.support.job_rows import a_file, a_job, a_worker, claimed, expire, reap
from uploads.content.intake import Content
from uploads.models import MediaFile, Tombstone, Transition

pytestmark = pytest.mark.django_db
PARTS = [Part({"number": number}, weight) for number, weight in enumerate((10.0, 20.0, 30.0))]


@pytest.fixture
def worker() -> Worker:
    return a_worker("heavy")


@pytest.fixture
def parent(worker: Worker) -> Job:
    """A job that has been split, and waits for its children."""
    job = a_job(operation="transcode")
    outcomes.split(claimed(worker), PARTS, {})
    job.refresh_from_db()
    return job


def output(lease: Lease) -> StoredOutput:
    leases.reserve_keys(lease, 1)
    content = Content("ab" * 32, 7, "video", "video/mp4")
    return StoredOutput("piece.mp4", lease.key(0), content, {})


def finish(lease: Lease) -> None:
    outcomes.finish_child(lease, [output(lease)], message="Done", ran={})


def statuses(parent: Job) -> list[str]:
    return [child.status for child in children.children_of(parent)]


def timeline(job: Job) -> list[str]:
    return list(Transition.history("job", job.pk).values_list("state", flat=True))


def test_a_parent_is_claimed_again_after_its_last_child(parent: Job, worker: Worker) -> None:
    assert (parent.status, parent.pending_children) == ("queued", 3)
    for number in range(3):
        lease = claimed(worker)
        assert (lease.job.parent_id, lease.job.part) == (parent.pk, {"number": number})
        finish(lease)
    lease = claimed(worker)
    assert (lease.job.pk, lease.job.attempt) == (parent.pk, 1)
    assert [child.scratch.get().name for child in children.children_of(parent)] == ["piece.mp4"] * 3
    assert timeline(parent) == ["queued", "running", "queued", "running"]
    outcomes.finish(lease, [], facts=None, message="Joined", ran={})
    assert not Job.with_children.filter(parent=parent).exists()
    assert not ScratchBlob.objects.exists()
    assert Tombstone.objects.count() == 3


def test_a_parent_may_be_split_again_into_further_parts_of_several_lanes(worker: Worker) -> None:
    job, bulk = a_job(operation="transcode"), a_worker("bulk")
    outcomes.split(claimed(worker), [Part({"number": 0}, 1.0, lane="bulk")], {})
    finish(claimed(bulk))
    again = claimed(worker)
    stored = {0: [output(again)]}
    outcomes.split(again, [Part({"number": 1}, 1.0), Part({"number": 2}, 1.0)], stored)
    job.refresh_from_db()
    assert (job.status, job.pending_children) == ("queued", 1)
    finish(claimed(worker))
    assert claimed(worker).job.pk == job.pk
    made = [(child.number, child.lane, child.scratch.count()) for child in children.children_of(job)]
    assert made == [(0, "bulk", 1), (1, "heavy", 1), (2, "heavy", 1)]


def test_no_list_and_no_count_shows_children(parent: Job, worker: Worker) -> None:
    finish(claimed(worker))
    assert list(Job.objects.all()) == [parent]
    assert list(parent.owner.jobs.all()) == [parent]
    assert MediaFile.objects.count() == 1
    assert children.counts([parent.pk])[parent.pk]["total"] == 3
    assert Transition.objects.filter(subject="job").exclude(subject_id=parent.pk).count() == 0


def test_the_progress_of_children_is_the_parents_by_weight(parent: Job, worker: Worker) -> None:
    finish(claimed(worker))
    lease = claimed(worker)
    leases.renew(lease, "working", Report("Encoded", 0.5))
    parent.refresh_from_db()
    assert parent.progress == pytest.approx(0.97 * (10 + 0.5 * 20) / 60)
    assert parent.message == "Made 1 of 3 parts"
    lanes = Lanes(paused=(), with_workers={"heavy"})
    assert waiting_for(parent, lanes) == "Its parts: 2 of them are not done yet."


def test_what_children_made_is_in_use_until_the_parent_ends(parent: Job, worker: Worker) -> None:
    lease = claimed(worker)
    finish(lease)
    key = lease.key(0)
    assert list(keys_in_use([key, "other"])) == [key]
    cancel_and_retry.cancel(parent)
    assert list(keys_in_use([key])) == []
    assert Tombstone.objects.filter(key=key).exists()


def test_cancelling_the_parent_ends_all_children_at_once(parent: Job, worker: Worker) -> None:
    lease = claimed(worker)
    leases.reserve_keys(lease, 1)
    cancel_and_retry.cancel(parent)
    assert not Job.with_children.filter(parent=parent).exists()
    assert Tombstone.objects.filter(key=lease.key(0)).exists()
    with pytest.raises(LeaseLost):
        finish(lease)
    assert not claimable("heavy").exists()
    assert timeline(parent)[-1] == "cancelled"


def test_a_child_that_fails_for_good_fails_its_parent_and_a_retry_uses_what_is_done(
    parent: Job, worker: Worker
) -> None:
    finish(claimed(worker))
    failing, running = claimed(worker), claimed(worker)
    outcomes.end_failed(failing, BadMedia("It is cut off."), {"log": "bad"})
    parent.refresh_from_db()
    assert (parent.status, parent.error_code, parent.log, parent.pending_children) == (
        "failed",
        "bad_media",
        "bad",
        0,
    )
    assert statuses(parent) == ["succeeded", "failed", "cancelled"]
    with pytest.raises(LeaseLost):
        finish(running)
    cancel_and_retry.retry(parent)
    parent.refresh_from_db()
    assert (parent.status, parent.pending_children, statuses(parent)) == (
        "queued",
        2,
        ["succeeded", "queued", "queued"],
    )
    finish(claimed(worker))
    finish(claimed(worker))
    assert claimed(worker).job.pk == parent.pk


def test_a_child_whose_worker_is_lost_is_tried_again_alone(parent: Job, worker: Worker) -> None:
    finish(claimed(worker))
    lost = claimed(worker)
    expire(lost.job)
    assert reap() == 1
    assert statuses(parent) == ["succeeded", "queued", "queued"]
    parent.refresh_from_db()
    assert (parent.status, parent.pending_children) == ("queued", 2)
    with pytest.raises(LeaseLost):
        finish(lost)


def keep(lease: Lease, number: int = 0) -> StoredOutput:
    """A checkpoint, as of a segment that is finished before the others."""
    leases.reserve_keys(lease, number + 1)
    kept = StoredOutput(lease.key(number), lease.key(number), Content("ab" * 32, 7, "video", "video/mp4"), {})
    leases.keep(lease, kept)
    return kept


def test_checkpoints_outlive_their_worker_and_its_attempt_does_not_count(parent: Job, worker: Worker) -> None:
    lost = claimed(worker)
    kept = keep(lost)
    leases.keep(lost, kept)  # the answer of the database was lost
    leases.reserve_keys(lost, 2)
    expire(lost.job)
    assert reap() == 1
    assert list(Tombstone.objects.values_list("key", flat=True)) == [lost.key(1)]
    child = children.children_of(parent)[0]
    assert (child.attempts, children.kept_names(child)) == (0, [kept.name])
    with pytest.raises(LeaseLost):
        leases.keep(lost, replace(kept, name="other", key=lost.key(1)))
    Job.with_children.filter(pk=child.pk).update(not_before=None)
    again = claimed(worker)
    assert again.job.pk == child.pk
    finish(again)
    assert set(children.kept_names(child)) == {"piece.mp4", kept.name}


@pytest.mark.parametrize("end", [outcomes.end_released, lambda lease: outcomes.end_failed(lease, NoRoom(""), {})])
def test_checkpoints_stay_until_the_parent_ends(parent: Job, worker: Worker, end: Callable[[Lease], None]) -> None:
    lease = claimed(worker)
    keep(lease)
    end(lease)
    assert not Tombstone.objects.exists()
    cancel_and_retry.cancel(parent)
    assert not ScratchBlob.objects.exists()
    assert list(Tombstone.objects.values_list("key", flat=True)) == [lease.key(0)]


def test_attempts_that_keep_nothing_end_in_failure_between_those_that_do(parent: Job, worker: Worker) -> None:
    first = children.children_of(parent)[0]
    for attempt in range(8):
        lease = claimed(worker)
        assert lease.job.pk == first.pk
        if attempt % 2:
            keep(lease)
        expire(lease.job)
        reap()
        Job.with_children.filter(pk=first.pk).update(not_before=None)
        parent.refresh_from_db()
        if parent.status == "failed":
            break
    assert (attempt, parent.error_code) == (4, "worker_lost")


def test_a_child_that_fails_for_now_is_tried_again(parent: Job, worker: Worker) -> None:
    outcomes.end_failed(claimed(worker), NoRoom("The disk is full."), {})
    assert statuses(parent) == ["queued"] * 3
    assert parent.pending_children == 3


def test_lost_outputs_are_made_again(parent: Job, worker: Worker) -> None:
    for _ in PARTS:
        finish(claimed(worker))
    outcomes.wait_again(claimed(worker), {1: None}, "as their bytes were lost")
    parent.refresh_from_db()
    assert (parent.pending_children, statuses(parent)) == (1, ["succeeded", "queued", "succeeded"])
    assert ScratchBlob.objects.count() == 2
    finish(claimed(worker))
    assert claimed(worker).job.pk == parent.pk


def test_parts_are_made_again_in_another_way(parent: Job, worker: Worker) -> None:
    for _ in PARTS:
        finish(claimed(worker))
    specs = {number: {"crf": 20 + number} for number in range(len(PARTS))}
    outcomes.wait_again(claimed(worker), specs, "as the result missed its target")
    parent.refresh_from_db()
    assert (parent.pending_children, statuses(parent)) == (3, ["queued"] * 3)
    assert [child.part for child in children.children_of(parent)] == list(specs.values())
    assert ScratchBlob.objects.count() == 0


def test_a_join_that_fails_for_now_joins_again(parent: Job, worker: Worker) -> None:
    for _ in PARTS:
        finish(claimed(worker))
    outcomes.end_failed(claimed(worker), NoRoom("The disk is full."), {})
    Job.objects.filter(pk=parent.pk).update(not_before=None)
    assert claimed(worker).job.pk == parent.pk
    assert len(children.children_of(parent)) == 3


def test_a_job_that_is_to_be_cancelled_is_not_split(worker: Worker) -> None:
    job = a_job(operation="transcode")
    lease = claimed(worker)
    cancel_and_retry.cancel(job)
    with pytest.raises(Cancelled):
        outcomes.split(lease, PARTS, {})
    outcomes.end_cancelled(lease)
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert not Job.with_children.filter(parent=job).exists()


def test_deleting_the_parent_deletes_its_children_and_their_bytes(parent: Job, worker: Worker) -> None:
    lease = claimed(worker)
    finish(lease)
    outcomes.end_failed(claimed(worker), BadMedia("It is cut off."), {})
    parent.refresh_from_db()
    delete_job(parent)
    assert not Job.with_children.exists()
    assert Tombstone.objects.filter(key=lease.key(0)).exists()


def test_what_a_failed_job_has_of_its_children_goes_after_a_day(parent: Job, worker: Worker) -> None:
    lease = claimed(worker)
    finish(lease)
    outcomes.end_failed(claimed(worker), BadMedia("It is cut off."), {})
    assert forget_scratch() == 0
    Job.objects.filter(pk=parent.pk).update(finished_at=Now() - timedelta(hours=25))
    assert forget_scratch() == 1
    assert not Job.with_children.filter(parent=parent).exists()
    cancel_and_retry.retry(parent)
    assert claimed(worker).job.pk == parent.pk


def test_an_identical_job_waits_for_the_parent_and_gets_its_end(worker: Worker) -> None:
    file = a_file()
    job = a_job(file, operation="transcode")
    outcomes.split(claimed(worker), PARTS, {})
    other = a_job(file, operation="transcode")
    assert other.leader_id == job.pk
    outcomes.end_failed(claimed(worker), BadMedia("It is cut off."), {})
    other.refresh_from_db()
    assert (other.status, other.error_code) == ("failed", "bad_media")


def test_another_owner_gets_a_turn_between_the_parts(parent: Job, worker: Worker) -> None:
    other: Any = a_job(operation="transcode")
    order = [claimed(worker).job for _ in range(3)]
    assert other.pk in {job.pk for job in order[:2]}
