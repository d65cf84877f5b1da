"""Parts that are kept after their job: found again by an equal recipe, apart by owner, limited in age and size."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from media_jobs import operations
from media_jobs.errors import BadMedia
from media_jobs.models import Job, ScratchBlob, Worker
from media_jobs.operations.divisible import Part
from media_jobs.queue import cancel_and_retry, children, kept_parts, leases, outcomes
from media_jobs.queue.artifacts import StoredOutput, keys_in_use
from media_jobs.queue.leases import Lease
from tests.support.job_rows import BUILD, a_file, a_job, a_user, a_worker, claimed
from uploads.content.intake import Content
from uploads.models import MediaFile, Tombstone

pytestmark = pytest.mark.django_db
SIZE = 7
VERSION = operations.get("render").version


@pytest.fixture
def worker() -> Worker:
    return a_worker("heavy")


def clips(*starts: float, file: int = 0) -> dict[str, Any]:
    return {"clips": [{"file": file, "start": start, "end": start + 1} for start in starts]}


def split(worker: Worker, file: MediaFile, *starts: float) -> Job:
    """A render that has been split into one part for each start."""
    priority = Job.objects.count()  # before the children of earlier ones
    job = a_job(file, operation="render", params=clips(*starts), priority=priority)
    lease = claimed(worker)
    assert lease.job == job
    recipes = {number: recipe_of(job, start) for number, start in enumerate(starts)}
    outcomes.split(lease, [Part(spec(start), 1.0) for start in starts], {}, recipes)
    job.refresh_from_db()
    return job


def spec(start: float) -> dict[str, Any]:
    frame = {"width": 160, "height": 90, "fit": "pad", "rate": [25, 1], "codec": "h264", "crf": 23}
    return {"input": 0, "start": start, "frames": 25, "is_still": False, "fade_in": 0, "fade_out": 0, **frame}


def recipe_of(job: Job, start: float) -> str:
    return kept_parts.recipe_of(job, spec(start), [job.file], BUILD)


def finish(lease: Lease) -> None:
    leases.reserve_keys(lease, 2)
    stored = [
        StoredOutput(name, lease.key(number), Content("ab" * 32, SIZE, "video", "video/mp4"), {})
        for number, name in enumerate(("picture.mp4", "sound.au"))
    ]
    assert lease.job.part is not None
    outcomes.finish_child(lease, stored, message="", ran={}, recipe=recipe_of(lease.job, lease.job.part["start"]))


def render(worker: Worker, file: MediaFile, *starts: float) -> int:
    """A whole render. Returns how many parts were made."""
    job = split(worker, file, *starts)
    made = job.pending_children
    for _ in range(made):
        finish(claimed(worker))
    parent = claimed(worker)
    assert (parent.job, [child.scratch.count() for child in children.children_of(job)]) == (job, [2] * len(starts))
    outcomes.finish(parent, [], facts=None, message="", ran={})
    return made


def test_changing_one_clip_of_three_makes_one(worker: Worker) -> None:
    file = a_file()
    assert render(worker, file, 0, 1, 2) == 3
    assert render(worker, file, 0, 5, 2) == 1
    assert render(worker, file, 2, 1, 0, 5) == 0  # in another order, too
    assert ScratchBlob.objects.filter(child=None).count() == 8
    assert not Tombstone.objects.exists()


def test_kept_parts_are_those_of_one_owner_of_the_same_content_and_program(worker: Worker) -> None:
    file = a_file()
    assert render(worker, file, 0) == 1
    same = MediaFile.objects.create(owner=a_user(), blob=file.blob, name="b.mp4", origin="upload")
    assert render(worker, same, 0) == 1
    assert render(worker, a_file(file.owner), 0) == 1
    job = Job(owner=file.owner, operation="render", version=VERSION)
    recipes = {kept_parts.recipe_of(job, spec(0), [file], build) for build in ("one", "another")}
    job.version = VERSION + 1
    assert len(recipes | {kept_parts.recipe_of(job, spec(0), [file], "one")}) == 3


def test_the_same_content_under_another_number_is_the_same(worker: Worker) -> None:
    file, other = a_file(), a_file()
    job = Job(owner=file.owner, operation="render", version=VERSION)
    moved = kept_parts.recipe_of(job, {**spec(0), "input": 1}, [other, file], BUILD)
    assert moved == kept_parts.recipe_of(job, spec(0), [file], BUILD)


def test_parts_of_cancelled_and_failed_jobs_are_kept_too(worker: Worker) -> None:
    file = a_file()
    job = split(worker, file, 0, 1)
    finish(claimed(worker))
    cancel_and_retry.cancel(job)
    job = split(worker, file, 0, 2)
    assert job.pending_children == 1
    outcomes.end_failed(claimed(worker), BadMedia("It is cut off."), {})
    cancel_and_retry.retry(job)
    job.refresh_from_db()
    assert job.pending_children == 1
    finish(claimed(worker))
    assert claimed(worker).job == job


def test_a_part_has_one_user_at_a_time_and_the_second_makes_its_own(worker: Worker) -> None:
    file = a_file()
    render(worker, file, 0)
    assert split(worker, file, 0, 1).pending_children == 1
    assert split(worker, file, 0, 2).pending_children == 2


def test_equal_parts_that_end_together_are_kept_once(worker: Worker) -> None:
    file = a_file()
    first, second = split(worker, file, 0, 1), split(worker, file, 0, 2)
    for _ in range(2):
        finish(claimed(worker))
    done = Job.with_children.filter(parent__in=[first, second], status="succeeded")
    assert done.count() == 2
    for job in (first, second):
        cancel_and_retry.cancel(job)
    kept = ScratchBlob.objects.filter(child=None)
    assert len(set(kept.values_list("recipe", "name"))) == kept.count()


def test_the_bytes_of_kept_parts_are_in_use(worker: Worker) -> None:
    render(worker, a_file(), 0)
    keys = list(ScratchBlob.objects.values_list("key", flat=True))
    assert sorted(keys_in_use([*keys, "other"])) == sorted(keys)
    assert MediaFile.objects.count() == 1


def test_lost_bytes_of_a_kept_part_are_made_again(worker: Worker) -> None:
    file = a_file()
    render(worker, file, 0)
    job = split(worker, file, 0, 1)
    finish(claimed(worker))
    outcomes.wait_again(claimed(worker), {0: None}, "as their bytes were lost")
    job.refresh_from_db()
    assert job.pending_children == 1
    assert claimed(worker).job.number == 0


def test_kept_parts_go_when_they_are_old(worker: Worker) -> None:
    render(worker, a_file(), 0, 1)
    assert kept_parts.forget() == 0
    ScratchBlob.objects.filter(name="sound.au").update(kept_at=Now() - timedelta(days=2))
    assert kept_parts.forget() == 4
    assert (ScratchBlob.objects.count(), Tombstone.objects.count()) == (0, 4)


def test_the_oldest_kept_parts_go_when_all_take_too_much(worker: Worker, settings: Any) -> None:
    file = a_file()
    for start in (0, 1, 2):
        render(worker, file, start)
    settings.JOBS = replace(settings.JOBS, parts_size=5 * SIZE)
    assert kept_parts.forget() == 2
    assert {
        recipe_of(Job(owner=file.owner, operation="render", version=VERSION, file=file), at) for at in (1, 2)
    } == set(ScratchBlob.objects.values_list("recipe", flat=True))


def test_parts_in_use_are_not_deleted(worker: Worker) -> None:
    file = a_file()
    render(worker, file, 0)
    split(worker, file, 0, 1)
    ScratchBlob.objects.update(kept_at=Now() - timedelta(days=2))
    assert kept_parts.forget() == 0


def test_nothing_is_kept_if_that_is_switched_off(worker: Worker, settings: Any) -> None:
    settings.JOBS = replace(settings.JOBS, parts_kept=0)
    file = a_file()
    assert [render(worker, file, 0, 1), render(worker, file, 0, 2)] == [2, 2]
    assert not ScratchBlob.objects.exists()
