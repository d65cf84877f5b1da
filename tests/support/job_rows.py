"""Jobs, workers and files as rows of the database, and the steps of a job, without any work."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from model_bakery import baker

from media_jobs.models import Job, Worker
from media_jobs.queue import artifacts, leases, lost_leases, outcomes
from media_jobs.queue.leases import Lease
from media_jobs.queue.submission import Order, submit
from uploads.content.intake import Content
from uploads.models import Blob, MediaFile, Transition, Upload

BUILD = "ffmpeg 9.0.2 of the tests"


def a_worker(lane: str = "quick") -> Worker:
    return Worker.objects.create(lane=lane, host="here", pid=1, build=BUILD, seen_at=Now(), heard_at=Now())


def a_file(owner: User | None = None, kind: str = "video") -> MediaFile:
    blob = baker.make(
        Blob, sink="local", key=str(uuid.uuid4()), sha256=uuid.uuid4().hex * 2, size=7, state="stored", kind=kind,
        media_type="video/mp4",
    )  # fmt: skip
    file: MediaFile = baker.make(MediaFile, owner=owner or a_user(), blob=blob, name="a.mp4", origin="upload")
    return file


def a_user() -> User:
    user: User = baker.make(User, username=uuid.uuid4().hex)
    return user


def a_job(file: MediaFile | None = None, **more: Any) -> Job:
    file = file or a_file()
    return submit(
        Order.parse(file.owner, more.pop("operation", "thumbnail"), more.pop("params", {}), file=file, **more)
    )[0]


def a_resumable_upload(owner: User) -> Upload:
    upload: Upload = baker.make(Upload, owner=owner, protocol="tus", declared_size=9, key=str(uuid.uuid4()))
    return upload


def claimed(worker: Worker) -> Lease:
    lease = leases.claim(worker)
    assert lease is not None
    return lease


def started(worker: Worker, job: Job) -> Lease:
    lease = claimed(worker)
    assert lease.job == job
    return lease


def end(lease: Lease, *names: str, facts: dict[str, Any] | None = None) -> None:
    kept = [
        artifacts.StoredOutput(
            name, lease.key(number), Content(uuid.uuid4().hex * 2, 9, "image", "image/jpeg"), {"format": "x"}
        )
        for number, name in enumerate(names)
    ]
    outcomes.finish(lease, kept, facts=facts, message="", ran={"build": BUILD})


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def past(job: Job) -> list[str]:
    states = Transition.objects.filter(subject="job", subject_id=job.pk).order_by("number")
    return list(states.values_list("state", flat=True))


def expire(job: Job) -> None:
    Job.with_children.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


@contextmanager
def meanwhile(verb: str, deed: Callable[[], object]) -> Iterator[None]:
    """Another process does this just before the first statement that begins so."""
    is_done = False

    def before(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal is_done
        if sql.startswith(verb) and not is_done:
            is_done = True
            deed()
        return execute(sql, *rest)

    with connection.execute_wrapper(before):
        yield


def reap() -> int:
    return lost_leases.reap(lambda: None)
