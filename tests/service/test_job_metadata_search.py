"""The metadata of a job finds its file, for those who may see the job, until the job or the file goes."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from media_jobs.models import Batch, Job
from media_jobs.queue import batch_chores
from media_jobs.queue.cancel_and_retry import cancel
from media_jobs.queue.deletion import delete_job
from media_jobs.queue.submission import Order, begin_uploaded, submit
from tests.support.api_client import api_client
from tests.support.job_rows import a_file, a_job, a_resumable_upload, a_user
from uploads import text_index
from uploads.models import MediaFile, SearchText
from uploads.storage.files import delete_file, rename_file

CASE = {"case": "Zürich 7", "tags": ["harbour", None]}


def staff(*groups: str) -> User:
    user = a_user()
    user.is_staff = True
    user.save()
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def found(user: User, q: str) -> list[tuple[str, str | None]]:
    """The files, and the jobs whose metadata it was."""
    answer = api_client(user).get("/api/v1/search/", {"q": q})
    assert answer.status_code == 200, answer.content
    hits = answer.json()["results"]
    assert {hit["source"] for hit in hits} <= {"job"}
    return [(hit["file"]["id"], hit["about"]) for hit in hits]


def place(job: Job) -> tuple[str, str]:
    return str(job.file_id), f"http://testserver/api/v1/jobs/{job.pk}/"


@pytest.mark.django_db
def test_it_names_the_file_and_links_the_job() -> None:
    job = a_job(metadata=CASE)
    a_job(job.file, params={"width": 64})
    assert found(job.owner, "zurich har*") == [place(job)]
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/admin/uploads/mediafile/search/", {"q": "harbour"}).content.decode()
    assert f'metadata of a <a class="mr-link" href="/admin/media_jobs/job/{job.pk}/change/">job</a>' in page


@pytest.mark.django_db
def test_only_those_who_may_see_the_job_find_it() -> None:
    file, operator, viewer = a_file(), staff("Operator"), staff("Viewer")
    theirs = submit(Order.parse(operator, "thumbnail", {}, file=file, metadata=CASE))[0]
    assert found(file.owner, "harbour") == []
    assert found(operator, "harbour") == found(viewer, "harbour") == [place(theirs)]
    own = submit(Order.parse(file.owner, "thumbnail", {"width": 64}, file=file, metadata=CASE))[0]
    assert found(file.owner, "harbour") == [place(own)]
    assert found(a_user(), "harbour") == []
    files_alone = staff()
    files_alone.user_permissions.set(Group.objects.get(name="Viewer").permissions.filter(codename="view_mediafile"))
    assert found(files_alone, "harbour") == []


@pytest.mark.django_db
def test_it_goes_with_the_job_and_with_the_file_and_stays_when_the_file_is_renamed() -> None:
    job = a_job(metadata=CASE)
    kept = a_job(job.file, params={"width": 64}, metadata={"case": "harbour 8"})
    assert job.file is not None
    rename_file(job.file, "new.mp4")
    assert found(job.owner, "harbour") == [place(kept), place(job)]
    for each in (job, kept):
        cancel(each)
    delete_job(Job.objects.get(pk=job.pk))
    assert found(job.owner, "harbour") == [place(kept)]
    delete_file(job.file)
    assert not SearchText.objects.exists()


@pytest.mark.django_db
def test_one_that_waits_for_its_upload_is_found_with_the_file() -> None:
    file = a_file()
    upload = a_resumable_upload(file.owner)
    job = submit(Order.parse(file.owner, "thumbnail", {}, upload=upload, metadata=CASE))[0]
    assert not SearchText.objects.filter(source="job").exists()
    begin_uploaded(upload, file)
    job.refresh_from_db()
    assert found(file.owner, "harbour") == [place(job)]


@pytest.mark.django_db
def test_an_index_made_anew_has_it_once() -> None:
    job = a_job(metadata=CASE)
    for _ in range(2):
        text_index.rebuild()
        assert found(job.owner, "harbour") == [place(job)]


@pytest.mark.django_db
def test_all_jobs_of_a_batch_have_its_metadata_and_are_found() -> None:
    alice = a_user()
    files = [a_file(alice) for _ in range(3)]
    client = api_client(alice)
    order = {"operation": "thumbnail", "files": [str(file.pk) for file in files], "metadata": CASE}
    made = client.post("/api/v1/jobs/batch/", order, format="json").json()
    assert made["metadata"] == client.get(f"/api/v1/jobs/batch/{made['id']}/").json()["metadata"] == CASE
    batch_chores.carry_on()
    jobs = list(Job.objects.order_by("created_at"))
    assert [job.metadata for job in jobs] == [CASE] * 3
    assert sorted(found(alice, "harbour")) == sorted(map(place, jobs))
    again = client.post("/api/v1/jobs/batch/", {**order, "metadata": [1]}, format="json").json()
    assert again["code"] == "invalid_metadata"


@pytest.mark.django_db
def test_the_form_of_an_operation_takes_it_for_one_job_and_for_a_batch() -> None:
    operator, client = staff("Operator"), Client()
    client.force_login(operator)
    files = [a_file(operator) for _ in range(2)]
    page, sent = f"/admin/uploads/mediafile/{files[0].pk}/run/?operation=thumbnail", {"priority": "0"}
    assert "must be a JSON object" in client.post(page, {**sent, "metadata": "[1]"}).content.decode()
    assert not Job.objects.exists()
    client.post(page, {**sent, "metadata": json.dumps(CASE)})
    assert Job.objects.get().metadata == CASE
    selection = {"action": "run", "_selected_action": [str(file.pk) for file in files], "operation": "thumbnail"}
    confirmed: dict[str, Any] = {**sent, **selection, "confirmed": "yes", "param-width": "64"}
    client.post("/admin/uploads/mediafile/", {**confirmed, "metadata": '{"case": 8}'})
    batch = Batch.objects.get()
    batch_chores.carry_on()
    assert [job.metadata for job in batch.jobs.all()] == [{"case": 8}] * 2
    shown = client.get(f"/admin/media_jobs/batch/{batch.pk}/change/").content.decode()
    assert "Metadata: case" in shown


@pytest.mark.django_db(transaction=True)
def test_the_metadata_of_jobs_from_before_is_found_after_the_upgrade() -> None:
    job, other = a_job(metadata=CASE), a_job()
    try:
        for app, name in (("media_jobs", "0017_note_value"), ("uploads", "0018_search")):
            call_command("migrate", app, name, verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM uploads_searchtext WHERE source = 'job'")
    finally:
        call_command("migrate", verbosity=0)
    waiting = MediaFile.objects.filter(indexed_at=None)
    assert other.file is not None
    MediaFile.objects.filter(pk=other.file.pk).update(indexed_at=other.created_at)
    assert [file.pk for file in waiting] == [job.file_id]
    assert text_index.fill() == 1
    assert found(job.owner, "harbour") == [place(job)]
