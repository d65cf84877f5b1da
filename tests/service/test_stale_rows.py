"""A row changes between a request's first look at it and its write: neither change is lost, nothing comes back."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.test import Client
from rest_framework.test import APIClient

from media_jobs.models import Job
from media_jobs.queue import cancel_and_retry
from media_jobs.queue.deletion import delete_job
from tests.support.api_client import api_client
from tests.support.interleaving import after_reading
from tests.support.job_rows import a_file, a_job
from uploads.access import signed_links
from uploads.models import MediaFile
from uploads.storage.files import delete_file, rename_file

pytestmark = pytest.mark.django_db
FILES, ACCOUNTS, JOBS = '"uploads_mediafile"', '"auth_user"', '"media_jobs_job"'
AUTOMATIC_JOBS = f'{JOBS} WHERE ({JOBS}."parent_id" IS NULL AND {JOBS}."automatic"'


def client_of(file: MediaFile) -> APIClient:
    return api_client(file.owner)


def rename(file: MediaFile, **data: str) -> Any:
    return client_of(file).patch(f"/api/v1/files/{file.pk}/", data, format="json")


def test_a_rename_does_not_bring_back_links_that_were_revoked_meanwhile() -> None:
    file = a_file()
    with after_reading(FILES, lambda: signed_links.revoke(file)):
        answer = rename(file, name="new.mp4")
    assert (answer.status_code, answer.json()["name"]) == (200, "new.mp4")
    file.refresh_from_db()
    assert (file.name, file.link_epoch) == ("new.mp4", 1)


def test_a_rename_does_not_bring_back_a_file_that_was_deleted_meanwhile() -> None:
    file = a_file()
    with after_reading(FILES, lambda: delete_file(file)):
        answer = rename(file, name="new.mp4")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert not MediaFile.objects.exists()


def test_a_patch_without_a_name_changes_nothing() -> None:
    file = a_file()
    with after_reading(FILES, lambda: rename_file(file, "new.mp4")):
        assert rename(file).status_code == 200
    assert MediaFile.objects.get().name == "new.mp4"


def test_the_whole_row_of_a_file_is_never_written_again() -> None:
    file = a_file()
    with pytest.raises(TypeError, match="single columns"):
        MediaFile.objects.get(pk=file.pk).save()
    with pytest.raises(TypeError, match="single columns"):
        file.save(force_update=True)


# Jobs


def test_a_job_on_a_file_that_is_deleted_meanwhile_is_refused() -> None:
    file = a_file()
    with after_reading(FILES, lambda: delete_file(file)):
        order = {"operation": "thumbnail", "file": str(file.pk)}
        answer = client_of(file).post("/api/v1/jobs/", order, format="json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert not Job.objects.exists()


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete"])
def test_what_is_asked_of_a_job_that_is_deleted_meanwhile_is_refused(verb: str) -> None:
    file = a_file()
    job = cancel_and_retry.cancel(a_job(file))
    with after_reading(JOBS, lambda: delete_job(job), job.pk):
        client, path = client_of(file), f"/api/v1/jobs/{job.pk}/"
        answer = client.delete(path) if verb == "delete" else client.post(f"{path}{verb}/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_job_whose_file_is_deleted_meanwhile_is_not_tried_again() -> None:
    file = a_file()
    job = cancel_and_retry.cancel(a_job(file))
    with after_reading(JOBS, lambda: delete_file(file), job.pk):
        answer = client_of(file).post(f"/api/v1/jobs/{job.pk}/retry/")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_finished")


def test_a_file_goes_though_its_automatic_job_is_deleted_meanwhile() -> None:
    file = a_file()
    job = cancel_and_retry.cancel(a_job(file, automatic=True))
    with after_reading(AUTOMATIC_JOBS, lambda: delete_job(job)):
        answer = client_of(file).delete(f"/api/v1/files/{file.pk}/")
    assert (answer.status_code, MediaFile.objects.exists()) == (204, False)


# Accounts


@pytest.fixture
def staff() -> Client:
    """Somebody who may change every account."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("root"))
    return client


def form_of(user: User, **changed: str) -> dict[str, Any]:
    """What a browser sends of the page of an account."""
    joined = {"date_joined_0": f"{user.date_joined:%Y-%m-%d}", "date_joined_1": f"{user.date_joined:%H:%M:%S}"}
    of_limits = {"own_limits-TOTAL_FORMS": "0", "own_limits-INITIAL_FORMS": "0"}
    return {"username": user.username, "is_active": "on", **joined, **of_limits, **changed}


def an_account() -> User:
    return User.objects.create(username="carol", password="before", date_joined=datetime(2026, 1, 1, tzinfo=UTC))


def columns(user: User) -> QuerySet[User]:
    return User.objects.filter(pk=user.pk)


def test_an_account_that_is_edited_keeps_what_others_change_meanwhile(staff: Client) -> None:
    user, group = an_account(), Group.objects.get(name="Viewer")
    with after_reading(ACCOUNTS, lambda: columns(user).update(password="new", email="c@example.org"), user.pk):
        sent = form_of(user, first_name="Carol", groups=str(group.pk))
        answer = staff.post(f"/admin/auth/user/{user.pk}/change/", sent)
    assert answer.status_code == 302, answer.content
    user.refresh_from_db()
    assert (user.first_name, user.password, list(user.groups.all())) == ("Carol", "new", [group])


def test_an_account_that_is_edited_and_deleted_meanwhile_stays_deleted(staff: Client) -> None:
    user = an_account()
    with after_reading(ACCOUNTS, lambda: columns(user).delete(), user.pk):
        answer = staff.post(f"/admin/auth/user/{user.pk}/change/", form_of(user, first_name="Carol"))
    assert answer.status_code == 404  # which rolls back, and with it what this test did within


def test_a_new_password_leaves_an_account_disabled_that_was_disabled_meanwhile(staff: Client) -> None:
    user = an_account()
    words = {"password1": "kW3-correct-horse", "password2": "kW3-correct-horse", "usable_password": "true"}
    with after_reading(ACCOUNTS, lambda: columns(user).update(is_active=False), user.pk):
        answer = staff.post(f"/admin/auth/user/{user.pk}/password/", {**words, "set-password": "1"})
    assert answer.status_code == 302, answer.content
    user.refresh_from_db()
    assert (user.is_active, user.password != "before") == (False, True)


def test_who_is_disabled_while_they_change_their_password_stays_disabled() -> None:
    user = User.objects.create_user("carol", password="before", is_staff=True)
    client = Client()
    client.force_login(user)
    words = {"old_password": "before", "new_password1": "kW3-correct-horse", "new_password2": "kW3-correct-horse"}
    with after_reading(ACCOUNTS, lambda: columns(user).update(is_active=False)):
        answer = client.post("/admin/password_change/", words)
    assert answer.status_code == 302, answer.content
    user.refresh_from_db()
    assert (user.is_active, user.check_password("kW3-correct-horse")) == (False, True)
