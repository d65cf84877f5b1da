"""Values at the edge of what dates, numbers, texts and documents can be: each is refused, with a stable code."""

import base64
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from media_jobs.models import Job
from tests.support.job_rows import a_job
from tests.support.server import Server
from uploads.models import Upload

TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}


@pytest.fixture
def client(db: None) -> Client:
    made = Client(raise_request_exception=False)
    made.force_login(User.objects.create_superuser("boss"))
    return made


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("of", ["files", "jobs", "uploads"])
@pytest.mark.parametrize("said", ["p=foo", "p=2026-13-01", "p=0001-01-01T00:00:00%2B14:00", "o=-1", "\xff"])
def test_a_cursor_that_is_none_of_ours_is_refused(of: str, said: str, client: Client) -> None:
    cursor = base64.b64encode(said.encode("latin-1")).decode()
    assert code(client.get(f"/api/v1/{of}/", {"cursor": cursor})) == (400, "invalid_params")


def test_a_cursor_of_ours_still_leads_on(client: Client) -> None:
    first, second = a_job(), a_job()
    page = client.get("/api/v1/jobs/?page_size=1").json()
    assert [job["id"] for job in page["results"]] == [str(second.pk)]
    assert [job["id"] for job in client.get(page["next"]).json()["results"]] == [str(first.pk)]


@pytest.mark.parametrize("of", ["files", "jobs"])
@pytest.mark.parametrize("name", ["created_after", "created_before"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z"])
def test_a_moment_that_no_database_can_hold_is_refused(of: str, name: str, moment: str, client: Client) -> None:
    assert code(client.get(f"/api/v1/{of}/", {name: moment})) == (400, "invalid_params")


@pytest.mark.parametrize(
    "body", ["1", "true", "null", '"x"', "[[1]]", "[]", '{"operation": "inspect", "upload": true}']
)
@pytest.mark.parametrize("upload", [False, True])
def test_a_job_that_is_no_object_is_refused(body: str, upload: bool, client: Client) -> None:
    document = f'{{"operation": "inspect", "upload": {body}}}' if upload else body
    answer = client.post("/api/v1/jobs/", document, content_type="application/json")
    assert code(answer) == (400, "invalid_params")
    assert not Job.objects.exists()


@pytest.mark.parametrize("at", ["9" * 309, "1e400", '"1e400"', '"%"', "true", "[[1]]"])
def test_a_moment_of_a_film_that_is_no_number_is_refused(at: str, client: Client) -> None:
    file = a_job().file_id
    before = Job.objects.count()
    body = f'{{"operation": "thumbnail", "file": "{file}", "params": {{"at": {at}}}}}'
    answer = client.post("/api/v1/jobs/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid_params", "invalid_request"}
    assert Job.objects.count() == before


def test_an_artifact_s_name_with_a_nul_is_not_found(client: Client) -> None:
    assert code(client.get(f"/api/v1/jobs/{a_job().pk}/artifacts/a%00b")) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        "media_jobs/job/live/?since=2026-13-01T00:00:00Z",
        "uploads/upload/live/?since=0001-01-01T00:00:00%2B14:00",
        "uploads/mediafile/?owner__exact=99999999999999999999",
        "uploads/mediafile/?created_at__gte=0001-01-01T00:00:00%2B14:00",
        "uploads/mediafile/?kind__exact=a%00b",
        "uploads/mediafile/?name__regex=(a%2B)%2B$",
        "auth/user/?last_login__gte=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_what_no_list_of_the_admin_can_mean_is_refused(query: str, client: Client) -> None:
    assert client.get(f"/admin/{query}").status_code == 400


@pytest.mark.parametrize("size", ["9" * 400 + " TB", "9" * 400])
def test_a_size_beyond_all_numbers_is_as_large_as_can_be(size: str, client: Client) -> None:
    assert client.get("/admin/uploads/mediafile/", {"size_to": size}).status_code == 200
    assert client.get("/admin/uploads/mediafile/", {"size_from": size}).status_code == 200


@pytest.mark.parametrize("path", ["uploads/upload/", "media_jobs/job/", "uploads/mediafile/", "auth/user/"])
@pytest.mark.parametrize("chosen", ["foo", "9" * 20, "a\0b"])
def test_an_action_on_what_is_no_id_is_refused(path: str, chosen: str, client: Client) -> None:
    action = {"uploads/upload/": "end_selected"}.get(path, "delete_selected")
    answer = client.post(f"/admin/{path}", {"action": action, "_selected_action": chosen})
    assert answer.status_code == 400


@pytest.mark.parametrize("pk", ["foo", "00000000-0000-0000-0000-000000000000"])
def test_a_page_of_an_object_on_the_site_is_not_found(pk: str, client: Client) -> None:
    kind = ContentType.objects.get_for_model(Upload).pk
    assert client.get(f"/admin/r/{kind}/{pk}/").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "body", "refusal"),
    [
        ({"Upload-Checksum": "crc32 AAAA"}, b"0123456789", (400, "invalid_params")),
        ({"Upload-Checksum": "crc32 AAAA"}, b"", (400, "invalid_params")),
        ({"Content-Encoding": "gzip"}, b"0123456789", (415, "unsupported_coding")),
        ({}, b"0123456789 and more", (413, "too_large")),
    ],
)
def test_a_creation_that_is_refused_leaves_no_upload(
    headers: dict[str, str], body: bytes, refusal: tuple[int, str], client: Client
) -> None:
    kind = "application/offset+octet-stream"
    answer = client.generic("POST", "/api/v1/uploads/", body, content_type=kind, headers=TUS | headers)
    assert code(answer) == refusal
    assert not Upload.objects.exists()


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "SCRIPT-NAME", "PATH_INFO"])
def test_a_client_on_this_machine_names_no_other_root(name: str, shared_server: Server) -> None:
    """gunicorn trusts it to: a header of this name moved the whole service, or ended in 500."""
    answer = shared_server.get("/api/v1/files/", {name: "/elsewhere"}, user="alice")
    assert answer.status == 200
    assert b"elsewhere" not in shared_server.get("/nowhere", {name: "/elsewhere"}).body
