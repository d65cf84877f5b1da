"""Results of jobs on the real database: earlier results, followers, quota, retries and deletion. Nothing is run."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from model_bakery import baker

from media_jobs.errors import (
    AlreadyFinished,
    BadMedia,
    LeaseLost,
    NoRoom,
    NotFinished,
    QuotaReached,
)
from media_jobs.ffmpeg.probing.media_facts import FACTS_VERSION
from media_jobs.models import Artifact, Job, Worker
from media_jobs.queue import cancel_and_retry, leases, outcomes
from media_jobs.queue.deletion import delete_job
from media_jobs.queue.submission import Order, begin_uploaded, submit
from tests.support.job_rows import (
    a_file,
    a_job,
    a_resumable_upload,
    a_user,
    a_worker,
    end,
    expire,
    now,
    past,
    reap,
    started,
)
from uploads.errors import InvalidParams, KeyReused
from uploads.models import Blob, MediaFile
from uploads.storage.files import delete_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker() -> Worker:
    return a_worker()


def test_what_a_job_made_is_there_with_its_success(worker: Worker) -> None:
    job = a_job()
    end(started(worker, job), "one.jpg", "two.jpg")
    assert (now(job).status, now(job).progress) == ("succeeded", 1)
    assert sorted(now(job).artifacts.values_list("name", "file__name", "file__origin")) == [
        ("one.jpg", "a.one.jpg", "job"),
        ("two.jpg", "a.two.jpg", "job"),
    ]
    assert not Job.objects.filter(operation="inspect", file__origin="job").exists()  # what jobs made is not inspected


def test_the_same_again_is_answered_without_work(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_file()
    first = a_job(file)
    end(started(worker, first), "poster.jpg")
    again = a_job(file)
    assert (again.status, again.cached, again.progress) == ("succeeded", True, 1)
    assert again.artifacts.get().file.blob == first.artifacts.get().file.blob
    assert again.artifacts.get().file != first.artifacts.get().file
    assert a_job(file, params={"width": 99}).status == "queued"
    assert a_job(a_copy_of(file)).status == "queued"  # somebody else's


def test_what_is_answered_when_its_upload_completes_has_begun_and_ended(worker: Worker) -> None:
    file = a_file()
    first = a_job(file)
    end(started(worker, first), "poster.jpg")
    upload = a_resumable_upload(file.owner)
    job, _ = submit(Order.parse(file.owner, "thumbnail", upload=upload))
    with transaction.atomic():
        begin_uploaded(upload, file)
    assert (now(job).status, now(job).cached, now(job).started_at) == ("succeeded", True, now(job).finished_at)


def a_copy_of(file: MediaFile) -> MediaFile:
    copy: MediaFile = baker.make(MediaFile, owner=a_user(), blob=file.blob, name="b.mp4", origin="upload")
    return copy


def test_where_results_are_shared_another_owner_is_answered_too(worker: Worker, settings: Any) -> None:
    settings.JOBS = replace(settings.JOBS, share_results=True)
    first = a_job()
    assert first.file is not None
    end(started(worker, first), "poster.jpg")
    copy = a_copy_of(first.file)
    again = a_job(copy)
    assert (again.status, again.artifacts.get().file.owner) == ("succeeded", copy.owner)


def test_a_result_that_is_gone_or_of_an_ffmpeg_that_is_gone_answers_nothing(worker: Worker) -> None:
    file = a_file()
    first = a_job(file)
    end(started(worker, first), "poster.jpg")
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    other = a_job(file)
    assert other.status == "queued"
    cancel_and_retry.cancel(other)
    Worker.objects.update(seen_at=Now())
    delete_file(first.artifacts.get().file)
    assert a_job(file).status == "queued"


def test_of_ten_identical_jobs_one_is_run_and_all_have_its_results(worker: Worker) -> None:
    file = a_file()
    leader, *followers = [a_job(file) for _ in range(10)]
    assert {follower.leader for follower in followers} == {leader}
    lease = started(worker, leader)
    assert leases.claim(worker) is None
    end(lease, "poster.jpg")
    assert {(now(job).status, now(job).cached, now(job).artifacts.count()) for job in followers} == {
        ("succeeded", True, 1)
    }
    assert all(now(job).started_at for job in followers)
    assert {artifact.file.blob for artifact in Artifact.objects.all()} == {leader.artifacts.get().file.blob}


@pytest.mark.parametrize("loss", ["cancelled", "worker lost", "failed for now"])
def test_the_oldest_follower_takes_over_from_a_leader_that_ends_without_result(
    loss: str, worker: Worker, settings: Any
) -> None:
    file = a_file()
    leader, heir, last = (a_job(file) for _ in range(3))
    lease = started(worker, leader)
    Job.objects.filter(pk=leader.pk).update(attempts=settings.JOBS.attempts - 1)
    lease.job.refresh_from_db()
    if loss == "cancelled":
        cancel_and_retry.cancel(leader)
        outcomes.end_cancelled(lease)
    elif loss == "worker lost":
        expire(leader)
        reap()
    else:
        outcomes.end_failed(lease, NoRoom("The disk is full."), {})
    assert now(leader).is_finished
    assert (now(heir).leader, now(last).leader) == (None, heir)
    end(started(worker, heir), "poster.jpg")
    assert now(last).status == "succeeded"


def test_a_permanent_failure_is_that_of_all_who_followed(worker: Worker) -> None:
    file = a_file()
    leader, follower = a_job(file), a_job(file)
    outcomes.end_failed(started(worker, leader), BadMedia("It is cut off."), {})
    assert (now(follower).status, now(follower).error_detail) == ("failed", "It is cut off.")


QUOTA = 20  # bytes: a file has 7, and what is made of it 9


def has_quota(settings: Any, **more: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quota=QUOTA)
    settings.JOBS = replace(settings.JOBS, **more)


def test_nobody_gets_results_beyond_their_quota_by_whatever_way(worker: Worker, settings: Any) -> None:
    has_quota(settings)
    file = a_file()
    first, follower = a_job(file), a_job(file)
    end(started(worker, first), "poster.jpg")
    copy = a_job(file)
    upload = a_resumable_upload(file.owner)
    awaited, _ = submit(Order.parse(file.owner, "thumbnail", upload=upload))
    with transaction.atomic():
        begin_uploaded(upload, file)
    assert (now(first).status, first.artifacts.count()) == ("succeeded", 1)
    for job in (follower, copy, awaited):
        assert (now(job).status, now(job).error_code, job.artifacts.count()) == ("failed", "quota_exceeded", 0)
        assert past(job) == ["uploading" if job == awaited else "queued", "failed"]

    lease = started(worker, a_job(file, params={"width": 64}))
    with pytest.raises(QuotaReached):
        end(lease, "poster.jpg")
    assert (now(lease.job).status, Blob.objects.count()) == ("running", 2)
    delete_file(first.artifacts.get().file)
    end(lease, "poster.jpg")
    assert now(lease.job).status == "succeeded"


def test_what_inspect_learnt_is_kept_where_the_quota_has_no_room_for_its_picture(
    worker: Worker, settings: Any
) -> None:
    has_quota(settings)
    file = a_file()
    first, follower = a_job(file, operation="inspect"), a_job(file, operation="inspect")
    filler = a_file(file.owner)
    for job in (first, follower):  # it has a go itself: there might be room by now
        lease = started(worker, job)
        end(lease, "poster.jpg", facts={"format": "mov"})
        found = now(job)
        assert (found.status, found.outputs, found.artifacts.count()) == ("succeeded", 0, 0)
        assert found.message.startswith("The preview could not be stored. Your quota has no room")
    assert Blob.objects.get(pk=file.blob_id).facts == {"format": "mov"}

    delete_file(filler)
    again = a_job(file, operation="inspect")
    assert again.status == "queued"  # what has no picture is no answer to it
    end(started(worker, again), "poster.jpg")
    assert (now(again).status, again.artifacts.count()) == ("succeeded", 1)
    a_file(file.owner)
    copy = a_job(file, operation="inspect")
    assert (copy.status, copy.cached, copy.artifacts.count()) == ("succeeded", True, 0)


@pytest.mark.parametrize("version", [None, 1, FACTS_VERSION, FACTS_VERSION + 1])
def test_inspect_replaces_only_the_facts_that_an_earlier_version_has_read(
    worker: Worker, version: int | None
) -> None:
    file = a_file()
    before = {"format": "mov"} | ({"version": version} if version else {})
    Blob.objects.filter(pk=file.blob_id).update(facts=before)
    read = {"format": "mov", "version": FACTS_VERSION, "title": "A film"}
    end(started(worker, a_job(file, operation="inspect")), "poster.jpg", facts=read)
    is_older = (version or 1) < FACTS_VERSION
    assert Blob.objects.get(pk=file.blob_id).facts == (read if is_older else before)


def test_one_owners_quota_is_no_matter_of_others_who_want_the_same(worker: Worker, settings: Any) -> None:
    has_quota(settings, share_results=True)
    file = a_file()
    twins = [a_copy_of(file) for _ in range(3)]
    leader, poor, rich = map(a_job, twins)
    assert {poor.leader, rich.leader} == {leader}
    a_file(poor.owner)
    outcomes.end_failed(started(worker, leader), QuotaReached("It does not fit."), {})
    assert (now(leader).status, now(poor).leader, now(rich).leader) == ("failed", None, poor)
    cancel_and_retry.cancel(poor)
    again = a_job(twins[1])
    end(started(worker, rich), "poster.jpg")
    assert (now(rich).status, now(again).status, now(again).error_code) == ("succeeded", "failed", "quota_exceeded")


def test_a_cancelled_follower_leaves_the_others_in_peace(worker: Worker) -> None:
    file = a_file()
    leader, follower, last = (a_job(file) for _ in range(3))
    cancel_and_retry.cancel(follower)
    assert (now(follower).status, now(last).leader) == ("cancelled", leader)
    end(started(worker, leader), "poster.jpg")
    assert (now(follower).status, now(last).status) == ("cancelled", "succeeded")


def test_a_failed_job_can_be_tried_again_and_a_succeeded_one_cannot(worker: Worker) -> None:
    job = a_job()
    outcomes.end_failed(started(worker, job), BadMedia("It is cut off."), {})
    assert (cancel_and_retry.retry(job).status, now(job).error_code, now(job).finished_at) == ("queued", "", None)
    with pytest.raises(NotFinished):
        cancel_and_retry.retry(job)
    end(started(worker, job))
    with pytest.raises(AlreadyFinished):
        cancel_and_retry.retry(job)
    with pytest.raises(AlreadyFinished):
        cancel_and_retry.cancel(job)


def test_a_file_that_somebody_works_on_cannot_be_deleted_and_the_job_neither(worker: Worker) -> None:
    job = a_job()
    assert job.file is not None
    with pytest.raises(NotFinished, match="This file has 1 unfinished job"):
        delete_file(job.file)
    with pytest.raises(NotFinished):
        delete_job(job)
    end(started(worker, job), "poster.jpg")
    delete_file(job.file)
    assert (now(job).file, now(job).artifacts.count()) == (None, 1)


def test_what_we_began_by_ourselves_goes_with_its_file(worker: Worker) -> None:
    file, running = a_file(), a_file()
    end(started(worker, a_job(file, operation="inspect", automatic=True)), "poster.jpg")
    lease = started(worker, a_job(running, operation="inspect", automatic=True))
    delete_file(file)
    delete_file(running)
    assert not Job.objects.exists()
    assert not MediaFile.objects.exists()
    with pytest.raises(LeaseLost):
        end(lease, "poster.jpg")


def test_a_deleted_job_takes_what_it_made_with_it_unless_that_is_to_stay(worker: Worker) -> None:
    for keep in (False, True):
        job = a_job(params={"width": 100 + keep})
        end(started(worker, job), "poster.jpg")
        made = job.artifacts.get().file
        delete_job(job, keep_artifacts=keep)
        assert MediaFile.objects.filter(pk=made.pk).exists() == keep
        assert not Job.objects.filter(pk=job.pk).exists()
        assert past(job) == []


def test_an_idempotency_key_answers_with_the_job_it_made() -> None:
    file = a_file()
    order = Order.parse(file.owner, "thumbnail", {"width": 64}, file=file, key="k")
    job, is_new = submit(order)
    again, is_new_again = submit(order)
    assert (is_new, is_new_again, again) == (True, False, job)
    with pytest.raises(KeyReused):
        submit(Order.parse(file.owner, "thumbnail", {"width": 65}, file=file, key="k"))


@pytest.mark.parametrize(
    ("operation", "params", "kind", "says"),
    [
        ("explode", {}, "video", "no such operation"),
        ("thumbnail", {"width": -1}, "video", "width"),
        ("thumbnail", {"wdith": 5}, "video", "width"),
        ("transcode", {}, "audio", "works on video"),
    ],
)
def test_what_cannot_be_done_is_refused_before_there_is_a_job(
    operation: str, params: Any, kind: str, says: str
) -> None:
    file = a_file(kind=kind)
    with pytest.raises(Exception, match=says) as refusal:
        submit(Order.parse(file.owner, operation, params, file=file))
    assert refusal.value.code == "invalid_params"  # type: ignore[attr-defined]  # a Refusal
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "impossible",
    [
        {"status": "running"},
        {"token": uuid.uuid4()},
        {"status": "succeeded"},
        {"status": "failed", "finished_at": timezone.now()},
        {"progress": 1},
        {"file": None},
        {"status": "uploading"},
        {"finished_at": timezone.now()},
    ],
)
def test_the_database_forbids_what_cannot_be(impossible: dict[str, Any]) -> None:
    job = a_job()
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(**impossible)


def test_what_cannot_be_worked_on_is_told_at_submit() -> None:
    file = a_file()
    Blob.objects.filter(pk=file.blob_id).update(
        facts={"format": "mp4", "duration": 3.0, "video": [], "audio": [], "subtitles": []}
    )
    MediaFile.objects.filter(pk=file.pk).update(has_facts=True)
    file = MediaFile.objects.select_related("blob").get(pk=file.pk)
    with pytest.raises(InvalidParams, match="This file has no video"):
        submit(Order.parse(file.owner, "transcode", {}, file=file))
