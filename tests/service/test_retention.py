"""What housekeeping forgets, and what it must not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.db.models.signals import pre_delete
from django.utils import timezone

from media_jobs.errors import BadMedia
from media_jobs.ffmpeg.work_folder import work_folder
from media_jobs.housekeeping import forget_jobs, forget_workers, sweep_work
from media_jobs.models import Job, Worker
from media_jobs.queue import cancel_and_retry, outcomes
from media_jobs.queue.submission import Order, submit_with_upload
from tests.support.job_rows import a_job, a_user, a_worker, end, now, past, started
from uploads.models import MediaFile, SinkMark, Upload
from uploads.storage.marker import adopt
from uploads.storage.stores import sink
from uploads.transfers.admission import Announcement
from uploads.transfers.resumable import recovery
from uploads.transfers.resumable.expiry import lifetime

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _settings(settings: Any, tmp_path: Path) -> None:
    settings.JOBS = replace(settings.JOBS, work_root=tmp_path / "work", kept=3600.0)


def failed(worker: Worker, **ago: float) -> Job:
    job = a_job()
    outcomes.end_failed(started(worker, job), BadMedia("It is cut off."), {})
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - timedelta(**ago))
    return job


@contextmanager
def before_deleting(job: Job, deed: Callable[[], object]) -> Iterator[None]:
    def told(instance: Job, **_: Any) -> None:
        if instance.pk == job.pk:
            deed()

    pre_delete.connect(told, sender=Job)
    try:
        yield
    finally:
        pre_delete.disconnect(told, sender=Job)


def test_old_jobs_are_forgotten_with_their_past_and_what_they_made_stays(settings: Any) -> None:
    worker = a_worker()
    new, old = failed(worker, minutes=59), a_job()
    end(started(worker, old), "poster.jpg")
    waiting = a_job()
    made = MediaFile.objects.get(origin="job")
    Job.objects.filter(pk=old.pk).update(finished_at=Now() - timedelta(minutes=61))
    assert forget_jobs() == 1
    assert (past(old), set(Job.objects.all())) == ([], {new, waiting})
    assert MediaFile.objects.filter(pk=made.pk).exists()
    settings.JOBS = replace(settings.JOBS, kept=None)
    Job.objects.filter(pk=new.pk).update(finished_at=Now() - timedelta(days=9999))
    assert forget_jobs() == 0


def test_what_we_began_by_ourselves_is_forgotten_with_its_file_and_not_before() -> None:
    job = a_job(automatic=True)
    end(started(a_worker(), job))
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - timedelta(days=9))
    assert forget_jobs() == 0


def test_an_old_job_that_is_tried_again_just_then_lives() -> None:
    first, second = (failed(a_worker(), hours=hours) for hours in (9, 8))
    jobs = {first, second}

    def retry_the_other(job: Job) -> None:
        [other] = jobs - {job}
        cancel_and_retry.retry(other)

    with (
        before_deleting(first, lambda: retry_the_other(first)),
        before_deleting(second, lambda: retry_the_other(second)),
    ):
        assert forget_jobs() == 1
    [left] = Job.objects.all()
    assert (left.status, past(left)[-1]) == ("queued", "queued")


def test_a_job_and_its_past_go_together_or_not_at_all() -> None:
    job = failed(a_worker(), hours=9)

    def fall_over() -> None:
        raise InterruptedError

    with before_deleting(job, fall_over), pytest.raises(InterruptedError):
        forget_jobs()
    assert past(job) == ["queued", "running", "failed"]


def test_workers_that_were_not_heard_of_for_long_are_forgotten_and_their_jobs_are_not() -> None:
    lost, silent = a_worker(), a_worker()
    job = a_job()
    started(lost, job)
    Worker.objects.filter(pk=lost.pk).update(seen_at=Now() - timedelta(seconds=201))
    Worker.objects.filter(pk=silent.pk).update(seen_at=Now() - timedelta(seconds=190))
    assert forget_workers() == 1
    assert (list(Worker.objects.all()), now(job).status, now(job).worker) == ([silent], "running", None)


def test_folders_of_lost_attempts_are_swept_and_those_in_use_are_not(settings: Any) -> None:
    root = settings.JOBS.work_root
    with work_folder(root, "held") as held:
        (root / "left" / "deep").mkdir(parents=True)
        (root / "left" / "deep" / "out.mp4").write_bytes(b"half")
        assert sweep_work() == 1
        assert list(root.iterdir()) == [held]


def test_an_upload_that_nobody_goes_on_with_fails_its_job(settings: Any, tmp_path: Path) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media")
    SinkMark.objects.all().delete()  # of another place: tests that ran before may have left one
    adopt(sink())
    owner = a_user()
    announced = Announcement(
        owner=owner, name="a.mp4", protocol=Upload.Protocol.TUS, size=9, length=9, route="jobs",
        lifetime=lifetime(0),
    )  # fmt: skip
    job, _ = submit_with_upload(Order.parse(owner, "thumbnail"), announced)
    assert (recovery.expire_uploads(), job.status) == (0, "uploading")
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert recovery.expire_uploads() == 1
    assert (now(job).status, now(job).error_code) == ("failed", "upload_failed")
    assert "Submit the job again" in now(job).error_detail
